import Base
import Gateway
import GatewayTestKit
import Testing

/// Consumers that wait.
@Suite(.timeLimit(.minutes(2))) struct WaitTests {
    private static let path = "/v1/messages/receive"

    @Test("G8 a consumer that waits gets the message with its commit, and the sender learns that it is on its way")
    func woken() async throws {
        try await TestAPI.runQueue { api in
            let waiting = try api.begin(Self.path, ["waitSeconds": 60])
            try await api.waitForWaiters(1)
            #expect(!waiting.isAnswered)
            let sent = try await api.send("hello")
            #expect(sent["state"]?.string == "forwarded")
            #expect(try await waiting.messages().map(\.body) == ["hello"])
            #expect(try await api.send("next")["state"]?.string == "held")
        }
    }

    @Test("G8 consumers that wait are served in the order in which they came") func order() async throws {
        try await TestAPI.runQueue { api in
            let first = try api.begin(Self.path, ["waitSeconds": 60])
            try await api.waitForWaiters(1)
            let second = try api.begin(Self.path, ["waitSeconds": 60])
            try await api.waitForWaiters(2)
            try await api.send("one")
            #expect(try await first.messages().map(\.body) == ["one"])
            #expect(!second.isAnswered)
            try await api.send("two")
            #expect(try await second.messages().map(\.body) == ["two"])
        }
    }

    @Test("A wait ends with an empty answer when its time is over, each at its own") func timeout() async throws {
        try await TestAPI.runQueue { api in
            let long = try api.begin(Self.path, ["waitSeconds": 20])
            try await api.waitForWaiters(1)
            let short = try api.begin(Self.path, ["waitSeconds": 5])
            try await api.waitForWaiters(2)
            try await api.test.advance(by: .seconds(4))
            #expect(!short.isAnswered)
            try await api.test.advance(by: .seconds(1))
            #expect(try await short.messages().isEmpty)
            #expect(short.answer.withLock { $0?.status } == 200)
            #expect(!long.isAnswered)
            try await api.test.advance(by: .seconds(15))
            #expect(try await long.messages().isEmpty)
            try await api.waitForWaiters(0)
            // Nothing is lost to those who left.
            try await api.send("after")
            #expect(try await api.receive().map(\.delivery) == [1])
        }
    }

    @Test("G9 the lock's time counts from the hand-over, not from the request") func handOver() async throws {
        try await TestAPI.runQueue { api in
            let waiting = try api.begin(Self.path, ["waitSeconds": 60, "lockSeconds": 10])
            try await api.waitForWaiters(1)
            try await api.test.advance(by: .seconds(30))
            try await api.send()
            let message = try #require(try await waiting.messages().first)
            #expect(message["receipt"]?["remainingMilliseconds"]?.integer == 10_000)
            try await api.test.advance(by: .seconds(9))
            #expect(try await api.receive().isEmpty)
            #expect(try await api.settle(message, "complete").status == 200)
        }
    }

    @Test("A consumer that has hung up gets nothing: the message goes to the next as if nothing had been")
    func gone() async throws {
        try await TestAPI.runQueue { api in
            let isGone = Locked(false)
            let lost = try api.begin(Self.path, ["waitSeconds": 60], isPeerGone: { isGone.withLock { $0 } })
            try await api.waitForWaiters(1)
            let second = try api.begin(Self.path, ["waitSeconds": 60])
            try await api.waitForWaiters(2)
            isGone.withLock { $0 = true }
            try await api.send("text")
            #expect(try await second.messages().map(\.delivery) == [1])
            #expect(try await lost.messages().isEmpty)
        }
    }

    @Test("When the server stops or the client hangs up, the wait ends empty and is forgotten") func cancelled()
        async throws
    {
        try await TestAPI.runQueue { api in
            let waiting = try api.begin(Self.path, ["waitSeconds": 60])
            try await api.waitForWaiters(1)
            waiting.cancel()
            #expect(try await waiting.messages().isEmpty)
            try await api.waitForWaiters(0)
            #expect(try await api.send()["state"]?.string == "held")
        }
    }

    @Test("A message that is freed wakes a consumer that waits: abandoned, expired, due, redriven") func freed()
        async throws
    {
        try await TestAPI.runQueue { api in
            try await api.send()
            var message = try #require(try await api.receive(["lockSeconds": 5]).first)
            func waited(_ free: () async throws -> Void) async throws -> JSON {
                let waiting = try api.begin(Self.path, ["waitSeconds": 60, "lockSeconds": 5])
                try await api.waitForWaiters(1)
                try await free()
                return try #require(try await waiting.messages().first)
            }
            message = try await waited { _ = try await api.settle(message, "abandon") }
            #expect(message.delivery == 2)
            message = try await waited { try await api.test.advance(by: .seconds(5)) }
            #expect(message.delivery == 3)
            #expect(try await api.settle(message, "dead-letter").status == 200)
            message = try await waited {
                _ = try await api.call("POST", "/v1/dead/\(message.id)/redrive", token: TestAPI.talkKey)
            }
            #expect(message.delivery == 1)
            #expect(try await api.settle(message, "abandon", ["delaySeconds": 3]).status == 200)
            message = try await waited { try await api.test.advance(by: .seconds(3)) }
            #expect(message.delivery == 2)
        }
    }

    @Test("G1 the sender is answered, and the consumer woken, only when the message is durable") func durable()
        async throws
    {
        try await TestAPI.runQueue { api in
            let waiting = try api.begin(Self.path, ["waitSeconds": 60])
            try await api.waitForWaiters(1)
            api.test.store.pause()
            let sending = try api.begin(
                "/v1/messages", as: TestAPI.deskKey, ["to": ["app": "talk"], "body": "text"])
            #expect(!sending.isAnswered)
            #expect(!waiting.isAnswered)
            #expect(try await api.receive().isEmpty)
            api.test.store.resume()
            #expect(try await waiting.messages().count == 1)
            #expect(try await sending.messages().map { $0["state"]?.string } == ["forwarded"])
        }
    }
}
