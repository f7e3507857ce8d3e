internal import Base

// Sending: numbers, limits, repeats, and what follows the sync.
extension Mailroom {
    /// What a submission of new messages leads to once it is durable.
    private struct Outcome: Sendable {
        var posted: [Posted] = []
        /// What those lead to that they replace.
        var effects = Effects()
    }

    /// Stores messages and whatever else belongs to the same transaction, all or none. Repeats are found and not
    /// stored again.
    /// - Parameter then: called when all that is answered is durable, on the store's thread.
    /// - Throws: `queue_full`, `storage_full`, `rate_limited`: then nothing is stored and `then` is not called.
    package func post(
        _ postings: [Posting], with extra: [StoreChange] = [],
        then: @escaping @Sendable (Result<[Posted], StoreError>) -> Void
    ) throws(GatewayError) {
        let (now, timestamp) = (time.now, time.timestamp)
        if postings.contains(where: { !$0.draft.isKnown }) { try checkSpace(at: now) }
        do {
            // In its turn even when nothing is new: a repeat must not be answered before the first is durable.
            try keeper.submit(always: true) { state in
                try check(postings, &state, at: now)
                var changes: [StoreChange] = []
                var outcome = Outcome()
                for posting in postings {
                    outcome.posted.append(enter(posting, &state, &changes, &outcome.effects, now, timestamp))
                }
                if !extra.isEmpty { changes += extra }
                return (outcome, changes)
            } then: { [self] outcome, result in
                finish(outcome, result, then)
            }
        } catch let error as GatewayError {
            throw error
        } catch {
            throw GatewayError(.stopping, "\(error)")
        }
    }

    /// As above; returns when all is durable.
    /// - Throws: also the store's failure.
    package func post(_ postings: [Posting], with extra: [StoreChange] = []) async throws -> [Posted] {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<[Posted], any Error>) in
            do {
                try post(postings, with: extra) { continuation.resume(with: $0.mapError { $0 as any Error }) }
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }

    /// Messages of a queue that end in the same transaction as others begin.
    struct Ending: Sendable {
        let keys: [MessageKey]
        let reason: String
        /// What the senders are told, where they wanted to hear and have not heard the last.
        let receipts: [ReceiptState]
        /// Those whose senders are told nothing.
        var silent: Set<MessageKey> = []

        init(_ keys: [MessageKey], reason: String, receipts: [ReceiptState] = []) {
            (self.keys, self.reason, self.receipts) = (keys, reason, receipts)
        }
    }

    /// Settles messages and stores others, and whatever else belongs to the same transaction, all or none.
    /// - Parameter events: the `clear` event of a message that is done.
    /// - Returns: what was stored, and those settled that were open: a message is settled once.
    /// - Throws: `queue_full`, `storage_full`: then nothing is stored or settled; the store's failure.
    func post(
        _ postings: [Posting], ending: [Ending], with extra: [StoreChange], events: (MessageKey) -> JSON?
    ) async throws -> (posted: [Posted], settled: [MessageKey]) {
        let (now, timestamp) = (time.now, time.timestamp)
        if postings.contains(where: { !$0.draft.isKnown }) { try checkSpace(at: now) }
        return try await withCheckedThrowingContinuation {
            (continuation: CheckedContinuation<(posted: [Posted], settled: [MessageKey]), any Error>) in
            do {
                try keeper.submit(always: true) { state in
                    try check(postings, &state, at: now)
                    var changes: [StoreChange] = []
                    var outcome = Outcome()
                    for end in ending {
                        settle(end, as: .done, nil, events, &state, &changes, &outcome.effects, timestamp)
                    }
                    for posting in postings {
                        outcome.posted.append(enter(posting, &state, &changes, &outcome.effects, now, timestamp))
                    }
                    return (outcome, changes + extra)
                } then: { [self] outcome, result in
                    finish(outcome, result) { result in
                        continuation.resume(
                            with: result.map { ($0, outcome.effects.settled) }.mapError { $0 as any Error })
                    }
                }
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }

    /// Looks at the disk now and then: asking at each message would cost a system call.
    func checkSpace(at now: Moment) throws(GatewayError) {
        let hasRoom = space.withLock { space in
            if now < space.nextLook { return space.hasRoom }
            space.nextLook = now + Self.spaceInterval
            space.hasRoom = store.freeBytes().map { $0 >= Int64(limits.diskReserveBytes) } ?? true
            return space.hasRoom
        }
        if !hasRoom {
            throw GatewayError(.storageFull, "less than limits.diskReserveBytes is free where the data is kept")
        }
    }

    /// Full queues refuse at send (G2); so does the memory for senders' ids.
    private func check(_ postings: [Posting], _ state: inout State, at now: Moment) throws(GatewayError) {
        if postings.count == 1, let posting = postings.first {
            let open = state.numbers[posting.to.address].flatMap { state.queues[$0]?.openCount } ?? 0
            if !posting.draft.isKnown, open >= limits.queueMessages, !isRepeat(posting, state) {
                throw full(posting.to.address)
            }
        } else {
            var counts: [QueueAddress: Int] = [:]
            for posting in postings where !posting.draft.isKnown && !isRepeat(posting, state) {
                counts[posting.to.address, default: 0] += 1
            }
            for (address, count) in counts {
                let open = state.numbers[address].flatMap { state.queues[$0]?.openCount } ?? 0
                if open + count > limits.queueMessages { throw full(address) }
            }
        }
        let named = postings.count { $0.draft.senderID != nil }
        if named > 0, !state.sends.hasRoom(for: named, at: now) {
            throw GatewayError(
                .rateLimited, "too many messages with an id were sent in ten minutes (limits.rememberedSends)",
                retryAfterSeconds: 60)
        }
    }

    private func full(_ address: QueueAddress) -> GatewayError {
        GatewayError(.queueFull, "the queue \(address) is full (limits.queueMessages)")
    }

    private func sendKey(_ posting: Posting, _ state: State) -> SendLedger.Key? {
        guard let id = posting.draft.senderID, let number = state.numbers[posting.to.address] else { return nil }
        return SendLedger.Key(queue: number, sender: posting.draft.sender, id: id)
    }

    private func isRepeat(_ posting: Posting, _ state: State) -> Bool {
        sendKey(posting, state).map { state.sends[$0] != nil } ?? false
    }

    /// Gives a message its number and takes it into its queue, where nobody sees it yet.
    private func enter(
        _ posting: Posting, _ state: inout State, _ changes: inout [StoreChange], _ effects: inout Effects,
        _ now: Moment, _ timestamp: Timestamp
    ) -> Posted {
        let draft = posting.draft
        let number = state.queue(posting.to, rules, &changes)
        let send = sendKey(posting, state)
        if let send, let seq = state.sends[send] {
            return Posted(key: MessageKey(queue: number, seq: seq), address: posting.to.address, shared: nil)
        }
        let key = MessageKey(queue: number, seq: state.allocate(number, &changes))
        // Receipts need a place to go to; a sender that was never written to has none yet.
        if draft.receipts != .none {
            _ = state.queue(Recipient(draft.sender, owner: draft.senderOwner), rules, &changes)
        }
        var message = draft.message(key, to: posting.to.address, at: timestamp)
        if let remembering = remembering(posting, at: timestamp) {
            remember(&message, remembering, &state, &changes, &effects)
        }
        let shared = SharedMessage(message)
        changes.append(.insertMessage(shared.message))
        if let send { state.sends.insert(send, key.seq, ends: now + Self.repeatWindow) }
        var posted = Posted(key: key, address: posting.to.address, shared: shared)
        if !draft.isKnown { posted.replaced = take(shared, into: &state, &changes, &effects, now, timestamp) }
        return posted
    }

    /// - Returns: the older message that it takes the place of.
    private func take(
        _ shared: SharedMessage, into state: inout State, _ changes: inout [StoreChange], _ effects: inout Effects,
        _ now: Moment, _ timestamp: Timestamp
    ) -> MessageKey? {
        let key = shared.message.key
        var entry = OpenEntry(shared.message)
        entry.talk = state.queues[key.queue]?.talks[key.seq]
        // Behind so many others it would leave the cache before a consumer came for it.
        if (state.queues[key.queue]?.openCount ?? 0) < Self.cachedAhead { state.cache.insert(shared) }
        let older = state.queues[key.queue]?.machine.insert(entry, isStored: false, at: now) {
            now + ($0 - timestamp)
        }
        note(entry.receipts, entry, &state, number: key.seq)
        guard let older = older ?? nil else { return nil }
        let old = MessageKey(queue: key.queue, seq: older.seq)
        state.cache.remove(old)
        tell([.expired], old, older.isDelivered, nil, &state, &changes, &effects, timestamp)
        state.queues[key.queue]?.forget(older.seq)
        changes.append(.settleMessage(old, MessageUpdate(.expired, at: timestamp, reason: "collapsed")))
        return old
    }

    /// Notes what must be known of a message when it arrives somewhere.
    func note(_ receipts: Message.Receipts, _ entry: OpenEntry, _ state: inout State, number: Int64) {
        let key = entry.key
        if receipts != .none, let sender = entry.sender {
            state.queues[key.queue]?.receipts[key.seq] = ReceiptOrder(
                to: sender, correlation: entry.correlation, isAll: receipts == .all)
        }
        // Of messages for all of an account's devices the arrival matters only to senders that asked.
        guard let isStreamed = state.queues[key.queue]?.address.isStreamed, isStreamed,
            state.device(of: key.queue) != nil || receipts != .none || entry.talk != nil, entry.state != .scheduled,
            !entry.isDelivered
        else {
            return
        }
        state.queues[key.queue]?.unacknowledged.append((number, key.seq))
    }

    private func finish(
        _ outcome: Outcome, _ result: Result<Void, StoreError>,
        _ then: @Sendable (Result<[Posted], StoreError>) -> Void
    ) {
        if case .failure(let error) = result { return then(.failure(error)) }
        var posted = outcome.posted
        let (served, publications, deadline) = keeper.update { state in
            var (publications, queues): (Publications, [Int64]) = ([], [])
            for item in posted {
                guard let shared = item.shared, !shared.message.state.isTerminal else { continue }
                state.queues[item.key.queue]?.machine.stored(item.key.seq)
                if queues.last != item.key.queue { queues.append(item.key.queue) }
                if shared.message.state == .ready, let account = state.account(of: item.key.queue) {
                    let device = state.device(of: item.key.queue)
                    publications.append((account, .message(shared.message, number: item.key.seq, device: device)))
                }
            }
            for key in outcome.effects.posted {
                state.queues[key.queue]?.machine.stored(key.seq)
                queues.append(key.queue)
            }
            for queue in outcome.effects.touched where queues.last != queue { queues.append(queue) }
            if !outcome.effects.publications.isEmpty {
                publications += outcome.effects.publications
                publications.sort { $0.publication.number < $1.publication.number }
            }
            return (state.dispatch(queues, drawToken, at: time.now), publications, state.watch(queues))
        }
        if !served.isEmpty {
            let taken = Set(
                served.flatMap { service in
                    service.locks.map { MessageKey(queue: service.waiting.queue, seq: $0.seq) }
                })
            for index in posted.indices where taken.contains(posted[index].key) { posted[index].isTaken = true }
        }
        publish(publications)
        for service in served { serve(service) }
        alarm.set(deadline)
        then(.success(posted))
    }
}
