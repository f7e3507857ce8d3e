package import Base

/// The queues: hands out numbers, stores messages, gives them to consumers, and publishes what was stored to the
/// streams in the order of the numbers.
///
/// Everything is decided under one lock and handed to the store before the lock is let go, so the order in memory
/// is the order on disk. What consumers and streams see, they see after the sync.
package final class Mailroom: Sendable {
    /// Numbers are reserved on disk in runs of this length; a restart skips the rest of a run.
    package static let reservation: Int64 = 4096
    /// `clear` and `receipt` events are replayed to devices that were away at most this long.
    package static let eventRetention: Duration = .seconds(7 * 86_400)
    /// How long a look at the free space counts. What is accepted meanwhile is far less than the reserve.
    package static let spaceInterval: Duration = .milliseconds(100)
    /// Messages that are kept in memory, whole, at the front of a queue that grows.
    package static let cachedAhead = 4096
    /// Within this time the same sender's id means the same message (G7).
    package static let repeatWindow: Duration = .seconds(600)

    /// Who is to hear of a message's fortunes.
    struct ReceiptOrder: Sendable {
        let to: QueueAddress
        let correlation: String?
        let isAll: Bool
    }

    /// A reference, so that a look at one costs no copy.
    final class Queue: @unchecked Sendable {
        // Sendable: reached through the state alone, under its lock.
        let number: Int64
        let address: QueueAddress
        /// The queue whose numbers this one uses: its account's for a device's, else its own.
        let series: Int64
        var next: Int64
        var reserved: Int64
        /// The highest number passed to the streams since the start.
        var published: Int64 = 0
        var machine: QueueMachine
        /// The earliest deadline that stands among those of all queues.
        var watched = Moment.distantFuture
        /// What senders want to hear of; only of those messages.
        var receipts: [Int64: ReceiptOrder] = [:]
        /// Messages whose arrival at a device matters, in the order of the numbers they have on the stream.
        var unacknowledged: [(number: Int64, seq: Int64)] = []
        /// Those messages that stand in a conversation's history.
        var talks: [Int64: OpenEntry.Talk] = [:]

        var ahead = ReadAhead()

        init(_ record: QueueRecord, series: Int64, rules: QueueMachine.Rules) {
            (number, address, self.series) = (record.number, record.address, series)
            (next, reserved) = (record.reserved, record.reserved)
            machine = QueueMachine(rules: rules)
        }

        /// Read here, without a copy of the machine.
        var openCount: Int { machine.openCount }

        /// Nobody hears of the message any more.
        func forget(_ seq: Int64) { (receipts[seq], talks[seq]) = (nil, nil) }
    }

    struct State: Sendable {
        var queues: [Int64: Queue] = [:]
        var numbers: [QueueAddress: Int64] = [:]
        var nextNumber: Int64 = 1
        var cache: MessageCache
        var sends: SendLedger
        /// When to look at a queue again.
        var deadlines = Heap<Deadline>()
        var waiting: [UInt64: Waiting] = [:]
        var nextWaiter: UInt64 = 1
        /// The highest number of an entry in a history.
        var lastEntry: Int64 = 0

        init(_ limits: Limits) {
            cache = MessageCache(limit: limits.messageCacheBytes)
            sends = SendLedger(limit: limits.rememberedSends)
        }
    }

    struct Deadline: Sendable, Comparable {
        let due: Moment
        let queue: Int64
        static func < (a: Deadline, b: Deadline) -> Bool { (a.due, a.queue) < (b.due, b.queue) }
    }

    /// What happened to an account's streams, told in order after it became durable.
    package enum Publication: Sendable {
        /// A message, for one device or for all of the account's.
        case message(Message, number: Int64, device: DeviceID?)
        case event(StoredEvent)
        /// Sent now or never, to one device or to all of the account's.
        case passing(StreamEvent, number: Int64, device: DeviceID?)
        /// An entry of one of the account's conversations that is new to it or has changed.
        case entry(HistoryEntry, number: Int64)

        /// Its place on the account's streams.
        package var number: Int64 {
            switch self {
            case .message(_, let number, _), .passing(_, let number, _), .entry(_, let number): number
            case .event(let event): event.number
            }
        }
    }

    let keeper: StateKeeper<State>
    let store: any Store
    let time: any TimeSource
    let limits: Limits
    let rules: QueueMachine.Rules
    let conversations: ConversationRules
    let log: Log
    let drawToken: @Sendable () -> Int64
    let alarm: Alarm
    let space = Locked((nextLook: Moment(nanoseconds: .min), hasRoom: true))
    private let listener = Locked<Callback<@Sendable (AccountID, Publication) -> Void>?>(nil)

    /// - Parameters:
    ///   - owners: the devices' accounts.
    ///   - conversations: which are remembered.
    ///   - lastEntry: the highest number of an entry in a history so far.
    ///   - drawToken: draws a lock's token: positive, unpredictable, never twice.
    package init(
        store: any Store, time: any TimeSource, log: Log, limits: Limits, queues: [QueueRecord],
        owners: [DeviceID: AccountID] = [:],
        conversations: ConversationRules = ConversationRules(), lastEntry: Int64 = 0,
        drawToken: @escaping @Sendable () -> Int64 = { Int64.random(in: 1 ... .max) }
    ) {
        var rules = QueueMachine.Rules()
        rules.maxDeliveries = limits.maxDeliveries
        rules.lockTotal = .seconds(limits.lockTotalSeconds)
        rules.deadLetter = .seconds(limits.deadLetterSeconds)
        var state = State(limits)
        for record in queues { state.numbers[record.address] = record.number }
        for record in queues {
            var series = record.number
            if case .device(let device) = record.address {
                guard let number = owners[device].flatMap({ state.numbers[.account($0)] }) else { continue }
                series = number
            }
            state.queues[record.number] = Queue(record, series: series, rules: rules)
            state.nextNumber = max(state.nextNumber, record.number + 1)
        }
        state.lastEntry = lastEntry
        keeper = StateKeeper(state, store: store)
        self.conversations = conversations
        (self.store, self.time, self.log, self.limits, self.rules) = (store, time, log, limits, rules)
        (self.drawToken, alarm) = (drawToken, Alarm(time: time))
    }

    /// Who is told of what became durable; called in order, on the store's thread.
    package func onPublish(_ body: @escaping @Sendable (AccountID, Publication) -> Void) {
        listener.withLock { $0 = Callback(body) }
    }

    /// Forgets a deleted account's or device's queue.
    package func drop(_ address: QueueAddress) {
        let waiting = keeper.update { state -> [Waiting] in
            guard let number = state.numbers.removeValue(forKey: address),
                let queue = state.queues.removeValue(forKey: number)
            else { return [] }
            return queue.machine.waiters[queue.machine.waitersHead...].compactMap {
                state.waiting.removeValue(forKey: $0.id)
            }
        }
        for waiter in waiting { waiter.deliver([]) }
    }

    /// Makes sure the queue exists; returns its number when that is durable.
    package func open(_ recipient: Recipient) async throws -> Int64 {
        try await keeper.change { [rules] state in
            var changes: [StoreChange] = []
            return (state.queue(recipient, rules, &changes), changes)
        }
    }

    /// Sends an event that is not stored, in its turn among those that are; returns its number. Later events
    /// never get the same one.
    @discardableResult
    package func pass(
        to account: AccountID, device: DeviceID?, _ event: @escaping @Sendable (Int64) -> StreamEvent
    ) -> Int64 {
        let number = Locked<Int64>(0)
        keeper.submit(always: true) { [rules] state -> (Publications, [StoreChange]) in
            var changes: [StoreChange] = []
            let queue = state.queue(.account(account), rules, &changes)
            let seq = state.allocate(queue, &changes)
            number.withLock { $0 = seq }
            return ([(account, .passing(event(seq), number: seq, device: device))], changes)
        } then: { [self] publications, result in
            if case .success = result { publish(publications) }
        }
        return number.withLock { $0 }
    }

    /// Tells an account's devices of something; those that are away hear of it when they come back.
    package func note(_ kind: StoredEvent.Kind, to account: AccountID, _ data: JSON) {
        let at = time.timestamp
        keeper.submit { [rules] state -> (Publications, [StoreChange]) in
            var changes: [StoreChange] = []
            let queue = state.queue(.account(account), rules, &changes)
            let event = StoredEvent(
                queue: queue, number: state.allocate(queue, &changes), kind: kind, device: nil,
                data: data.serializedBytes, at: at)
            changes.append(.insertEvent(event))
            return ([(account, .event(event))], changes)
        } then: { [self] publications, result in
            if case .success = result { publish(publications) }
        }
    }

    typealias Publications = [(account: AccountID, publication: Publication)]

    /// Tells the streams; on the store's thread, so that the order is that of the numbers.
    func publish(_ publications: Publications) {
        guard !publications.isEmpty else { return }
        keeper.update { state in
            for (account, publication) in publications {
                guard let queue = state.numbers[.account(account)] else { continue }
                let before = state.queues[queue]?.published ?? 0
                state.queues[queue]?.published = max(before, publication.number)
            }
        }
        guard let listener = listener.withLock({ $0 }) else { return }
        for (account, publication) in publications { listener.function(account, publication) }
    }
}

extension Mailroom.State {
    /// The number of a queue, which is made where it is missing.
    mutating func queue(
        _ recipient: Recipient, _ rules: QueueMachine.Rules, _ changes: inout [StoreChange]
    ) -> Int64 {
        if let number = numbers[recipient.address] { return number }
        let series = recipient.owner.map { queue(.account($0), rules, &changes) }
        let number = nextNumber
        nextNumber += 1
        numbers[recipient.address] = number
        let record = QueueRecord(number: number, address: recipient.address, reserved: 1)
        queues[number] = Mailroom.Queue(record, series: series ?? number, rules: rules)
        changes.append(.putQueue(record))
        return number
    }

    /// The next number of a queue's series.
    mutating func allocate(_ number: Int64, _ changes: inout [StoreChange]) -> Int64 {
        guard let queue = queues[number], let series = queue.series == number ? queue : queues[queue.series] else {
            return 0
        }
        let seq = series.next
        series.next = seq + 1
        // Well ahead of need: the next run is durable long before its first number is handed out.
        if seq + 1 + Mailroom.reservation / 4 > series.reserved {
            series.reserved = seq + 1 + Mailroom.reservation
            changes.append(
                .putQueue(QueueRecord(number: series.number, address: series.address, reserved: series.reserved)))
        }
        return seq
    }

    /// The account on whose streams a queue's messages are heard; nil for an app's.
    func account(of number: Int64) -> AccountID? {
        guard let series = queues[number]?.series, case .account(let account)? = queues[series]?.address else {
            return nil
        }
        return account
    }

    /// The device a queue is for alone.
    func device(of number: Int64) -> DeviceID? {
        if case .device(let device)? = queues[number]?.address { device } else { nil }
    }
}
