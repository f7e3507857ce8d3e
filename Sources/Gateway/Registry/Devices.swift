package import Base

/// Creates, binds, changes and ends devices (MN-1 to MN-8).
package final class Devices: Sendable {
    /// A channel as a terminal names it.
    package typealias ChannelOrder = (adapter: String, address: Channel.Address)

    /// What a terminal says of itself when it comes.
    package struct Description: Sendable {
        package var installation: String
        package var name: String
        package var platform: String
        package var channel: ChannelOrder?
        /// Nil leaves those of a device that is known already.
        package var furtherChannels: [ChannelOrder]?
        /// Nil leaves those of a device that is known already.
        package var encryption: Device.Encryption?
        package var tags: [String] = []
        package var locale: String?
        package var payload: Device.Payload = .summary

        package init(installation: String, name: String, platform: String) {
            (self.installation, self.name, self.platform) = (installation, name, platform)
        }
    }

    package static let textLimit = 256
    package static let tagsLimit = 60

    let directory: StateKeeper<Directory>
    private let mailroom: Mailroom
    private let hub: StreamHub
    private let sessions: Sessions
    private let notifier: Notifier
    private let dispatcher: PushDispatcher
    let identities: Identities
    let time: any TimeSource
    let log: Log
    private let limits: Limits
    private let rules: DeviceRules

    package init(
        directory: StateKeeper<Directory>, mailroom: Mailroom, hub: StreamHub, sessions: Sessions, notifier: Notifier,
        dispatcher: PushDispatcher, identities: Identities, time: any TimeSource, log: Log, limits: Limits
    ) {
        (self.directory, self.mailroom, self.hub, self.sessions) = (directory, mailroom, hub, sessions)
        (self.notifier, self.dispatcher, self.identities) = (notifier, dispatcher, identities)
        (self.time, self.log, self.limits) = (time, log, limits)
        rules = DeviceRules(dispatcher: dispatcher, identities: identities, time: time)
    }

    package func device(_ id: DeviceID) -> Device? { directory.read { $0.devices[id] } }
    package var count: Int { directory.read { $0.devices.count } }
    package func devices(of account: AccountID) -> [Device] { directory.read { $0.devices(of: account) } }
    package func all() -> [Device] { directory.read { $0.devices.values.sorted { $0.id < $1.id } } }

    /// The device a token identifies (MN-7); nil for a revoked or unknown one.
    package func authenticate(_ token: Secret) throws(GatewayError) -> Device {
        try authenticate(hash: identities.tokenHash(token))
    }

    func authenticate(hash: [UInt8]) throws(GatewayError) -> Device {
        let (device, isDisabled) = directory.read { directory in
            let device = directory.device(tokenHash: hash)
            return (device, device.flatMap { directory.accounts[$0.account]?.isDisabled } ?? false)
        }
        guard let device else { throw GatewayError(.badToken, "the token is unknown or was revoked; log in again") }
        guard !isDisabled else { throw GatewayError(.accountDisabled, "the account is disabled") }
        return device
    }

    /// Creates a device for an account, or binds an installation known already to its device again: same id,
    /// channel replaced, new token, old token revoked (MN-5).
    /// - Throws: `installation_taken` when it is another account's, `invalid_field`, `limit_reached`.
    package func bind(
        _ account: AccountID, _ description: Description
    ) async throws -> (device: Device, token: Secret, isNew: Bool) {
        try rules.check(description)
        let channel = try description.channel.map { try rules.channel($0, "channel") }
        let further = try description.furtherChannels.map(rules.furtherChannels)
        let locale = try DeviceRules.locale(description.locale)
        let (token, hash) = identities.makeToken()
        let id: DeviceID = identities.make("dev")
        let now = time.timestamp
        let limit = limits.devicesPerAccount
        let (device, isNew) = try await directory.change { directory -> ((Device, Bool), [StoreChange]) in
            guard directory.accounts[account] != nil else {
                throw GatewayError(.notFound, "there is no account '\(account)'")
            }
            var device: Device
            let known = directory.device(installation: description.installation)
            if let known {
                guard known.account == account else {
                    throw GatewayError(
                        .installationTaken,
                        "this installation belongs to another account; remove its device there first")
                }
                device = known
                device.name = description.name
                device.platform = description.platform
                device.channel = channel ?? known.channel
                device.tags = description.tags
                device.locale = locale ?? known.locale
                device.payload = description.payload
                device.tokenHash = hash
                device.lastSeen = now
            } else {
                guard directory.devices(of: account).count < limit else {
                    throw GatewayError(
                        .limitReached, "the account has \(limit) devices; remove one first (limits.devicesPerAccount)")
                }
                device = Device(
                    id: id, account: account, installation: description.installation, name: description.name,
                    platform: description.platform, channel: channel, tags: description.tags,
                    locale: locale, payload: description.payload, tokenHash: hash, created: now)
            }
            if let further {
                device.furtherChannels = further
            } else {
                // What becomes the first is no further one any more: a login must not fail over that.
                device.furtherChannels.removeAll { $0.adapter == device.channel?.adapter }
            }
            if let encryption = description.encryption { device.encryption = encryption }
            try DeviceRules.checkChannels(of: device)
            directory.put(device)
            return ((device, known == nil), [.putDevice(device)])
        }
        if !isNew { hub.disconnect(device.id) }
        log.info(
            isNew ? .deviceCreated : .deviceBound,
            isNew ? "A device was created" : "A device was bound again; its old token is revoked",
            [
                "device": .id(device.id), "account": .id(account), "platform": .string(device.platform),
                "push": .string(device.channel?.adapter ?? ""),
            ])
        return (device, token, isNew)
    }

    /// What of a device to change; nil leaves it.
    package struct Update: Sendable {
        package var name: String?
        package var channel: ChannelOrder??
        package var furtherChannels: [ChannelOrder]?
        package var encryption: Device.Encryption??
        package var locale: String??
        package var tags: [String]?
        package var payload: Device.Payload?
        package init() {}
    }

    /// - Throws: `not_found`, `invalid_field`.
    package func update(_ id: DeviceID, of account: AccountID, _ update: Update) async throws -> Device {
        if let name = update.name, !(1...Self.textLimit).contains(name.utf8.count) {
            throw GatewayError.invalid("name", "expected 1 to \(Self.textLimit) bytes")
        }
        if let tags = update.tags { try rules.check(tags: tags) }
        if let encryption = update.encryption ?? nil { try rules.check(encryption) }
        let channel = try update.channel.map { try $0.map { try rules.channel($0, "channel") } }
        let further = try update.furtherChannels.map(rules.furtherChannels)
        let locale = try update.locale.map(DeviceRules.locale)
        return try await directory.change { directory in
            guard var device = directory.devices[id], device.account == account else {
                throw GatewayError(.notFound, "the account has no device '\(id)'")
            }
            if let name = update.name { device.name = name }
            if let tags = update.tags { device.tags = tags }
            if let payload = update.payload { device.payload = payload }
            if let channel { device.channel = channel }
            if let further { device.furtherChannels = further }
            if let encryption = update.encryption { device.encryption = encryption }
            if let locale { device.locale = locale }
            try DeviceRules.checkChannels(of: device)
            directory.put(device)
            return (device, [.putDevice(device)])
        }
    }

    /// - Throws: `not_found`.
    package func delete(_ id: DeviceID, of account: AccountID) async throws {
        try await directory.change { directory in
            guard directory.devices[id]?.account == account else {
                throw GatewayError(.notFound, "the account has no device '\(id)'")
            }
            directory.removeDevice(id)
            return ((), [.deleteDevice(id)])
        }
        hub.forget(id)
        sessions.removed(device: id)
        notifier.removed(id)
        mailroom.drop(.device(id))
        log.info(.deviceDeleted, "A device was deleted", ["device": .id(id), "account": .id(account)])
    }

    /// Notes that the device is in use: the one seen last is the default target (SG-12).
    package func seen(_ id: DeviceID) {
        let now = time.timestamp
        directory.submit { directory in
            guard let device = directory.devices[id], let latest = directory.devices(of: device.account).first else {
                return []
            }
            if latest.id == id, now - device.lastSeen <= .seconds(1) { return [] }
            // Later than any other, also within one tick of the clock: the order is what counts.
            let seen = latest.id == id ? now : max(now, latest.lastSeen + .milliseconds(1))
            directory.change(id) { $0.lastSeen = seen }
            return [.setDeviceSeen(id, seen)]
        }
    }

    /// Moves the device's cursor: everything up to the number has arrived there.
    /// - Throws: `invalid_field` for a number the device has not been sent.
    package func acknowledge(_ id: DeviceID, upTo number: Int64) async throws {
        guard let device = device(id) else { return }
        // Without a connection we do not know any more what the last one was sent.
        let sent = hub.highestSent(id) ?? mailroom.lastNumber(.account(device.account))
        guard number >= 0, number <= max(device.cursor, sent) else {
            throw GatewayError.invalid("upTo", "the device has not been sent an event of this number")
        }
        // Before the cursor: after a crash in between the device says it again.
        try await mailroom.acknowledged(id, of: device.account, upTo: number)
        try await directory.change { directory in
            guard let device = directory.devices[id], number > device.cursor else { return ((), []) }
            directory.change(id) { $0.cursor = number }
            return ((), [.setDeviceCursor(id, number)])
        }
        notifier.acknowledged(id, upTo: number)
    }

    /// Sends a test notification beside the lane, now.
    /// - Parameter adapter: the push service of the channel to try; nil: the first channel's.
    /// - Throws: `not_found`, `conflict` kind when the device has no such channel.
    package func test(
        _ id: DeviceID, adapter: String? = nil
    ) async throws -> (report: PushReport, duration: Duration) {
        guard let device = device(id) else { throw GatewayError(.notFound, "there is no device '\(id)'") }
        guard let channel = adapter.map(device.channel(at:)) ?? device.channels.first else {
            throw GatewayError(.init("no_channel", .conflict), "the device has no such push channel")
        }
        let uuid = identities.notification(MessageKey(queue: 1, seq: max(1, time.timestamp.milliseconds)), id)
        let notification = Notification(
            id: uuid, account: device.account, device: id, app: AppID("farbell"), message: MessageKey(queue: 1, seq: 1),
            messages: [], title: "Farbell",
            body: notifier.defaults.templates.words([notifier.locale(of: device)]).test,
            badge: mailroom.openCount(.account(device.account)),
            collapse: "f-test", thread: "farbell", tap: "")
        let locale = notifier.locale(of: device)
        let push = Push(
            id: uuid.text, device: id, address: channel.address, content: .alert(notification), payload: device.payload,
            priority: .high, expires: time.timestamp + .seconds(60), encryption: device.encryption, locale: locale,
            hint: notifier.defaults.templates.words([locale]).hint(""))
        let start = time.now
        guard let report = await dispatcher.sendNow(push, adapter: channel.adapter) else {
            throw GatewayError(.init("no_channel", .conflict), "the device's push service is no longer configured")
        }
        return (report, time.now - start)
    }
}
