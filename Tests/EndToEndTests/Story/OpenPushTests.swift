import Base
import GatewayTestKit
import Testing

/// The push services that people run themselves, through the built program.
@Suite(.enabled(if: DovecotServer.isAvailable), .timeLimit(.minutes(3))) struct OpenPushTests {
    private static let page = "https://farbell.example.org/l/"

    private func bind(_ world: Scenario, _ name: String, _ channel: JSON) async throws -> TerminalClient {
        var client = TerminalClient(world.gateway, account: "alice")
        try await client.bind(
            password: Scenario.accountPassword, installation: name, platform: "android", channel: channel)
        return client
    }

    @Test("SG-8 SG-12 SG-13 mail reaches devices at ntfy, Gotify and a UnifiedPush server, with the page to open")
    func all() async throws {
        let (ntfy, gotify) = (try FakeNtfy(), try FakeGotify())
        let unifiedPush = try FakeUnifiedPush(.init(identity: nil))
        defer {
            ntfy.stop()
            gotify.stop()
            unifiedPush.stop()
        }
        var options = Scenario.Options()
        options.notify = ["groupSeconds": 0, "ackSeconds": 2, "targets": "all"]
        options.sections = [
            "push": [
                "ntfy": ["kind": "ntfy", "url": .string(ntfy.origin)],
                "gotify": ["kind": "gotify", "url": .string(gotify.origin)],
                "up": ["kind": "unifiedpush", "allowHosts": ["localhost"], "discovery": true],
            ]
        ]
        try await Scenario.run(options) { world in
            let (application, endpoint) = (gotify.makeApplication(), try unifiedPush.register())
            world.gateway.keepSecret(application)
            world.gateway.keepSecret(endpoint.endpoint)
            let first = try await bind(world, "one", ["adapter": "ntfy", "token": "alice_7"])
            _ = try await bind(world, "two", ["adapter": "gotify", "token": .string(application)])
            _ = try await bind(
                world, "three",
                [
                    "adapter": "up",
                    "subscription": [
                        "endpoint": .string(endpoint.endpoint),
                        "keys": ["p256dh": .string(endpoint.p256dh), "auth": .string(endpoint.auth)],
                    ],
                ])
            let (_, session) = try await world.logIn(first)
            try await first.report(session, 1, "hidden")
            try await world.deliver("Ward round at nine")

            let published = try await ntfy.messages.wait(count: 1, deadline: .seconds(30))
            #expect(published.map(\.topic) == ["alice_7"])
            #expect(published.map(\.message) == ["Ward round at nine"])
            #expect(published.map(\.title) == ["New message from Li Na"])
            #expect(published.first?.click?.hasPrefix(Self.page) == true)
            let message = try await gotify.messages.wait(count: 1, deadline: .seconds(30))[0]
            #expect(message.token == application)
            #expect(message.message == "Ward round at nine")
            let click = message.extras["client::notification"]?["click"]?["url"]?.string
            #expect(click?.hasPrefix(Self.page) == true)
            let push = try await unifiedPush.pushes.wait(count: 1, deadline: .seconds(30))[0]
            #expect(push.endpoint == endpoint.endpoint)
            #expect(push.json?["body"]?.string == "Ward round at nine")
            #expect(unifiedPush.discoveries.count == 1)
            #expect(ntfy.refusals.all + gotify.refusals.all + unifiedPush.refusals.all == [])
        }
    }
}
