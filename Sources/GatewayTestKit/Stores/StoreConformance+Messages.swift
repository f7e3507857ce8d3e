internal import Base
internal import Gateway

extension StoreConformance {
    func messageRoundTrip(_ store: inout any Store) async throws {
        let states: [Message.State] = [.scheduled, .ready, .locked, .deferred, .dead]
        let messages =
            [Samples.fullMessage(1, 1), Samples.message(1, 2)]
            + states.enumerated().map { Samples.message(2, Int64($0.offset + 1), state: $0.element) }
        try await store.commit(messages.map { .insertMessage($0) })
        try expect(await openMessages(store), messages, "open messages")
        store = try await reopen(store)
        try expect(await openMessages(store), messages, "open messages after reopening")
        for message in messages { try expect(await store.message(message.key), message, "message \(message.key)") }
        let largest = Samples.message(.max, .max)
        try await store.commit([.insertMessage(largest)])
        try expect(await store.message(largest.key), largest, "the largest key")
    }

    func bodies(_ store: inout any Store) async throws {
        let lengths = [0, 1, 4096, 65_535, 65_536, 65_537, 1_000_000]
        let messages = lengths.enumerated().map { index, length in
            Samples.message(1, Int64(index + 1), body: (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 31) })
        }
        try await store.commit(messages.map { .insertMessage($0) })
        store = try await reopen(store)
        for message in messages {
            let found = try await store.message(message.key)
            try expect(
                found == message, "a body of \(message.body.count) bytes came back as \(found?.body.count ?? -1)")
        }
        try await store.commit(messages.map { .settleMessage($0.key, MessageUpdate(.done, at: Samples.noon)) })
        for message in messages { try expect(await store.message(message.key)?.body, [], "a settled body") }
    }

    func text(_ store: inout any Store) async throws {
        let texts: [String?] = [
            nil, "", " ", "\u{0}", "a\u{0}b", "'; DROP TABLE message; --", "?1", "%s", "\"\\/\n\r\t\u{7F}", "\u{2028}",
            "日本語 العربية עברית", "👩‍👩‍👧‍👦🇩🇪", "\u{FEFF}bom", "\u{10FFFF}", String(repeating: "ß", count: 10_000),
        ]
        var messages: [Message] = []
        for (index, text) in texts.enumerated() {
            var message = Samples.message(1, Int64(index + 1))
            (message.subject, message.group, message.collapse) = (text, text, text)
            (message.correlation, message.senderID) = (text, text)
            message.header = text.map { [$0: $0, "key": $0] } ?? [:]
            messages.append(message)
        }
        try await store.commit(messages.map { .insertMessage($0) })
        let reasons = texts.enumerated().map { index, text in
            var record = Samples.delivery(1, Int64(index + 1), to: "d")
            record.detail = text
            return record
        }
        try await store.commit(reasons.map { .putDelivery($0) })
        store = try await reopen(store)
        try expect(await openMessages(store), messages, "messages")
        try expect(await store.deliveries(of: messages.map(\.key)), reasons, "deliveries")
    }

    func keyUsedTwice(_ store: any Store) async throws {
        try await store.commit([.insertMessage(Samples.message(1, 1)), .insertEvent(Samples.event(1, 2))])
        try await expectRefused(store, [.insertMessage(Samples.message(1, 1, body: [1]))], "the same message key")
        let later = Samples.event(1, 2, at: Samples.noon + .seconds(1))
        try await expectRefused(store, [.insertEvent(later)], "the same event number")
        try expect(
            await store.entries(queues: [1], after: 0, limit: 10),
            [.message(Samples.message(1, 1)), .event(Samples.event(1, 2))], "entries")
    }

    func settling(_ store: inout any Store) async throws {
        let states: [Message.State] = [.done, .expired]
        let messages = (1...3).map { Samples.fullMessage(1, Int64($0)) }
        try await store.commit(messages.map { .insertMessage($0) })
        let at = Samples.noon + .seconds(5)
        func update(_ index: Int) -> MessageUpdate {
            var update = MessageUpdate(states[index], at: at, reason: index == 0 ? nil : "reason")
            if index > 0 { (update.deliveries, update.consumer, update.receiptToken) = (7, "app", .min) }
            update.notBefore = at
            return update
        }
        try await store.commit(states.indices.map { .settleMessage(messages[$0].key, update($0)) })
        try await store.commit([
            .settleMessage(messages[0].key, MessageUpdate(.expired, at: at + .seconds(1), reason: "too late")),
            .settleMessage(MessageKey(queue: 9, seq: 9), MessageUpdate(.done, at: at)),
        ])
        for state in Message.State.allCases where state != .done && state != .expired {
            try await expectRefused(
                store, [.settleMessage(messages[2].key, MessageUpdate(state, at: at))],
                "settling to a state that is open")
        }
        store = try await reopen(store)
        for (index, state) in states.enumerated() {
            var expected = messages[index]
            (expected.state, expected.settled, expected.settledReason) = (state, at, index == 0 ? nil : "reason")
            (expected.subject, expected.body) = (nil, [])
            expected.deliveries = index == 0 ? 0 : 7
            (expected.consumer, expected.receiptToken) = index == 0 ? (nil, nil) : ("app", .min)
            try expect(await store.message(expected.key), expected, "the tombstone")
        }
        try expect(await openMessages(store), [messages[2]], "open messages")
        try expect(await store.message(MessageKey(queue: 9, seq: 9)), nil, "a message that never was")
    }

    func insertedSettled(_ store: any Store) async throws {
        let origin = Message.Origin(registration: "r1", item: "old")
        var baseline = Samples.message(1, 1, origin: origin, state: .done)
        (baseline.settled, baseline.settledReason) = (Samples.noon, "baseline")
        try await store.commit([.insertMessage(baseline)])
        (baseline.subject, baseline.body) = (nil, [])
        try expect(await store.message(baseline.key), baseline, "the tombstone")
        try expect(await openMessages(store), [], "open messages")
        try expect(
            await store.items(registration: "r1", keys: ["old"]),
            ["old": StoredItem(message: baseline.key, isOpen: false)], "items")
        var undated = Samples.message(1, 2, state: .expired)
        try await store.commit([.insertMessage(undated)])
        (undated.subject, undated.body, undated.settled) = (nil, [], undated.enqueued)
        try expect(await store.message(undated.key), undated, "a tombstone without a time counts from its enqueuing")
    }

    func entries(_ store: any Store) async throws {
        let messages = [1, 3, 4, 8].map { Samples.message(1, $0) }
        let events = [2, 5, 6, 9].map { Samples.event(1, $0) }
        try await store.commit(
            messages.map { .insertMessage($0) } + events.map { .insertEvent($0) }
                + [.insertMessage(Samples.message(2, 1)), .insertEvent(Samples.event(2, 3))])
        try await store.commit([.settleMessage(messages[1].key, MessageUpdate(.done, at: Samples.noon))])
        func numbers(after: Int64, limit: Int) async throws -> [Int64] {
            try await store.entries(queues: [1], after: after, limit: limit).map(\.number)
        }
        try expect(await numbers(after: 0, limit: 100), [1, 2, 4, 5, 6, 8, 9], "all")
        try expect(await numbers(after: 0, limit: 3), [1, 2, 4], "the first three")
        try expect(await numbers(after: 4, limit: 3), [5, 6, 8], "three after 4")
        try expect(await numbers(after: 9, limit: 3), [], "after the last")
        try expect(await numbers(after: -1, limit: 0), [], "none")
        try expect(
            await store.entries(queues: [2], after: 0, limit: 9),
            [.message(Samples.message(2, 1)), .event(Samples.event(2, 3))], "the other queue")
    }

    func paging(_ store: any Store) async throws {
        let messages = (Int64(0)..<10_000).map { (index: Int64) -> Message in
            Samples.message(index % 7 + 1, index / 7 + 1)
        }
        for start in stride(from: 0, to: messages.count, by: 500) {
            try await store.commit(messages[start..<start + 500].map { .insertMessage($0) })
        }
        var (found, position): ([MessageKey], Int64?) = ([], nil)
        repeat {
            let page = try await store.openEntries(after: position, limit: 1000)
            try expect(page.entries.count, 1000, "entries of a page")
            found += page.entries.map(\.key)
            position = page.next
        } while position != nil
        try expect(found == messages.map(\.key), "pages of open entries: \(found.count) found, as they were stored")
        var numbers: [Int64] = []
        while true {
            let page = try await store.entries(queues: [3], after: numbers.last ?? 0, limit: 100).map(\.number)
            if page.isEmpty { break }
            numbers += page
        }
        try expect(numbers, messages.filter { $0.key.queue == 3 }.map(\.key.seq), "pages of entries")
    }

    func items(_ store: inout any Store) async throws {
        func message(_ seq: Int64, _ registration: RegistrationID, _ item: String) -> Message {
            Samples.message(1, seq, origin: Message.Origin(registration: registration, item: item))
        }
        try await store.commit([
            .insertMessage(message(1, "r1", "a")), .insertMessage(message(2, "r1", "b")),
            .insertMessage(message(3, "r2", "a")), .insertMessage(message(4, "r1", "")),
            .insertMessage(Samples.message(1, 5)),
        ])
        try await store.commit([.settleMessage(MessageKey(queue: 1, seq: 2), MessageUpdate(.done, at: Samples.noon))])
        try await expectRefused(store, [.insertMessage(message(9, "r1", "a"))], "an open item a second time")
        try await expectRefused(store, [.insertMessage(message(9, "r1", "b"))], "a settled item a second time")
        store = try await reopen(store)
        func stored(_ seq: Int64, _ isOpen: Bool) -> StoredItem {
            StoredItem(message: MessageKey(queue: 1, seq: seq), isOpen: isOpen)
        }
        try expect(
            await store.items(registration: "r1", keys: ["a", "b", "c", "", "a"]),
            ["a": stored(1, true), "b": stored(2, false), "": stored(4, true)], "items of r1")
        try expect(await store.items(registration: "r2", keys: ["a", "b"]), ["a": stored(3, true)], "items of r2")
        try expect(
            await store.openItems(registration: "r1"),
            ["a": MessageKey(queue: 1, seq: 1), "": MessageKey(queue: 1, seq: 4)], "open items of r1")
        try expect(await store.openItems(registration: "r3"), [:], "open items of r3")
        try expect(await store.message(MessageKey(queue: 1, seq: 9)), nil, "the refused message")
    }

    func deliveries(_ store: any Store) async throws {
        var first = Samples.delivery(1, 1, to: "d1")
        let others = [Samples.delivery(1, 1, to: "d2"), Samples.delivery(1, 2, to: "d1")]
        try await store.commit([.putDelivery(others[0]), .putDelivery(first), .putDelivery(others[1])])
        (first.outcome, first.detail, first.at) = (.cleared, nil, Samples.noon + .seconds(1))
        try await store.commit([.putDelivery(first)])
        let keys = [MessageKey(queue: 1, seq: 2), MessageKey(queue: 1, seq: 3), MessageKey(queue: 1, seq: 1)]
        try expect(
            await store.deliveries(of: keys), [others[1], first, others[0]],
            "deliveries, in the order of the keys, then by device")
    }
}
