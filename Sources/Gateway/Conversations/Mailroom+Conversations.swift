internal import Base

// Conversations in the queues' transactions: what is remembered of a message is stored with it, and everybody's devices
// hear of it in the order of their numbers.
extension Mailroom {
    /// What a message between two ends of a conversation is remembered as.
    struct Remembering {
        let pair: ConversationPair
        let sender: QueueAddress
        let at, until: Timestamp
        /// It is for one of the recipient's devices; those that are sent with it for others are the same entry.
        let isForDevice: Bool
    }

    /// Nil for what is remembered nowhere: what a monitor found, what is due later, what has no conversation.
    func remembering(_ posting: Posting, at now: Timestamp) -> Remembering? {
        let draft = posting.draft
        guard draft.origin == nil, !draft.isKnown, draft.notBefore.map({ $0 <= now }) ?? true else { return nil }
        return remembering(draft.end, posting.to.end, isForDevice: posting.to.owner != nil, at: now)
    }

    /// As above, of a message that was due later.
    func remembering(_ message: Message, _ state: State, at now: Timestamp) -> Remembering? {
        guard message.origin == nil, message.entry == nil, message.deliveries == 0 else { return nil }
        func end(_ address: QueueAddress) -> QueueAddress {
            state.numbers[address].flatMap { state.account(of: $0) }.map { .account($0) } ?? address
        }
        return remembering(
            end(message.sender), end(message.address), isForDevice: state.device(of: message.key.queue) != nil,
            at: now)
    }

    private func remembering(
        _ sender: QueueAddress, _ recipient: QueueAddress, isForDevice: Bool, at now: Timestamp
    ) -> Remembering? {
        // Before the pair, which costs more: most messages are for applications.
        guard let retention = conversations.retention(sender, recipient),
            let pair = ConversationPair(sender, recipient)
        else { return nil }
        return Remembering(
            pair: pair, sender: sender, at: now, until: now + retention, isForDevice: isForDevice)
    }

    /// Adds a message to the history, and tells the sender's own devices.
    func remember(
        _ message: inout Message, _ remembering: Remembering, _ state: inout State, _ changes: inout [StoreChange],
        _ effects: inout Effects
    ) {
        defer {
            if let entry = message.entry {
                state.queues[message.key.queue]?.talks[message.key.seq] = OpenEntry.Talk(
                    entry: entry, peer: remembering.sender)
            }
        }
        if remembering.isForDevice, let index = effects.entries[remembering.pair],
            case .conversation(.insert(var entry)) = changes[index], entry.says(message, as: remembering.sender)
        {
            entry.also.append(message.key)
            changes[index] = .conversation(.insert(entry))
            message.entry = entry.number
            return
        }
        state.lastEntry += 1
        var entry = HistoryEntry(
            number: state.lastEntry, pair: remembering.pair, sender: remembering.sender, message: message.key,
            at: remembering.at, until: remembering.until, body: message.body)
        (entry.correlation, entry.header, entry.subject) = (message.correlation, message.header, message.subject)
        entry.attachments = message.attachments
        message.entry = entry.number
        if remembering.isForDevice { effects.entries[remembering.pair] = changes.count }
        changes.append(.conversation(.insert(entry)))
        if case .account(let account) = entry.sender {
            // Its devices may hear before anybody has written to it.
            _ = state.queue(.account(account), rules, &changes)
            announce(entry, to: entry.sender, &state, &changes, &effects, remembering.at)
        }
    }

    /// Tells an end's devices what an entry is like now.
    private func announce(
        _ entry: HistoryEntry, to end: QueueAddress, _ state: inout State, _ changes: inout [StoreChange],
        _ effects: inout Effects, _ now: Timestamp
    ) {
        let data: JSON = [
            "peer": .string(entry.pair.peer(of: end).description), "number": .integer(entry.number),
        ]
        guard let (account, event) = event(data, to: end, &state, &changes, now) else { return }
        effects.publications.append((account, .entry(entry, number: event.number)))
    }

    /// Stores an event for an account's devices; nil for an application, and for an account that is gone.
    private func event(
        _ data: JSON, to end: QueueAddress, _ state: inout State, _ changes: inout [StoreChange], _ now: Timestamp
    ) -> (AccountID, StoredEvent)? {
        guard case .account(let account) = end, let queue = state.numbers[end] else { return nil }
        let event = StoredEvent(
            queue: queue, number: state.allocate(queue, &changes), kind: .conversation, device: nil,
            data: data.serializedBytes, at: now)
        changes.append(.insertEvent(event))
        return (account, event)
    }

    /// A message has arrived at its recipient.
    func noteArrival(_ key: MessageKey, _ state: State, _ changes: inout [StoreChange]) {
        guard let queue = state.queues[key.queue], let talk = queue.talks[key.seq] else { return }
        let end = state.account(of: key.queue).map { QueueAddress.account($0) } ?? queue.address
        changes.append(.conversation(.mark(end, peer: talk.peer, ConversationMarks(delivered: talk.entry))))
    }

    // MARK: Marks, edits, withdrawals

    /// Open messages of queues that one end of a conversation wrote, up to an entry.
    func openMessages(in queues: [QueueAddress], from peer: QueueAddress, upTo number: Int64) -> [MessageKey] {
        keeper.read { state in
            queues.compactMap { state.numbers[$0] }.flatMap { queue in
                (state.queues[queue]?.talks ?? [:]).compactMap { seq, talk in
                    talk.entry <= number && talk.peer == peer ? MessageKey(queue: queue, seq: seq) : nil
                }
            }.sorted()
        }
    }

    /// All open messages that one end of conversations wrote to accounts.
    func openMessages(from end: QueueAddress) -> [(recipient: AccountID, key: MessageKey)] {
        keeper.read { state in
            state.queues.values.flatMap { queue -> [(recipient: AccountID, key: MessageKey)] in
                guard !queue.talks.isEmpty, let recipient = state.account(of: queue.number) else { return [] }
                return queue.talks.compactMap { seq, talk in
                    talk.peer == end ? (recipient, MessageKey(queue: queue.number, seq: seq)) : nil
                }
            }
        }
    }

    /// The entries of those messages that are open and have one.
    func talks(of keys: [MessageKey]) -> [MessageKey: OpenEntry.Talk] {
        keeper.read { state in
            keys.reduce(into: [:]) { $0[$1] = state.queues[$1.queue]?.talks[$1.seq] }
        }
    }

    /// Raises an end's read mark, and tells its devices and, if it may know, the other end.
    func mark(
        _ owner: QueueAddress, _ peer: QueueAddress, read: Int64, message: MessageKey?, isTold: Bool
    ) async throws {
        let now = time.timestamp
        _ = try await keeper.change { state -> (Effects, [StoreChange]) in
            var (effects, changes) = (Effects(), [StoreChange]())
            let marks = ConversationMarks(read: read, delivered: isTold ? read : 0)
            changes.append(.conversation(.mark(owner, peer: peer, marks, isTold: isTold)))
            for (end, other) in [(owner, peer), (peer, owner)] where end == owner || isTold {
                let data: JSON = [
                    "peer": .string(other.description),
                    "mark": ["by": .string(owner.description), "read": .integer(read), "at": .timestamp(now)],
                ]
                if let (account, event) = event(data, to: end, &state, &changes, now) {
                    effects.publications.append((account, .event(event)))
                }
            }
            if isTold, case .app(let app) = peer {
                var header = ["type": "read", "from": owner.description, "upTo": String(read)]
                header["message"] = message?.description
                inform(app, of: owner, header, nil, [], &state, &changes, &effects, now)
            }
            return (effects, changes)
        } then: { [self] in
            finish($0)
        }
    }

    /// Stores an entry's new text, also where the message still waits, and tells both ends.
    /// - Throws: `storage_full`, the store's failure.
    func edit(_ entry: HistoryEntry) async throws {
        try checkSpace(at: time.now)
        let now = time.timestamp
        _ = try await keeper.change { state -> (Effects, [StoreChange]) in
            var (effects, changes) = (Effects(), [StoreChange]())
            changes.append(
                .conversation(.edit(entry.number, subject: entry.subject, body: entry.body, at: entry.edited ?? now)))
            for key in [entry.message] + entry.also where state.queues[key.queue]?.machine.state(of: key.seq) != nil {
                changes.append(.conversation(.rewrite(key, subject: entry.subject, body: entry.body)))
                guard var message = state.cache[key] else { continue }
                (message.subject, message.body) = (entry.subject, entry.body)
                state.cache.remove(key)
                state.cache.insert(SharedMessage(message))
            }
            tellBoth(entry, "edit", &state, &changes, &effects, now)
            return (effects, changes)
        } then: { [self] in
            finish($0)
        }
    }

    /// Takes an entry's text away, settles its messages where they still wait, and tells both ends.
    /// - Parameter events: the `clear` event of a message that was settled.
    /// - Returns: those that were open.
    func withdraw(_ entry: HistoryEntry, events: (MessageKey) -> JSON?) async throws -> [MessageKey] {
        let now = time.timestamp
        let effects = try await keeper.change { state -> (Effects, [StoreChange]) in
            var (effects, changes) = (Effects(), [StoreChange]())
            changes.append(.conversation(.withdraw(entry.number, at: entry.withdrawn ?? now)))
            settle(
                Ending([entry.message] + entry.also, reason: "withdrawn"), as: .done, nil, events, &state, &changes,
                &effects, now)
            tellBoth(entry, "withdraw", &state, &changes, &effects, now)
            return (effects, changes)
        } then: { [self] in
            finish($0)
        }
        return effects.settled
    }

    private func tellBoth(
        _ entry: HistoryEntry, _ type: String, _ state: inout State, _ changes: inout [StoreChange],
        _ effects: inout Effects, _ now: Timestamp
    ) {
        for end in [entry.sender, entry.recipient] { announce(entry, to: end, &state, &changes, &effects, now) }
        guard case .app(let app) = entry.recipient else { return }
        let header = ["type": type, "message": entry.message.description, "from": entry.sender.description]
        inform(app, of: entry.sender, header, entry.subject, entry.body, &state, &changes, &effects, now)
    }

    /// Puts what an application's callback is told into its queue, behind the messages of the same conversation.
    private func inform(
        _ app: AppID, of peer: QueueAddress, _ header: [String: String], _ subject: String?, _ body: [UInt8],
        _ state: inout State, _ changes: inout [StoreChange], _ effects: inout Effects, _ now: Timestamp
    ) {
        guard conversations.told.contains(app), let number = state.numbers[.app(app)] else { return }
        // From itself: nobody else can send it what looks the same.
        var draft = MessageDraft(sender: .app(app), app: nil)
        (draft.header, draft.subject, draft.body) = (header, subject, body)
        draft.group = "conversation/\(peer)"
        let key = MessageKey(queue: number, seq: state.allocate(number, &changes))
        let message = draft.message(key, to: .app(app), at: now)
        changes.append(.insertMessage(message))
        state.cache.insert(SharedMessage(message))
        _ = state.queues[number]?.machine.insert(OpenEntry(message), isStored: false, at: time.now) { [time] in
            time.now + ($0 - now)
        }
        effects.posted.append(key)
    }
}

extension HistoryEntry {
    /// Whether a message for another device says the same.
    fileprivate func says(_ message: Message, as sender: QueueAddress) -> Bool {
        ([self.message] + also).allSatisfy { $0.queue != message.key.queue } && self.sender == sender
            && body == message.body && subject == message.subject && header == message.header
            && correlation == message.correlation && attachments == message.attachments
    }
}
