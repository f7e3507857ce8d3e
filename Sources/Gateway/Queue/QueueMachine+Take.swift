package import Base

// Consumers: locks, hand-overs, waiting (PL-4 to PL-6, PL-14).
extension QueueMachine {
    /// Why a message cannot be locked by its number.
    package enum Unavailable: Error, Sendable, Hashable {
        /// There is no such message, or it is settled.
        case unknown
        /// Locked, deferred, dead, not yet due or not yet stored.
        case state(Message.State)
        /// Another one of its group comes first, or is locked.
        case group
    }

    /// Locks the next messages, the most urgent first, for a consumer that gets them now. The lock's time does not
    /// run before `handedOver`.
    /// - Parameters:
    ///   - max: at most so many; fewer come, perhaps none.
    ///   - token: draws a token.
    package mutating func take(_ max: Int, for consumer: String, token: () -> Int64) -> [Lock] {
        var locks: [Lock] = []
        while locks.count < max, let seq = next() { locks.append(lock(seq, for: consumer, token())) }
        return locks
    }

    /// Takes the first message out of its list. A grouped one is given only while it is its group's first and none
    /// of the group is locked.
    private mutating func next() -> Int64? {
        for rank in ready.indices {
            while let seq = ready[rank].first {
                ready[rank].removeFirst()
                guard let entry = entries[seq] else { continue }
                entries[seq]?.isListed = false
                guard entry.state == .ready else { continue }
                if let group = entry.group, head(of: group) != seq {
                    offer(group)
                    continue
                }
                return seq
            }
        }
        return nil
    }

    /// Messages that are likely to be taken next.
    func upcoming(_ limit: Int) -> [Int64] {
        var numbers: [Int64] = []
        for list in ready where numbers.count < limit { numbers += list.upcoming(limit - numbers.count) }
        return numbers
    }

    private mutating func lock(_ seq: Int64, for consumer: String, _ token: Int64) -> Lock {
        let entry = entries[seq]
        past[seq] = nil
        held[seq] = Held(token: token, consumer: consumer)
        set(seq, .locked)
        if let group = entry?.group { groups[group]?.locked += 1 }
        let before = (entry?.deliveries ?? 0) + (entry?.mayRepeat == true ? 1 : 0)
        return Lock(seq: seq, token: token, delivery: before + 1)
    }

    /// Locks one message that was seen by peeking, or that was deferred.
    /// - Parameter state: the state it must be in: `ready` or `deferred`.
    package mutating func lock(
        _ seq: Int64, in state: Message.State = .ready, for consumer: String, token: () -> Int64
    ) throws(Unavailable) -> Lock {
        guard let entry = entries[seq], entry.isStored else { throw .unknown }
        guard entry.state == state else { throw .state(entry.state) }
        if state == .ready, let group = entry.group, head(of: group) != seq { throw .group }
        return lock(seq, for: consumer, token())
    }

    /// The consumer gets the messages now: their lock's time begins.
    package mutating func handedOver(_ locks: [Lock], for duration: Duration, at now: Moment) {
        for lock in locks where held[lock.seq]?.token == lock.token {
            held[lock.seq]?.since = now
            held[lock.seq]?.ends = now + duration
            watch(lock.seq, now + duration)
        }
    }

    /// The consumer was gone before it got them: they are ready as if nothing had happened.
    package mutating func putBack(_ locks: [Lock]) {
        for lock in locks where held[lock.seq]?.token == lock.token { release(lock.seq, .ready) }
    }

    /// Takes a message out of its lock.
    mutating func release(_ seq: Int64, _ state: Message.State, due: Moment = .distantFuture) {
        guard held.removeValue(forKey: seq) != nil else { return }
        let group = entries[seq]?.group
        if let group { groups[group]?.locked -= 1 }
        set(seq, state, due: due)
        if let group { offer(group) }
        // Its time may have run out while it was locked.
        if let expires = entries[seq]?.expires { watch(seq, expires) }
    }

    // MARK: Waiting

    /// Lets a consumer wait; it is served by `dispatch`.
    package mutating func wait(_ id: UInt64, consumer: String, max: Int) {
        waiters.append(Waiter(id: id, consumer: consumer, max: max))
    }

    /// The consumer waits no longer; false when it has been served.
    @discardableResult
    package mutating func stopWaiting(_ id: UInt64) -> Bool {
        guard let index = waiters[waitersHead...].firstIndex(where: { $0.id == id }) else { return false }
        waiters.remove(at: index)
        return true
    }

    package var waitingCount: Int { waiters.count - waitersHead }

    /// Serves those who wait, in the order in which they came, as long as something is ready (G8).
    package mutating func dispatch(token: () -> Int64) -> [(waiter: UInt64, locks: [Lock])] {
        var served: [(waiter: UInt64, locks: [Lock])] = []
        while waitersHead < waiters.count {
            let waiter = waiters[waitersHead]
            let locks = take(waiter.max, for: waiter.consumer, token: token)
            if locks.isEmpty { break }
            waitersHead += 1
            served.append((waiter.id, locks))
        }
        if waitersHead == waiters.count {
            waiters.removeAll(keepingCapacity: true)
            waitersHead = 0
        } else if waitersHead > 256, waitersHead > waiters.count / 2 {
            waiters.removeFirst(waitersHead)
            waitersHead = 0
        }
        return served
    }
}
