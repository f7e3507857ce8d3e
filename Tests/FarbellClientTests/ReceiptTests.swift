import Base
import Foundation
import GatewayTestKit
import Testing

@testable import FarbellClient

@Suite(.timeLimit(.minutes(1))) struct ReceiptTests {
    private static let receive = "POST /v1/messages/receive"
    private static let renew = "POST /v1/messages/m1/renew"
    private static let complete = "POST /v1/messages/m1/complete"
    private static let renewed =
        #"{"id":"m1","state":"locked","receipt":{"token":"second","remainingMilliseconds":30000,"delivery":1}}"#
    private static let done = #"{"id":"m1","state":"done"}"#

    @Test("PL-10 PL-11 PL-12 a received message is a view with a receipt: token, time left, delivery")
    func view() async throws {
        let world = World { _ in World.messages("m1") }
        let message = try #require(try await world.client.receive(queue: "app/oa", max: 3, wait: .seconds(20)).first)
        #expect(message.body == "text of m1" && message.header["type"] == "note" && message.subject == nil)
        #expect(abs(message.enqueued.timeIntervalSince1970 - 1_795_248_000.123) < 0.0005)
        #expect(message.receipt.token == "token-m1" && message.receipt.delivery == 1)
        #expect(message.receipt.remaining == .seconds(30))
        world.time.advance(by: .seconds(10))
        #expect(message.receipt.remaining == .seconds(20))
        let asked = try #require(world.transport.requests(Self.receive).first)
        #expect(asked.members == ["lockSeconds=30", "max=3", #"queue="app/oa""#, "waitSeconds=20"])
        #expect(asked.headers["Authorization"] == "Bearer secret-token" && asked.silence == .seconds(35))
    }

    @Test("PL-13 the lock is renewed at half; a renewal under way is waited for before the settlement is sent")
    func renewalBeforeSettlement() async throws {
        let gate = Gate()
        let world = World { request in
            switch request.line {
            case Self.receive: return World.messages("m1")
            case Self.renew:
                if request.number == 2 { await gate.pass() }
                return ScriptedAnswer(200, Self.renewed)
            default: return ScriptedAnswer(200, Self.done)
            }
        }
        let message = try #require(try await world.client.receive().first)
        try await world.pass()
        try await world.wait(for: Self.renew, 1)
        #expect(world.time.now - Moment(nanoseconds: 1_000_000_000_000) == .seconds(15))
        try await world.pass()
        try await world.wait(for: Self.renew, 2)
        let settling = Task { try await message.receipt.complete() }
        // The settlement has its chance to overtake.
        try await SystemTime().sleep(for: .milliseconds(50))
        #expect(world.transport.requests(Self.complete).isEmpty)
        gate.open()
        try await settling.value
        #expect(world.transport.requests(Self.complete).map { $0.json } == [["token": "second"]])
        #expect(message.receipt.isSettled && world.time.sleeperCount == 0)
        world.time.advance(by: .seconds(60))
        #expect(world.transport.requests(Self.renew).count == 2)
    }

    @Test("PL-9 the renewal ends when the message is dropped")
    func dropped() async throws {
        let world = World { _ in World.messages("m1") }
        do {
            let message = try #require(try await world.client.receive().first)
            try await world.time.waitForSleepers(1)
            #expect(!message.receipt.isSettled)
        }
        try await Eventually.wait("the renewal to end") { world.time.sleeperCount == 0 }
        world.time.advance(by: .seconds(60))
        #expect(world.transport.requests.map(\.line) == [Self.receive])
    }

    @Test("PL-13 after a broken answer the same settlement is said again; settled twice is said once")
    func repeated() async throws {
        let world = World { request in
            switch request.line {
            case Self.receive: return World.messages("m1")
            case Self.complete:
                if request.number == 1 { throw FarbellError.broken }
                if request.number == 2 { return .problem(503, "stopping", headers: ["retry-after": "3"]) }
                return ScriptedAnswer(200, Self.done)
            default: return .problem(404, "not_found")
            }
        }
        let message = try #require(try await world.client.receive().first)
        let settling = Task { try await message.receipt.complete() }
        for count in 1...2 {
            try await world.wait(for: Self.complete, count)
            try await world.pass()
        }
        try await settling.value
        try await message.receipt.complete()
        let said = world.transport.requests(Self.complete)
        #expect(said.count == 3 && Set(said.map(\.text)).count == 1)
        let error = await #expect(throws: FarbellError.self) { try await message.receipt.abandon() }
        #expect(error?.code == .lockLost)
    }

    @Test("PL-14 a lost lock is a typed error, from a settlement as from a renewal")
    func lost() async throws {
        let world = World { request in
            request.line == Self.receive ? World.messages("m1") : .problem(409, "lock_lost")
        }
        let message = try #require(try await world.client.receive().first)
        let error = await #expect(throws: FarbellError.self) { try await message.receipt.complete() }
        #expect(error?.code == .lockLost && error?.status == 409 && error?.message == "not so")
        #expect(message.receipt.isLost && message.receipt.remaining == .zero)

        let other = try #require(try await world.client.receive().first)
        try await world.pass()
        try await Eventually.wait("the renewal to be refused") { other.receipt.isLost }
        let late = await #expect(throws: FarbellError.self) { try await other.receipt.complete() }
        #expect(late?.code == .lockLost && world.transport.requests(Self.complete).count == 1)
    }

    @Test("PL-12 a renewal that failed is tried again before the lock is over")
    func renewalFails() async throws {
        let world = World { request in
            if request.line == Self.receive { return World.messages("m1") }
            if request.number == 1 { throw FarbellError.broken }
            return ScriptedAnswer(200, Self.renewed)
        }
        let message = try #require(try await world.client.receive().first)
        try await world.pass()
        try await world.pass()
        try await Eventually.wait("the second renewal") { message.receipt.token == "second" }
        #expect(world.time.now - Moment(nanoseconds: 1_000_000_000_000) == .milliseconds(18_750))
    }

    @Test("PL-13 a settlement goes out although the consumer's task is cancelled")
    func cancelled() async throws {
        let world = World { request in
            request.line == Self.receive ? World.messages("m1") : ScriptedAnswer(200, Self.done)
        }
        let message = try #require(try await world.client.receive().first)
        let gate = Gate()
        let settling = Task {
            await gate.pass()
            try await message.receipt.complete()
        }
        settling.cancel()
        gate.open()
        try await settling.value
        #expect(world.transport.requests(Self.complete).count == 1)
    }

    @Test("PL-9 abandon with delay, defer, dead letter and a wished renewal as the API writes them")
    func verbs() async throws {
        let world = World { request in
            switch request.line {
            case Self.receive: World.messages("m1")
            case Self.renew: ScriptedAnswer(200, Self.renewed)
            case "POST /v1/messages/m1/abandon": ScriptedAnswer(200, #"{"id":"m1","state":"scheduled"}"#)
            default: ScriptedAnswer(200, #"{"id":"m1","state":"later"}"#)
            }
        }
        func message() async throws -> Receipt { try #require(try await world.client.receive().first).receipt }
        #expect(try await message().abandon(delay: .milliseconds(1500)) == .scheduled)
        try await message().defer()
        try await message().deadLetter(reason: "broken")
        try await message().renew(lock: .seconds(90))
        let said = world.transport.requests.filter { $0.line != Self.receive }
        #expect(
            said.map { "\($0.line.split(separator: "/").last ?? "") \($0.members.joined(separator: " "))" } == [
                #"abandon delaySeconds=2 token="token-m1""#, #"defer token="token-m1""#,
                #"dead-letter reason="broken" token="token-m1""#, #"renew lockSeconds=90 token="token-m1""#,
            ])
    }
}
