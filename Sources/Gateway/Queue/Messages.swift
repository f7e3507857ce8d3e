package import Base

/// What is done with stored messages: announced, shown, settled, traced.
package final class Messages: Sendable {
    /// How many open messages are read at a time at start.
    static let startPage = 1000

    private let directory: StateKeeper<Directory>
    private let subjects: Subjects
    private let mailroom: Mailroom
    private let notifier: Notifier
    private let store: any Store
    private let time: any TimeSource
    private let log: Log
    private let reader = Locked<Callback<@Sendable (AccountID, QueueAddress, Int64) async throws -> Void>?>(nil)
    private let receipts = Locked<Callback<@Sendable (AccountID, QueueAddress) -> Bool>?>(nil)

    package init(
        directory: StateKeeper<Directory>, apps: [App], mailroom: Mailroom, notifier: Notifier, store: any Store,
        time: any TimeSource, log: Log, defaults: NotifyDefaults
    ) {
        (self.directory, self.mailroom, self.notifier, self.store) = (directory, mailroom, notifier, store)
        subjects = Subjects(directory: directory, apps: apps, time: time, defaults: defaults)
        (self.time, self.log) = (time, log)
    }

    /// Who is told that an account has read a message of a conversation: whose, and its entry's number.
    func onRead(_ body: @escaping @Sendable (AccountID, QueueAddress, Int64) async throws -> Void) {
        reader.withLock { $0 = Callback(body) }
    }

    /// Who is asked whether a sender may learn that an account has read its message.
    func onReceipt(_ body: @escaping @Sendable (AccountID, QueueAddress) -> Bool) {
        receipts.withLock { $0 = Callback(body) }
    }

    /// Announces what was just stored; what it takes the place of is announced no more, and where it was shown
    /// already the new notification replaces it or it is taken away.
    /// - Returns: how far each came.
    func accepted(_ posted: [Posted]) -> [MessageKey: NotifierMachine.Decision] {
        let replaced = posted.compactMap(\.replaced)
        let shown = replaced.isEmpty ? [:] : notifier.settled(replaced)
        let decisions = announce(posted.lazy.compactMap(\.message))
        for item in posted {
            guard let old = item.replaced, let (account, _) = subjects.owner(of: item.address) else { continue }
            notifier.replaced(old, by: item.key, account, shown[old] ?? [])
        }
        return decisions
    }

    /// Announces messages that were just stored.
    /// - Returns: how far each came.
    @discardableResult
    package func accepted(_ messages: [Message]) -> [MessageKey: NotifierMachine.Decision] { announce(messages) }

    /// Goes over them once, without an array of them in between: each is many fields.
    private func announce(_ messages: some Sequence<Message>) -> [MessageKey: NotifierMachine.Decision] {
        var wanted: [Subject] = []
        for message in messages {
            log.info(
                .messageAccepted, "A message is stored",
                [
                    "messageId": .key(message.key), "queue": .string(message.address.description),
                    "sender": .string(message.sender.description), "app": .string(message.app?.text ?? ""),
                ])
            if message.state == .ready, let subject = subjects.subject(message, number: message.key.seq) {
                wanted.append(subject)
            }
        }
        return notifier.announce(wanted)
    }

    /// Settles messages, clears what devices show of them, and tells the streams.
    /// - Parameters:
    ///   - by: the device that did it, which needs no clearing.
    ///   - marks: whether having read raises the conversation's mark.
    @discardableResult
    package func settle(
        _ keys: [MessageKey], account: AccountID, as state: Message.State, reason: String, by device: DeviceID?,
        marks: Bool = true
    ) async throws -> [MessageKey] {
        let isRead = reason == Self.readReason || reason == Self.openedReason
        let talks = isRead ? mailroom.talks(of: keys) : [:]
        var shown = notifier.settled(keys)
        let known = shown
        let settled = try await mailroom.settle(
            keys, as: state, reason: reason, receipts: Self.receipts(state, reason), silent: silent(talks, account),
            device: device
        ) { [notifier] key in
            notifier.clearData(key, known[key] ?? [])
        }
        // What was announced in between, before the queue knew.
        for (key, more) in notifier.settled(keys) where !more.isEmpty { shown[key, default: []] += more }
        for key in settled {
            log.info(
                state == .expired ? .messageExpired : state == .dead ? .messageDead : .messageCompleted,
                "A message is settled",
                ["messageId": .key(key), "account": .id(account), "reason": .string(reason)])
        }
        // Of two who settle a message at once, one may have found what is shown and the other the message.
        for key in keys { notifier.withdraw(account, key, shown[key] ?? [], except: device) }
        if marks, !talks.isEmpty { try await read(settled.compactMap { talks[$0] }, account) }
        return settled
    }

    /// Those of the messages that were read whose senders must not learn of it.
    private func silent(_ talks: [MessageKey: OpenEntry.Talk], _ account: AccountID) -> Set<MessageKey> {
        guard let mayLearn = receipts.withLock({ $0 }) else { return [] }
        return Set(talks.filter { !mayLearn.function(account, $0.value.peer) }.keys)
    }

    private func read(_ talks: [OpenEntry.Talk], _ account: AccountID) async throws {
        guard let reader = reader.withLock({ $0 }) else { return }
        for (peer, entries) in Dictionary(grouping: talks, by: \.peer) {
            if let newest = entries.map(\.entry).max() { try await reader.function(account, peer, newest) }
        }
    }

    /// Messages have a new text: where one is shown it is shown anew, with the same name, and where it is still to be
    /// announced it is announced as it is now.
    func announceAnew(_ keys: [MessageKey]) async throws {
        for message in try await store.messages(keys) where message.state == .ready {
            let (isPending, devices) = notifier.standing(message.key)
            guard isPending || !devices.isEmpty else { continue }
            _ = notifier.settled([message.key])
            let number = mailroom.lastNumber(message.address)
            guard let subject = subjects.subject(message, number: number, shown: devices) else { continue }
            notifier.announce([subject])
        }
    }

    /// Stores what came of a source, settles what was read there or is gone, and notes where its monitor goes on: all
    /// or none.
    /// - Throws: `queue_full`, `storage_full`, the store's failure.
    func take(
        _ postings: [Posting], ending: [String: [MessageKey]], account: AccountID, with extra: [StoreChange]
    ) async throws -> [Message] {
        let keys = ending.values.flatMap { $0 }
        var shown = keys.isEmpty ? [:] : notifier.settled(keys)
        let known = shown
        let endings = ending.sorted { $0.key < $1.key }.map { reason, keys in
            Mailroom.Ending(keys, reason: reason, receipts: Self.receipts(.done, reason))
        }
        let (posted, settled) = try await mailroom.post(postings, ending: endings, with: extra) { [notifier] key in
            notifier.clearData(key, known[key] ?? [])
        }
        // What was announced in between, before the queue knew.
        if !keys.isEmpty {
            for (key, more) in notifier.settled(keys) where !more.isEmpty { shown[key, default: []] += more }
        }
        let reasons = Dictionary(ending.flatMap { end in end.value.map { ($0, end.key) } }) { first, _ in first }
        for key in settled {
            log.info(
                .messageCompleted, "A message is settled",
                ["messageId": .key(key), "account": .id(account), "reason": .string(reasons[key] ?? "")])
        }
        for key in keys { notifier.withdraw(account, key, shown[key] ?? [], except: nil) }
        return posted.compactMap(\.message)
    }

    private static func receipts(_ state: Message.State, _ reason: String) -> [ReceiptState] {
        switch (state, reason) {
        case (.expired, _): [.expired]
        case (_, readReason), (_, openedReason): [.delivered, .read]
        default: []
        }
    }
    /// The reasons that tell a sender that its message was read.
    package static let readReason = "read"
    package static let openedReason = "opened"

    /// Marks a message as read by one of the account's devices.
    /// - Throws: `not_found`.
    package func read(_ key: MessageKey, by device: Device) async throws {
        let address = mailroom.address(of: key.queue)
        guard address == .account(device.account) || address == .device(device.id),
            try await store.message(key) != nil
        else { throw GatewayError(.notFound, "the account has no message '\(key)'") }
        try await settle([key], account: device.account, as: .done, reason: Self.readReason, by: device.id)
    }

    /// Settles what a consumer has locked in a queue that an account's devices show: what is done is taken away
    /// from all of them.
    package func settle(
        _ orders: [SettleOrder], consumer: String, account: AccountID, by device: DeviceID?
    ) async throws -> [SettleOutcome] {
        let shown = notifier.shown(orders.map(\.key))
        let outcomes = try await withCheckedThrowingContinuation {
            (continuation: CheckedContinuation<[SettleOutcome], any Error>) in
            mailroom.settle(orders, consumer: consumer) { [notifier] key in
                notifier.clearData(key, shown[key] ?? [])
            } then: { result in
                continuation.resume(with: result.mapError { $0 as any Error })
            }
        }
        let done = zip(orders, outcomes).filter { $0.1 == .settled(.done) }.map(\.0.key)
        for key in done {
            log.info(
                .messageCompleted, "A message is settled",
                ["messageId": .key(key), "account": .id(account), "consumer": .string(consumer), "reason": "completed"])
        }
        for (key, shown) in notifier.settled(done) { notifier.withdraw(account, key, shown, except: device) }
        return outcomes
    }

    /// A message and what became of announcing it.
    /// - Throws: `not_found`.
    package func trace(_ key: MessageKey) async throws -> (message: Message, deliveries: [DeliveryRecord]) {
        guard let message = try await store.message(key) else {
            throw GatewayError(.notFound, "there is no message '\(key)'")
        }
        return (message, try await store.deliveries(of: [key]).sorted { ($0.at, $0.device) < ($1.at, $1.device) })
    }

    /// Open messages of a queue, without locking them (PL-4); or its dead letters.
    package func peek(
        _ address: QueueAddress, state: Message.State? = nil, after: Int64, limit: Int
    ) async throws -> [Message] {
        guard let number = mailroom.number(of: address) else { return [] }
        return try await store.messages(queue: number, state: state, after: after, limit: limit).map { message in
            var message = message
            // The store knows no locks.
            message.state = mailroom.state(of: message.key) ?? message.state
            return message
        }
    }

    // MARK: Start and upkeep

    /// Reads what the queues work from; restores what devices show, and announces what was not yet.
    package func restore() async throws {
        try await mailroom.restore()
        for queue in mailroom.all() where queue.open > 0 {
            guard let (account, _) = subjects.owner(of: queue.address),
                !directory.read({ $0.devices(of: account) }).isEmpty
            else { continue }
            var after: Int64 = 0
            while true {
                let page = try await store.messages(
                    queue: queue.number, state: nil, after: after, limit: Self.startPage)
                guard let last = page.last else { break }
                after = last.key.seq
                try await restore(page)
            }
        }
    }

    private func restore(_ page: [Message]) async throws {
        let deliveries = Dictionary(grouping: try await store.deliveries(of: page.map(\.key)), by: \.message)
        var done: [MessageKey: [DeviceID: NotifierMachine.Told]] = [:]
        for message in page {
            done[message.key] = Dictionary(
                (deliveries[message.key] ?? []).map { ($0.device, .init($0.outcome, channel: $0.adapter)) },
                uniquingKeysWith: { $1 })
        }
        for delivery in deliveries.values.joined() where delivery.outcome == .pushed || delivery.outcome == .notified {
            notifier.restore(delivery, among: page)
        }
        let ready = page.filter { $0.state == .ready && $0.deliveries == 0 }
        notifier.announce(
            // The number of one that came up late is not known any more; it is below the next.
            ready.compactMap { message in
                subjects.subject(
                    message,
                    number: message.notBefore == nil ? message.key.seq : mailroom.lastNumber(message.address))
            }, done: done)
    }

    /// Does what time has brought up: scheduled messages are announced, what has expired is settled.
    package func tick() async throws {
        let ripe = try await mailroom.fire()
        notifier.announce(ripe.due.compactMap { subjects.subject($0.message, number: $0.number) })
        let byAddress = Dictionary(grouping: ripe.expired) { mailroom.address(of: $0.queue) }
        for (address, keys) in byAddress {
            guard let address else { continue }
            if let (account, _) = subjects.owner(of: address) {
                try await settle(keys, account: account, as: .expired, reason: "expired", by: nil)
            } else {
                let settled = try await mailroom.settle(keys, as: .expired, reason: "expired", receipts: [.expired]) {
                    _ in nil
                }
                for key in settled { log.info(.messageExpired, "A message has expired", ["messageId": .key(key)]) }
            }
        }
    }

    /// Drops tombstones and events nobody needs any more.
    package func purge() async throws {
        let now = time.timestamp
        try await store.commit([
            .purge(before: now + (.zero - Mailroom.eventRetention)), .conversation(.purge(before: now)),
        ])
    }
}
