import Base
import GatewayTestKit
import Testing

/// Push services on their bad days, through the built program.
@Suite(.enabled(if: DovecotServer.isAvailable), .timeLimit(.minutes(3))) struct PushFaultTests {
    /// A phone whose app is hidden and a browser, of which the phone was seen last.
    private func devices(
        _ world: Scenario, notify: JSON? = nil
    ) async throws -> (phone: Phone, browser: Browser) {
        let browser = try await world.browser()
        let phone = try await world.phone()
        let (_, session) = try await world.logIn(phone.client, notify: notify)
        try await phone.client.report(session, 1, "hidden")
        return (phone, browser)
    }

    @Test("SG-12 MN-8 a dead address is removed, and another device of the account hears of the mail")
    func gone() async throws {
        try await Scenario.run { world in
            let (phone, browser) = try await devices(world)
            world.apns.unregister(device: phone.token, at: SystemTime().timestamp)
            try await world.deliver("To whom it may concern")
            let push = try await browser.wait(1)[0]
            #expect(push["body"]?.string == "To whom it may concern")
            let pruned = try await world.log.wait(for: "device.pruned")
            #expect(pruned["device"] == phone.client.device)
            let device = try await phone.client.call("GET", "/v1/devices/\(phone.client.device)")
            #expect(device["channel"] == nil)
            #expect(phone.pushes.isEmpty)
        }
    }

    @Test("MN-8 a verdict older than the address removes nothing")
    func goneLongAgo() async throws {
        try await Scenario.run { world in
            let (phone, browser) = try await devices(world)
            let old = SystemTime().timestamp.milliseconds - 86_400_000
            world.apns.script(device: phone.token, .gone(timestampMilliseconds: old))
            try await world.deliver("A stale verdict")
            try await browser.wait(1)
            try await world.deliver("Still alive")
            #expect(try await phone.wait(1).map(\.body) == ["Still alive"])
            #expect(world.log.lines("device.pruned").isEmpty)
        }
    }

    @Test("SG-8 429 with Retry-After and a burst of 503 are tried again; the push arrives once")
    func busy() async throws {
        try await Scenario.run { world in
            let (phone, _) = try await devices(world)
            world.apns.script(
                device: phone.token, .status(429, reason: "TooManyRequests", retryAfter: 1),
                .status(503, reason: "ServiceUnavailable"), .status(503, reason: "Shutdown"), .accept)
            try await world.deliver("At the fourth attempt")
            #expect(try await phone.wait(1).map(\.body) == ["At the fourth attempt"])
            let sent = try await world.log.wait(for: "notification.sent")
            #expect(sent["attempts"] == "4")
            let requests = world.apns.requests.all
            #expect(requests.map(\.status) == [429, 503, 503, 200])
            #expect(requests[1].received - requests[0].received >= .milliseconds(950), "Retry-After was not kept")
            #expect(Set(requests.map { $0.headers["apns-id"] }).count == 1)
            #expect(world.log.lines("notification.retry").count == 3)
        }
    }

    @Test("SG-8 GOAWAY in the middle of a push: it is sent again on another connection and arrives once")
    func goAway() async throws {
        try await Scenario.run { world in
            let (phone, _) = try await devices(world)
            try await world.deliver("Opens the connection")
            try await phone.wait(1)
            world.apns.script(device: phone.token, .goAway(afterStreams: 0))
            try await world.deliver("Meets the farewell")
            #expect(try await phone.wait(2).map(\.body) == ["Opens the connection", "Meets the farewell"])
            #expect(Set(world.apns.pushes.all.map(\.connection)).count == 2)
            #expect(Set(phone.pushes.map(\.apnsID)).count == 2)
        }
    }

    @Test("SG-13 a push service that never answers delays nobody else")
    func hang() async throws {
        try await Scenario.run { world in
            let (phone, browser) = try await devices(world, notify: ["targets": "all", "groupSeconds": 0])
            world.apns.setStanding(.hang)
            try await world.deliver("For both")
            try await Eventually.wait("the hanging request", for: .seconds(20)) { world.apns.requests.count == 1 }
            for number in 1...5 { try await world.deliver("More for both \(number)") }
            let subjects = Set((1...5).map { "More for both \($0)" } + ["For both"])
            #expect(Set(try await browser.wait(6).compactMap { $0["body"]?.string }) == subjects)
            #expect(phone.pushes.isEmpty)
            world.apns.setStanding(nil)
            // Those that hang are given up after 14 seconds and sent again.
            #expect(Set(try await phone.wait(6, deadline: .seconds(60)).compactMap(\.body)) == subjects)
            #expect(phone.pushes.count == 6)
        }
    }

    @Test("MN-4 SG-8 the gateway stops in order while a push hangs; after the start the push is sent")
    func stopWhileHanging() async throws {
        try await Scenario.run { world in
            let (phone, _) = try await devices(world)
            world.apns.setStanding(.hang)
            try await world.deliver("Not forgotten")
            try await Eventually.wait("the hanging request", for: .seconds(20)) { world.apns.requests.count == 1 }
            #expect(try await world.gateway.stop() == .code(0))
            world.apns.setStanding(nil)
            try await world.gateway.start()
            #expect(try await phone.wait(1).map(\.body) == ["Not forgotten"])
        }
    }

    @Test("SG-13 'farbell push test' and the API say what became of a test notification")
    func pushTest() async throws {
        try await Scenario.run { world in
            let (phone, browser) = try await devices(world)
            let tried = try await world.gateway.run("push", "test", phone.client.device)
            #expect(tried.exit == .code(0), "\(tried.errors)")
            #expect(tried.output.joined().contains("delivered"))
            #expect(try await phone.wait(1)[0].title == "Farbell")
            world.webPush.unsubscribe(browser.subscription)
            let answer = try await browser.client.call("POST", "/v1/devices/\(browser.client.device)/test", [:])
            #expect(answer["outcome"]?.string == "gone" && answer["status"]?.integer == 410)
            let unknown = try await world.gateway.run("push", "test", "dev_nobody")
            #expect(unknown.exit == .code(67), "\(unknown.errors)")
        }
    }
}
