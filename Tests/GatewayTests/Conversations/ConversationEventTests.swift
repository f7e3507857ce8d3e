import Base
import GatewayTestKit
import Testing

@testable import Gateway

/// What conversations tell applications that are called, and those who observe.
@Suite(.timeLimit(.minutes(2))) struct ConversationEventTests {
    private static func run(
        _ body: @escaping @Sendable (TestGateway, RecordingCallback) async throws -> Void
    ) async throws {
        let callback = RecordingCallback()
        var parts = TestGateway.Parts()
        parts.configure = { configuration in
            for index in configuration.apps.indices where configuration.apps[index].id == "talk" {
                configuration.apps[index].callback = callback
            }
        }
        try await TestGateway.run(parts) { test in try await body(test, callback) }
    }

    private static func send(
        _ test: TestGateway, _ device: Device, _ text: String, to target: SendOrder.Target
    )
        async throws -> MessageKey
    {
        var order = SendOrder(to: [target])
        order.body = Array(text.utf8)
        let postings = try test.gateway.postmaster.prepare(order, by: .device(device))
        return try #require(try await test.gateway.postmaster.send(postings).first).key
    }

    @Test("IM-1 IM-4 an application that is called hears of reading, edits and withdrawals in their order")
    func callbacks() async throws {
        try await Self.run { test, callback in
            let phone = try await test.device()
            let (alice, talk) = (QueueAddress.account("alice"), QueueAddress.app("talk"))
            let conversations = test.gateway.conversations
            let first = try await Self.send(test, phone, "one", to: .app("talk"))
            let second = try await Self.send(test, phone, "two", to: .app("talk"))
            var draft = MessageDraft(sender: talk, app: "talk")
            draft.body = Array("from the app".utf8)
            let posted = try await test.gateway.mailroom.post([Posting(draft, to: .account("alice"))])
            let number = try #require(posted.first?.message?.entry)
            _ = try await conversations.edit(first, by: alice, subject: "S", body: Array("ONE".utf8))
            try await conversations.withdraw(second, by: alice)
            try await conversations.read(alice, with: talk, upTo: number)
            // A second time is no news.
            try await conversations.read(alice, with: talk, upTo: number)
            func types() -> [String] { callback.calls.all.compactMap { $0.header["type"] } }
            try await Eventually.wait("the calls") { types() == ["edit", "withdraw", "read"] }
            let calls = callback.calls.all.filter { $0.header["type"] != nil }
            #expect(calls.allSatisfy { $0.sender == talk && $0.header["from"] == "account/alice" })
            #expect(calls[0].header["message"] == first.description && calls[0].body == Array("ONE".utf8))
            #expect(calls[1].header["message"] == second.description && calls[1].body.isEmpty)
            #expect(calls[2].header["upTo"] == String(number))
            #expect(calls[2].header["message"] == posted.first?.key.description)
        }
    }

    @Test("IM-6 bridges observe typing, reading, edits and withdrawals; whom somebody does not hear is not told")
    func observers() async throws {
        try await TestGateway.run { test in
            let (alicePhone, bobPhone) = (try await test.device("alice"), try await test.device("bob"))
            let (alice, bob) = (QueueAddress.account("alice"), QueueAddress.account("bob"))
            let conversations = test.gateway.conversations
            let news = Recorder<ConversationNews>()
            conversations.observe { news.append($0) }
            let key = try await Self.send(test, alicePhone, "hello", to: .account("bob"))
            let entry = try #require(try await test.store.entry(of: key))
            conversations.typing(.composing, from: bob, to: alice)
            try await conversations.read(bob, with: alice, upTo: .max, by: bobPhone.id)
            let edited = try await conversations.edit(key, by: alice, subject: nil, body: [1])
            try await conversations.withdraw(key, by: alice)
            var withdrawn = edited
            withdrawn.withdraw(at: test.time.timestamp)
            #expect(
                news.all == [
                    .typing(from: bob, to: alice, .composing),
                    .read(by: bob, of: alice, upTo: entry.number, message: key),
                    .edited(edited), .withdrawn(withdrawn),
                ])

            conversations.admit { from, to in !(from == "bob" && to == "alice") }
            let stream = try await test.connect(alicePhone)
            _ = try await Self.send(test, alicePhone, "again", to: .account("bob"))
            conversations.typing(.paused, from: bob, to: alice)
            conversations.typing(.composing, from: bob, to: alice)
            try await conversations.read(bob, with: alice, upTo: .max)
            // Bob's own devices know; Alice hears nothing of it.
            let view = try await conversations.view(of: bob, with: alice)
            #expect(view.unread == 0)
            try await Eventually.wait("alice's own message") {
                stream.entries.all.contains { if case .entry = $0.event { true } else { false } }
            }
            try await test.store.commit([])
            #expect(stream.stored(.conversation).count { $0.contains("mark") } == 1, "only the one of before")
            #expect(stream.entries.all.allSatisfy { if case .typing = $0.event { false } else { true } })
        }
    }

    @Test("IM-6 whoever may not write to somebody may not edit what it wrote before, but may take it back")
    func blocked() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device("alice")
            try await test.device("bob")
            let conversations = test.gateway.conversations
            let key = try await Self.send(test, phone, "before", to: .account("bob"))
            conversations.admit { _, _ in false }
            let error = await #expect(throws: GatewayError.self) {
                _ = try await conversations.edit(key, by: .account("alice"), subject: nil, body: [1])
            }
            #expect(error?.code == .notFound)
            #expect(try await test.store.entry(of: key)?.body == Array("before".utf8))
            try await conversations.withdraw(key, by: .account("alice"))
            #expect(try await test.store.entry(of: key)?.withdrawn != nil)
        }
    }

    @Test("IM-3 a crash between any two steps leaves message, entry and marks as they were answered")
    func crash() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device("alice")
            try await test.device("bob")
            let (alice, bob) = (QueueAddress.account("alice"), QueueAddress.account("bob"))
            var keys: [MessageKey] = []
            for number in 0..<4 {
                keys.append(try await Self.send(test, phone, "\(number)", to: .account("bob")))
            }
            try await test.gateway.conversations.withdraw(keys[0], by: alice)
            try await test.crash()
            let conversations = test.gateway.conversations
            let entries = try await conversations.history(of: bob, with: alice, .before(.max), limit: 9)
            #expect(entries.map(\.message) == keys && entries[0].withdrawn != nil)
            // The gateway still knows which open messages are whose.
            try await conversations.read(bob, with: alice, upTo: entries[2].number)
            #expect(keys.map { test.gateway.mailroom.isOpen($0) } == [false, false, false, true])
            try await test.crash()
            let view = try await test.gateway.conversations.view(of: bob, with: alice)
            #expect(view.own.read == entries[2].number && view.unread == 1)
            let next = try await Self.send(test, phone, "next", to: .account("bob"))
            #expect(try #require(try await test.store.entry(of: next)).number > entries[3].number)
        }
    }

    @Test("IM-3 an event of a conversation that ended shows no other's, though its number is given out again")
    func numbersAgain() async throws {
        try await TestGateway.run { test in
            let bob = try await test.device("bob")
            let laptop = try await test.device("bob", "laptop")
            for name in ["alice", "carol", "dave"] { try await test.account(name) }
            let carol = try await test.device("carol")
            let first = try await Self.send(test, bob, "to alice", to: .account("alice"))
            let number = try #require(try await test.store.entry(of: first)).number
            try await test.gateway.deleteAccount("alice")
            try await test.restart()
            let other = try await Self.send(test, carol, "between carol and dave", to: .account("dave"))
            #expect(try #require(try await test.store.entry(of: other)).number == number, "the case in question")
            let stream = try await test.connect(laptop, after: 0)
            #expect(stream.entries.all.allSatisfy { if case .entry = $0.event { false } else { true } })
            // Its own news comes all the same.
            _ = try await Self.send(test, bob, "to carol", to: .account("carol"))
            try await Eventually.wait("the news") {
                stream.entries.all.contains { if case .entry = $0.event { true } else { false } }
            }
        }
    }

    @Test("What has no history costs the store what it did: one change a message") func cost() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            func changes(_ sender: QueueAddress, _ recipient: Recipient) async throws -> Int {
                let postings = [Posting(MessageDraft(sender: sender, app: nil), to: recipient)]
                // The first ones also make the queues and reserve numbers.
                _ = try await test.gateway.mailroom.post(postings)
                let before = test.store.changeCount
                _ = try await test.gateway.mailroom.post(postings)
                return test.store.changeCount - before
            }
            #expect(try await changes(.app("desk"), Recipient(.app("talk"))) == 1)
            #expect(try await changes(.account("alice"), .device(phone)) == 1)
            // The message and its entry; for an account's own devices the event, too.
            #expect(try await changes(.app("desk"), .account("alice")) == 2)
            #expect(try await changes(.account("alice"), Recipient(.app("talk"))) == 3)
        }
    }
}
