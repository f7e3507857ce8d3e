import Base
import GatewayTestKit
import Testing

@testable import FarbellClient

@Suite(.timeLimit(.minutes(1))) struct MessageLoopTests {
    private static let receive = "POST /v1/messages/receive"
    private static let settle = "POST /v1/messages/settle"

    /// Answers settlements of all kinds; the first receive gives `first`, further ones nothing for ever.
    private static func world(_ first: String...) -> World {
        World { request in
            switch request.line {
            case receive:
                if request.number > 1 { return ScriptedAnswer(200, isOpen: true) }
                let messages = first.map { World.message($0) }.joined(separator: ",")
                return ScriptedAnswer(200, #"{"messages":[\#(messages)]}"#)
            case settle:
                let ids = request.json["settlements"]?.array?.compactMap { $0["id"]?.string } ?? []
                let results = ids.map { #"{"id":"\#($0)","state":"ready"}"# }.joined(separator: ",")
                return ScriptedAnswer(200, #"{"results":[\#(results)]}"#)
            default: return ScriptedAnswer(200, #"{"id":"x","state":"done"}"#)
            }
        }
    }

    private static func abandoned(_ world: World) -> [String] {
        world.transport.requests(settle).flatMap { $0.json["settlements"]?.array ?? [] }.map {
            "\($0["id"]?.string ?? "") \($0["as"]?.string ?? "") \($0["token"]?.string ?? "")"
        }
    }

    @Test("PL-2 PL-13 the loop hands out one message at a time and fetches none ahead")
    func loop() async throws {
        let world = Self.world("m1")
        let consumer = Task {
            for try await message in world.client.messages(queue: "app/oa") { try await message.receipt.complete() }
        }
        try await world.wait(for: Self.receive, 2)
        consumer.cancel()
        await #expect(throws: CancellationError.self) { try await consumer.value }
        let asked = try #require(world.transport.requests(Self.receive).first)
        #expect(asked.members == ["lockSeconds=30", "max=1", #"queue="app/oa""#, "waitSeconds=30"])
        #expect(world.transport.requests("POST /v1/messages/m1/complete").count == 1)
        #expect(Self.abandoned(world) == [])
    }

    @Test("PL-9 a cancelled loop gives back what was fetched and not handed out")
    func cancelled() async throws {
        let world = Self.world("m1", "m2", "m3")
        let gate = Gate()
        let consumer = Task {
            for try await message in world.client.messages(max: 10) {
                await gate.pass()
                try await message.receipt.complete()
            }
        }
        // All three are locked, so all three are renewed.
        try await world.time.waitForSleepers(3)
        consumer.cancel()
        gate.open()
        await #expect(throws: CancellationError.self) { try await consumer.value }
        #expect(world.transport.requests("POST /v1/messages/m1/complete").count == 1)
        #expect(Self.abandoned(world) == ["m2 abandon token-m2", "m3 abandon token-m3"])
        #expect(world.time.sleeperCount == 0)
    }

    @Test("PL-9 a loop that is left gives back what it had fetched ahead")
    func left() async throws {
        let world = Self.world("m1", "m2")
        for try await message in world.client.messages(max: 2) {
            try await message.receipt.complete()
            break
        }
        try await world.wait(for: Self.settle)
        #expect(Self.abandoned(world) == ["m2 abandon token-m2"])
        try await Eventually.wait("all renewals to end") { world.time.sleeperCount == 0 }
    }

    @Test("PL-12 messages fetched ahead are renewed while they wait")
    func ahead() async throws {
        let world = Self.world("m1", "m2")
        var messages = world.client.messages(max: 2).makeAsyncIterator()
        let first = try #require(try await messages.next())
        try await world.time.waitForSleepers(2)
        world.time.advance(by: .seconds(15))
        try await world.wait(for: "POST /v1/messages/m2/renew")
        #expect(first.id == "m1")
        #expect(try await messages.next()?.id == "m2")
    }

    @Test("the loop goes on after lost connections and refusals of the moment, and ends with a lasting one")
    func failures() async throws {
        let world = World { request in
            switch request.number {
            case 1: throw FarbellError.broken
            case 2: return .problem(503, "stopping", headers: ["retry-after": "90"])
            case 3: return World.messages()
            case 4: return World.messages("m1")
            default: return .problem(401, "invalid_token")
            }
        }
        let consumer = Task {
            var ids: [String] = []
            do {
                for try await message in world.client.messages() { ids.append(message.id) }
            } catch let error as FarbellError {
                return (ids, error.code.rawValue)
            }
            return (ids, "no error")
        }
        for count in 1...3 {
            try await world.wait(for: Self.receive, count)
            try await world.pass()
        }
        let (ids, code) = try await consumer.value
        #expect(ids == ["m1"] && code == "invalid_token")
        #expect(world.time.now - Moment(nanoseconds: 1_000_000_000_000) >= .seconds(91))
    }

    @Test("PL-9 a batch is settled with one request; each message has its own result")
    func batch() async throws {
        let world = World { request in
            if request.line == Self.receive { return World.messages("m1", "m2") }
            return ScriptedAnswer(
                200, #"{"results":[{"id":"m1","state":"done"},{"id":"m2","code":"lock_lost","detail":"late"}]}"#)
        }
        let messages = try await world.client.receive(max: 2)
        let results = try await world.client.settle([
            (messages[0].receipt, .complete), (messages[1].receipt, .deadLetter(reason: "why")),
        ])
        #expect(try results[0].get() == .done)
        #expect(throws: FarbellError.self) { try results[1].get() }
        #expect(messages[0].receipt.isSettled && messages[1].receipt.isLost)
        let said = try #require(world.transport.requests(Self.settle).first).json["settlements"]?.array ?? []
        #expect(said.map { $0["as"]?.string } == ["complete", "dead-letter"] && said[1]["reason"]?.string == "why")
    }
}
