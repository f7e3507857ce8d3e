import Base
import GatewayTestKit
import Testing

@testable import Gateway

/// An application as a test sees it: what it was called with, and what it answers.
final class RecordingCallback: AppCallback {
    let concurrency = 4
    let patience: Duration = .seconds(3600)
    let challenges = Recorder<String>()
    let calls = Recorder<Message>()
    private let answers = Locked<[CallbackReport]>([])

    /// The next calls are answered so; those after them are accepted.
    func answer(_ reports: CallbackReport...) { answers.withLock { $0 += reports } }

    func prove(challenge: String) async -> CallbackReport {
        challenges.append(challenge)
        return CallbackReport(.accepted, status: 200)
    }

    func deliver(_ message: Message, attempt: Int) async -> CallbackReport {
        calls.append(message)
        return answers.withLock { $0.isEmpty ? nil : $0.removeFirst() } ?? CallbackReport(.accepted, status: 200)
    }

    var texts: [String] { calls.all.map { String(decoding: $0.body, as: UTF8.self) } }
}

@Suite struct CallbackTests {
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

    private static func send(_ test: TestGateway, _ device: Device, _ text: String) async throws -> MessageKey {
        var order = SendOrder(to: [.app("talk")])
        order.body = Array(text.utf8)
        let postings = try test.gateway.postmaster.prepare(order, by: .device(device))
        return try #require(try await test.gateway.postmaster.send(postings).first).key
    }

    @Test("IM-1 IM-5 a message to an application is called out and done, with a delivered receipt")
    func delivered() async throws {
        try await Self.run { test, callback in
            let phone = try await test.device()
            let stream = try await test.connect(phone)
            let key = try await Self.send(test, phone, "May I go?")
            try await Eventually.wait("the call") { callback.texts == ["May I go?"] }
            #expect(callback.challenges.all.count == 1)
            try await Eventually.wait("done") { test.gateway.mailroom.state(of: key) == nil }
            try await Eventually.wait("the receipt") {
                stream.entries.all.contains { entry in
                    if case .stored(let event) = entry.event, event.kind == .receipt { true } else { false }
                }
            }
        }
    }

    @Test("IM-1 the order within a conversation is kept over a failure; others go on")
    func order() async throws {
        try await Self.run { test, callback in
            let (alice, bob) = (try await test.device("alice"), try await test.device("bob"))
            callback.answer(CallbackReport(.retry(after: nil), status: 503))
            for number in 1...3 { _ = try await Self.send(test, alice, "a\(number)") }
            try await Eventually.wait("the failed call") { callback.texts == ["a1"] }
            _ = try await Self.send(test, bob, "b1")
            try await Eventually.wait("the other conversation") { callback.texts == ["a1", "b1"] }
            try await Eventually.wait("all") {
                test.time.advance(by: .milliseconds(500))
                return callback.texts.count == 5
            }
            #expect(callback.texts == ["a1", "b1", "a1", "a2", "a3"])
        }
    }

    @Test("IM-1 a message that is refused is dead with the reason, and comes again when it is redriven")
    func refused() async throws {
        try await Self.run { test, callback in
            let alice = try await test.device("alice")
            let refusal = CallbackReport(.refused, status: 422, reason: "refused")
            callback.answer(refusal, refusal, refusal)
            let key = try await Self.send(test, alice, "nonsense")
            try await Eventually.wait("dead") {
                test.time.advance(by: .seconds(1))
                return test.gateway.mailroom.state(of: key) == .dead
            }
            let dead = try await test.gateway.messages.trace(key).message
            #expect(dead.settledReason == "callback_refused: 422 refused")
            try await test.gateway.mailroom.redrive(key)
            try await Eventually.wait("done") { test.gateway.mailroom.state(of: key) == nil }
            #expect(callback.calls.all.count == 4)
        }
    }

    @Test("IM-1 what was under way at a crash is called again with the same id")
    func crash() async throws {
        try await Self.run { test, callback in
            let alice = try await test.device("alice")
            callback.answer(CallbackReport(.retry(after: nil), status: 503))
            let key = try await Self.send(test, alice, "survives")
            try await Eventually.wait("the first call") { callback.calls.all.count == 1 }
            try await test.crash()
            try await Eventually.wait("the second call") { callback.calls.all.count == 2 }
            #expect(callback.calls.all.map(\.key) == [key, key] && callback.challenges.all.count == 2)
        }
    }

    @Test("IM-1 nothing is called before the open messages are known again: what was taken too early would find none")
    func start() async throws {
        try await TestGateway.run { test in
            let alice = try await test.device("alice")
            let key = try await Self.send(test, alice, "from before")
            let callback = RecordingCallback()
            var app = try #require(test.gateway.configuration.apps.first { $0.id == "talk" })
            app.callback = callback
            let gateway = test.gateway
            let callbacks = Callbacks(apps: [app], mailroom: gateway.mailroom, time: gateway.time, log: gateway.log) {
                (jitter: 0, challenge: "challenge")
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await callbacks.run() }
                for _ in 0..<1000 { await Task.yield() }
                #expect(callback.challenges.all.isEmpty)
                callbacks.begin()
                try await Eventually.wait("the call") { callback.calls.all.map(\.key) == [key] }
                callbacks.beginShutdown()
                try await group.waitForAll()
            }
        }
    }

    @Test("IM-1 receipts of an application's own messages are called out too")
    func receipts() async throws {
        try await Self.run { test, callback in
            let alice = try await test.device("alice")
            var order = SendOrder(to: [.account("alice")])
            (order.body, order.receipts, order.correlation) = (Array("?".utf8), .final, "case-7")
            let sent = try await test.gateway.postmaster.send(
                test.gateway.postmaster.prepare(order, by: .app("talk")))
            let key = try #require(sent.first).key
            try await test.gateway.messages.read(key, by: alice)
            // The third says that the conversation was read.
            try await Eventually.wait("both receipts") { callback.calls.all.count == 3 }
            let receipts = callback.calls.all.filter { $0.header["type"] == "receipt" }
            #expect(receipts.map { $0.header["state"] } == ["delivered", "read"])
            #expect(receipts.allSatisfy { $0.header["message"] == key.description && $0.correlation == "case-7" })
        }
    }
}
