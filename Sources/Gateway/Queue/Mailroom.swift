package import Base

/// A message before it has its number.
package struct MessageDraft: Sendable {
    package var sender: QueueAddress
    package var app: AppID?
    package var header: [String: String] = [:]
    package var subject: String?
    package var body: [UInt8] = []
    package var priority: Message.Priority = .normal
    package var expires: Timestamp?
    package var origin: Message.Origin?
    /// Known but rings for nothing: stored as done.
    package var isKnown = false

    package init(sender: QueueAddress, app: AppID?) { (self.sender, self.app) = (sender, app) }
}

/// The queues: hands out numbers, stores messages, knows which are open, and publishes what was stored to
/// the streams in the order of the numbers.
package final class Mailroom: Sendable {
    /// Numbers are reserved on disk in runs of this length; a restart skips the rest of a run.
    package static let reservation: Int64 = 4096
    /// `clear` and `receipt` events are replayed to devices that were away at most this long.
    package static let eventRetention: Duration = .seconds(7 * 86_400)

    struct Queue: Sendable {
        let number: Int64
        let address: QueueAddress
        var next: Int64
        var reserved: Int64
        /// Open messages, by number.
        var open: Set<Int64> = []
        /// The highest number passed to the streams since the start.
        var published: Int64 = 0
    }

    struct State: Sendable {
        var queues: [Int64: Queue] = [:]
        var numbers: [QueueAddress: Int64] = [:]
        var nextNumber: Int64 = 1
    }

    /// What happened to a queue, told in order after it became durable.
    package enum Publication: Sendable {
        case message(Message)
        case event(StoredEvent)
        /// Sent now or never, to one device or to all of the account's.
        case passing(StreamEvent, number: Int64, device: DeviceID?)
    }

    private let keeper: StateKeeper<State>
    private let store: any Store
    private let time: any TimeSource
    private let limits: Limits
    private let listener = Locked<Callback<@Sendable (QueueAddress, Publication) -> Void>?>(nil)

    package init(store: any Store, time: any TimeSource, limits: Limits, queues: [QueueRecord]) {
        var state = State()
        for record in queues {
            state.queues[record.number] = Queue(
                number: record.number, address: record.address, next: record.reserved, reserved: record.reserved)
            state.numbers[record.address] = record.number
            state.nextNumber = max(state.nextNumber, record.number + 1)
        }
        keeper = StateKeeper(state, store: store)
        (self.store, self.time, self.limits) = (store, time, limits)
    }

    /// Who is told of what became durable; called in order, on the store's thread.
    package func onPublish(_ body: @escaping @Sendable (QueueAddress, Publication) -> Void) {
        listener.withLock { $0 = Callback(body) }
    }

    private func publish(_ address: QueueAddress, _ publication: Publication) {
        listener.withLock { $0 }?.function(address, publication)
    }

    /// Says that a stored message is open, at start.
    package func restore(open key: MessageKey) {
        keeper.update { _ = $0.queues[key.queue]?.open.insert(key.seq) }
    }

    package func address(of queue: Int64) -> QueueAddress? { keeper.read { $0.queues[queue]?.address } }
    package func number(of address: QueueAddress) -> Int64? { keeper.read { $0.numbers[address] } }
    package func isOpen(_ key: MessageKey) -> Bool {
        keeper.read { $0.queues[key.queue]?.open.contains(key.seq) ?? false }
    }
    /// Open messages in a queue: an account's is its badge.
    package func openCount(_ address: QueueAddress) -> Int {
        keeper.read { state in state.numbers[address].flatMap { state.queues[$0]?.open.count } ?? 0 }
    }
    package func published(_ address: QueueAddress) -> Int64 {
        keeper.read { state in state.numbers[address].flatMap { state.queues[$0]?.published } ?? 0 }
    }
    /// The highest number handed out in a queue; 0 for one that is empty or unknown.
    package func lastNumber(_ address: QueueAddress) -> Int64 {
        keeper.read { state in state.numbers[address].flatMap { state.queues[$0]?.next }.map { $0 - 1 } ?? 0 }
    }
    /// All queues by number, with how many messages are open in each.
    package func all() -> [(number: Int64, address: QueueAddress, open: Int)] {
        keeper.read { $0.queues.values.map { ($0.number, $0.address, $0.open.count) }.sorted { $0.0 < $1.0 } }
    }
    package var openTotal: Int { keeper.read { $0.queues.values.reduce(0) { $0 + $1.open.count } } }

    /// Forgets a deleted account's or device's queue.
    package func drop(_ address: QueueAddress) {
        keeper.update { state in
            if let number = state.numbers.removeValue(forKey: address) { state.queues[number] = nil }
        }
    }

    /// Stores messages and whatever else belongs to the same transaction; returns when that is durable.
    /// - Throws: `queue_full`, `storage_full`, or the store's failure.
    package func post(
        _ drafts: [MessageDraft], to address: QueueAddress, with extra: [StoreChange] = []
    ) async throws -> [Message] {
        let open = drafts.count { !$0.isKnown }
        if open > 0 {
            if let free = store.freeBytes(), free < Int64(limits.diskReserveBytes) {
                throw GatewayError(.storageFull, "less than limits.diskReserveBytes is free where the data is kept")
            }
        }
        return try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<[Message], any Error>) in
            let posted = Locked<[Message]>([])
            let isFull = Locked(false)
            keeper.submit { [limits] state in
                let waiting = state.numbers[address].flatMap { state.queues[$0]?.open.count } ?? 0
                if open > 0, waiting + open > limits.queueMessages {
                    isFull.withLock { $0 = true }
                    return []
                }
                var changes: [StoreChange] = []
                let number = Self.queue(address, in: &state, &changes)
                let messages = drafts.map { draft in
                    Self.message(draft, at: time.timestamp, queue: number, in: &state, &changes)
                }
                changes += messages.map { .insertMessage($0) }
                posted.withLock { $0 = messages }
                return changes + extra
            } then: { [self] result in
                if isFull.withLock({ $0 }) {
                    let error = GatewayError(.queueFull, "the queue \(address) is full (limits.queueMessages)")
                    return continuation.resume(throwing: error)
                }
                let messages = posted.withLock { $0 }
                if case .success = result {
                    for message in messages where message.state == .ready { published(message.key, .message(message)) }
                }
                continuation.resume(with: result.map { messages }.mapError { $0 as any Error })
            }
        }
    }

    /// Settles the messages that are open, stores their `clear` or other events with them, and returns the
    /// keys of those that were open: a message is settled once.
    package func settle(
        _ keys: [MessageKey], as state: Message.State, reason: String,
        with extra: [StoreChange] = [], events: @escaping @Sendable (MessageKey) -> JSON?
    ) async throws -> [MessageKey] {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<[MessageKey], any Error>) in
            let outcome = Locked<(settled: [MessageKey], events: [StoredEvent])>(([], []))
            let now = time.timestamp
            keeper.submit { table in
                var changes: [StoreChange] = []
                var settled: [MessageKey] = []
                var stored: [StoredEvent] = []
                for key in keys where table.queues[key.queue]?.open.remove(key.seq) != nil {
                    settled.append(key)
                    changes.append(.settleMessage(key, state, at: now, reason: reason))
                    guard let data = events(key) else { continue }
                    let number = Self.allocate(key.queue, in: &table, &changes)
                    stored.append(
                        StoredEvent(
                            queue: key.queue, number: number, kind: .clear, device: nil, data: data.serializedBytes,
                            at: now))
                }
                changes += stored.map { .insertEvent($0) }
                outcome.withLock { $0 = (settled, stored) }
                return changes + extra
            } then: { [self] result in
                let (settled, stored) = outcome.withLock { $0 }
                if case .success = result {
                    for event in stored { published(MessageKey(queue: event.queue, seq: event.number), .event(event)) }
                }
                continuation.resume(with: result.map { settled }.mapError { $0 as any Error })
            }
        }
    }

    /// Sends an event that is not stored, in its turn among those that are; returns its number. Later events
    /// never get the same one.
    @discardableResult
    package func pass(
        to address: QueueAddress, device: DeviceID?, _ event: @escaping @Sendable (Int64) -> StreamEvent
    ) -> Int64 {
        let number = Locked<MessageKey?>(nil)
        keeper.submit(always: true) { state in
            var changes: [StoreChange] = []
            let queue = Self.queue(address, in: &state, &changes)
            let key = MessageKey(queue: queue, seq: Self.allocate(queue, in: &state, &changes))
            number.withLock { $0 = key }
            return changes
        } then: { [self] result in
            guard case .success = result, let key = number.withLock({ $0 }) else { return }
            published(key, .passing(event(key.seq), number: key.seq, device: device))
        }
        return number.withLock { $0?.seq } ?? 0
    }

    /// Makes sure the queue exists; returns its number when that is durable.
    package func open(_ address: QueueAddress) async throws -> Int64 {
        try await keeper.change { state in
            var changes: [StoreChange] = []
            return (Self.queue(address, in: &state, &changes), changes)
        }
    }

    private func published(_ key: MessageKey, _ publication: Publication) {
        let address = keeper.update { state -> QueueAddress? in
            guard let published = state.queues[key.queue]?.published else { return nil }
            state.queues[key.queue]?.published = max(published, key.seq)
            return state.queues[key.queue]?.address
        }
        if let address { publish(address, publication) }
    }

    private static func queue(_ address: QueueAddress, in state: inout State, _ changes: inout [StoreChange]) -> Int64 {
        if let number = state.numbers[address] { return number }
        let number = state.nextNumber
        state.nextNumber += 1
        state.numbers[address] = number
        state.queues[number] = Queue(number: number, address: address, next: 1, reserved: 1)
        changes.append(.putQueue(QueueRecord(number: number, address: address, reserved: 1)))
        return number
    }

    private static func allocate(_ number: Int64, in state: inout State, _ changes: inout [StoreChange]) -> Int64 {
        guard var queue = state.queues[number] else { return 0 }
        let seq = queue.next
        queue.next += 1
        // Well ahead of need: the next run is durable long before its first number is handed out.
        if queue.next + reservation / 4 > queue.reserved {
            queue.reserved = queue.next + reservation
            changes.append(.putQueue(QueueRecord(number: number, address: queue.address, reserved: queue.reserved)))
        }
        state.queues[number] = queue
        return seq
    }

    private static func message(
        _ draft: MessageDraft, at now: Timestamp, queue number: Int64, in state: inout State,
        _ changes: inout [StoreChange]
    ) -> Message {
        let seq = allocate(number, in: &state, &changes)
        if !draft.isKnown { state.queues[number]?.open.insert(seq) }
        var message = Message(
            key: MessageKey(queue: number, seq: seq), address: state.queues[number]?.address ?? draft.sender,
            sender: draft.sender, app: draft.app, header: draft.header, subject: draft.subject, body: draft.body,
            priority: draft.priority, enqueued: now, expires: draft.expires, origin: draft.origin,
            state: draft.isKnown ? .done : .ready)
        if draft.isKnown { (message.settled, message.settledReason) = (now, "known") }
        return message
    }
}
