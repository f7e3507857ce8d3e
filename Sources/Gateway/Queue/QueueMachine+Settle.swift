package import Base

// What consumers and time do to messages (PL-7 to PL-9).
extension QueueMachine {
    /// What a consumer says of a message it has locked.
    package enum Settlement: Sendable, Hashable {
        /// It accepted: the message is done.
        case complete
        /// It could not: ready again at its old place, or after a time.
        case abandon(delay: Duration)
        /// It wants it later, by its number.
        case `defer`
        /// Nobody can accept it.
        case deadLetter(reason: String)
    }

    /// The reason of a change that only says that a scheduled message has become due.
    static let dueReason = "due"

    /// What became of a message; what the store is told.
    package struct Change: Sendable, Hashable {
        package let seq: Int64
        package let state: Message.State
        package var reason: String?
        /// Finished hand-overs without a completion.
        package var deliveries = 0
        package var consumer: String?
        package var token: Int64?
        /// How long until a scheduled one is due.
        package var delay: Duration = .zero
    }

    package enum Settled: Sendable, Hashable {
        case changed(Change)
        /// This very settlement came before; nothing is changed by it now.
        case repeated(Message.State)
        /// The lock is another's by now, or nobody's (G4).
        case lost
        /// The queue does not know; the store may: of a message that is settled, or was there before a restart.
        case unknown
    }

    /// Settles a locked message. Compares the token: of several only one takes effect.
    package mutating func settle(
        _ seq: Int64, token: Int64, as settlement: Settlement, at now: Moment
    ) -> Settled {
        guard let entry = entries[seq] else { return .unknown }
        guard let lock = held[seq], lock.token == token else {
            guard let past = past[seq] else { return held[seq] == nil && entry.mayRepeat ? .unknown : .lost }
            return past.token == token && past.settlement == settlement ? .repeated(entry.state) : .lost
        }
        if settlement == .complete {
            let change = Change(
                seq: seq, state: .done, reason: "completed", deliveries: entry.deliveries, consumer: lock.consumer,
                token: token)
            remove(seq)
            return .changed(change)
        }
        let change = leave(seq, entry, lock, settlement, at: now)
        past[seq] = Past(token: token, settlement: settlement)
        return .changed(change)
    }

    /// The message leaves a consumer's hands without having been accepted.
    private mutating func leave(
        _ seq: Int64, _ entry: Entry, _ lock: Held, _ settlement: Settlement, at now: Moment
    ) -> Change {
        let count = entry.deliveries + 1
        entries[seq]?.deliveries = count
        entries[seq]?.mayRepeat = false
        var change = Change(seq: seq, state: .ready)
        switch settlement {
        case .deadLetter(let reason): change = dead(seq, reason, at: now)
        case .defer:
            release(seq, .deferred)
            change = Change(seq: seq, state: .deferred)
        case .abandon where count >= rules.maxDeliveries, .complete where count >= rules.maxDeliveries:
            change = dead(seq, "max_deliveries", at: now)
        case .abandon(let delay) where delay > .zero:
            release(seq, .scheduled, due: now + delay)
            change = Change(seq: seq, state: .scheduled, delay: delay)
        case .abandon, .complete: release(seq, .ready)
        }
        (change.deliveries, change.consumer, change.token) = (count, lock.consumer, lock.token)
        return change
    }

    private mutating func dead(_ seq: Int64, _ reason: String, at now: Moment) -> Change {
        release(seq, .dead, due: now + rules.deadLetter)
        return Change(seq: seq, state: .dead, reason: reason)
    }

    /// Prolongs a lock.
    /// - Returns: how long it holds from now; nil when the lock is lost.
    package mutating func renew(
        _ seq: Int64, token: Int64, for duration: Duration, at now: Moment
    ) -> (
        Lock, remaining: Duration
    )? {
        guard let entry = entries[seq], let lock = held[seq], lock.token == token, let since = lock.since else {
            return nil
        }
        let ends = min(now + duration, since + rules.lockTotal)
        guard ends > now else { return nil }
        held[seq]?.ends = ends
        watch(seq, ends)
        let before = entry.deliveries + (entry.mayRepeat ? 1 : 0)
        return (Lock(seq: seq, token: token, delivery: before + 1), ends - now)
    }

    /// Brings a dead message back: ready, with its count begun anew; nil when it is not dead.
    package mutating func redrive(_ seq: Int64) -> Change? {
        guard entries[seq]?.state == .dead else { return nil }
        entries[seq]?.deliveries = 0
        // It rests with whoever redrives it how long it may wait: its old time may be over.
        entries[seq]?.expires = .distantFuture
        past[seq] = nil
        set(seq, .ready)
        return Change(seq: seq, state: .ready, reason: "redriven")
    }

    /// What time has done: locks that ended, scheduled messages that are due. Those whose time is over are named
    /// as expired and stay until `expire`.
    package mutating func fire(at now: Moment) -> [Change] {
        var changes: [Change] = []
        while let timer = timers.first, timer.due <= now {
            timers.popFirst()
            // One that is not stored yet is watched from then on.
            guard let entry = entries[timer.seq], entry.isStored else { continue }
            if let change = fire(timer.seq, entry, at: now) { changes.append(change) }
        }
        return changes
    }

    /// Takes out a message whose time is over; false when it is gone, or locked: then it expires after the lock.
    package mutating func expire(_ seq: Int64) -> Bool { held[seq] == nil && remove(seq) }

    private mutating func fire(_ seq: Int64, _ entry: Entry, at now: Moment) -> Change? {
        if let lock = held[seq] {
            guard lock.ends <= now else { return nil }
            var change = leave(seq, entry, lock, .abandon(delay: .zero), at: now)
            if change.state == .ready { change.reason = "lock_expired" }
            // Nobody settled it: whoever comes with this token later has lost it, also after a restart.
            change.token = nil
            return change
        }
        let isOver = entry.state == .dead ? entry.due <= now : entry.expires <= now
        if isOver {
            return Change(
                seq: seq, state: .expired, reason: entry.state == .dead ? "dead_letter_expired" : "expired",
                deliveries: entry.deliveries)
        }
        guard entry.state == .scheduled, entry.due <= now else { return nil }
        set(seq, .ready)
        return Change(seq: seq, state: .ready, reason: Self.dueReason, deliveries: entry.deliveries)
    }
}
