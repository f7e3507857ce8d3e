package import Base

/// Conversations of accounts with one another and with applications (IM-3, IM-4, IM-6): their history, how far each
/// end has read, who is typing, and what is done with a message that was sent.
///
/// An end is an account's or an application's address. All of an account's devices, and bridges that speak for it,
/// see and do the same.
package final class Conversations: Sendable {
    /// Who may be told of what others do.
    package typealias Admission = @Sendable (_ from: AccountID, _ to: AccountID) -> Bool

    /// What observes conversations at once.
    static let observersLimit = 64

    let directory: StateKeeper<Directory>
    let apps: [AppID: String]
    let mailroom: Mailroom
    let messages: Messages
    let notifier: Notifier
    let store: any Store
    let time: any TimeSource
    let log: Log
    let limits: Limits
    private let hub: StreamHub
    private let typing = Locked(TypingTable())
    private let observers = Locked<[Callback<@Sendable (ConversationNews) -> Void>]>([])
    private let admission = Locked<(hears: Callback<Admission>, learns: Callback<Admission>)?>(nil)

    package init(
        directory: StateKeeper<Directory>, apps: [App], mailroom: Mailroom, messages: Messages, notifier: Notifier,
        hub: StreamHub, store: any Store, time: any TimeSource, log: Log, limits: Limits
    ) {
        (self.directory, self.mailroom, self.messages, self.notifier) = (directory, mailroom, messages, notifier)
        (self.hub, self.store, self.time, self.log, self.limits) = (hub, store, time, log, limits)
        self.apps = Dictionary(apps.map { ($0.id, $0.name) }) { first, _ in first }
        messages.onRead { [weak self] account, peer, entry in try await self?.hasRead(account, peer, entry) }
        messages.onReceipt { [weak self] account, peer in self?.isTold(peer, of: .account(account)) ?? false }
    }

    /// An account has read a single message.
    private func hasRead(_ account: AccountID, _ peer: QueueAddress, _ entry: Int64) async throws {
        let view = try await view(of: .account(account), with: peer)
        if entry > view.own.read { try await mark(.account(account), with: peer, read: entry) }
    }

    /// Tells an observer from now on, after what happened is durable. `body` is called on a thread of the store's or
    /// the caller's: it must be brief and must not wait.
    /// - Precondition: at most `observersLimit` observers.
    package func observe(_ body: @escaping @Sendable (ConversationNews) -> Void) {
        observers.withLock { observers in
            precondition(observers.count < Self.observersLimit, "as many observers of conversations as there may be")
            observers.append(Callback(body))
        }
    }

    /// Asks who may be told what; without it everybody may everything.
    /// - Parameters:
    ///   - hears: whether `to` hears `from` at all.
    ///   - learns: whether `from` lets `to` learn what it does besides writing to it.
    package func admit(_ hears: @escaping Admission, learns: @escaping Admission = { _, _ in true }) {
        admission.withLock { $0 = (Callback(hears), Callback(learns)) }
    }

    func tell(_ news: ConversationNews) {
        for observer in observers.withLock({ $0 }) { observer.function(news) }
    }

    /// Whether `to` hears `from`.
    func isHeard(_ from: QueueAddress, by to: QueueAddress) -> Bool {
        guard case .account(let sender) = from, case .account(let recipient) = to,
            let admission = admission.withLock({ $0 })
        else { return true }
        return admission.hears.function(sender, recipient)
    }

    /// Whether `to` is told that `from` reads or is typing.
    func isTold(_ to: QueueAddress, of from: QueueAddress) -> Bool {
        guard isHeard(from, by: to) else { return false }
        guard case .account(let sender) = from, case .account(let recipient) = to,
            let admission = admission.withLock({ $0 })
        else { return true }
        return admission.learns.function(sender, recipient)
    }

    // MARK: Names

    /// The end a name stands for: `account/NAME` or `app/NAME`, or a bare name: an application's if there is one, else
    /// an account's. Says nothing of whether there is such an account.
    /// - Throws: `not_found` for what can be no end, and for one's own name.
    package func peer(_ name: String, of owner: QueueAddress) throws(GatewayError) -> QueueAddress {
        let address =
            QueueAddress(name) ?? (apps[AppID(name)] != nil ? .app(AppID(name)) : .account(AccountID(name)))
        let peer: QueueAddress
        switch address {
        // As it is stored: names are equal that are written in other bytes.
        case .account(let id): peer = .account(directory.read { $0.accounts[id]?.id } ?? id)
        case .app, .device: peer = address
        }
        guard ConversationPair(owner, peer) != nil else {
            throw GatewayError(.notFound, "there can be no conversation with '\(name.printable)'")
        }
        return peer
    }

    /// What people call an end.
    package func name(_ end: QueueAddress) -> String {
        switch end {
        case .app(let id): apps[id] ?? id.text
        case .account(let id): id.text
        case .device(let id): id.text
        }
    }

    /// The other end of the conversation that a message of an account's belongs to, also where it is settled or kept in
    /// no history; nil for what belongs to none.
    package func peer(of key: MessageKey, for account: AccountID) async throws -> QueueAddress? {
        let owner = QueueAddress.account(account)
        if let entry = try await store.entry(of: key), entry.pair.low == owner || entry.pair.high == owner {
            return entry.pair.peer(of: owner)
        }
        guard let message = try await store.message(key), message.origin == nil else { return nil }
        let sender: QueueAddress? =
            switch message.sender {
            case .device(let id): directory.read { $0.devices[id].map { .account($0.account) } }
            case .account, .app: message.sender
            }
        return sender.flatMap { ConversationPair(owner, $0) == nil ? nil : $0 }
    }

    // MARK: What there is

    /// The conversations of an end, newest first, whose newest entry is older than `before`.
    package func list(of owner: QueueAddress, before: Int64 = .max, limit: Int) async throws -> [ConversationView] {
        try await store.conversations(.list(owner, before: before, limit: limit))
    }

    /// The conversations of an end in the order of their peers' texts, behind one.
    package func named(of owner: QueueAddress, after peer: String, limit: Int) async throws -> [ConversationView] {
        try await store.conversations(.named(owner, after: peer, limit: limit))
    }

    /// One conversation; one without entries where there is none, so that names cannot be tried out.
    package func view(of owner: QueueAddress, with peer: QueueAddress) async throws -> ConversationView {
        try await store.conversations(.one(owner, peer: peer)).first
            ?? ConversationView(
                owner: owner, peer: peer, last: 0, own: ConversationMarks(), others: ConversationMarks(), unread: 0,
                entry: nil)
    }

    /// A part of a conversation's history, oldest first, at most `limit` entries.
    package func history(
        of owner: QueueAddress, with peer: QueueAddress, _ range: HistoryRange, limit: Int
    ) async throws -> [HistoryEntry] {
        guard let pair = ConversationPair(owner, peer) else { return [] }
        return try await store.history(pair, range, limit: limit)
    }

    // MARK: Marks

    /// An end has read everything up to an entry: its mark rises, what an account's devices show of it is cleared and
    /// settled, the other end and the own devices hear of it. Reading what was read before changes nothing.
    /// - Parameters:
    ///   - number: beyond the newest entry it counts as the newest.
    ///   - device: which did it, where one did: it needs no clearing.
    package func read(
        _ owner: QueueAddress, with peer: QueueAddress, upTo number: Int64, by device: DeviceID? = nil
    ) async throws {
        let view = try await view(of: owner, with: peer)
        let number = min(number, view.last)
        guard number > 0 else { return }
        if case .account(let account) = owner {
            let devices = directory.read { $0.devices(of: account).map(\.id) }
            let keys = mailroom.openMessages(
                in: [owner] + devices.map { .device($0) }, from: peer, upTo: number)
            try await messages.settle(
                keys, account: account, as: .done, reason: Messages.readReason, by: device, marks: false)
        }
        guard number > view.own.read else { return }
        try await mark(owner, with: peer, read: number)
    }

    /// Raises the read mark of an end, and tells.
    func mark(_ owner: QueueAddress, with peer: QueueAddress, read number: Int64) async throws {
        let message = try await store.entry(number)?.message
        try await mailroom.mark(owner, peer, read: number, message: message, isTold: isTold(peer, of: owner))
        tell(.read(by: owner, of: peer, upTo: number, message: message))
    }

    // MARK: Typing

    /// Passes on that an end is writing to the other, or has stopped: to the devices that are connected, now or
    /// never. Too much of it is dropped.
    package func typing(_ state: TypingState, from owner: QueueAddress, to peer: QueueAddress) {
        guard ConversationPair(owner, peer) != nil, isTold(peer, of: owner),
            typing.withLock({ $0.take(state, from: owner, to: peer, at: time.now) })
        else { return }
        if case .account(let account) = peer {
            let devices = directory.read { $0.devices(of: account).map(\.id) }
            if devices.contains(where: hub.isLive) {
                mailroom.pass(to: account, device: nil) { _ in .typing(peer: owner, state) }
            }
        }
        tell(.typing(from: owner, to: peer, state))
    }
}
