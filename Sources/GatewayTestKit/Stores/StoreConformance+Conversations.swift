internal import Base
internal import Gateway

// Conversations: entries, marks, pages, the ends of them.
extension StoreConformance {
    private func insert(_ number: Int64, from: QueueAddress, to: QueueAddress) -> StoreChange {
        .conversation(.insert(Samples.entry(number, from: from, to: to)))
    }

    func historyRoundTrip(_ store: inout any Store) async throws {
        let full = Samples.fullEntry(7)
        let plain = Samples.entry(8, from: .account("bob"), to: .account("alice"))
        try await store.commit([.conversation(.insert(full)), .conversation(.insert(plain))])
        store = try await reopen(store)
        try expect(await store.entry(7), full, "the full entry")
        try expect(await store.entry(8), plain, "the plain entry")
        try expect(await store.entry(9), nil, "an entry nobody wrote")
        try expect(await store.entry(of: full.message), full, "by its message")
        try expect(await store.entry(of: MessageKey(queue: 99, seq: 99)), nil, "by a message nobody sent")
        try expect(await store.registry().lastEntry, 8, "the last number")
        try await expectRefused(store, [.conversation(.insert(full))], "a number used twice")
        // A deleted device's queue may give its number to another.
        var again = Samples.entry(9, from: .account("bob"), to: .account("alice"), message: full.message)
        again.subject = nil
        try await store.commit([.conversation(.insert(again))])
        try expect(await store.entry(of: full.message)?.number, 9, "the newest of a message")
    }

    func historyPages(_ store: any Store) async throws {
        let (alice, bob, oa): (QueueAddress, QueueAddress, QueueAddress) =
            (.account("alice"), .account("bob"), .app("oa"))
        for number in Int64(1)...20 {
            let change =
                number % 4 == 0
                ? insert(number, from: oa, to: alice)
                : number % 2 == 0 ? insert(number, from: alice, to: bob) : insert(number, from: bob, to: alice)
            try await store.commit([change])
        }
        guard let pair = ConversationPair(bob, alice) else { return }
        func numbers(_ range: HistoryRange, _ limit: Int) async throws -> [Int64] {
            try await store.history(pair, range, limit: limit).map(\.number)
        }
        try expect(await numbers(.before(.max), 3), [17, 18, 19], "the newest")
        try expect(await numbers(.before(17), 2), [14, 15], "those before")
        try expect(await numbers(.before(1), 2), [], "before the first")
        try expect(await numbers(.after(0), 3), [1, 2, 3], "the oldest")
        try expect(await numbers(.after(17), 10), [18, 19], "those after")
        let list = try await store.conversations(.list(alice, before: .max, limit: 10))
        try expect(list.map(\.peer), [oa, bob], "alice's conversations")
        try expect(list.map(\.last), [20, 19], "their newest")
        try expect(list.map { $0.entry?.number }, [20, 19], "their newest entries")
        try expect(await store.conversations(.list(alice, before: 20, limit: 10)).map(\.peer), [bob], "the next page")
        try expect(await store.conversations(.list(alice, before: .max, limit: 1)).map(\.peer), [oa], "a page of one")
        try expect(await store.conversations(.list(.account("eve"), before: .max, limit: 9)), [], "nobody's")
        try expect(await store.conversations(.one(oa, peer: bob)), [], "a conversation that is none")
    }

    func conversationMarks(_ store: inout any Store) async throws {
        let (alice, bob): (QueueAddress, QueueAddress) = (.account("alice"), .account("bob"))
        try await store.commit([
            insert(1, from: alice, to: bob), insert(2, from: alice, to: bob), insert(3, from: bob, to: alice),
            insert(4, from: alice, to: bob),
        ])
        func view(_ owner: QueueAddress, _ peer: QueueAddress) async throws -> ConversationView? {
            try await store.conversations(.one(owner, peer: peer)).first
        }
        try expect(await view(bob, alice)?.unread, 3, "bob's unread")
        try expect(await view(alice, bob)?.unread, 1, "alice's unread")
        try await store.commit([
            .conversation(.mark(bob, peer: alice, ConversationMarks(read: 2, delivered: 4))),
            .conversation(.mark(bob, peer: .app("oa"), ConversationMarks(read: 2, delivered: 4))),
        ])
        // Marks never fall.
        try await store.commit([
            .conversation(.mark(bob, peer: alice, ConversationMarks(read: 1, delivered: 3)))
        ])
        store = try await reopen(store)
        try expect(await view(bob, alice)?.own, ConversationMarks(read: 2, delivered: 4), "bob's marks")
        try expect(await view(alice, bob)?.others, ConversationMarks(read: 2, delivered: 4), "as alice sees them")
        try expect(await view(alice, bob)?.own, ConversationMarks(), "alice's marks")
        try expect(await view(bob, alice)?.unread, 1, "bob's unread after reading")
        try await store.commit([.conversation(.withdraw(4, at: Samples.noon))])
        try expect(await view(bob, alice)?.unread, 0, "a withdrawn entry is not unread")
        try expect(await view(bob, .app("oa")), nil, "a mark makes no conversation")
        try await store.commit([
            .conversation(.mark(bob, peer: alice, ConversationMarks(read: 4), isTold: false))
        ])
        store = try await reopen(store)
        try expect(await view(bob, alice)?.own.read, 4, "bob has read more than alice may know")
        try expect(await view(alice, bob)?.others, ConversationMarks(read: 2, delivered: 4), "what alice may know")
        try await store.commit([.conversation(.mark(bob, peer: alice, ConversationMarks(delivered: 4)))])
        try expect(await view(alice, bob)?.others.read, 2, "what arrives shows nothing of what was read")
        try await store.commit([.conversation(.mark(bob, peer: alice, ConversationMarks(read: 3)))])
        try expect(await view(alice, bob)?.others.read, 3, "told again")
    }

    func conversationChanges(_ store: inout any Store) async throws {
        let full = Samples.fullEntry(7)
        let large = [UInt8](repeating: 9, count: 100_000)
        var message = Samples.message(1, 1)
        (message.entry, message.attachments) = (7, full.attachments)
        try await store.commit([.insertMessage(message), .conversation(.insert(full))])
        try expect(await store.message(message.key), message, "the message with its entry")
        let open = try await store.openEntries(after: nil, limit: 9).entries.first
        try expect(open?.talk, OpenEntry.Talk(entry: 7, peer: full.sender), "who wrote an open message")
        try await store.commit([
            .conversation(.edit(7, subject: nil, body: large, at: Samples.noon)),
            .conversation(.rewrite(message.key, subject: nil, body: large)),
            .conversation(.edit(8, subject: "x", body: [], at: Samples.noon)),
            .conversation(.rewrite(MessageKey(queue: 1, seq: 2), subject: "x", body: large)),
        ])
        store = try await reopen(store)
        var edited = full
        (edited.subject, edited.body, edited.edited) = (nil, large, Samples.noon)
        (message.subject, message.body) = (nil, large)
        try expect(await store.entry(7), edited, "the edited entry")
        try expect(await store.message(message.key), message, "the rewritten message")
        try await store.commit([.conversation(.rewrite(message.key, subject: "short", body: [1]))])
        (message.subject, message.body) = ("short", [1])
        try expect(await store.message(message.key), message, "rewritten to a short one")
        try await store.commit([.conversation(.withdraw(7, at: Samples.noon))])
        try await store.commit([
            .conversation(.withdraw(7, at: Samples.noon + .seconds(1))),
            .conversation(.edit(7, subject: "late", body: [1], at: Samples.noon)),
            .settleMessage(message.key, MessageUpdate(.done, at: Samples.noon)),
            .conversation(.rewrite(message.key, subject: "late", body: large)),
        ])
        edited.withdraw(at: Samples.noon)
        try expect(await store.entry(7), edited, "the withdrawn entry")
        let settled = try await store.message(message.key)
        try expect(settled?.body == [] && settled?.attachments == [], "the settled message has no text")
        // The number may be used again without the text of before.
        try expect(await store.openEntries(after: nil, limit: 9).entries, [], "open entries")
    }

    func historyPurge(_ store: inout any Store) async throws {
        let (alice, bob, eve): (QueueAddress, QueueAddress, QueueAddress) =
            (.account("alice"), .account("bob"), .account("eve"))
        var message = Samples.message(1, 1)
        message.entry = 1
        try await store.commit([insert(1, from: eve, to: alice), .insertMessage(message)])
        for number in Int64(2)...1200 { try await store.commit([insert(number, from: alice, to: bob)]) }
        let cut = Samples.entry(1199, from: alice, to: bob).until
        try await store.commit([.conversation(.purge(before: cut))])
        for _ in 0..<100 where try await store.entry(1198) != nil { try await store.commit([]) }
        try await store.commit([.conversation(.purge(before: cut))])
        store = try await reopen(store)
        try expect(await store.entry(1198), nil, "an old entry")
        try expect(await store.entry(1199)?.number, 1199, "a young entry")
        let left = try await store.conversations(.list(alice, before: .max, limit: 9))
        try expect(left.map(\.peer), [bob], "conversations with entries")
        try expect(await store.openEntries(after: nil, limit: 9).entries.first?.talk, nil, "a talk without its entry")
        try await store.commit([.conversation(.purge(before: cut + .seconds(86_400)))])
        store = try await reopen(store)
        try expect(await store.registry().lastEntry, 1200, "numbers go on rising")
        let empty = try await store.conversations(.list(alice, before: .max, limit: 9))
        try expect(empty.map { $0.entry?.number }, [nil], "the newest conversation without its entries")
    }

    func historyOfDeleted(_ store: inout any Store) async throws {
        let (alice, bob, oa): (QueueAddress, QueueAddress, QueueAddress) =
            (.account("alice"), .account("bob"), .app("oa"))
        try await store.commit([
            .putAccount(Samples.account("alice")), .putAccount(Samples.account("bob")),
            insert(1, from: alice, to: bob), insert(2, from: oa, to: alice), insert(3, from: bob, to: oa),
            insert(4, from: bob, to: alice),
        ])
        try await store.commit([.deleteAccount("alice")])
        store = try await reopen(store)
        for number in [Int64(1), 2, 4] { try expect(await store.entry(number), nil, "entry \(number)") }
        try expect(await store.entry(3)?.number, 3, "what others said to others")
        for (owner, peers) in [(alice, []), (bob, [oa]), (oa, [bob])] {
            let list = try await store.conversations(.list(owner, before: .max, limit: 9))
            try expect(list.map(\.peer), peers, "the conversations of \(owner)")
        }
    }
}
