internal import Base

/// What terminals may say of devices.
struct DeviceRules: Sendable {
    let dispatcher: PushDispatcher
    let identities: Identities
    let time: any TimeSource

    /// - Throws: `invalid_field`.
    func check(_ description: Devices.Description) throws(GatewayError) {
        for (field, text) in [
            ("installation", description.installation), ("name", description.name), ("platform", description.platform),
        ] where !(1...Devices.textLimit).contains(text.utf8.count) {
            throw .invalid(field, "expected 1 to \(Devices.textLimit) bytes")
        }
        try check(tags: description.tags)
        if let encryption = description.encryption { try check(encryption) }
        guard !description.installation.hasPrefix(Device.bridgePrefix) else {
            throw .invalid("installation", "'\(Device.bridgePrefix)' is kept for bridges")
        }
    }

    /// - Throws: `invalid_field`.
    func check(_ encryption: Device.Encryption) throws(GatewayError) {
        guard encryption.publicKey.count == Device.Encryption.publicKeySize, encryption.publicKey.first == 4,
            identities.isPublicKey(encryption.publicKey)
        else {
            throw .invalid(
                "encryption.p256dh", "expected a public key on P-256: 65 bytes that begin with 4, as base64url")
        }
        guard encryption.secret.count == Device.Encryption.secretSize else {
            throw .invalid("encryption.auth", "expected 16 bytes as base64url")
        }
    }

    /// Checks a language tag's form (BCP 47); `en_US`, as some platforms write it, is understood.
    /// - Throws: `invalid_field`.
    static func locale(_ text: String?) throws(GatewayError) -> String? {
        guard let text else { return nil }
        let tag = text.replacing("_", with: "-")
        guard LocaleTag.isTag(tag) else { throw .invalid("locale", "expected a language tag such as en or zh-CN") }
        return tag
    }

    /// - Throws: `invalid_field`.
    func check(tags: [String]) throws(GatewayError) {
        guard tags.count <= Devices.tagsLimit, tags.allSatisfy({ (1...128).contains($0.utf8.count) }) else {
            throw .invalid("tags", "at most \(Devices.tagsLimit) tags of 1 to 128 bytes")
        }
    }

    /// Works out the channel of what the terminal brought (MN-8).
    func channel(_ order: Devices.ChannelOrder, _ field: String) throws(GatewayError) -> Channel {
        guard let service = dispatcher.adapter(order.adapter) else {
            throw .invalid(
                "\(field).adapter",
                "there is no push service '\(order.adapter)'"
                    + Suggestion.text(for: order.adapter, among: dispatcher.names))
        }
        if let fault = service.fault(in: order.address) { throw .invalid(field, fault) }
        return Channel(adapter: order.adapter, address: order.address, since: time.timestamp)
    }

    func furtherChannels(_ orders: [Devices.ChannelOrder]) throws(GatewayError) -> [Channel] {
        var channels: [Channel] = []
        for (index, order) in orders.enumerated() { channels.append(try channel(order, "channels[\(index)]")) }
        return channels
    }

    /// A push service is asked once for a device: it is how a message's way is noted and gone on with.
    static func checkChannels(of device: Device) throws(GatewayError) {
        guard device.furtherChannels.count <= Device.furtherChannelsLimit else {
            throw .invalid("channels", "at most \(Device.furtherChannelsLimit) further channels")
        }
        let names = device.services
        guard Set(names).count == names.count else {
            throw .invalid("channels", "name each push service once; 'channel' counts")
        }
    }
}
