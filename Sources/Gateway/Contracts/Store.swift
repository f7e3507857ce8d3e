package import Base

/// Keeps what must survive: registry, messages, deliveries, launches.
///
/// The gateway decides in memory and hands the store what changed; the store makes it durable in the
/// order it was handed over. One submission is atomic. All stores pass `StoreConformance` of the test kit.
package protocol Store: Sendable {
    /// Takes changes, in order with all other submissions, and calls `completion` once: with success when
    /// a sync that covers them has returned, else with the failure. Completions are called in the order of
    /// the submissions, on a thread of the store's; they must be brief and must not block. An empty
    /// submission only takes its turn: it costs no sync of its own. Returns at once.
    func submit(_ changes: [StoreChange], completion: @escaping @Sendable (Result<Void, StoreError>) -> Void)

    /// Everything but messages, as of now.
    func registry() async throws -> StoredRegistry
    /// What a stream is replayed: messages that are neither settled nor dead and had no `notBefore`, and stored
    /// events, of queues that share one series of numbers; with numbers above `after`, ascending, at most `limit`
    /// of both together.
    func entries(queues: [Int64], after: Int64, limit: Int) async throws -> [StoredEntry]
    /// What the queues work from: every message that is not settled, the dead among them, without its text. In
    /// the order in which they were stored, from behind `position` (nil: from the start), at most `limit`; nil
    /// as the next position when nothing follows. Within a queue numbers rise.
    func openEntries(
        after position: Int64?, limit: Int
    ) async throws -> (entries: [OpenEntry], next: Int64?)
    /// Messages that are not settled, whole, in the order of the keys asked for; unknown and settled ones are left
    /// out. `completion` is called once, on a thread of the store's: it must be brief.
    func messages(_ keys: [MessageKey], completion: @escaping @Sendable (Result<[Message], StoreError>) -> Void)
    /// Messages of a queue that are not settled, whole, with numbers above `after`, ascending.
    /// - Parameter state: only those stored in this state; nil for all but the dead.
    func messages(queue: Int64, state: Message.State?, after: Int64, limit: Int) async throws -> [Message]
    /// Messages settled at or after a time that carry their sender's own id: for finding repeats after a restart.
    func settledSends(since: Timestamp) async throws -> [SettledSend]
    /// One message, settled or not, as long as its row exists.
    func message(_ key: MessageKey) async throws -> Message?
    /// What became of announcing the messages, for each device.
    func deliveries(of messages: [MessageKey]) async throws -> [DeliveryRecord]
    /// The messages that items of a registration became, for those keys that are known.
    func items(registration: RegistrationID, keys: [String]) async throws -> [String: StoredItem]
    /// The messages with a state that is not terminal which came from a registration's items.
    func openItems(registration: RegistrationID) async throws -> [String: MessageKey]
    /// Conversations as their ends see them.
    func conversations(_ query: ConversationQuery) async throws -> [ConversationView]
    /// A part of a conversation's history, oldest first.
    func history(_ pair: ConversationPair, _ range: HistoryRange, limit: Int) async throws -> [HistoryEntry]
    func entry(_ number: Int64) async throws -> HistoryEntry?
    /// The entry of a message: of the first, where it was sent as several.
    func entry(of message: MessageKey) async throws -> HistoryEntry?
    /// Bytes that may still be written where the store lives; nil when that is unknown.
    func freeBytes() -> Int64?
    /// Finishes what was submitted and closes the store.
    func close() async
}

/// A known item.
package struct StoredItem: Sendable, Hashable {
    package let message: MessageKey
    package let isOpen: Bool
    package init(message: MessageKey, isOpen: Bool) { (self.message, self.isOpen) = (message, isOpen) }
}

/// What a queue keeps in memory of a message; without its text.
package struct OpenEntry: Sendable, Hashable {
    package let key: MessageKey
    package var state: Message.State
    package var priority: Message.Priority
    package var enqueued: Timestamp
    package var expires: Timestamp?
    package var notBefore: Timestamp?
    package var group: String?
    package var collapse: String?
    package var deliveries: Int
    package var receipts: Message.Receipts
    package var isDelivered: Bool
    /// When it came into the state `dead`.
    package var settled: Timestamp?
    /// Only where the sender wants receipts or gave an id or a collapse value; nil else.
    package var sender: QueueAddress?
    package var senderID: String?
    package var correlation: String?
    /// Its entry in a history, and the end of the conversation that wrote it; nil where there is none any more.
    package var talk: Talk?

    package struct Talk: Sendable, Hashable {
        package let entry: Int64
        package let peer: QueueAddress
        package init(entry: Int64, peer: QueueAddress) { (self.entry, self.peer) = (entry, peer) }
    }

    /// Of a message as it is stored.
    package init(_ message: Message) {
        (key, state, priority, enqueued) = (message.key, message.state, message.priority, message.enqueued)
        (expires, notBefore, group, collapse) = (message.expires, message.notBefore, message.group, message.collapse)
        (deliveries, receipts, isDelivered) = (message.deliveries, message.receipts, message.delivered != nil)
        settled = message.settled
        (senderID, correlation) = (message.senderID, message.correlation)
        sender = receipts == .none && senderID == nil && collapse == nil ? nil : message.sender
    }

    package init(
        key: MessageKey, state: Message.State, priority: Message.Priority, enqueued: Timestamp, deliveries: Int,
        receipts: Message.Receipts, isDelivered: Bool
    ) {
        (self.key, self.state, self.priority, self.enqueued) = (key, state, priority, enqueued)
        (self.deliveries, self.receipts, self.isDelivered) = (deliveries, receipts, isDelivered)
    }
}

/// A settled message's id at its sender.
package struct SettledSend: Sendable, Hashable {
    package let key: MessageKey
    package let sender: QueueAddress
    package let senderID: String
    package let enqueued: Timestamp

    package init(key: MessageKey, sender: QueueAddress, senderID: String, enqueued: Timestamp) {
        (self.key, self.sender, self.senderID, self.enqueued) = (key, sender, senderID, enqueued)
    }
}

/// How a message ended, or left the hands of a consumer.
package struct MessageUpdate: Sendable, Hashable {
    package var state: Message.State
    package var at: Timestamp
    package var reason: String?
    package var notBefore: Timestamp?
    package var deliveries = 0
    package var consumer: String?
    package var receiptToken: Int64?
    /// The sender has heard the last it will hear: nil leaves what it wanted as it was.
    package var receipts: Message.Receipts?
    /// From now on it may wait as long as it likes.
    package var forgetsExpiry = false

    package init(_ state: Message.State, at: Timestamp, reason: String? = nil) {
        (self.state, self.at, self.reason) = (state, at, reason)
    }
}

/// A message or a stored event of a queue, for replay to a stream.
package enum StoredEntry: Sendable, Hashable {
    case message(Message)
    case event(StoredEvent)

    package var number: Int64 {
        switch self {
        case .message(let message): message.key.seq
        case .event(let event): event.number
        }
    }
}

/// What a gateway knows at start.
package struct StoredRegistry: Sendable, Hashable {
    package var accounts: [Account] = []
    package var devices: [Device] = []
    package var registrations: [Registration] = []
    package var queues: [QueueRecord] = []
    package var launches: [Launch] = []
    package var contacts: [ContactEdge] = []
    package var blocks: [Block] = []
    package var statuses: [AccountID: OwnStatus] = [:]
    /// No entry of a history, and no mark, has a higher number.
    package var lastEntry: Int64 = 0

    package init() {}
}

/// One change of what is stored. `put` inserts or replaces by id.
package enum StoreChange: Sendable, Hashable {
    case putAccount(Account)
    /// With its devices, registrations, queue and messages, its contacts, blocks and status, others' wishes for it, and its
    /// conversations: their other ends lose them, too.
    case deleteAccount(AccountID)
    case putDevice(Device)
    /// With its queue and messages.
    case deleteDevice(DeviceID)
    case setDeviceCursor(DeviceID, Int64)
    case setDeviceSeen(DeviceID, Timestamp)
    case putRegistration(Registration)
    case deleteRegistration(RegistrationID)
    case setMonitorCursor(RegistrationID, [UInt8])
    case putQueue(QueueRecord)
    // Indirect, as every change would be as large as a message.
    indirect case insertMessage(Message)
    /// Ends a message: its update's state is terminal, its text is dropped, a tombstone stays. The first one counts.
    case settleMessage(MessageKey, MessageUpdate)
    /// Changes an open message's state, `settled` (at), reason, `notBefore`, deliveries, consumer and token; the state
    /// must not be terminal. Unknown and settled messages stay as they are.
    case updateMessage(MessageKey, MessageUpdate)
    /// Notes that a message arrived; the first time counts. Settled messages too.
    case setDelivered(MessageKey, at: Timestamp)
    case putDelivery(DeliveryRecord)
    case insertEvent(StoredEvent)
    case putLaunch(Launch)
    case people(PeopleChange)
    case conversation(ConversationChange)
    /// Drops settled messages, their deliveries, and events older than this, and launches expired before it.
    case purge(before: Timestamp)
}

/// Why the store failed. After a failed write the gateway ends: memory and disk no longer agree.
package struct StoreError: Error, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable, CaseIterable {
        /// The file or server cannot be opened.
        case unavailable
        /// The data was written by a newer Farbell.
        case newerSchema = "newer_schema"
        /// The data is damaged, or is no database of Farbell's.
        case corrupt
        /// Another process uses it.
        case inUse = "in_use"
        /// No room is left.
        case full
        /// A write or its sync failed.
        case writeFailed = "write_failed"
        case readFailed = "read_failed"
        /// A submission contradicts what is stored, such as a key used twice: a fault of ours. Nothing of it
        /// was written; the store goes on.
        case refused
        /// More is waiting than the store takes. Nothing was written; the store goes on.
        case overloaded
        case closed
    }

    package let code: Code
    package let message: String
    package let context: [String: String]
    package let underlying: (any Error)?

    package init(_ code: Code, _ message: String, context: [String: String] = [:], underlying: (any Error)? = nil) {
        (self.code, self.message, self.context, self.underlying) = (code, message, context, underlying)
    }

    package var description: String {
        let details = context.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
        return "\(message) (\(code.rawValue)\(details))"
    }
}

extension Store {
    /// Messages that are not settled, whole, in the order of the keys asked for; unknown and settled ones are left out.
    package func messages(_ keys: [MessageKey]) async throws -> [Message] {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<[Message], any Error>) in
            messages(keys) { result in continuation.resume(with: result.mapError { $0 as any Error }) }
        }
    }

    /// Submits changes and waits until they are durable.
    package func commit(_ changes: [StoreChange]) async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            submit(changes) { result in continuation.resume(with: result.mapError { $0 as any Error }) }
        }
    }
}
