internal import Base
internal import Gateway

extension StoreConformance {
    /// All open messages in the order in which they were stored; throws where their entries say something else.
    func openMessages(_ store: any Store) async throws -> [Message] {
        var (entries, position): ([OpenEntry], Int64?) = ([], nil)
        repeat {
            let page = try await store.openEntries(after: position, limit: 100)
            try expect(page.next == nil || page.entries.count == 100, "a page that is not the last is full")
            entries += page.entries
            position = page.next
        } while position != nil
        let messages = try await store.messages(entries.map(\.key))
        var expected: [OpenEntry] = []
        for message in messages {
            var entry = OpenEntry(message)
            if let number = message.entry, let sender = try await store.entry(number)?.sender {
                entry.talk = OpenEntry.Talk(entry: number, peer: sender)
            }
            expected.append(entry)
        }
        try expect(entries, expected, "the entries of the open messages")
        return messages
    }

    func openEntries(_ store: inout any Store) async throws {
        var plain = Samples.message(2, 9)
        let full = Samples.fullMessage(1, 4)
        var receipted = Samples.message(1, 7)
        receipted.receipts = .all
        var collapsing = Samples.message(1, 8)
        collapsing.collapse = ""
        var dead = Samples.message(1, 3, state: .dead)
        (dead.settled, dead.settledReason, dead.consumer, dead.deliveries) = (Samples.noon, "poison", "d1", 10)
        let stored = [plain, full, receipted, collapsing, dead, Samples.message(1, 10)]
        try await store.commit(stored.map { .insertMessage($0) })
        // What is changed keeps its place.
        try await store.commit([
            .setDelivered(plain.key, at: Samples.noon),
            .settleMessage(stored[5].key, MessageUpdate(.done, at: Samples.noon)),
            .updateMessage(full.key, MessageUpdate(.deferred, at: Samples.noon)),
        ])
        plain.delivered = Samples.noon
        store = try await reopen(store)
        let entries = try await store.openEntries(after: nil, limit: 10)
        try expect(entries.entries.map(\.key), stored.dropLast().map(\.key), "in the order of storing")
        try expect(entries.next, nil, "nothing follows")
        try expect(entries.entries[0], OpenEntry(plain), "a message without anything")
        try expect(entries.entries[0].isDelivered && entries.entries[0].sender == nil, "as the type says")
        try expect(entries.entries[1].sender, full.sender, "the sender of a message with an id of its own")
        try expect(entries.entries[1].notBefore, nil, "an update sets notBefore, also to nothing")
        try expect(entries.entries[2].sender, receipted.sender, "the sender of a message with receipts")
        try expect(entries.entries[3].sender, collapsing.sender, "the sender of a message that collapses")
        try expect(entries.entries[4], OpenEntry(dead), "a dead message")
        let first = try await store.openEntries(after: nil, limit: 2)
        try expect(first.entries.map(\.key), [plain.key, full.key], "the first page")
        let second = try await store.openEntries(after: first.next, limit: 3)
        try expect(second.entries.map(\.key), [receipted.key, collapsing.key, dead.key], "the second page")
        try expect(second.next, nil, "nothing follows a last page that is full")
        let none = try await store.openEntries(after: nil, limit: 0)
        try expect(none.entries.isEmpty && none.next != nil, "a page without room")
        try expect(entries.entries[1].expires, full.expires, "an update leaves the time a message has")
        var update = MessageUpdate(.ready, at: Samples.noon)
        update.forgetsExpiry = true
        try await store.commit([.updateMessage(full.key, update)])
        store = try await reopen(store)
        try expect(try await store.message(full.key)?.expires, nil, "or takes its limit away")
    }

    func wholeMessages(_ store: any Store) async throws {
        let states: [Message.State] = [.ready, .dead, .deferred, .scheduled, .dead, .ready]
        let messages = states.enumerated().map { Samples.message(1, Int64($0.offset + 1), state: $0.element) }
        try await store.commit(messages.map { .insertMessage($0) } + [.insertMessage(Samples.message(2, 3))])
        try await store.commit([.settleMessage(messages[5].key, MessageUpdate(.done, at: Samples.noon))])
        let unknown = MessageKey(queue: 1, seq: 99)
        let keys = [messages[4].key, unknown, messages[0].key, messages[5].key, messages[4].key]
        try expect(
            await store.messages(keys), [messages[4], messages[0], messages[4]], "messages in the order of their keys")
        func seqs(_ state: Message.State?, after: Int64 = 0, limit: Int = 9) async throws -> [Int64] {
            try await store.messages(queue: 1, state: state, after: after, limit: limit).map(\.key.seq)
        }
        try expect(await seqs(nil), [1, 3, 4], "all but the dead")
        try expect(await seqs(nil, after: 1, limit: 1), [3], "one of them")
        try expect(await seqs(.dead), [2, 5], "the dead")
        try expect(await seqs(.dead, after: 2), [5], "the dead after the first")
        try expect(await seqs(.ready), [1], "the ready")
        try expect(await seqs(.done), [], "a settled one is no message of the queue")
        try expect(await seqs(nil, limit: 0), [], "none")
        try expect(
            await store.messages(queue: 1, state: .dead, after: 2, limit: 9), [messages[4]], "a dead message, whole")
    }

    func updating(_ store: inout any Store) async throws {
        var message = Samples.fullMessage(1, 1)
        try await store.commit([.insertMessage(message), .insertMessage(Samples.message(1, 2))])
        let at = Samples.noon + .seconds(9)
        var update = MessageUpdate(.scheduled, at: at, reason: "abandoned")
        (update.notBefore, update.deliveries) = (at + .seconds(60), 3)
        (update.consumer, update.receiptToken) = ("d1", 1 << 62)
        for state in [Message.State.done, .expired] {
            try await expectRefused(
                store, [.updateMessage(message.key, MessageUpdate(state, at: at))], "an update that settles")
        }
        try await store.commit([
            .updateMessage(message.key, update), .updateMessage(MessageKey(queue: 9, seq: 9), update),
            .settleMessage(MessageKey(queue: 1, seq: 2), MessageUpdate(.done, at: at)),
            .updateMessage(MessageKey(queue: 1, seq: 2), update),
        ])
        (message.state, message.settled, message.settledReason) = (.scheduled, at, "abandoned")
        (message.notBefore, message.deliveries) = (at + .seconds(60), 3)
        (message.consumer, message.receiptToken) = ("d1", 1 << 62)
        store = try await reopen(store)
        try expect(await store.message(message.key), message, "the updated message")
        try expect(await store.message(MessageKey(queue: 1, seq: 2))?.state, .done, "the settled message")
        try await store.commit([.updateMessage(message.key, MessageUpdate(.ready, at: at))])
        (message.state, message.settledReason, message.notBefore, message.deliveries) = (.ready, nil, nil, 0)
        (message.consumer, message.receiptToken) = (nil, nil)
        try expect(await openMessages(store), [message], "an update sets what it has, and takes what it has not")
    }

    func deadLetters(_ store: inout any Store) async throws {
        let origin = Message.Origin(registration: "r1", item: "a")
        var message = Samples.message(1, 1, origin: origin)
        let living = Samples.message(1, 2, origin: Message.Origin(registration: "r1", item: "b"))
        try await store.commit([.insertMessage(message), .insertMessage(living)])
        try await store.commit([
            .updateMessage(message.key, MessageUpdate(.dead, at: Samples.noon - .seconds(1), reason: "poison"))
        ])
        try await store.commit([.purge(before: Samples.noon)])
        store = try await reopen(store)
        (message.state, message.settled, message.settledReason) = (.dead, Samples.noon - .seconds(1), "poison")
        try expect(await store.message(message.key), message, "a dead letter keeps its text, also in a purge")
        try expect(
            await store.items(registration: "r1", keys: ["a", "b"]),
            [
                "a": StoredItem(message: message.key, isOpen: false),
                "b": StoredItem(message: living.key, isOpen: true),
            ], "items")
        try expect(await store.openItems(registration: "r1"), ["b": living.key], "open items")
        try expect(await store.entries(queues: [1], after: 0, limit: 9).map(\.number), [2], "entries")
        try await store.commit([.updateMessage(message.key, MessageUpdate(.ready, at: Samples.noon))])
        try expect(await store.openItems(registration: "r1").count, 2, "open items after redriving")
        try expect(await store.entries(queues: [1], after: 0, limit: 9).map(\.number), [1, 2], "entries")
        try await store.commit([
            .updateMessage(message.key, MessageUpdate(.dead, at: Samples.noon)),
            .settleMessage(message.key, MessageUpdate(.expired, at: Samples.noon)),
        ])
        try expect(await openMessages(store), [living], "open messages when the dead one's time is over")
    }

    func arrivals(_ store: inout any Store) async throws {
        let messages = (1...3).map { Samples.message(1, Int64($0)) }
        try await store.commit(messages.map { .insertMessage($0) })
        try await store.commit([
            .setDelivered(messages[0].key, at: Samples.noon),
            .setDelivered(messages[0].key, at: Samples.noon + .seconds(1)),
            .settleMessage(messages[0].key, MessageUpdate(.done, at: Samples.noon)),
            .setDelivered(messages[0].key, at: Samples.noon + .seconds(2)),
            .settleMessage(messages[1].key, MessageUpdate(.done, at: Samples.noon)),
            .setDelivered(messages[1].key, at: Samples.noon + .seconds(3)),
            .settleMessage(messages[1].key, MessageUpdate(.expired, at: Samples.noon)),
            .setDelivered(messages[1].key, at: Samples.noon + .seconds(4)),
            .setDelivered(messages[2].key, at: Samples.noon + .seconds(5)),
            .setDelivered(MessageKey(queue: 9, seq: 9), at: Samples.noon),
        ])
        store = try await reopen(store)
        for (message, seconds) in zip(messages, [Int64(0), 3, 5]) {
            try expect(
                await store.message(message.key)?.delivered, Samples.noon + .seconds(seconds),
                "when \(message.key) arrived")
        }
        try expect(await store.message(messages[1].key)?.state, .done, "the first settlement stays")
        try expect(await store.openEntries(after: nil, limit: 9).entries.map(\.isDelivered), [true], "the open one")
    }

    func repeats(_ store: any Store) async throws {
        var messages = (1...5).map { Samples.message(1, Int64($0)) }
        for index in 0..<4 { messages[index].senderID = "id \(index)" }
        messages[2].senderID = ""
        try await store.commit(messages.map { .insertMessage($0) })
        let seconds: [Int64] = [10, 9, 11, 10, 12]
        for index in [0, 1, 2, 4] {
            let at = Samples.noon + .seconds(seconds[index])
            try await store.commit([.settleMessage(messages[index].key, MessageUpdate(.done, at: at))])
        }
        let sends = [messages[0], messages[2]].map { message in
            SettledSend(
                key: message.key, sender: message.sender, senderID: message.senderID ?? "none",
                enqueued: message.enqueued)
        }
        try expect(
            await Set(store.settledSends(since: Samples.noon + .seconds(10))), Set(sends), "settled sends with an id")
        try expect(await store.settledSends(since: Samples.noon + .seconds(99)), [], "none is that young")
    }

    func mergedEntries(_ store: any Store) async throws {
        var scheduled = Samples.message(1, 5, state: .scheduled)
        scheduled.notBefore = Samples.noon
        let messages = [1, 4].map { Samples.message(1, $0) } + [2, 7].map { Samples.message(2, $0) }
        try await store.commit(
            (messages + [scheduled, Samples.message(1, 8, state: .dead), Samples.message(3, 6)]).map {
                .insertMessage($0)
            } + [.insertEvent(Samples.event(1, 9)), .insertEvent(Samples.event(2, 3))])
        func numbers(_ queues: [Int64], after: Int64 = 0, limit: Int = 99) async throws -> [Int64] {
            try await store.entries(queues: queues, after: after, limit: limit).map(\.number)
        }
        try expect(await numbers([1, 2]), [1, 2, 3, 4, 7, 9], "both queues, without what is dead or was not due")
        try expect(await numbers([2, 1, 2], after: 1, limit: 3), [2, 3, 4], "three of both")
        try expect(await numbers([1]), [1, 4, 9], "one queue")
        try expect(await numbers([]), [], "no queue")
    }
}
