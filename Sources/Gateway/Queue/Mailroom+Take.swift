internal import Base

/// A message in a consumer's hands: the view of PL-3 and the property of PL-11.
package struct HandedOver: Sendable {
    package let message: Message
    package let lock: QueueMachine.Lock
    /// How long the lock holds.
    package let remaining: Duration
}

/// What a consumer asks for.
package struct TakeOrder: Sendable {
    package static let maxLimit = 100
    package static let waitLimit: Duration = .seconds(60)
    package static let lockLimits: ClosedRange<Duration> = .seconds(1)...(.seconds(300))

    package var queue: Recipient
    /// Who takes: a device's or an app's id.
    package var consumer: String
    package var max = 1
    package var lock: Duration = .seconds(30)
    /// Settles what is handed over, before it is handed over.
    package var deletes = false

    package init(_ queue: Recipient, consumer: String) { (self.queue, self.consumer) = (queue, consumer) }
}

/// A consumer that waits.
struct Waiting: Sendable {
    let queue: Int64
    let order: TakeOrder
    let isGone: @Sendable () -> Bool
    let then: @Sendable (Result<[HandedOver], StoreError>) -> Void

    func deliver(_ messages: [HandedOver]) { then(.success(messages)) }
}

/// Locks taken for a waiting consumer, and those of the messages that are in memory.
struct Serving: Sendable {
    let waiting: Waiting
    let locks: [QueueMachine.Lock]
    /// All of the messages; nil when one must be read first.
    let messages: [Message]?
}

// Consumers (PL-1 to PL-6): take, wait, lock by number.
extension Mailroom {
    /// Gives the next messages to a consumer, at once or when there are some.
    /// - Parameters:
    ///   - waits: whether it waits when nothing is ready.
    ///   - isGone: asked before a waiting consumer is given something; what a gone one would have got goes on.
    ///   - then: called once with what it gets, from any thread; with nothing after `stopWaiting`.
    /// - Returns: the number of its waiting, for `stopWaiting`; nil when it does not wait.
    package func take(
        _ order: TakeOrder, waits: Bool, isGone: @escaping @Sendable () -> Bool = { false },
        then: @escaping @Sendable (Result<[HandedOver], StoreError>) -> Void
    ) -> UInt64? {
        enum Step {
            case serve(Serving)
            case wait(UInt64)
            case nothing
        }
        let now = time.now
        let step = keeper.update { state -> Step in
            guard let number = state.numbers[order.queue.address] else { return .nothing }
            let waiting = Waiting(queue: number, order: order, isGone: isGone, then: then)
            // Those who wait already come first.
            if state.queues[number]?.machine.waitingCount == 0 {
                let locks = state.queues[number]?.machine.take(order.max, for: order.consumer, token: drawToken) ?? []
                if !locks.isEmpty { return .serve(state.serving(waiting, locks, at: now)) }
            }
            guard waits else { return .nothing }
            let id = state.nextWaiter
            state.nextWaiter += 1
            state.waiting[id] = waiting
            state.queues[number]?.machine.wait(id, consumer: order.consumer, max: order.max)
            return .wait(id)
        }
        switch step {
        case .serve(let serving):
            serve(serving)
            watch(serving.waiting.queue)
            readAhead(serving)
        case .wait(let id): return id
        case .nothing: then(.success([]))
        }
        return nil
    }

    /// Ends a wait: the consumer is answered with nothing, unless it has been served.
    package func stopWaiting(_ id: UInt64) {
        let waiting = keeper.update { state -> Waiting? in
            guard let waiting = state.waiting.removeValue(forKey: id) else { return nil }
            state.queues[waiting.queue]?.machine.stopWaiting(id)
            return waiting
        }
        waiting?.deliver([])
    }

    /// Locks one message by its key: one that was seen by peeking, or one deferred before (PL-4).
    /// - Parameter then: called once, when the message was read.
    /// - Throws: why it cannot be locked; `then` is not called.
    package func lock(
        _ key: MessageKey, in state: Message.State = .ready, _ order: TakeOrder,
        then: @escaping @Sendable (Result<[HandedOver], StoreError>) -> Void
    ) throws(QueueMachine.Unavailable) {
        let now = time.now
        let serving = keeper.update { table -> Result<Serving, QueueMachine.Unavailable> in
            do throws(QueueMachine.Unavailable) {
                guard
                    let lock = try table.queues[key.queue]?.machine.lock(
                        key.seq, in: state, for: order.consumer, token: drawToken)
                else { throw .unknown }
                let waiting = Waiting(queue: key.queue, order: order, isGone: { false }, then: then)
                return .success(table.serving(waiting, [lock], at: now))
            } catch {
                return .failure(error)
            }
        }
        serve(try serving.get())
        watch(key.queue)
    }

    /// Prolongs a consumer's lock. Not durable: no lock is, over a restart (G11).
    /// - Returns: the lock and how long it holds from now; nil when it is lost.
    package func renew(
        _ key: MessageKey, token: Int64, for duration: Duration
    ) -> (lock: QueueMachine.Lock, remaining: Duration)? {
        let now = time.now
        let renewed = keeper.update { state in
            state.queues[key.queue]?.machine.renew(key.seq, token: token, for: duration, at: now)
        }
        guard let (lock, remaining) = renewed ?? nil else { return nil }
        watch(key.queue)
        return (lock, remaining)
    }

    /// Hands over what was locked: at once when it is in memory, else when it was read.
    func serve(_ serving: Serving) {
        if serving.waiting.isGone() { return putBack(serving) }
        if let messages = serving.messages { return handOver(serving, messages) }
        let keys = serving.locks.map { MessageKey(queue: serving.waiting.queue, seq: $0.seq) }
        store.messages(keys) { [self] result in
            switch result {
            case .failure(let error):
                putBack(serving)
                serving.waiting.then(.failure(error))
            case .success(let messages):
                let now = time.now
                keeper.update { state in
                    state.queues[serving.waiting.queue]?.machine.handedOver(
                        serving.locks, for: serving.waiting.order.lock, at: now)
                }
                watch(serving.waiting.queue)
                handOver(serving, messages)
            }
        }
    }

    /// Reads what consumers will take next, while they work.
    private func readAhead(_ serving: Serving) {
        let number = serving.waiting.queue
        let keys = keeper.update { state -> [MessageKey] in
            guard let queue = state.queues[number] else { return [] }
            let count = queue.ahead.taken(serving.locks.count, missed: serving.messages == nil)
            guard count > 0 else { return [] }
            var keys = queue.machine.upcoming(count).map { MessageKey(queue: number, seq: $0) }
            keys.removeAll { state.cache[$0] != nil }
            if keys.isEmpty { queue.ahead.read(0, bytes: 0) }
            return keys
        }
        guard !keys.isEmpty else { return }
        store.messages(keys) { [keeper] result in
            // What cannot be read is met again by whoever takes it, and told there.
            let messages = (try? result.get()) ?? []
            keeper.update { state in
                guard let queue = state.queues[number] else { return }
                for message in messages where queue.machine.contains(message.key.seq) {
                    state.cache.insert(SharedMessage(message))
                }
                queue.ahead.read(messages.count, bytes: messages.reduce(0) { $0 + $1.body.count })
            }
        }
    }

    private func putBack(_ serving: Serving) {
        let served = keeper.update { state in
            state.queues[serving.waiting.queue]?.machine.putBack(serving.locks)
            return state.dispatch([serving.waiting.queue], drawToken, at: time.now)
        }
        for next in served { serve(next) }
        serving.waiting.deliver([])
    }

    private func handOver(_ serving: Serving, _ messages: [Message]) {
        let locks = Dictionary(uniqueKeysWithValues: serving.locks.map { ($0.seq, $0) })
        let handed = messages.compactMap { message in
            locks[message.key.seq].map {
                HandedOver(message: message, lock: $0, remaining: serving.waiting.order.lock)
            }
        }
        guard serving.waiting.order.deletes else { return serving.waiting.deliver(handed) }
        let orders = handed.map { SettleOrder(key: $0.message.key, token: $0.lock.token, settlement: .complete) }
        settle(orders, consumer: serving.waiting.order.consumer) { result in
            serving.waiting.then(result.map { _ in handed })
        }
    }

    /// Sets the alarm for a queue's next deadline.
    func watch(_ queue: Int64) { alarm.set(keeper.update { $0.watch([queue]) }) }
}

extension Mailroom.State {
    /// Serves those who wait at these queues.
    mutating func dispatch(_ numbers: [Int64], _ token: () -> Int64, at now: Moment) -> [Serving] {
        var served: [Serving] = []
        for number in numbers where queues[number]?.machine.waitingCount ?? 0 > 0 {
            for (id, locks) in queues[number]?.machine.dispatch(token: token) ?? [] {
                guard let waiting = waiting.removeValue(forKey: id) else { continue }
                served.append(serving(waiting, locks, at: now))
            }
        }
        return served
    }

    /// Where all messages are in memory they are handed over now: the locks' time begins (G9).
    mutating func serving(_ waiting: Waiting, _ locks: [QueueMachine.Lock], at now: Moment) -> Serving {
        var messages: [Message]? = []
        for lock in locks {
            guard let message = cache[MessageKey(queue: waiting.queue, seq: lock.seq)] else {
                messages = nil
                break
            }
            messages?.append(message)
        }
        if messages != nil { queues[waiting.queue]?.machine.handedOver(locks, for: waiting.order.lock, at: now) }
        return Serving(waiting: waiting, locks: locks, messages: messages)
    }

    /// Notes when the queues are to be looked at; returns the earliest of all deadlines.
    mutating func watch(_ numbers: [Int64]) -> Moment? {
        for number in numbers {
            guard let due = queues[number]?.machine.nextDeadline, due < queues[number]?.watched ?? .distantFuture
            else { continue }
            queues[number]?.watched = due
            deadlines.insert(Mailroom.Deadline(due: due, queue: number))
        }
        return deadlines.first?.due
    }
}
