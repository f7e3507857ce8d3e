import Base
import Gateway
import GatewayTestKit
import MonitorTools
import MonitorTestKit
import Outbound
import Testing

@testable import MattermostMonitor

/// The monitor against the strict fake, over TLS.
final class FakeMattermostSubject: MonitorSubject {
    let server: FakeMattermost
    let monitor: any Monitor
    let credentials: [String: Secret] = ["username": Secret("alice"), "password": Secret("correct horse")]
    var wrongCredentials: [String: Secret]? { ["username": Secret("alice"), "password": Secret("not the password")] }
    let logged: RecordingLogSink? = RecordingLogSink()
    private let count = Locked(0)

    init(_ client: HTTPClient, authority: TestCertificateAuthority) throws {
        server = try FakeMattermost(identity: authority.localhost)
        monitor = MattermostMonitor(
            try .fake(server.url, caFile: authority.caFile), app: "chat", transport: client, time: SystemTime())
        // More than a page of memberships.
        for number in 0..<70 { server.addChannel("direct\(number)") }
    }

    deinit { server.peer.stop() }

    // Mattermost shows nobody's address, and has no id of the content.
    let abilities = Set(MonitorAbility.allCases).subtracting([.addresses, .contentKeys])

    /// Into one of seventy conversations: what comes to one at once is told in one item.
    func deliver(_ news: TestNews) async throws {
        let number = count.withLock { count in
            count += 1
            return count
        }
        server.post(news.subject, in: "direct\(number % 70)")
    }
    func markRead(_ key: String) async throws { server.channel(of: key).map(server.view) }
    func remove(_ key: String) async throws { server.delete(key) }
    func wakeWithoutNews() async throws { server.view("direct69") }
    func setLosesWakeUps(_ loses: Bool) async throws {}
    func passTime() async throws {}
    func setServerRunning(_ running: Bool) async throws { server.peer.set { $0.isDown = !running } }
    func loginAttempts() async throws -> Int { server.state.withLock { $0.logins } }
    func setSilent(_ silent: Bool) async throws { server.peer.set { $0.isSilent = silent } }
    func throttle(seconds: Int) async throws { server.peer.set { $0.throttle = seconds } }
    func setNonsense(_ nonsense: Bool) async throws { server.peer.set { $0.isNonsense = nonsense } }
}

@Suite(.timeLimit(.minutes(3))) struct MattermostConformanceTests {
    @Test("the mattermost monitor keeps the contract", arguments: MonitorConformance.Check.allCases)
    func conformance(check: MonitorConformance.Check) async throws {
        let authority = try TestCertificateAuthority()
        try await OutboundClient.during { client in
            let subject = try FakeMattermostSubject(client, authority: authority)
            try await MonitorConformance.run(check, subject)
            #expect(subject.server.refusals == [])
        }
    }
}
