import Base
import GatewayTestKit
import Testing

/// Two gateways for one store: one works, one stands by.
@Suite(.timeLimit(.minutes(3)))
struct StandbyTests {
    private static var options: Scenario.Options {
        var options = Scenario.Options()
        options.hasMailServer = false
        return options
    }

    private static func send(_ client: TerminalClient, _ numbers: ClosedRange<Int>) async throws {
        for number in numbers {
            _ = try await client.call(
                "POST", "/v1/messages", ["to": ["account": "alice"], "body": .string("message \(number)")])
        }
    }

    @Test("the one that stands by takes over after a kill -9; nothing accepted is lost, nothing rings twice")
    func takeover() async throws {
        try await Scenario.run(Self.options) { world in
            let phone = try await world.phone()
            var sender = TerminalClient(world.gateway, account: "alice")
            try await sender.bind(password: Scenario.accountPassword, installation: "desk")
            let first = try #require(try await world.gateway.launchStandby())
            try await world.log.wait(for: "gateway.standby")
            try await Self.send(sender, 1...10)
            try await phone.wait(10)
            world.apns.setStanding(.hang)
            try await Self.send(sender, 11...20)
            first.kill()
            try await first.waitForExit()
            world.apns.setStanding(nil)
            try await world.log.wait(for: "gateway.takeover")
            try await world.gateway.waitUntilReady()
            try await Self.send(sender, 21...25)
            try await phone.wait(25)
            let page = try await phone.client.call("GET", "/v1/messages?queue=account/alice&limit=100")
            #expect(page["items"]?.array?.count == 25)
            #expect(Set(phone.pushes.map(\.notification)).count == 25 && phone.pushes.count == 25)
        }
    }

    @Test("an orderly stop hands over; the one that waits ends when it is told to")
    func handOver() async throws {
        try await Scenario.run(Self.options) { world in
            let phone = try await world.phone()
            let first = try #require(try await world.gateway.launchStandby())
            try await world.log.wait(for: "gateway.standby")
            first.terminate()
            #expect(try await first.waitForExit() == .code(0))
            try await world.log.wait(for: "gateway.takeover")
            try await world.gateway.waitUntilReady()
            let second = try #require(try await world.gateway.launchStandby())
            let third = try #require(world.gateway.process)
            try await Eventually.wait("the third waits") {
                world.log.lines("gateway.standby").count == 2
            }
            third.terminate()
            #expect(try await third.waitForExit() == .code(0))
            _ = try await phone.client.call("GET", "/v1/devices")
            second.terminate()
            try await second.waitForExit()
        }
    }
}
