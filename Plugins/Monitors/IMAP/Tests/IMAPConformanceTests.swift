import Base
import Gateway
import GatewayTestKit
import MailMonitoring
import MailTestKit
import Outbound
import Testing

@testable import IMAPMonitor

/// The monitor against the synthetic server, over TLS, with a clock the test moves.
final class SyntheticSubject: MonitorSubject {
    let server: SyntheticIMAPServer
    let time = ManualTime()
    let monitor: any Monitor
    let credentials: [String: Secret] = ["username": "u00001", "password": "secret"].mapValues { Secret($0) }
    var wrongCredentials: [String: Secret]? { ["username": Secret("u00001"), "password": Secret("not the password")] }
    private let isDown = Locked(false)

    init(_ client: HTTPClient, authority: TestCertificateAuthority, offersIdle: Bool = true) throws {
        var configuration = SyntheticIMAPServer.Configuration()
        configuration.offersIdle = offersIdle
        server = try SyntheticIMAPServer(configuration, identity: authority.localhost)
        let settings = IMAPMonitor.Settings(
            MailServer(
                .imap, host: "localhost", port: server.port, encryption: .implicit, caFile: authority.caFile))
        monitor = IMAPMonitor(
            settings,
            connector: ManualDeadlines(connector: OutboundMailConnector(client: client, time: time), time: time),
            transport: NoTransport(), time: time, log: Log(sink: NullLogSink()), readHeader: MessageHeader.read)
    }

    deinit { server.stop() }

    private func uid(_ key: String) -> UInt32 { key.split(separator: "/").last.flatMap { UInt32($0) } ?? 0 }

    let abilities = Set(MonitorAbility.allCases).subtracting([.silence, .throttling, .nonsense])

    func deliver(_ news: TestNews) async throws {
        let message = news.mail
        let end = message.firstRange(of: Array("\r\n\r\n".utf8))?.upperBound ?? message.endIndex
        try await server.deliver(to: "u00001", bytes: Array(message[..<end]))
    }
    func markRead(_ key: String) async throws { try await server.setSeen(uid: uid(key), of: "u00001") }
    func remove(_ key: String) async throws { try await server.expunge(uid: uid(key), of: "u00001") }
    func wakeWithoutNews() async throws { try await server.inject(Array("* 1 EXISTS\r\n".utf8)) }
    func setLosesWakeUps(_ loses: Bool) async throws {
        var faults = IMAPFaults()
        faults.losesWakeUps = loses
        try await server.setFaults(faults)
    }
    /// Only the long waits pass: a slow machine must not look like a server that does not answer a command.
    func passTime() async throws {
        if let next = time.nextDeadline, next - time.now > .seconds(31) { time.advanceToNextDeadline() }
    }
    func setServerRunning(_ running: Bool) async throws {
        try await server.setByeGreeting(running ? nil : "[UNAVAILABLE] away")
        if !running { try await server.drop() }
    }
    func loginAttempts() async throws -> Int { server.counts.logins + server.counts.failedLogins }
}

@Suite(.timeLimit(.minutes(3))) struct IMAPConformanceTests {
    @Test(
        "the imap monitor keeps the contract, idling and polling", arguments: MonitorConformance.Check.allCases,
        [true, false])
    func conformance(check: MonitorConformance.Check, offersIdle: Bool) async throws {
        let authority = try TestCertificateAuthority()
        try await OutboundClient.during { client in
            let subject = try SyntheticSubject(client, authority: authority, offersIdle: offersIdle)
            try await MonitorConformance.run(check, subject)
        }
    }
}
