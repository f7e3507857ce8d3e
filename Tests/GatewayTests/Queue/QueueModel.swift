import Base

@testable import Gateway

/// What a queue should do, written down as plainly as it can be: every question is answered by looking at all
/// messages. The machine is compared with it.
struct QueueModel {
    struct Item {
        let seq: Int64
        let rank: Int
        let group: String?
        var state: Message.State
        var isStored: Bool
        var deliveries = 0
        var mayRepeat = false
        var expires = Moment.distantFuture
        var due = Moment.distantFuture
        var token: Int64?
        var since: Moment?
        var ends = Moment.distantFuture
        var past: (token: Int64, settlement: QueueMachine.Settlement)?
    }

    let rules: QueueMachine.Rules
    var items: [Int64: Item] = [:]

    var ready: [Item] {
        items.values.filter { isAvailable($0) }.sorted { ($0.rank, $0.seq) < ($1.rank, $1.seq) }
    }

    func isAvailable(_ item: Item) -> Bool {
        guard item.state == .ready, item.isStored else { return false }
        guard let group = item.group else { return true }
        let members = items.values.filter { $0.group == group }
        return !members.contains { $0.state == .locked }
            && !members.contains { $0.state == .ready && $0.isStored && $0.seq < item.seq }
    }

    mutating func lock(_ seq: Int64, _ token: Int64) -> QueueMachine.Lock {
        items[seq]?.state = .locked
        items[seq]?.token = token
        items[seq]?.since = nil
        items[seq]?.ends = .distantFuture
        items[seq]?.past = nil
        return QueueMachine.Lock(
            seq: seq, token: token, delivery: (items[seq]?.deliveries ?? 0) + (items[seq]?.mayRepeat == true ? 2 : 1))
    }

    mutating func take(_ max: Int, token: () -> Int64) -> [QueueMachine.Lock] {
        var locks: [QueueMachine.Lock] = []
        while locks.count < max, let next = ready.first { locks.append(lock(next.seq, token())) }
        return locks
    }

    mutating func settle(
        _ seq: Int64, _ token: Int64, _ settlement: QueueMachine.Settlement, _ now: Moment
    ) -> Message.State? {
        guard let item = items[seq], item.state == .locked, item.token == token else { return nil }
        if settlement == .complete {
            items[seq] = nil
            return .done
        }
        items[seq]?.past = (token, settlement)
        return leave(seq, settlement, now)
    }

    @discardableResult
    mutating func leave(_ seq: Int64, _ settlement: QueueMachine.Settlement, _ now: Moment) -> Message.State? {
        items[seq]?.deliveries += 1
        items[seq]?.mayRepeat = false
        items[seq]?.token = nil
        let isOver = (items[seq]?.deliveries ?? 0) >= rules.maxDeliveries
        switch settlement {
        case .deadLetter: bury(seq, now)
        case .defer: items[seq]?.state = .deferred
        case .abandon where isOver, .complete where isOver: bury(seq, now)
        case .abandon(let delay) where delay > .zero:
            items[seq]?.state = .scheduled
            items[seq]?.due = now + delay
        case .abandon, .complete: items[seq]?.state = .ready
        }
        return items[seq]?.state
    }

    private mutating func bury(_ seq: Int64, _ now: Moment) {
        items[seq]?.state = .dead
        items[seq]?.due = now + rules.deadLetter
    }

    /// Ends what time ends; returns the numbers of those whose time is over.
    mutating func fire(_ now: Moment) -> Set<Int64> {
        var over: Set<Int64> = []
        for item in items.values where item.isStored {
            if item.state == .locked {
                if item.ends <= now { leave(item.seq, .abandon(delay: .zero), now) }
            } else if item.state == .dead {
                if item.due <= now { over.insert(item.seq) }
            } else if item.expires <= now {
                over.insert(item.seq)
            } else if item.state == .scheduled, item.due <= now {
                items[item.seq]?.state = .ready
            }
        }
        // A lock that ended just now may uncover a time that is over.
        for item in items.values
        where item.isStored && item.state != .locked && item.state != .dead && item.expires <= now {
            over.insert(item.seq)
        }
        return over
    }
}
