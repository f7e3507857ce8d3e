package import Base

/// One queue: which of its messages are ready, locked, deferred, not yet due or dead, who waits for the next one,
/// and what time does to them. No clock, no store, no text of a message.
///
/// The promises it keeps alone: at most one valid lock, and a settlement compares the lock's token (G4); first in,
/// first out within a group (G6); lock time counts from the hand-over (G9); deadlines are monotonic (G12).
package struct QueueMachine: Sendable {
    /// Bounds of every queue.
    package struct Rules: Sendable, Hashable {
        /// Hand-overs without a completion before a message is dead.
        package var maxDeliveries = 10
        /// How long after the hand-over a lock can be renewed.
        package var lockTotal: Duration = .seconds(12 * 3600)
        /// How long dead letters are kept.
        package var deadLetter: Duration = .seconds(14 * 86_400)

        package init() {}
    }

    /// A lock on a message: what its receipt speaks of (PL-12).
    package struct Lock: Sendable, Hashable {
        package let seq: Int64
        /// Drawn for this lock alone; a settlement must name it.
        package let token: Int64
        /// 1 for the first hand-over; more where it may have been handed over before (G3).
        package let delivery: Int
    }

    struct Entry: Sendable {
        var state: Message.State
        let priority: Message.Priority
        let group: String?
        let collapse: CollapseKey?
        /// False until a sync covers it: nobody sees it before.
        var isStored: Bool
        /// Stands in the list of its priority.
        var isListed = false
        /// It was there when the gateway started, and may have been handed over before.
        var mayRepeat: Bool
        var isDelivered: Bool
        /// Finished hand-overs without a completion.
        var deliveries: Int
        var expires: Moment
        /// When it comes up, of a scheduled one; when its time is over, of a dead one.
        var due = Moment.distantFuture
    }

    /// A lock that holds.
    struct Held: Sendable {
        let token: Int64
        let consumer: String
        /// Nil until the message is handed over.
        var since: Moment?
        var ends = Moment.distantFuture
    }

    /// What the last consumer did with a message that is still there, so that repeating it is answered the same.
    struct Past: Sendable {
        let token: Int64
        let settlement: Settlement
    }

    struct CollapseKey: Sendable, Hashable {
        let sender: QueueAddress
        let value: String
    }

    struct Group: Sendable {
        var ready = ReadyList()
        /// Locked messages: while there is one the rest waits.
        var locked = 0
        /// Messages in any state.
        var members = 0
    }

    struct Timer: Sendable, Comparable {
        let due: Moment
        let seq: Int64
        static func < (a: Timer, b: Timer) -> Bool { (a.due, a.seq) < (b.due, b.seq) }
    }

    /// A consumer that waits for the next message.
    struct Waiter: Sendable {
        let id: UInt64
        let consumer: String
        let max: Int
    }

    let rules: Rules
    var entries: [Int64: Entry] = [:]
    var held: [Int64: Held] = [:]
    var past: [Int64: Past] = [:]
    var groups: [String: Group] = [:]
    var collapsing: [CollapseKey: Int64] = [:]
    /// By priority, the most urgent first.
    var ready = [ReadyList](repeating: ReadyList(), count: Message.Priority.allCases.count)
    var timers = Heap<Timer>()
    /// Timers beyond which those of messages that are gone are looked for.
    private var timerLimit = 1024
    var waiters: [Waiter] = []
    /// Waiters before it have been served.
    var waitersHead = 0
    private(set) var deadCount = 0

    package init(rules: Rules = Rules()) { self.rules = rules }

    // MARK: What is there

    /// Messages that are not settled and not dead.
    package var openCount: Int { entries.count - deadCount }
    package var dead: Int { deadCount }
    package var lockedCount: Int { held.count }
    package func contains(_ seq: Int64) -> Bool { entries[seq].map { $0.state != .dead } ?? false }
    package func state(of seq: Int64) -> Message.State? { entries[seq]?.state }
    package func isDelivered(_ seq: Int64) -> Bool { entries[seq]?.isDelivered ?? false }
    /// When to call `fire` next; there may be nothing to do then.
    package var nextDeadline: Moment? { timers.first?.due }
    /// The numbers of all messages in the queue, the dead among them.
    package var numbers: [Int64] { entries.keys.sorted() }

    // MARK: In and out

    /// An older message that a newer one has taken the place of.
    package struct Replaced: Sendable, Hashable {
        package let seq: Int64
        package let isDelivered: Bool
    }

    /// Takes a message in; it is seen once `stored` is called, or at once when it was read from the store.
    /// - Parameters:
    ///   - elapsed: maps a time on the wall to one on the monotonic clock.
    ///   - isStored: it was in the store at the start.
    /// - Returns: an older message that this one replaces.
    package mutating func insert(
        _ message: OpenEntry, isStored: Bool, at now: Moment, moment: (Timestamp) -> Moment
    ) -> Replaced? {
        let seq = message.key.seq
        var collapse: CollapseKey?
        if let value = message.collapse, let sender = message.sender {
            collapse = CollapseKey(sender: sender, value: value)
        }
        var entry = Entry(
            state: message.state, priority: message.priority, group: message.group, collapse: collapse,
            isStored: isStored, mayRepeat: isStored, isDelivered: message.isDelivered, deliveries: message.deliveries,
            expires: message.expires.map(moment) ?? .distantFuture)
        switch message.state {
        case .dead:
            deadCount += 1
            entry.due = moment((message.settled ?? message.enqueued) + rules.deadLetter)
        case .scheduled: entry.due = message.notBefore.map(moment) ?? now
        case .locked, .ready, .done, .expired: entry.state = .ready
        case .deferred: break
        }
        entries[seq] = entry
        if let group = entry.group { groups[group, default: Group()].members += 1 }
        if isStored { appear(seq) }
        guard let collapse else { return nil }
        defer { collapsing[collapse] = seq }
        // What was in the store together stays so: the older one was locked when the newer one came.
        guard !isStored, let older = collapsing[collapse], let old = entries[older],
            old.state == .ready || old.state == .scheduled
        else { return nil }
        remove(older)
        return Replaced(seq: older, isDelivered: old.isDelivered)
    }

    /// A sync covers the message: consumers may have it now.
    package mutating func stored(_ seq: Int64) {
        guard entries[seq] != nil else { return }
        entries[seq]?.isStored = true
        appear(seq)
    }

    private mutating func appear(_ seq: Int64) {
        guard let entry = entries[seq] else { return }
        if entry.state != .dead { watch(seq, entry.expires) }
        watch(seq, entry.due)
        if entry.state == .ready { list(seq) }
    }

    /// Takes a message out, whatever its state; false when it is not there.
    @discardableResult
    package mutating func remove(_ seq: Int64) -> Bool {
        guard let entry = entries.removeValue(forKey: seq) else { return false }
        if entry.state == .dead { deadCount -= 1 }
        past[seq] = nil
        let wasLocked = held.removeValue(forKey: seq) != nil
        if let key = entry.collapse, collapsing[key] == seq { collapsing[key] = nil }
        if let name = entry.group {
            groups[name]?.members -= 1
            if wasLocked { groups[name]?.locked -= 1 }
            if groups[name]?.members == 0 { groups[name] = nil } else { offer(name) }
        }
        return true
    }

    /// Notes that the sender has been told of the delivery; false when it had been before, or the message is gone.
    package mutating func setDelivered(_ seq: Int64) -> Bool {
        guard entries[seq]?.isDelivered == false else { return false }
        entries[seq]?.isDelivered = true
        return true
    }

    // MARK: Inner workings

    /// Changes a message's state, and the counts that follow from it.
    mutating func set(_ seq: Int64, _ state: Message.State, due: Moment = .distantFuture) {
        guard var entry = entries[seq] else { return }
        if entry.state == .dead { deadCount -= 1 }
        if state == .dead { deadCount += 1 }
        (entry.state, entry.due) = (state, due)
        entries[seq] = entry
        if state == .ready { list(seq) }
        if due < .distantFuture { watch(seq, due) }
    }

    /// Puts a ready message where consumers find it.
    private mutating func list(_ seq: Int64) {
        guard let entry = entries[seq], entry.isStored else { return }
        guard let group = entry.group else { return enlist(seq) }
        groups[group, default: Group()].ready.insert(seq)
        offer(group)
    }

    private mutating func enlist(_ seq: Int64) {
        guard let entry = entries[seq], !entry.isListed else { return }
        entries[seq]?.isListed = true
        ready[entry.priority.rank].insert(seq)
    }

    /// The first ready message of a group, as long as none of the group is locked.
    mutating func head(of name: String) -> Int64? {
        guard groups[name]?.locked == 0 else { return nil }
        while let seq = groups[name]?.ready.first {
            if entries[seq]?.state == .ready { return seq }
            groups[name]?.ready.removeFirst()
        }
        return nil
    }

    /// Lists the group's first message, if it may be taken.
    mutating func offer(_ name: String) { if let seq = head(of: name) { enlist(seq) } }

    mutating func watch(_ seq: Int64, _ due: Moment) {
        guard due < .distantFuture else { return }
        timers.insert(Timer(due: due, seq: seq))
        guard timers.count > timerLimit else { return }
        timers.keep { entries[$0.seq].map { $0.state != .ready || $0.expires < .distantFuture } ?? false }
        timerLimit = max(1024, timers.count * 2)
    }
}

extension Message.Priority {
    /// 0 for the most urgent.
    package var rank: Int {
        switch self {
        case .high: 0
        case .normal: 1
        case .low: 2
        }
    }
}
