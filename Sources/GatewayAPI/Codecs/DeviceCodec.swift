internal import Base
internal import Gateway
internal import Inbound

/// Devices in JSON.
enum DeviceCodec {
    /// - Parameters:
    ///   - isConnected: whether the device has a stream open.
    ///   - showsAddress: false for the administrator, who needs to know the service only.
    static func json(of device: Device, isConnected: Bool, showsAddress: Bool = true) -> JSON {
        var object: JSONObject = [
            "id": .string(device.id.text), "account": .string(device.account.text),
            "installation": .string(device.installation), "name": .string(device.name),
            "platform": .string(device.platform), "tags": .strings(device.tags),
            "payload": .string(device.payload.rawValue),
        ]
        if let channel = device.channel { object.append("channel", json(of: channel, showsAddress: showsAddress)) }
        if !device.furtherChannels.isEmpty {
            object.append(
                "channels", .array(device.furtherChannels.map { json(of: $0, showsAddress: showsAddress) }))
        }
        // The secret stays here.
        if let encryption = device.encryption {
            object.append("encryption", ["p256dh": .string(encryption.publicKey.base64URL)])
        }
        if let locale = device.locale { object.append("locale", .string(locale)) }
        object.append("connected", .bool(isConnected))
        object.append("cursor", .integer(device.cursor))
        object.append("created", .timestamp(device.created))
        object.append("lastSeen", .timestamp(device.lastSeen))
        return .object(object)
    }

    /// The keys of a subscription are secrets and stay here.
    private static func json(of channel: Channel, showsAddress: Bool) -> JSON {
        var object: JSONObject = ["adapter": .string(channel.adapter)]
        if showsAddress {
            switch channel.address {
            case .token(let token): object.append("token", .string(token))
            case .subscription(let endpoint, _, _):
                object.append("subscription", ["endpoint": .string(endpoint)])
            case .url(let url): object.append("url", .string(url))
            }
        }
        object.append("since", .timestamp(channel.since))
        return .object(object)
    }

    /// The body of `POST /v1/devices`.
    static func description(_ request: InboundRequest) throws(Problem) -> Devices.Description {
        var reader = try FieldReader(request)
        var description = Devices.Description(
            installation: try reader.string("installation"), name: try reader.string("name"),
            platform: try reader.string("platform"))
        description.channel = try reader.optionalObject("channel", channel)
        description.furtherChannels = try reader.optionalObjects(
            "channels", limit: Device.furtherChannelsLimit, channel)
        description.encryption = try reader.optionalObject("encryption", encryption)
        description.tags = try reader.optionalStrings("tags") ?? []
        description.locale = try reader.optionalString("locale")
        description.payload = try reader.optionalChoice("payload") ?? .summary
        try reader.finish()
        return description
    }

    /// The body of `PATCH /v1/devices/{id}`; `null` takes channels, keys and language away.
    static func update(_ request: InboundRequest) throws(Problem) -> Devices.Update {
        var reader = try FieldReader(request)
        var update = Devices.Update()
        update.name = try reader.optionalString("name")
        if let channel = try reader.optionalObject("channel", channel) {
            update.channel = .some(channel)
        } else if reader.isNull("channel") {
            update.channel = .some(nil)
        }
        update.furtherChannels = try reader.optionalObjects("channels", limit: Device.furtherChannelsLimit, channel)
        if reader.isNull("channels") { update.furtherChannels = [] }
        if let encryption = try reader.optionalObject("encryption", encryption) {
            update.encryption = .some(encryption)
        } else if reader.isNull("encryption") {
            update.encryption = .some(nil)
        }
        if let locale = try reader.optionalString("locale") {
            update.locale = .some(locale)
        } else if reader.isNull("locale") {
            update.locale = .some(nil)
        }
        update.tags = try reader.optionalStrings("tags")
        update.payload = try reader.optionalChoice("payload")
        try reader.finish()
        return update
    }

    /// `{p256dh,auth}`, base64url as browsers and RFC 8291's libraries give them.
    private static func encryption(_ reader: inout FieldReader) throws(Problem) -> Device.Encryption {
        func bytes(_ name: String) throws(Problem) -> [UInt8] {
            guard let bytes = [UInt8](base64URL: try reader.string(name)) else {
                throw reader.fault(name, "expected base64url")
            }
            return bytes
        }
        let publicKey = try bytes("p256dh")
        return Device.Encryption(publicKey: publicKey, secret: try bytes("auth"))
    }

    private static func channel(
        _ reader: inout FieldReader
    ) throws(Problem) -> (adapter: String, address: Channel.Address) {
        let adapter = try reader.string("adapter")
        let token = try reader.optionalString("token")
        let url = try reader.optionalString("url")
        let subscription = try reader.optionalObject("subscription", subscription)
        switch (token, subscription, url) {
        case (let token?, nil, nil): return (adapter, .token(token))
        case (nil, let subscription?, nil): return (adapter, subscription)
        case (nil, nil, let url?): return (adapter, .url(url))
        default:
            throw reader.fault("give one of token, subscription and url")
        }
    }

    private static func subscription(_ reader: inout FieldReader) throws(Problem) -> Channel.Address {
        let endpoint = try reader.string("endpoint")
        // Browsers put it there; it says nothing that the push service does not say better.
        _ = reader.value("expirationTime")
        let (p256dh, auth) = try reader.object("keys") { (keys: inout FieldReader) throws(Problem) in
            (try keys.string("p256dh"), try keys.string("auth"))
        }
        return .subscription(endpoint: endpoint, p256dh: p256dh, auth: auth)
    }

    /// The answer to a test notification.
    static func json(of report: PushReport, duration: Duration) -> JSON {
        var object: JSONObject = ["outcome": .string(report.outcome.name)]
        if let hop = report.hop { object.append("hop", .string(hop.rawValue)) }
        if let status = report.status { object.append("status", .integer(status)) }
        if let reason = report.reason { object.append("reason", .string(reason)) }
        object.append("milliseconds", .integer(duration.milliseconds))
        return .object(object)
    }
}
