import Base
import Gateway
import MonitorTools
import GatewayTestKit
import MonitorTestKit
import Outbound
import Testing

@testable import ZulipMonitor

/// The monitor against the strict fake, over TLS.
final class FakeZulipSubject: MonitorSubject {
    let server: FakeZulip
    let monitor: any Monitor
    let credentials = ["username": Secret("alice@example.org"), "apiKey": Secret("correct-horse")]
    var wrongCredentials: [String: Secret]? {
        ["username": Secret("alice@example.org"), "apiKey": Secret("not the key")]
    }
    let logged: RecordingLogSink? = RecordingLogSink()

    init(_ client: HTTPClient, authority: TestCertificateAuthority) throws {
        server = try FakeZulip(identity: authority.localhost)
        monitor = ZulipMonitor(
            try .testing(server.url, caFile: authority.caFile), app: "chat", transport: client, time: SystemTime())
    }

    deinit { server.peer.stop() }

    // There is no id of the content.
    let abilities = Set(MonitorAbility.allCases).subtracting([.contentKeys])

    func deliver(_ news: TestNews) async throws {
        server.send(news.subject, time: Timestamp(news.time)?.seconds ?? 0)
    }
    func markRead(_ key: String) async throws { server.read([Int64(key) ?? 0]) }
    func remove(_ key: String) async throws { server.delete([Int64(key) ?? 0]) }
    func wakeWithoutNews() async throws { server.read([1]) }
    func setLosesWakeUps(_ loses: Bool) async throws { if loses { server.forgetQueues() } }
    func passTime() async throws {}
    func setServerRunning(_ running: Bool) async throws { server.peer.set { $0.isDown = !running } }
    func loginAttempts() async throws -> Int { server.state.withLock { $0.refusedLogins } }
    func setSilent(_ silent: Bool) async throws { server.peer.set { $0.isSilent = silent } }
    func throttle(seconds: Int) async throws { server.peer.set { $0.throttle = seconds } }
    func setNonsense(_ nonsense: Bool) async throws { server.peer.set { $0.isNonsense = nonsense } }
}

extension ZulipMonitor.Settings {
    /// With heartbeats of 40 ms and deadlines of two seconds.
    static func testing(_ url: String, caFile: String? = nil) throws -> ZulipMonitor.Settings {
        var settings = ZulipMonitor.Settings(address: try .fake(url, caFile: caFile))
        settings.longPoll = .milliseconds(100)
        return settings
    }
}

@Suite(.timeLimit(.minutes(3))) struct ZulipConformanceTests {
    @Test("the zulip monitor keeps the contract", arguments: MonitorConformance.Check.allCases)
    func conformance(check: MonitorConformance.Check) async throws {
        let authority = try TestCertificateAuthority()
        try await OutboundClient.during { client in
            let subject = try FakeZulipSubject(client, authority: authority)
            try await MonitorConformance.run(check, subject)
            #expect(subject.server.refusals == [])
        }
    }
}
