internal import Base

// What time does, and the start.
extension Mailroom {
    /// Entries read from the store at a time at start.
    static let startPage = 5000

    /// What time has brought up.
    package struct Ripe: Sendable {
        /// Messages whose time is over; whoever knows what devices show of them settles them.
        package let expired: [MessageKey]
        /// Messages that became due and are durable as such, with their numbers on the streams.
        package let due: [Due]
    }

    /// A message that was scheduled.
    package struct Due: Sendable {
        package let message: Message
        package let number: Int64
    }

    /// Waits for the next deadline.
    /// - Throws: `CancellationError`.
    package func waitForDeadline() async throws { try await alarm.wait() }

    /// Does what is due: locks end, scheduled messages come up. Returns what is left to do for others.
    /// - Throws: the store's failure.
    package func fire() async throws -> Ripe {
        let timestamp = time.timestamp
        let fired = try await keeper.change { [time] state -> (Fired, [StoreChange]) in
            var (fired, changes) = (Fired(), [StoreChange]())
            var queues: [Int64] = []
            while let first = state.deadlines.first, first.due <= time.now {
                state.deadlines.popFirst()
                queues.append(first.queue)
                state.queues[first.queue]?.watched = .distantFuture
                for change in state.queues[first.queue]?.machine.fire(at: time.now) ?? [] {
                    fire(change, MessageKey(queue: first.queue, seq: change.seq), &state, &changes, &fired, timestamp)
                }
            }
            _ = state.watch(queues)
            return (fired, changes)
        } then: { [self] in
            finish($0.effects)
        }
        for (key, change) in fired.released where change.state != .dead { logReleased(key, change) }
        let due = fired.due.isEmpty ? [] : try await comeUp(fired.due)
        alarm.set(keeper.read { $0.deadlines.first?.due })
        return Ripe(expired: fired.expired, due: due)
    }

    private struct Fired: Sendable {
        var expired: [MessageKey] = []
        var due: [MessageKey] = []
        var released: [(MessageKey, QueueMachine.Change)] = []
        var effects = Effects()
    }

    private func fire(
        _ change: QueueMachine.Change, _ key: MessageKey, _ state: inout State, _ changes: inout [StoreChange],
        _ fired: inout Fired, _ now: Timestamp
    ) {
        if change.state == .expired { return fired.expired.append(key) }
        if change.reason == QueueMachine.dueReason { return fired.due.append(key) }
        fired.released.append((key, change))
        let isDelivered = state.queues[key.queue]?.machine.isDelivered(key.seq) ?? true
        let consumer = change.consumer ?? ""
        apply(change, key, isDelivered, consumer, { _ in nil }, &state, &changes, &fired.effects, now)
    }

    private func logReleased(_ key: MessageKey, _ change: QueueMachine.Change) {
        log.info(
            .messageLockExpired, "A consumer's lock has ended without a settlement",
            [
                "messageId": .key(key), "consumer": .string(change.consumer ?? ""),
                "deliveries": .count(change.deliveries), "reason": .string(change.reason ?? ""),
            ])
    }

    /// Scheduled messages are due. Those that devices hear of get a number of now on the stream: theirs may be long
    /// past there.
    private func comeUp(_ keys: [MessageKey]) async throws -> [Due] {
        let timestamp = time.timestamp
        let messages = try await store.messages(keys)
        let (_, due) = try await keeper.change { state -> ((Effects, [Due]), [StoreChange]) in
            var (effects, due, changes) = (Effects(), [Due](), [StoreChange]())
            for var message in messages where state.queues[message.key.queue]?.machine.contains(message.key.seq) == true
            {
                let key = message.key
                message.state = .ready
                var update = MessageUpdate(.ready, at: timestamp, reason: QueueMachine.dueReason)
                (update.notBefore, update.deliveries) = (message.notBefore, message.deliveries)
                (update.consumer, update.receiptToken) = (message.consumer, message.receiptToken)
                changes.append(.updateMessage(key, update))
                effects.touched.append(key.queue)
                if let remembering = remembering(message, state, at: timestamp) {
                    remember(&message, remembering, &state, &changes, &effects)
                    if let entry = message.entry { changes.append(.conversation(.link(key, entry: entry))) }
                }
                // Also one that a consumer has put back for a time: a device may have been away meanwhile, and a
                // replay leaves out what is not due.
                guard let account = state.account(of: key.queue) else { continue }
                let (number, device) = (state.allocate(key.queue, &changes), state.device(of: key.queue))
                changes.append(
                    .insertEvent(
                        StoredEvent(
                            queue: state.queues[key.queue]?.series ?? key.queue, number: number, kind: .due,
                            device: device, data: JSON.string(key.description).serializedBytes, at: timestamp)))
                var entry = OpenEntry(message)
                entry.talk = state.queues[key.queue]?.talks[key.seq]
                note(message.receipts, entry, &state, number: number)
                due.append(Due(message: message, number: number))
                effects.publications.append((account, .message(message, number: number, device: device)))
            }
            return ((effects, due), changes)
        } then: { [self] in
            finish($0.0)
        }
        return due
    }

    // MARK: Start

    /// Reads what the queues work from; nothing is handed over before. Called once.
    /// - Throws: the store's failure.
    package func restore() async throws {
        var sends: [(key: SendLedger.Key, seq: Int64, enqueued: Timestamp)] = []
        let (now, timestamp) = (time.now, time.timestamp)
        let since = timestamp + (.zero - Self.repeatWindow)
        var position: Int64?
        repeat {
            let page = try await store.openEntries(after: position, limit: Self.startPage)
            position = page.next
            for entry in page.entries where entry.enqueued >= since {
                guard let id = entry.senderID, let sender = entry.sender else { continue }
                let key = SendLedger.Key(queue: entry.key.queue, sender: sender, id: id)
                sends.append((key, entry.key.seq, entry.enqueued))
            }
            keeper.update { state in
                for entry in page.entries { restore(entry, &state, now, timestamp) }
            }
        } while position != nil
        for send in try await store.settledSends(since: since) where send.enqueued >= since {
            let key = SendLedger.Key(queue: send.key.queue, sender: send.sender, id: send.senderID)
            sends.append((key, send.key.seq, send.enqueued))
        }
        sends.sort { $0.enqueued < $1.enqueued }
        let deadline = keeper.update { state in
            for send in sends {
                state.sends.insert(send.key, send.seq, ends: now + (send.enqueued - since))
            }
            for number in state.queues.keys {
                state.queues[number]?.unacknowledged.sort { $0.number < $1.number }
            }
            return state.watch(Array(state.queues.keys))
        }
        alarm.set(deadline)
    }

    private func restore(_ entry: OpenEntry, _ state: inout State, _ now: Moment, _ timestamp: Timestamp) {
        let key = entry.key
        _ = state.queues[key.queue]?.machine.insert(entry, isStored: true, at: now) { now + ($0 - timestamp) }
        if let talk = entry.talk { state.queues[key.queue]?.talks[key.seq] = talk }
        guard entry.state != .dead else { return }
        // One that came up late has a number on the stream that is not known here, below the next.
        let series = state.queues[key.queue]?.series ?? key.queue
        let number = entry.notBefore == nil ? key.seq : (state.queues[series]?.next ?? 1) - 1
        note(entry.receipts, entry, &state, number: number)
    }
}
