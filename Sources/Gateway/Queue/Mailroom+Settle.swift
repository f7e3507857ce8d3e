package import Base

// The ends of messages (PL-7 to PL-9): by their consumers, by their owners, by acknowledgement.
extension Mailroom {
    /// What a submission leads to once it is durable.
    struct Effects: Sendable {
        var outcomes: [SettleOutcome] = []
        var settled: [MessageKey] = []
        var publications: Publications = []
        var touched: [Int64] = []
        /// Receipts that became messages of an application's queue.
        var posted: [MessageKey] = []
        var dead: [(key: MessageKey, change: QueueMachine.Change)] = []
        /// Where the entries stand among the changes that messages for single devices have made so far.
        var entries: [ConversationPair: Int] = [:]
    }

    /// Settles messages that a consumer has locked; each order stands for itself.
    /// - Parameters:
    ///   - events: the `clear` event of a message that is done, for those whose account's devices show it.
    ///   - then: called with one outcome for each order when all is durable, on the store's thread.
    package func settle(
        _ orders: [SettleOrder], consumer: String, events: (MessageKey) -> JSON? = { _ in nil },
        then: @escaping @Sendable (Result<[SettleOutcome], StoreError>) -> Void
    ) {
        let (now, timestamp) = (time.now, time.timestamp)
        keeper.submit(always: true) { state -> (Effects, [StoreChange]) in
            var (effects, changes) = (Effects(), [StoreChange]())
            for order in orders {
                let isDelivered = state.queues[order.key.queue]?.machine.isDelivered(order.key.seq) ?? true
                let result =
                    state.queues[order.key.queue]?.machine.settle(
                        order.key.seq, token: order.token, as: order.settlement, at: now) ?? .unknown
                switch result {
                case .lost: effects.outcomes.append(.lost)
                case .unknown: effects.outcomes.append(.unknown)
                case .repeated(let past): effects.outcomes.append(.settled(past))
                case .changed(let change):
                    effects.outcomes.append(.settled(change.state))
                    apply(change, order.key, isDelivered, consumer, events, &state, &changes, &effects, timestamp)
                }
            }
            return (effects, changes)
        } then: { [self] effects, result in
            if case .failure(let error) = result { return then(.failure(error)) }
            finish(effects)
            then(.success(effects.outcomes))
        }
    }

    /// Ends messages whatever consumers do with them, for their owner or because their time is over.
    /// - Parameters:
    ///   - state: `done` or `expired`; a locked message does not expire.
    ///   - receipts: what the senders are told, where they wanted to hear and have not heard the last.
    ///   - silent: those whose senders are told nothing.
    ///   - device: where it happened.
    /// - Returns: those that were there: a message is settled once.
    package func settle(
        _ keys: [MessageKey], as state: Message.State, reason: String, receipts: [ReceiptState] = [],
        silent: Set<MessageKey> = [], device: DeviceID? = nil, events: (MessageKey) -> JSON?
    ) async throws -> [MessageKey] {
        let timestamp = time.timestamp
        var ending = Ending(keys, reason: reason, receipts: receipts)
        ending.silent = silent
        let effects = try await keeper.change { [ending] table -> (Effects, [StoreChange]) in
            var (effects, changes) = (Effects(), [StoreChange]())
            settle(ending, as: state, device, events, &table, &changes, &effects, timestamp)
            return (effects, changes)
        } then: { [self] in
            finish($0)
        }
        return effects.settled
    }

    /// A device has acknowledged everything on its stream up to a number: what was for it alone is done, and senders
    /// that wanted to know hear that their messages arrived.
    package func acknowledged(_ device: DeviceID, of account: AccountID, upTo number: Int64) async throws {
        let timestamp = time.timestamp
        let effects = try await keeper.change { state -> (Effects, [StoreChange]) in
            var (effects, changes) = (Effects(), [StoreChange]())
            for address in [QueueAddress.account(account), .device(device)] {
                guard let queue = state.numbers[address] else { continue }
                let arrived = state.arrived(queue, upTo: number)
                for seq in arrived {
                    let key = MessageKey(queue: queue, seq: seq)
                    guard state.queues[queue]?.machine.setDelivered(seq) == true else { continue }
                    changes.append(.setDelivered(key, at: timestamp))
                    tell([.delivered], key, false, device.text, &state, &changes, &effects, timestamp)
                    if case .device = address, state.queues[queue]?.machine.expire(seq) == true {
                        end(
                            key, MessageUpdate(.done, at: timestamp, reason: "acknowledged"), { _ in nil }, &state,
                            &changes, &effects)
                    }
                }
            }
            return (effects, changes)
        } then: { [self] in
            finish($0)
        }
        for key in effects.settled {
            log.info(
                .messageCompleted, "A device has acknowledged a message that was for it alone",
                ["messageId": .key(key), "device": .id(device), "account": .id(account), "reason": "acknowledged"])
        }
    }

    /// Brings a dead message back to its queue.
    /// - Throws: `not_found` when there is no such dead message, or the store's failure.
    package func redrive(_ key: MessageKey) async throws {
        let timestamp = time.timestamp
        _ = try await keeper.change { state -> (Effects, [StoreChange]) in
            guard let change = state.queues[key.queue]?.machine.redrive(key.seq) else {
                throw GatewayError(.notFound, "there is no dead message '\(key)'")
            }
            var update = MessageUpdate(.ready, at: timestamp, reason: change.reason)
            (update.receipts, update.forgetsExpiry) = (Message.Receipts.none, true)
            return (Effects(touched: [key.queue]), [.updateMessage(key, update)])
        } then: { [self] in
            finish($0)
        }
    }

    /// What the store knows of a settlement that the queue does not: of one made before a restart, or of a message
    /// that is settled.
    /// - Throws: `not_found` for a message that never was, or was forgotten; the store's failure.
    package func past(_ order: SettleOrder) async throws -> SettleOutcome {
        // The settlement that came before may still be on its way to the disk.
        try await store.commit([])
        guard let message = try await store.message(order.key) else {
            throw GatewayError(.notFound, "there is no message '\(order.key)'")
        }
        guard message.receiptToken == order.token else { return .lost }
        let isSame =
            switch order.settlement {
            case .complete: message.state == .done
            case .abandon: message.state == .ready || message.state == .scheduled || message.state == .dead
            case .defer: message.state == .deferred
            case .deadLetter: message.state == .dead
            }
        return isSame ? .settled(message.state) : .lost
    }

    // MARK: Inside a change

    /// Ends those of the messages that are there.
    func settle(
        _ ending: Ending, as end: Message.State, _ device: DeviceID?, _ events: (MessageKey) -> JSON?,
        _ state: inout State, _ changes: inout [StoreChange], _ effects: inout Effects, _ timestamp: Timestamp
    ) {
        for key in ending.keys {
            let isDelivered = state.queues[key.queue]?.machine.isDelivered(key.seq) ?? true
            let isOut =
                end == .expired
                ? state.queues[key.queue]?.machine.expire(key.seq) ?? false
                : state.queues[key.queue]?.machine.remove(key.seq) ?? false
            guard isOut else { continue }
            let receipts = ending.silent.contains(key) ? [] : ending.receipts
            tell(receipts, key, isDelivered, device?.text, &state, &changes, &effects, timestamp)
            self.end(
                key, MessageUpdate(end, at: timestamp, reason: ending.reason), events, &state, &changes, &effects)
        }
    }

    /// Hands a consumer's or time's change of a message to the store, and tells the sender.
    func apply(
        _ change: QueueMachine.Change, _ key: MessageKey, _ isDelivered: Bool, _ consumer: String,
        _ events: (MessageKey) -> JSON?, _ state: inout State, _ changes: inout [StoreChange], _ effects: inout Effects,
        _ now: Timestamp
    ) {
        var update = MessageUpdate(change.state, at: now, reason: change.reason)
        (update.deliveries, update.consumer, update.receiptToken) = (change.deliveries, change.consumer, change.token)
        switch change.state {
        case .done:
            if !isDelivered { changes.append(.setDelivered(key, at: now)) }
            tell([.delivered], key, isDelivered, consumer, &state, &changes, &effects, now)
            end(key, update, events, &state, &changes, &effects)
        case .dead:
            tell([.dead], key, isDelivered, consumer, &state, &changes, &effects, now)
            state.queues[key.queue]?.receipts[key.seq] = nil
            update.receipts = Message.Receipts.none
            changes.append(.updateMessage(key, update))
            effects.dead.append((key, change))
        case .scheduled:
            update.notBefore = now + change.delay
            changes.append(.updateMessage(key, update))
        case .ready, .deferred, .locked, .expired: changes.append(.updateMessage(key, update))
        }
        effects.touched.append(key.queue)
    }

    /// The message is out of its queue: the store keeps a tombstone, and the account's devices take it away.
    private func end(
        _ key: MessageKey, _ update: MessageUpdate, _ events: (MessageKey) -> JSON?, _ state: inout State,
        _ changes: inout [StoreChange], _ effects: inout Effects
    ) {
        state.cache.remove(key)
        state.queues[key.queue]?.forget(key.seq)
        changes.append(.settleMessage(key, update))
        effects.settled.append(key)
        effects.touched.append(key.queue)
        guard let data = events(key), let account = state.account(of: key.queue) else { return }
        let event = StoredEvent(
            queue: state.queues[key.queue]?.series ?? key.queue, number: state.allocate(key.queue, &changes),
            kind: .clear, device: state.device(of: key.queue), data: data.serializedBytes, at: update.at)
        changes.append(.insertEvent(event))
        effects.publications.append((account, .event(event)))
    }

    /// Tells streams and waiting consumers of what has become durable.
    func finish(_ effects: Effects) {
        for (key, change) in effects.dead {
            log.info(
                .messageDead, "A message is dead until somebody redrives it",
                [
                    "messageId": .key(key), "consumer": .string(change.consumer ?? ""),
                    "deliveries": .count(change.deliveries), "reason": .string(change.reason ?? ""),
                ])
        }
        guard !effects.touched.isEmpty || !effects.publications.isEmpty || !effects.posted.isEmpty else { return }
        let (served, deadline) = keeper.update { state in
            for key in effects.posted { state.queues[key.queue]?.machine.stored(key.seq) }
            let queues = Set(effects.touched + effects.posted.map(\.queue)).sorted()
            return (state.dispatch(queues, drawToken, at: time.now), state.watch(queues))
        }
        publish(effects.publications)
        for service in served { serve(service) }
        alarm.set(deadline)
    }
}

extension Mailroom.State {
    /// Takes out the messages that have arrived at a device with what it has acknowledged.
    mutating func arrived(_ queue: Int64, upTo number: Int64) -> [Int64] {
        guard let waiting = queues[queue]?.unacknowledged, let first = waiting.first, first.number <= number else {
            return []
        }
        let count = waiting.prefix { $0.number <= number }.count
        queues[queue]?.unacknowledged.removeFirst(count)
        return waiting.prefix(count).map(\.seq)
    }
}
