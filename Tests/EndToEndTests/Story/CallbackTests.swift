import Base
import GatewayTestKit
import Testing

/// Applications that are called, against the built program.
@Suite(.timeLimit(.minutes(3)))
struct CallbackTests {
    private static let secret = "whsec_" + [UInt8]("a callback's secret of 32 bytes!".utf8).base64

    private static func options(_ url: String) -> Scenario.Options {
        var options = Scenario.Options()
        options.hasMailServer = false
        options.startsGateway = false
        options.files = ["callback.secret": secret]
        options.users = ["alice", "bob"]
        options.sections = [
            "apps": [
                "oa": [
                    "name": "OA", "key": ["file": "oa.key"],
                    "callback": ["url": .string(url), "secret": ["file": "callback.secret"]],
                ]
            ]
        ]
        return options
    }

    private static func begin(_ world: Scenario) async throws -> String {
        world.gateway.keepSecret(secret)
        let made = try await world.gateway.run("app", "key", "oa")
        let key = try #require(made.output.first, "\(made.errors)")
        world.gateway.keepSecret(key)
        return key
    }

    @Test("IM-1 IM-5 signed callbacks in order, over an outage of the application and a kill -9 of the gateway")
    func outage() async throws {
        var configuration = FakeWebhookReceiver.Configuration(secret: Self.secret)
        configuration.echoes = true
        let application = try FakeWebhookReceiver(configuration)
        defer { application.stop() }
        try await Scenario.run(Self.options(application.origin + "/farbell")) { world in
            _ = try await Self.begin(world)
            try await world.gateway.start()
            try await world.log.wait(for: "callback.proven")
            var alice = TerminalClient(world.gateway, account: "alice")
            try await alice.bind(password: Scenario.accountPassword, installation: "desk")
            func send(_ text: String) async throws {
                let body: JSON = ["to": ["app": "oa"], "body": .string(text)]
                _ = try await alice.call("POST", "/v1/messages", body)
            }
            try await send("Hello-application")
            world.gateway.keepSecret("Hello-application")
            try await Eventually.wait("the call") { application.calls.all.count == 1 }
            let first = try #require(application.calls.all.first?.json)
            #expect(first["type"] == "message" && first["body"] == "Hello-application")
            #expect(first["sender"] == "account/alice" && first["attempt"] == 1)

            application.setStanding(.status(503))
            for number in 1...3 { try await send("while down \(number)") }
            try await world.log.wait(for: "callback.retry")
            try await world.gateway.kill()
            application.setStanding(nil)
            try await world.gateway.start()
            try await Eventually.wait("all, in order", for: .seconds(30)) { application.calls.all.count >= 4 }
            let texts = application.calls.all.compactMap { $0.json?["body"]?.string }
            #expect(texts == ["Hello-application", "while down 1", "while down 2", "while down 3"])
            #expect(application.refusals.all == [])
        }
    }

    @Test("IM-1 an address that does not echo the challenge gets no message")
    func stranger() async throws {
        let stranger = try FakeWebhookReceiver()
        defer { stranger.stop() }
        try await Scenario.run(Self.options(stranger.origin)) { world in
            _ = try await Self.begin(world)
            try await world.gateway.start()
            let line = try await world.log.wait(for: "callback.unproven")
            #expect(line["reason"] == "challenge_not_echoed")
            var alice = TerminalClient(world.gateway, account: "alice")
            try await alice.bind(password: Scenario.accountPassword, installation: "desk")
            let sent = try await alice.call("POST", "/v1/messages", ["to": ["app": "oa"], "body": "private"])
            #expect(sent["messages"]?[0]?["state"] == "held")
            try await Eventually.wait("a second challenge") { stranger.calls.all.count >= 2 }
            #expect(stranger.calls.all.allSatisfy { $0.json?["type"] == "challenge" })
        }
    }

    @Test("IM-1 IM-3 IM-4 IM-12 the approval system of the examples asks, hears the answer, and confirms")
    func approvals() async throws {
        let port = try ServerPort.next()
        try await Scenario.run(Self.options("http://127.0.0.1:\(port)/farbell")) { world in
            let key = try await Self.begin(world)
            try world.gateway.folder.write(key, to: "application.key")
            let program = "/" + #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
            let application = try await ChildProcess(
                "/usr/bin/env",
                [
                    "FARBELL=http://127.0.0.1:\(world.gateway.port)",
                    "FARBELL_KEY_FILE=\(world.gateway.folder.file("application.key"))",
                    "CALLBACK_SECRET=\(Self.secret)", "python3", "\(program)/Documentation/Examples/approvals.py",
                    "\(port)",
                ])
            defer { application.terminate() }
            try await world.gateway.start()
            try await world.log.wait(for: "callback.proven")
            let phone = try await world.phone("alice")
            let wish: JSON = ["who": "alice", "what": "three days of leave"]
            let asked = try await PlainHTTP.send("POST", "/ask", port: port, body: wish.serializedBytes)
            #expect(asked.status == 202)
            // No page is open anywhere: the question is a notification on the phone.
            let push = try #require(try await phone.wait(1).first)
            #expect(push.title?.isEmpty == false)
            let page = try await phone.client.call("GET", "/v1/messages?queue=account/alice")
            let question = try #require(page["items"]?[0]?["id"]?.string)
            _ = try await phone.client.call("POST", "/v1/messages/\(question)/reply", ["body": "yes"])
            try await Eventually.wait("the confirmation") {
                let page = try await phone.client.call("GET", "/v1/messages?queue=account/alice")
                return page["items"]?.array?.contains {
                    $0["body"] == "Noted: three days of leave is approved."
                } ?? false
            }
            _ = try await phone.client.call("POST", "/v1/messages/\(question)/read")
            try await Eventually.wait("the receipts") {
                let cases = try JSONParser.parse(try await PlainHTTP.send("GET", "/cases", port: port).body)
                return cases["case-1"]?["state"] == "approved" && cases["case-1"]?["receipts"] == ["delivered", "read"]
            }
        }
    }
}
