import Base
import GatewayTestKit
import Testing

/// `farbell push test` and `POST /v1/devices/{id}/test` against services that really fail, each at another step.
@Suite(.timeLimit(.minutes(3))) struct PushTestTests {
    /// A mail server as an entry under `push`.
    private static func mail(_ url: String, caFile: String, password: String = "right.password") -> JSON {
        [
            "kind": "smtp", "url": .string(url), "caFile": .string(caFile), "from": "farbell@example.org",
            "username": "farbell", "password": ["file": .string(password)],
        ]
    }

    private static func run(
        _ body: (Scenario, FakeSMTPServer) async throws -> Void
    ) async throws {
        let authority = try TestCertificateAuthority()
        let other = try TestCertificateAuthority()
        var settings = FakeSMTPServer.Configuration(users: ["farbell": "the right one"])
        settings.security = .implicit
        let server = try FakeSMTPServer(settings, identity: authority.localhost)
        defer { server.stop() }
        let folder = try TemporaryFolder()
        let right = try folder.write("the right one\n", to: "right")
        let wrong = try folder.write("a wrong one\n", to: "wrong")
        let program = try folder.write("#!/bin/sh\nexit 1\n", to: "program")
        var options = Scenario.Options()
        options.hasMailServer = false
        let closed = try ServerPort.next()
        options.sections = [
            "apps": [:],
            "push": [
                "good": mail(server.url, caFile: authority.caFile, password: right),
                "name": mail("smtps://nowhere.invalid", caFile: authority.caFile, password: right),
                "tcp": mail("smtps://localhost:\(closed)", caFile: authority.caFile, password: right),
                "tls": mail(server.url, caFile: other.caFile, password: right),
                "key": mail(server.url, caFile: authority.caFile, password: wrong),
                "exec": ["kind": "exec", "program": "/bin/sh", "arguments": [.string(program)]],
            ],
        ]
        try await Scenario.run(options) { world in
            world.gateway.keepSecret("the right one")
            world.gateway.keepSecret("alice@example.net")
            try await body(world, server)
        }
    }

    private static func device(_ world: Scenario, _ adapter: String) async throws -> TerminalClient {
        var client = TerminalClient(world.gateway, account: "alice")
        try await client.bind(
            password: Scenario.accountPassword, installation: "at-\(adapter)",
            channel: ["adapter": .string(adapter), "token": "alice@example.net"])
        return client
    }

    /// The steps that are printed, with their marks.
    private static func steps(_ output: [String]) -> [String] {
        output.filter { $0.hasPrefix("  ok") || $0.hasPrefix("  FAIL") || $0.hasPrefix("  -") }
            .map { $0.split(separator: " ").joined(separator: " ") }
    }

    @Test("SG-13 a test that arrives: every step is marked, exit status 0, no 'hop'")
    func delivered() async throws {
        try await Self.run { world, server in
            let client = try await Self.device(world, "good")
            let answer = try await client.call("POST", "/v1/devices/\(client.device)/test", [:])
            #expect(answer["outcome"]?.string == "delivered" && answer["status"]?.integer == 250)
            #expect(answer["hop"] == nil)
            let tried = try await world.gateway.run("push", "test", client.device)
            #expect(tried.exit == .code(0), "\(tried.errors)")
            #expect(tried.output.first?.hasPrefix("delivered: 250 (") == true)
            #expect(
                Self.steps(tried.output) == [
                    "ok name resolution", "ok TCP connection", "ok TLS", "ok service answers", "ok credential",
                    "ok device's address", "ok content",
                ])
            #expect(server.messages.all.map(\.recipient) == ["alice@example.net", "alice@example.net"])
            #expect(Set(server.messages.all.compactMap { $0.header("subject") }) == ["Farbell"])
        }
    }

    @Test(
        "the step that failed is named, by the API and by the program, with its exit status",
        arguments: [
            ("name", "retry", "name_resolution", "name resolution", Int32(75)),
            ("tcp", "retry", "tcp", "TCP connection", 75),
            ("tls", "retry", "tls", "TLS", 75),
            ("exec", "retry", "service", "service answers", 75),
            ("key", "credential", "credential", "credential", 69),
            ("good", "gone", "token", "device's address", 69),
        ])
    func failed(adapter: String, outcome: String, hop: String, step: String, status: Int32) async throws {
        try await Self.run { world, server in
            let refusal = FakeSMTPServer.Fault.reply("550 5.1.1 no such mailbox")
            server.script(.recipient, refusal, refusal)
            let client = try await Self.device(world, adapter)
            let answer = try await client.call("POST", "/v1/devices/\(client.device)/test", [:])
            #expect(answer["outcome"]?.string == outcome, "\(answer.serialized)")
            #expect(answer["hop"]?.string == hop, "\(answer.serialized)")
            let tried = try await world.gateway.run("push", "test", client.device)
            #expect(tried.exit == .code(status), "\(tried.errors)")
            #expect(tried.output.first?.hasPrefix(outcome) == true)
            let steps = Self.steps(tried.output)
            let place = try #require(steps.firstIndex { $0.hasPrefix("FAIL") }, "\(tried.output)")
            #expect(steps[place] == "FAIL \(step)")
            #expect(steps[..<place].allSatisfy { $0.hasPrefix("ok") })
            #expect(steps[(place + 1)...].allSatisfy { $0.hasPrefix("-") } && steps.count == 7)
            #expect(tried.output.contains { $0.contains("what failed: ") })
            #expect(tried.output.contains { $0.contains("cure: ") })
            #expect(server.messages.count == 0)
        }
    }

    @Test("Apple's refusals: a wrong key and a bad token")
    func apple() async throws {
        var options = Scenario.Options()
        options.hasMailServer = false
        try await Scenario.run(options) { world in
            let phone = try await world.phone()
            world.apns.script(device: phone.token, .status(403, reason: "InvalidProviderToken"))
            var tried = try await world.gateway.run("push", "test", phone.client.device)
            #expect(tried.exit == .code(69))
            #expect(Self.steps(tried.output).dropFirst(4).first == "FAIL credential", "\(tried.output)")
            #expect(tried.output.first?.hasPrefix("credential: 403 InvalidProviderToken") == true)
            world.apns.unregister(device: phone.token, at: SystemTime().timestamp)
            tried = try await world.gateway.run("push", "test", phone.client.device)
            #expect(tried.exit == .code(69))
            #expect(Self.steps(tried.output).dropFirst(5).first == "FAIL device's address", "\(tried.output)")
        }
    }

    @Test("SG-13 a message for somebody whose device has only an e-mail address arrives as a mail with a link")
    func mail() async throws {
        try await Self.run { world, server in
            let client = try await Self.device(world, "good")
            try await client.call(
                "POST", "/v1/messages", ["to": ["account": "alice"], "subject": "Tea", "body": "At four"])
            let letter = try await server.messages.wait(count: 1, deadline: .seconds(60))[0]
            #expect(letter.recipient == "alice@example.net" && letter.isEncrypted)
            let text = String(decoding: letter.content, as: UTF8.self)
            #expect(text.contains("https://farbell.example.org/l/"))
            try await world.log.wait(for: "notification.sent")
            #expect(server.messages.count == 1 && server.violations.count == 0)
        }
    }

    @Test("the gateway stops a program in order: it may finish what it has")
    func program() async throws {
        let folder = try TemporaryFolder()
        let script = """
            while IFS= read -r line; do
                id=${line#'{"id":"'}; id=${id%%\\"*}
                printf '{"id":"%s","outcome":"delivered","status":204}\\n' "$id"
            done
            sleep 0.3
            echo done > \(folder.file("farewell"))
            """
        let program = try folder.write(script, to: "program")
        var options = Scenario.Options()
        options.hasMailServer = false
        options.sections = [
            "apps": [:], "push": ["exec": ["kind": "exec", "program": "/bin/sh", "arguments": [.string(program)]]],
        ]
        try await Scenario.run(options) { world in
            let client = try await Self.device(world, "exec")
            let tried = try await world.gateway.run("push", "test", client.device)
            #expect(tried.exit == .code(0), "\(tried.output) \(tried.errors)")
            #expect(tried.output.first?.hasPrefix("delivered: 204") == true)
            #expect(try await world.gateway.stop() == .code(0))
            #expect(FileSystem.exists(folder.file("farewell")))
            #expect(world.log.lines("push.program_ended").map { $0["exit"] } == ["exit status 0"])
        }
    }
}
