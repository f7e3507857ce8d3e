import Base
import Gateway
import GatewayTestKit
import Outbound
import SMTPPush
import Testing

/// Over loopback, through the real client, against a strict server.
@Suite("e-mail against a server", .timeLimit(.minutes(2))) struct SMTPServerTests {
    private static let receiver = Channel.Address.token("alice@example.net")

    private static func options(
        _ security: FakeSMTPServer.Security, _ mechanisms: [String] = ["PLAIN", "LOGIN"]
    ) -> FakeSMTPServer.Configuration {
        var options = FakeSMTPServer.Configuration(users: ["farbell": "hush hush"])
        (options.security, options.mechanisms) = (security, mechanisms)
        return options
    }

    private static func adapter(
        _ url: String, caFile: String? = nil, password: String = "hush hush", user: String? = "farbell",
        http: HTTPClient? = nil, more: JSON = [:]
    ) throws -> any PushAdapter {
        var keys: JSONObject = [
            "url": .string(url), "from": "farbell@example.org", "clientName": "gateway.example.org",
        ]
        if let user {
            keys.append("username", .string(user))
            keys.append("password", ["env": "PASSWORD"])
        }
        if let caFile { keys.append("caFile", .string(caFile)) }
        keys.members += more.object?.members ?? []
        return try SMTPPlugin().adapter(
            JSON.object(keys).serialized, folder: ".", http: http ?? HTTPClient(), time: SystemTime(),
            environment: ["PASSWORD": password], tapPage: "https://farbell.example.org/l/")
    }

    /// A plain server without login, and an adapter for it.
    private static func plain() throws -> (FakeSMTPServer, any PushAdapter) {
        var options = FakeSMTPServer.Configuration()
        options.security = .none
        let server = try FakeSMTPServer(options)
        return (server, try adapter(server.url, user: nil))
    }

    @Test(
        "SG-13 a mail arrives once, encrypted and logged in",
        arguments: [FakeSMTPServer.Security.startTLS, .implicit], ["PLAIN", "LOGIN"])
    func delivered(security: FakeSMTPServer.Security, mechanism: String) async throws {
        let authority = try TestCertificateAuthority()
        let server = try FakeSMTPServer(Self.options(security, [mechanism]), identity: authority.localhost)
        defer { server.stop() }
        let more: JSON = security == .startTLS ? ["startTLS": "required"] : [:]
        let adapter = try Self.adapter(server.url, caFile: authority.caFile, more: more)
        let report = await adapter.send(.sample(to: Self.receiver))
        #expect(report == PushReport(.delivered, status: 250), "\(report) \(server.violations.all)")
        let message = try #require(server.messages.last)
        #expect(server.messages.count == 1)
        #expect(message.isEncrypted && message.user == "farbell" && message.client == "gateway.example.org")
        #expect(message.sender == "farbell@example.org" && message.recipient == "alice@example.net")
        #expect(message.messageID == "<11111111-2222-4333-8444-555555555555@example.org>")
        #expect(message.header("auto-submitted") == "auto-generated")
        #expect(server.violations.count == 0)
    }

    @Test("MN-13 a wakeup's mail has the link and no text")
    func wakeup() async throws {
        let (server, adapter) = try Self.plain()
        defer { server.stop() }
        _ = await adapter.send(.sample(to: Self.receiver, payload: .wakeup))
        let text = String(decoding: try #require(server.messages.last).content, as: UTF8.self)
        #expect(text.contains("https://farbell.example.org/l/tap1"))
        #expect(!text.contains("Outlook") && !text.contains("Bob"))
    }

    @Test(
        "each answer has its outcome",
        arguments: [
            (.recipient, "550 5.1.1 no such user", PushOutcome.gone(since: nil), "5.1.1", PushHop.token),
            (.recipient, "550 5.1.2 no such host", .gone(since: nil), "5.1.2", .token),
            (.recipient, "553 5.1.3 bad syntax", .gone(since: nil), "5.1.3", .token),
            (.recipient, "556 5.1.10 null MX", .rejected, "5.1.10", .token),
            (.recipient, "550 5.7.1 not you", .rejected, "5.7.1", .token),
            (.recipient, "550 mailbox unavailable", .rejected, "recipient_refused", .token),
            (.recipient, "554 5.7.1 relay denied", .rejected, "5.7.1", .token),
            (.recipient, "450 4.7.1 greylisted", .retry(after: nil, .device), "4.7.1", .token),
            (.recipient, "452 4.2.2 over quota", .retry(after: nil, .device), "4.2.2", .token),
            (.recipient, "421 4.3.2 going down", .retry(after: nil, .service), "4.3.2", .service),
            (.recipient, "530 5.7.0 log in", .credential, "5.7.0", .credential),
            (.sender, "553 5.7.1 not your address", .credential, "5.7.1", .credential),
            (.sender, "451 4.3.0 later", .retry(after: nil, .service), "4.3.0", .service),
            (.sender, "552 5.3.4 too big", .rejected, "5.3.4", .payload),
            (.data, "451 4.3.0 later", .retry(after: nil, .service), "4.3.0", .service),
            (.data, "554 5.5.1 no", .rejected, "5.5.1", .payload),
            (.content, "554 5.6.0 spam", .rejected, "5.6.0", .payload),
            (.content, "451 4.3.0 later", .retry(after: nil, .service), "4.3.0", .service),
        ] as [(FakeSMTPServer.Step, String, PushOutcome, String, PushHop)])
    func table(
        step: FakeSMTPServer.Step, answer: String, outcome: PushOutcome, reason: String, hop: PushHop
    ) async throws {
        let (server, adapter) = try Self.plain()
        defer { server.stop() }
        server.script(step, .reply(answer))
        let report = await adapter.send(.sample(to: Self.receiver))
        #expect(report == PushReport(outcome, status: Int(answer.prefix(3)), reason: reason, hop: hop))
        #expect(server.messages.count == 0 && server.violations.count == 0)
        #expect(await adapter.send(.sample(to: Self.receiver)).outcome == .delivered)
    }

    @Test("a mail whose answer was lost goes out again under the same Message-ID")
    func unknownOutcome() async throws {
        let (server, adapter) = try Self.plain()
        defer { server.stop() }
        server.script(.content, .acceptThenReset)
        #expect(
            await adapter.send(.sample(to: Self.receiver))
                == PushReport(.retry(after: nil, .service), reason: "outcome_unknown", hop: .service))
        #expect(await adapter.send(.sample(to: Self.receiver)).outcome == .delivered)
        #expect(server.messages.count == 2)
        #expect(Set(server.messages.all.map(\.messageID)).count == 1)
    }

    @Test(
        "a connection that breaks before the message is out is no unknown outcome",
        arguments: [FakeSMTPServer.Step.sender, .recipient, .data])
    func broken(step: FakeSMTPServer.Step) async throws {
        let (server, adapter) = try Self.plain()
        defer { server.stop() }
        server.script(step, .reset)
        let report = await adapter.send(.sample(to: Self.receiver))
        #expect(report == PushReport(.retry(after: nil, .service), reason: "connection_lost", hop: .tcp))
        #expect(server.messages.count == 0)
    }

    @Test(
        "a server that is closed for now is tried again, and nobody's address or password is blamed",
        arguments: [
            (.greeting, .farewell("554 5.3.2 closed"), "greeting_refused"),
            (.greeting, .farewell("421 4.3.2 going down"), "greeting_refused"),
            (.hello, .farewell("421 4.3.2 going down"), nil), (.hello, .reset, "connection_lost"),
            (.authentication, .reply("454 4.7.0 later"), "login_temporary"),
        ] as [(FakeSMTPServer.Step, FakeSMTPServer.Fault, String?)])
    func closed(step: FakeSMTPServer.Step, fault: FakeSMTPServer.Fault, reason: String?) async throws {
        let authority = try TestCertificateAuthority()
        let server = try FakeSMTPServer(Self.options(.implicit), identity: authority.localhost)
        defer { server.stop() }
        let adapter = try Self.adapter(server.url, caFile: authority.caFile)
        server.script(step, fault)
        let report = await adapter.send(.sample(to: Self.receiver))
        #expect(report.outcome == .retry(after: nil, .service), "\(report)")
        #expect(report.hop == .service || report.hop == .tcp, "\(report)")
        if let reason { #expect(report.reason == reason) }
        #expect(await adapter.send(.sample(to: Self.receiver)).outcome == .delivered)
    }

    @Test("a wrong password is our credential's fault")
    func wrongPassword() async throws {
        let authority = try TestCertificateAuthority()
        let server = try FakeSMTPServer(Self.options(.implicit), identity: authority.localhost)
        defer { server.stop() }
        let adapter = try Self.adapter(server.url, caFile: authority.caFile, password: "wrong")
        #expect(
            await adapter.send(.sample(to: Self.receiver))
                == PushReport(.credential, reason: "login_refused", hop: .credential))
    }

    @Test("STARTTLS is required: a server without it gets neither password nor mail")
    func noStartTLS() async throws {
        var options = FakeSMTPServer.Configuration(users: ["farbell": "hush hush"])
        options.security = .none
        let server = try FakeSMTPServer(options)
        defer { server.stop() }
        let adapter = try Self.adapter(server.url, more: ["startTLS": "required"])
        let report = await adapter.send(.sample(to: Self.receiver))
        #expect(report == PushReport(.retry(after: nil, .service), reason: "tls", hop: .tls))
        #expect(server.messages.count == 0)
    }

    @Test("name, connection and certificate are told apart")
    func hops() async throws {
        let nowhere = try Self.adapter("smtp://nowhere.invalid:2525")
        #expect(await nowhere.send(.sample(to: Self.receiver)).hop == .nameResolution)
        let closed = try Self.adapter("smtp://localhost:\(ServerPort.next())")
        #expect(await closed.send(.sample(to: Self.receiver)).hop == .tcp)
        let authority = try TestCertificateAuthority()
        let server = try FakeSMTPServer(Self.options(.implicit), identity: authority.localhost)
        defer { server.stop() }
        let distrustful = try Self.adapter(server.url)
        #expect(await distrustful.send(.sample(to: Self.receiver)).hop == .tls)
        let other = try TestCertificateAuthority()
        let mistaken = try Self.adapter(server.url, caFile: other.caFile)
        #expect(await mistaken.send(.sample(to: Self.receiver)).hop == .tls)
    }

    @Test("cancelling ends a mail at once and leaves no connection")
    func cancel() async throws {
        let (server, adapter) = try Self.plain()
        defer { server.stop() }
        server.script(.recipient, .hang)
        let task = Task { await adapter.send(.sample(to: Self.receiver)) }
        try await Eventually.wait("the connection", for: .seconds(20)) { try await server.openConnections() == 1 }
        let began = ContinuousClock.now
        task.cancel()
        #expect(await task.value.outcome == .retry(after: nil, .device))
        // Its time-out would be 28 s.
        #expect(ContinuousClock.now - began < .seconds(20))
        #expect(server.messages.count == 0)
    }
}
