internal import Base

/// What one bridge works with: the accounts' devices of this bridge, their streams, and the services behind them.
final class BridgeLink: BridgeHost {
    /// The parts of the gateway that a bridge reaches.
    struct Parts: Sendable {
        let apps: [App]
        let accounts: Accounts
        let devices: Devices
        let streams: StreamHub
        let mailroom: Mailroom
        let messages: Messages
        let postmaster: Postmaster
        let people: People
        let conversations: Conversations
    }

    private let name: String
    private let parts: Parts
    private let log: Log
    private let onConnected: @Sendable () -> Void
    private let open = Locked<[AccountID: BridgeStream]>([:])
    /// The connections at the other side that presence knows of.
    private let connections = Locked<[AccountID: Set<String>]>([:])
    /// Streams that have ended, for `closeEnded`: the hub must not be told from inside its own call.
    private let ends: AsyncStream<BridgeStream>
    private let sink: AsyncStream<BridgeStream>.Continuation

    init(_ name: String, _ parts: Parts, log: Log, onConnected: @escaping @Sendable () -> Void) {
        (self.name, self.parts, self.log, self.onConnected) = (name, parts, log, onConnected)
        (ends, sink) = AsyncStream.makeStream()
    }

    var apps: [(id: AppID, name: String)] { parts.apps.map { (id: $0.id, name: $0.name) } }

    func connected() { onConnected() }

    func account(_ name: String) -> AccountID? {
        parts.accounts.account(AccountID(name)).flatMap { $0.isDisabled ? nil : $0.id }
    }

    func linked() -> [AccountID] {
        parts.devices.bridged(by: name).filter { account($0.text) != nil }
    }

    func isLinked(_ account: AccountID) -> Bool { device(account) != nil && self.account(account.text) != nil }

    // MARK: Streams

    func attach(_ account: AccountID, _ inbox: any BridgeInbox, after: Int64) async throws -> Bool {
        guard let account = self.account(account.text) else {
            throw GatewayError(.notFound, "there is no account '\(account)'")
        }
        // What was there before was never meant for the other side. What comes while the device is being made is.
        let newest = parts.mailroom.lastNumber(.account(account))
        let (device, isNew) = try await parts.devices.bridge(account, by: name)
        if isNew { try await parts.devices.skip(device.id, upTo: newest) }
        let stream = BridgeStream(account, inbox) { [sink] in sink.yield($0) }
        open.withLock { $0[account] = stream }
        let current = parts.devices.device(device.id) ?? device
        parts.streams.open(current, stream: stream, after: max(current.cursor, after))
        return isNew
    }

    func detach(_ account: AccountID) {
        open.withLock { $0[account] }?.close()
    }

    /// Tells the hub of the streams that have ended, until cancelled.
    func closeEnded() async {
        for await stream in ends {
            open.withLock { if $0[stream.account] === stream { $0[stream.account] = nil } }
            guard let device = device(stream.account) else { continue }
            parts.streams.closed(device.id, stream: stream, reason: "bridge")
        }
    }

    /// Ends all streams and presences: the bridge's connection is gone.
    func detachAll() {
        for stream in open.withLock({ Array($0.values) }) { stream.close() }
        let ended = connections.withLock { connections in
            defer { connections = [:] }
            return connections
        }
        for (account, names) in ended {
            for name in names { parts.people.disconnect(account, source: source(name)) }
        }
    }

    /// The bridge stops: `closeEnded` returns when it has told of the last stream.
    func finish() {
        detachAll()
        sink.finish()
    }

    private func device(_ account: AccountID) -> Device? { parts.devices.bridged(account, by: name) }

    /// - Throws: `not_found` for an account that is gone, disabled or not linked.
    private func party(_ account: AccountID) throws(GatewayError) -> Device {
        guard self.account(account.text) != nil, let device = device(account) else {
            throw GatewayError(.notFound, "the account '\(account)' is not linked")
        }
        return device
    }

    // MARK: People

    private func source(_ connection: String) -> String { "bridge/\(name)/\(connection)" }

    func setPresence(of account: AccountID, connection: String, _ presence: AccountPresence?) {
        guard let presence, presence.state != .offline, device(account) != nil else {
            let wasKnown = connections.withLock { $0[account]?.remove(connection) != nil }
            if wasKnown { parts.people.disconnect(account, source: source(connection)) }
            return
        }
        connections.withLock { _ = $0[account, default: []].insert(connection) }
        parts.people.connect(account, source: source(connection), presence)
    }

    func presence(of peer: AccountID, for account: AccountID) -> AccountPresence? {
        guard parts.people.contact(peer, of: account)?.state == .contact else { return nil }
        return parts.people.presence(of: peer, for: account)
    }

    func contacts(of account: AccountID) -> [(peer: AccountID, presence: AccountPresence)] {
        parts.people.contacts(of: account).filter { $0.state == .contact }.map { contact in
            (peer: contact.peer, presence: parts.people.presence(of: contact.peer, for: account))
        }
    }

    func contact(_ peer: AccountID, of account: AccountID) -> ContactState? {
        parts.people.contact(peer, of: account)?.state
    }

    func setContact(_ peer: AccountID, of account: AccountID, _ isWanted: Bool) async throws -> ContactState? {
        _ = try party(account)
        if isWanted { return try await parts.people.add(peer, to: account).state }
        try await parts.people.remove(peer, from: account)
        return contact(peer, of: account)
    }

    // MARK: Messages

    func arrived(_ account: AccountID, upTo number: Int64) async throws {
        try await parts.devices.acknowledge(party(account).id, upTo: number)
    }

    func post(_ message: BridgeMessage) async throws -> MessageKey {
        let target: SendOrder.Target
        switch message.to {
        case .account(let id): target = .account(id)
        case .app(let id): target = .app(id)
        case .device: throw GatewayError(.unknownRecipient, "devices are not written to over a bridge")
        }
        var order = SendOrder(to: [target])
        (order.from, order.body) = (.account, Array(message.body.utf8))
        (order.subject, order.id, order.correlation) = (message.subject, message.id, message.correlation)
        let postings = try parts.postmaster.prepare(order, by: .device(try party(message.from)))
        guard let sent = try await parts.postmaster.send(postings).first else {
            throw GatewayError(.unknownRecipient, "nobody takes the message")
        }
        return sent.key
    }

    func edit(_ key: MessageKey, by account: AccountID, body: String) async throws {
        let party = try party(account)
        _ = try await parts.conversations.edit(
            key, by: .account(party.account), subject: nil, body: Array(body.utf8))
    }

    func withdraw(_ key: MessageKey, by account: AccountID) async throws {
        try await parts.conversations.withdraw(key, by: .account(try party(account).account))
    }

    func typing(_ state: TypingState, from account: AccountID, to peer: QueueAddress) {
        guard device(account) != nil else { return }
        parts.conversations.typing(state, from: .account(account), to: peer)
    }

    func read(_ key: MessageKey, by account: AccountID) async throws {
        do {
            try await parts.messages.read(key, by: try party(account))
        } catch let error as GatewayError where error.code == .notFound {
            log.debug("bridge.read_unknown", "A message was read that is not there any more", ["messageId": .key(key)])
        }
    }
}
