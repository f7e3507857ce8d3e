import Base
import GatewayTestKit
import Testing

/// The same over HTTP, where the device brings the URL.
@Suite(.timeLimit(.minutes(3))) struct PushTestHTTPTests {
    @Test(
        "a webhook's step that failed is named, by the API and by the program",
        arguments: [
            ("name", "retry", "name_resolution", "FAIL name resolution", Int32(75)),
            ("tcp", "retry", "tcp", "FAIL TCP connection", 75), ("tls", "retry", "tls", "FAIL TLS", 75),
            ("private", "rejected", "token", "FAIL device's address", 69),
            ("gone", "gone", "token", "FAIL device's address", 69),
        ])
    func webhook(kind: String, outcome: String, hop: String, step: String, status: Int32) async throws {
        let authority = try TestCertificateAuthority()
        let other = try TestCertificateAuthority()
        let receiver = try FakeWebhookReceiver(.init(identity: authority.localhost))
        defer { receiver.stop() }
        receiver.script(.status(410), .status(410))
        let closed = try ServerPort.next()
        var options = Scenario.Options()
        options.hasMailServer = false
        let trusted = kind == "tls" ? other.caFile : authority.caFile
        options.sections = [
            "apps": [:],
            "push": [
                "hook": [
                    "kind": "webhook", "caFile": .string(trusted),
                    "allowHosts": kind == "private" ? [] : ["localhost", "nowhere.invalid"],
                ]
            ],
        ]
        let url =
            switch kind {
            case "name": "https://nowhere.invalid/ring"
            case "tcp": "https://localhost:\(closed)/ring"
            default: "\(receiver.origin)/ring"
            }
        try await Scenario.run(options) { world in
            var client = TerminalClient(world.gateway, account: "alice")
            try await client.bind(
                password: Scenario.accountPassword, installation: "hook",
                channel: ["adapter": "hook", "url": .string(url)])
            let answer = try await client.call("POST", "/v1/devices/\(client.device)/test", [:])
            #expect(answer["outcome"]?.string == outcome, "\(answer.serialized)")
            #expect(answer["hop"]?.string == hop, "\(answer.serialized)")
            let tried = try await world.gateway.run("push", "test", client.device)
            #expect(tried.exit == .code(status), "\(tried.errors)")
            let lines = tried.output.map { $0.split(separator: " ").joined(separator: " ") }
            #expect(lines.filter { $0.hasPrefix("FAIL") } == [step], "\(lines)")
            #expect(receiver.calls.count == 0)
        }
    }
}
