import Base
import Gateway
import GatewayTestKit
import MonitorTestKit
import Outbound
import Testing
import XMPPTools
import XML

@testable import XMPPMonitor

/// The monitor against the strict fake, over TLS, with a clock the test moves.
final class XMPPSubject: MonitorSubject {
    let server: FakeXMPPServer
    let time = ManualTime()
    let monitor: any Monitor
    let logged: RecordingLogSink? = RecordingLogSink()
    let credentials = ["username": Secret(FakeXMPPServer.user), "password": Secret(FakeXMPPServer.password)]
    var wrongCredentials: [String: Secret]? {
        ["username": Secret(FakeXMPPServer.user), "password": Secret("not the password")]
    }
    private let isSilent = Locked(false)

    init(_ client: HTTPClient, authority: TestCertificateAuthority) throws {
        server = try FakeXMPPServer(identity: authority.localhost)
        let settings = XMPPMonitor.Settings(
            server: XMPPServer(
                host: "localhost", port: server.port, isEncrypted: true, caFile: authority.caFile,
                timeout: .seconds(30)))
        monitor = XMPPMonitor(
            settings, connector: ManualXMPPDeadlines(connector: OutboundXMPPConnector(client: client), time: time),
            time: time, log: Log(sink: logged ?? RecordingLogSink()))
    }

    deinit { server.stop() }

    /// XMPP has addresses, and ids that are no Message-IDs; names are the user's own contact list.
    let abilities = Set(MonitorAbility.allCases).subtracting([.names, .contentKeys])

    static func message(_ news: TestNews) -> String {
        let body = XMLElement("body", in: "jabber:client", text: news.subject)
        return XMLElement(
            "message", in: "jabber:client",
            [
                "from": "\(news.senderAddress)/phone", "to": "alice@localhost", "type": "chat",
                "id": news.id,
            ], children: [body]
        ).xml()
    }

    private func id(_ key: String) -> String { key.split(separator: "/").last.map { String($0) } ?? "" }

    func deliver(_ news: TestNews) async throws { try await server.deliver(Self.message(news)) }
    func markRead(_ key: String) async throws {
        try await server.deliver(
            "<message xmlns='jabber:client' from='alice@localhost/phone' to='anna@example.org' type='chat' id='m'>"
                + "<displayed xmlns='urn:xmpp:chat-markers:0' id='\(id(key))'/></message>")
    }
    func remove(_ key: String) async throws {
        try await server.deliver(
            "<message xmlns='jabber:client' from='anna@example.org/phone' to='alice@localhost' type='chat' id='r'>"
                + "<retract xmlns='urn:xmpp:message-retract:1' id='\(id(key))'/><body>retracted</body></message>")
    }
    func wakeWithoutNews() async throws { try await server.tell(Self.message(TestNews("not kept", id: "none"))) }
    func setLosesWakeUps(_ loses: Bool) async throws { try await server.setLosesWakeUps(loses) }
    /// Only the long waits pass, unless the server is silent: a slow machine must not look like one that is.
    func passTime() async throws {
        let least: Duration = isSilent.withLock { $0 } ? .zero : .seconds(31)
        if let next = time.nextDeadline, next - time.now > least { time.advanceToNextDeadline() }
    }
    func setServerRunning(_ running: Bool) async throws { try await server.setRunning(running) }
    func loginAttempts() async throws -> Int { try await server.logins() }
    func setSilent(_ silent: Bool) async throws {
        isSilent.withLock { $0 = silent }
        try await server.setSilent(silent)
    }
    func throttle(seconds: Int) async throws { try await server.setThrottled(true) }
    func setNonsense(_ nonsense: Bool) async throws { try await server.setNonsense(nonsense) }
}

/// Connections whose deadlines pass by the test's clock, and not by the client's.
private struct ManualXMPPDeadlines: XMPPConnector {
    let connector: any XMPPConnector
    let time: ManualTime

    func connect(_ server: XMPPServer) async throws -> any XMPPStream {
        Stream(stream: try await connector.connect(server), time: time)
    }

    private struct Stream: XMPPStream {
        let stream: any XMPPStream
        let time: ManualTime

        func send(_ bytes: [UInt8]) async throws { try await stream.send(bytes) }
        func close() { stream.close() }

        func receive(until deadline: Moment) async throws -> [UInt8]? {
            try await time.receive(until: deadline) { try await stream.receive(until: .distantFuture) }
        }
    }
}

@Suite(.timeLimit(.minutes(3))) struct XMPPConformanceTests {
    @Test("the xmpp monitor keeps the contract", arguments: MonitorConformance.Check.allCases)
    func conformance(check: MonitorConformance.Check) async throws {
        let authority = try TestCertificateAuthority()
        try await OutboundClient.during { client in
            let subject = try XMPPSubject(client, authority: authority)
            try await MonitorConformance.run(check, subject)
            #expect(subject.server.violations.all.isEmpty)
        }
    }
}
