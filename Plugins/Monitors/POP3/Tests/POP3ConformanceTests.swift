import Base
import Gateway
import GatewayTestKit
import MailMonitoring
import MonitorTestKit
import Outbound
import Testing

@testable import POP3Monitor

/// The monitor against the fake server, over TLS, with a clock the test moves.
final class POP3Subject: MonitorSubject {
    let server: FakePOP3Server
    let time = ManualTime()
    let monitor: any Monitor
    let sink = RecordingLogSink()
    let credentials: [String: Secret] = ["username": "anna", "password": "secret sauce"].mapValues { Secret($0) }
    var wrongCredentials: [String: Secret]? { ["username": Secret("anna"), "password": Secret("not the password")] }
    var logged: RecordingLogSink? { sink }
    /// The protocol knows no flags: what was read elsewhere cannot be told.
    let abilities = Set(MonitorAbility.allCases).subtracting([.tellsRead])

    init(
        _ client: HTTPClient, authority: TestCertificateAuthority,
        _ change: (inout FakePOP3Server.Configuration) -> Void = { _ in }
    ) throws {
        var configuration = FakePOP3Server.Configuration(users: ["anna": "secret sauce"])
        change(&configuration)
        server = try FakePOP3Server(configuration, identity: authority.localhost)
        var mail = MailServer(
            .pop3, host: "localhost", port: server.port,
            encryption: configuration.security == .startTLS ? .startTLS : .implicit, caFile: authority.caFile)
        // By the client's own clock.
        mail.connectTimeout = .seconds(2)
        monitor = POP3Monitor(
            .init(mail),
            connector: ManualDeadlines(connector: OutboundMailConnector(client: client, time: time), time: time),
            transport: NoTransport(), time: time, readHeader: MessageHeader.read)
    }

    deinit { server.stop() }

    func deliver(_ news: TestNews) async throws { server.deliver(news.mail, to: "anna", uid: "id-\(news.id)") }
    func markRead(_ key: String) async throws {}
    func remove(_ key: String) async throws {
        server.remove(
            Set(server.uids(of: "anna").filter { POP3Cursor.key(POP3Cursor.digest(Array($0.utf8))) == key }), of: "anna"
        )
    }
    func wakeWithoutNews() async throws { time.advanceToNextDeadline() }
    func setLosesWakeUps(_ loses: Bool) async throws {}
    /// A slow machine must not look like a server that does not answer, unless it does not.
    func passTime() async throws {
        guard let next = time.nextDeadline else { return }
        if next - time.now > .seconds(31) || server.fault == .silence || isThrottled { time.advanceToNextDeadline() }
    }
    private var isThrottled: Bool { if case .login = server.fault { true } else { false } }
    func setServerRunning(_ running: Bool) async throws {
        server.fault = running ? nil : .greeting("[SYS/TEMP] away")
        if !running { try await server.drop() }
    }
    func loginAttempts() async throws -> Int { server.counts.logins + server.counts.failedLogins }
    func setSilent(_ silent: Bool) async throws { server.fault = silent ? .silence : nil }
    func throttle(seconds: Int) async throws { server.fault = .login("[LOGIN-DELAY] come back in \(seconds) s") }
    func setNonsense(_ nonsense: Bool) async throws { server.fault = nonsense ? .nonsense : nil }
}

@Suite(.timeLimit(.minutes(3))) struct POP3ConformanceTests {
    @Test("the pop3 monitor keeps the contract", arguments: MonitorConformance.Check.allCases)
    func conformance(check: MonitorConformance.Check) async throws {
        let authority = try TestCertificateAuthority()
        try await OutboundClient.during { client in
            let subject = try POP3Subject(client, authority: authority)
            try await MonitorConformance.run(check, subject)
            #expect(subject.server.violations.all == [])
        }
    }

    @Test("news by STLS, by USER and PASS, and without TOP", arguments: ["STLS", "USER", "TOP"])
    func plainServers(kind: String) async throws {
        let authority = try TestCertificateAuthority()
        try await OutboundClient.during { client in
            let subject = try POP3Subject(client, authority: authority) { configuration in
                if kind == "STLS" { configuration.security = .startTLS }
                if kind == "USER" { configuration.mechanisms = [] }
                if kind == "TOP" { configuration.offersTop = false }
            }
            let host = RecordingMonitorHost()
            try await MonitorRun.during(subject.monitor, credentials: subject.credentials, host: host) {
                try await host.waitForWatching()
                try await subject.deliver(TestNews("hello", id: "1"))
                try await subject.time.waitForSleepers(1)
                try await subject.passTime()
                try await host.waitForItems(1)
            }
            #expect(host.rung.map(\.title) == [kind == "TOP" ? nil : "hello"])
            #expect(host.failures.isEmpty && subject.server.violations.all == [])
        }
    }

    @Test("two looks are never nearer than the server's LOGIN-DELAY")
    func loginDelay() async throws {
        let authority = try TestCertificateAuthority()
        try await OutboundClient.during { client in
            let subject = try POP3Subject(client, authority: authority) { $0.loginDelay = 900 }
            let host = RecordingMonitorHost()
            try await MonitorRun.during(subject.monitor, credentials: subject.credentials, host: host) {
                try await host.waitForWatching()
                try await subject.time.waitForSleepers(1)
                let pause = try #require(subject.time.nextDeadline.map { $0 - subject.time.now })
                #expect(pause >= .seconds(900) && pause <= .seconds(1080))
            }
        }
    }
}
