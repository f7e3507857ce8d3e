import Base
import Gateway
import GatewayTestKit
import MailMonitoring
import MonitorTestKit
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
    let sink = RecordingLogSink()
    var logged: RecordingLogSink? { sink }
    /// Where mail is delivered.
    private let folder: String
    /// The server answers nothing, or nonsense: short waits pass too.
    private let isBroken = Locked(false)
    /// The next deadline, and how often it has been seen.
    private let waits = Locked((deadline: Moment.distantFuture, times: 0))

    /// - Parameter folders: nil for the inbox alone; else further folders, the last of which gets the mail.
    init(
        _ client: HTTPClient, authority: TestCertificateAuthority, offersIdle: Bool = true, folders: [String]? = nil
    ) throws {
        var configuration = SyntheticIMAPServer.Configuration()
        configuration.offersIdle = offersIdle
        configuration.folders = ["INBOX", "Sent", "Junk"] + (folders ?? [])
        configuration.attributes = ["Sent": "\\Sent", "Junk": "\\Junk"]
        folder = folders?.last ?? "INBOX"
        server = try SyntheticIMAPServer(configuration, identity: authority.localhost)
        var mail = MailServer(
            .imap, host: "localhost", port: server.port, encryption: .implicit, caFile: authority.caFile)
        // By the client's own clock.
        mail.connectTimeout = .seconds(5)
        var settings = IMAPMonitor.Settings(mail)
        if folders != nil { settings.mailboxes = ["*"] }
        monitor = IMAPMonitor(
            settings,
            connector: ManualDeadlines(connector: OutboundMailConnector(client: client, time: time), time: time),
            transport: NoTransport(), time: time, log: Log(sink: sink, level: .debug, time: time),
            readHeader: MessageHeader.read)
    }

    deinit { server.stop() }

    private func uid(_ key: String) -> UInt32 { key.split(separator: "/").last.flatMap { UInt32($0) } ?? 0 }

    func deliver(_ news: TestNews) async throws {
        let message = news.mail
        let end = message.firstRange(of: Array("\r\n\r\n".utf8))?.upperBound ?? message.endIndex
        try await server.deliver(to: "u00001", folder: folder, bytes: Array(message[..<end]))
    }
    func markRead(_ key: String) async throws { try await server.setSeen(uid: uid(key), of: "u00001", folder: folder) }
    func remove(_ key: String) async throws { try await server.expunge(uid: uid(key), of: "u00001", folder: folder) }
    func wakeWithoutNews() async throws { try await server.inject(Array("* 1 EXISTS\r\n".utf8)) }
    func setLosesWakeUps(_ loses: Bool) async throws {
        var faults = IMAPFaults()
        faults.losesWakeUps = loses
        try await server.setFaults(faults)
    }
    /// Only the long waits pass: a slow machine must not look like a server that does not answer a command.
    func passTime() async throws {
        guard let next = time.nextDeadline else { return }
        // Of several connections one may idle only a little longer than another.
        let isLasting = waits.withLock { waits in
            waits = waits.deadline == next ? (next, waits.times + 1) : (next, 0)
            return waits.times > 15
        }
        if next - time.now > .seconds(31) || isBroken.withLock({ $0 }) || isLasting { time.advanceToNextDeadline() }
    }
    func setSilent(_ silent: Bool) async throws { try await spoil(silent) { $0.isSilent = true } }
    func setNonsense(_ nonsense: Bool) async throws { try await spoil(nonsense) { $0.isNonsense = true } }
    private func spoil(_ isBroken: Bool, _ change: (inout IMAPFaults) -> Void) async throws {
        var faults = IMAPFaults()
        if isBroken { change(&faults) }
        try await server.setFaults(faults)
        self.isBroken.withLock { $0 = isBroken }
    }
    func throttle(seconds: Int) async throws {
        try await server.setByeGreeting("[THROTTLED] come back in \(seconds) s")
        try await server.inject(Array("* BYE [THROTTLED] come back in \(seconds) s\r\n".utf8))
    }
    func setServerRunning(_ running: Bool) async throws {
        try await server.setByeGreeting(running ? nil : "[UNAVAILABLE] away")
        if !running { try await server.drop() }
    }
    func loginAttempts() async throws -> Int { server.counts.logins + server.counts.failedLogins }
}

/// How a mailbox is watched.
enum WatchKind: String, CaseIterable {
    case idling, polling, folders
}

@Suite(.timeLimit(.minutes(5))) struct IMAPConformanceTests {
    @Test(
        "the imap monitor keeps the contract, idling, polling and with several folders",
        arguments: MonitorConformance.Check.allCases, WatchKind.allCases)
    func conformance(check: MonitorConformance.Check, kind: WatchKind) async throws {
        let authority = try TestCertificateAuthority()
        try await OutboundClient.during { client in
            let subject = try SyntheticSubject(
                client, authority: authority, offersIdle: kind != .polling, folders: kind == .folders ? ["Work"] : nil)
            try await MonitorConformance.run(check, subject)
        }
    }

    @Test("of several folders each rings, a message in two of them once, sent mail and spam never")
    func folders() async throws {
        let authority = try TestCertificateAuthority()
        try await OutboundClient.during { client in
            let subject = try SyntheticSubject(client, authority: authority, folders: ["Lists", "Work"])
            let host = RecordingMonitorHost()
            let user = "u00001"
            try await MonitorRun.during(subject.monitor, credentials: subject.credentials, host: host) {
                try await host.waitForWatching()
                for folder in ["Sent", "Junk", "INBOX", "Lists"] {
                    try await subject.server.deliver(
                        to: user, folder: folder, header: "Subject: \(folder)\r\nMessage-ID: <\(folder)@x>\r\n")
                }
                try await host.waitForItems(2)
                try await subject.server.deliver(
                    to: user, folder: "Work", header: "Subject: copy\r\nMessage-ID: <INBOX@x>\r\n")
                try await subject.server.deliver(
                    to: user, folder: "Work", header: "Subject: work\r\nMessage-ID: <work@x>\r\n")
                try await host.waitForItems(3)
            }
            #expect(Set(host.rung.compactMap(\.title)) == ["INBOX", "Lists", "work"])
            #expect(Set(host.rung.map(\.key)).count == 3)
            #expect(host.failures.isEmpty)
            // Again: nothing rings twice.
            try await MonitorRun.during(subject.monitor, credentials: subject.credentials, host: host) {
                try await host.waitForWatching(2)
            }
            #expect(host.rung.count == 3)
        }
    }
}
