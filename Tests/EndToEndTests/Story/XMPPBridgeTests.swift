import Base
import GatewayTestKit
import Testing

/// XMPP clients, real servers and the built program (IM-7). Skipped where Debian's packages are not installed
/// (`Scripts/install --tests`).
@Suite(.enabled(if: XMPPClientProcess.isAvailable), .serialized, .timeLimit(.minutes(10)))
struct XMPPBridgeTests {
    enum Kind: String, CaseIterable, CustomTestStringConvertible, Sendable {
        case prosody
        case ejabberd

        var testDescription: String { rawValue }
        static var available: [Kind] {
            allCases.filter { $0 == .prosody ? ProsodyServer.isAvailable : EjabberdServer.isAvailable }
        }
    }

    private static let domain = "farbell.localhost"
    private static let secret = "speak, friend"
    private static let callback = "whsec_" + [UInt8]("a callback's secret of 32 bytes!".utf8).base64

    /// A server of either kind.
    private struct Server {
        let port: Int
        let componentPort: Int
        let stop: () async throws -> Void
        let start: () async throws -> Void

        init(_ kind: Kind, _ authority: TestCertificateAuthority, secret: String) async throws {
            let component = (domain: XMPPBridgeTests.domain, secret: secret)
            switch kind {
            case .prosody:
                let server = try await ProsodyServer(
                    users: ["alice", "bob"], identity: authority.localhost, component: component)
                (port, componentPort) = (server.port, server.componentPort)
                (stop, start) = ({ try await server.stop() }, { try await server.start() })
            case .ejabberd:
                let server = try await EjabberdServer(users: ["alice", "bob"], component: component)
                (port, componentPort) = (server.port, server.componentPort)
                (stop, start) = ({ try await server.stop() }, { try await server.start() })
            }
        }

        func client(_ user: String, sendsReceipts: Bool = true) async throws -> XMPPClientProcess {
            try await XMPPClientProcess(
                "\(user)@localhost", password: ProsodyServer.password, port: port, sendsReceipts: sendsReceipts)
        }
    }

    private func run(
        _ kind: Kind, secret: String = XMPPBridgeTests.secret, application: Int? = nil,
        _ body: (Scenario, Server) async throws -> Void
    ) async throws {
        let authority = try TestCertificateAuthority()
        let server = try await Server(kind, authority, secret: Self.secret)
        var options = Scenario.Options()
        (options.hasMailServer, options.startsGateway, options.users) = (false, false, ["alice", "bob", "o'hara"])
        options.files = ["xmpp.secret": secret, "callback.secret": Self.callback]
        var app: JSONObject = ["name": "Office", "key": ["file": "oa.key"]]
        if let application {
            app.append(
                "callback",
                [
                    "url": .string("http://127.0.0.1:\(application)/farbell"),
                    "secret": ["file": "callback.secret"],
                ])
        }
        options.sections = [
            "apps": ["oa": .object(app)],
            "bridges": [
                "chat": [
                    "kind": "xmpp", "url": .string("xmpp://127.0.0.1:\(server.componentPort)"),
                    "component": .string(Self.domain), "secret": ["file": "xmpp.secret"],
                    "users": ["domain": "localhost"], "receiptSeconds": 2,
                ]
            ],
        ]
        try await Scenario.run(options) { world in
            for secret in [Self.secret, secret, Self.callback] { world.gateway.keepSecret(secret) }
            try await body(world, server)
        }
        try await server.stop()
    }

    private func bind(_ world: Scenario, _ account: String) async throws -> TerminalClient {
        var client = TerminalClient(world.gateway, account: account)
        try await client.bind(password: Scenario.accountPassword, installation: "desk-\(account)")
        return client
    }

    @Test(
        "IM-1 IM-3 IM-6 IM-7 the example application asks over XMPP, hears the answer with its question, and its receipts",
        arguments: Kind.available)
    func approvals(kind: Kind) async throws {
        let port = try ServerPort.next()
        try await run(kind, application: port) { world, server in
            let made = try await world.gateway.run("app", "key", "oa")
            let key = try #require(made.output.first, "\(made.errors)")
            world.gateway.keepSecret(key)
            try world.gateway.folder.write(key, to: "application.key")
            let root = "/" + #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
            let application = try await ChildProcess(
                "/usr/bin/env",
                [
                    "FARBELL=http://127.0.0.1:\(world.gateway.port)",
                    "FARBELL_KEY_FILE=\(world.gateway.folder.file("application.key"))",
                    "CALLBACK_SECRET=\(Self.callback)", "python3", "\(root)/Documentation/Examples/approvals.py",
                    "\(port)",
                ])
            defer { application.terminate() }
            try await world.gateway.start()
            try await world.log.wait(for: "callback.proven")
            try await world.log.wait(for: "bridge.connected")
            let alice = try await server.client("alice")
            // A contact like any other.
            try alice.order("presence", ["to": .string("oa@\(Self.domain)"), "type": "subscribe"])
            try await alice.wait("presence") { $0["type"] == "available" && $0["from"] == .string("oa@\(Self.domain)") }
            let wish: JSON = ["who": "alice", "what": "three days of leave"]
            #expect(try await PlainHTTP.send("POST", "/ask", port: port, body: wish.serializedBytes).status == 202)
            let question = try await alice.wait("message")
            #expect(question["body"]?.string?.contains("three days of leave") == true)
            try alice.order("send", ["to": .string("oa@\(Self.domain)"), "body": "yes", "id": "answer-1"])
            try await alice.wait("message") { $0["body"] == "Noted: three days of leave is approved." }
            // The application's own answer to the callback makes it delivered.
            try await alice.wait("receipt") { $0["id"] == "answer-1" }
            try alice.order("displayed", ["to": .string("oa@\(Self.domain)"), "id": question["id"] ?? ""])
            try await Eventually.wait("the receipts", for: .seconds(20)) {
                let cases = try JSONParser.parse(try await PlainHTTP.send("GET", "/cases", port: port).body)
                return cases["case-1"]?["state"] == "approved" && cases["case-1"]?["receipts"] == ["delivered", "read"]
            }
            try await alice.quit()
        }
    }

    @Test(
        "IM-4 IM-6 IM-7 IM-12 two people talk, one by XMPP and one by the interface; what comes while away comes later",
        arguments: Kind.available)
    func people(kind: Kind) async throws {
        try await run(kind) { world, server in
            try await world.gateway.start()
            try await world.log.wait(for: "bridge.connected")
            let bob = try await bind(world, "o'hara")
            let address = "o\\27hara@\(Self.domain)"
            let stream = try await bob.stream()
            let alice = try await server.client("alice")
            try alice.order("send", ["to": .string(address), "body": "你好 & <hello>", "id": "one"])
            let heard = try await stream.first("message") { $0.data["sender"] == "account/alice" }
            #expect(heard.data["body"] == "你好 & <hello>")
            // Accepted is not delivered: only an acknowledgement is.
            #expect(!alice.events.contains { $0["event"] == "receipt" })
            try await bob.acknowledge(heard.number)
            try await alice.wait("receipt") { $0["id"] == "one" && $0["from"] == .string(address) }
            _ = try await bob.call("POST", "/v1/messages/\(heard.data["id"]?.string ?? "")/read")
            try await alice.wait("displayed") { $0["id"] == "one" }
            _ = try await bob.call("POST", "/v1/messages", ["to": ["account": "alice"], "body": "and you?"])
            let answer = try await alice.wait("message")
            #expect(answer["body"] == "and you?" && answer["from"] == .string(address))
            // Her client confirms by itself, and he hears of it.
            _ = try await stream.first("receipt") { $0.data["state"] == "delivered" }
            try alice.order("state", ["to": .string(address), "state": "composing"])
            _ = try await stream.first("conversation") { $0.data["typing"]?["state"] == "composing" }
            _ = try await bob.call("POST", "/v1/conversations/alice/typing", ["state": "composing"])
            try await alice.wait("state") { $0["state"] == "composing" && $0["from"] == .string(address) }
            // Each has the other as a contact: she by her client, he by the interface.
            try alice.order("presence", ["to": .string(address), "type": "subscribe"])
            try await alice.wait("presence") { $0["type"] == "available" && $0["from"] == .string(address) }
            _ = try await bob.call("PUT", "/v1/status", ["status": "busy"])
            try await alice.wait("presence") { $0["show"] == "dnd" && $0["from"] == .string(address) }
            _ = try await bob.call("PUT", "/v1/contacts/alice")
            try alice.order("presence", ["show": "away"])
            _ = try await stream.first("presence") { $0.data["account"] == "alice" && $0.data["status"] == "away" }
            // She has agreed to show whether she is there, so it is known that she is gone.
            let opened = world.log.lines("stream.closed").count
            try await alice.quit()
            try await world.log.wait(for: "stream.closed", after: opened) { $0["reason"] == "bridge" }
            _ = try await bob.call("POST", "/v1/messages", ["to": ["account": "alice"], "body": "still there?"])
            let again = try await server.client("alice")
            let late = try await again.wait("message") { $0["body"] == "still there?" }
            #expect(late["from"] == .string(address))
            #expect(again.events.filter { $0["event"] == "message" }.count == 1, "what was taken does not come again")
            try await again.quit()
        }
    }

    @Test("IM-7 strangers and unknown addresses hear the same from a real server, and a text of 100 KB ends nothing")
    func strangers() async throws {
        try await run(.prosody) { world, server in
            try await world.gateway.start()
            try await world.log.wait(for: "bridge.connected")
            _ = try await world.administrator()("DELETE", "accounts/bob", nil)
            let (alice, bob) = (try await server.client("alice"), try await server.client("bob"))
            try bob.order("send", ["to": .string("oa@\(Self.domain)"), "body": "let me in", "id": "b1"])
            try alice.order("send", ["to": .string("nobody@\(Self.domain)"), "body": "anyone?", "id": "a1"])
            #expect(try await bob.wait("error")["condition"] == "service-unavailable")
            #expect(try await alice.wait("error")["condition"] == "service-unavailable")
            try bob.order("disco", ["to": .string(Self.domain)])
            #expect(try await bob.wait("disco")["condition"] == "service-unavailable")
            try alice.order("disco", ["to": .string(Self.domain)])
            #expect(try await alice.wait("disco")["items"] == [.string("oa@\(Self.domain)")])
            let long = String(repeating: "x", count: 100_000)
            try alice.order("send", ["to": .string("oa@\(Self.domain)"), "body": .string(long), "id": "a2"])
            #expect(try await alice.wait("error") { $0["id"] == "a2" }["condition"] == "policy-violation")
            try alice.order("send", ["to": .string("oa@\(Self.domain)"), "body": "short", "id": "a3"])
            try await world.log.wait(for: "message.accepted") { $0["sender"] == "account/alice" }
            #expect(world.log.lines("bridge.lost").isEmpty)
            try await alice.quit()
            try await bob.quit()
        }
    }

    @Test("IM-7 a wrong secret is said once and not tried again", arguments: Kind.available)
    func wrongSecret(kind: Kind) async throws {
        try await run(kind, secret: "another word") { world, _ in
            try await world.gateway.start()
            let line = try await world.log.wait(for: "bridge.refused")
            #expect(line["bridge"] == "chat" && line["reason"]?.contains("secret") == true)
            try await Task.sleep(for: .seconds(3))
            #expect(world.log.lines("bridge.refused").count == 1)
            #expect(world.log.lines("bridge.lost").isEmpty)
        }
    }

    @Test("IM-7 the server restarts, then the gateway is killed: the bridge comes back and nothing accepted is lost")
    func outages() async throws {
        try await run(.prosody) { world, server in
            try await world.gateway.start()
            try await world.log.wait(for: "bridge.connected")
            let first = try await server.client("alice", sendsReceipts: false)
            try first.order("send", ["to": .string("oa@\(Self.domain)"), "body": "hello", "id": "1"])
            try await world.log.wait(for: "message.accepted")
            let bob = try await bind(world, "bob")
            try await server.stop()
            try await world.log.wait(for: "bridge.lost")
            _ = try await bob.call("POST", "/v1/messages", ["to": ["account": "alice"], "body": "while it was down"])
            try await server.start()
            try await world.log.wait(for: "bridge.connected", after: 1)
            let second = try await server.client("alice", sendsReceipts: false)
            try await second.wait("message") { $0["body"] == "while it was down" }
            // A client without receipts: after a while the server's word counts.
            let stream = try await bob.stream(after: "0")
            _ = try await stream.first("receipt") { $0.data["state"] == "delivered" }
            try await world.gateway.kill()
            try await world.gateway.start()
            try await world.log.wait(for: "bridge.connected", after: 2)
            _ = try await bob.call("POST", "/v1/messages", ["to": ["account": "alice"], "body": "after the crash"])
            try await second.wait("message") { $0["body"] == "after the crash" }
            try await second.quit()
        }
    }
}
