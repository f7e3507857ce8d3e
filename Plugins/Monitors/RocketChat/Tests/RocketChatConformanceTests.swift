import Base
import Gateway
import GatewayTestKit
import MonitorTools
import MonitorTestKit
import Outbound
import Testing

@testable import RocketChatMonitor

/// The monitor against the strict fake, over TLS.
final class FakeRocketChatSubject: MonitorSubject {
    let server: FakeRocketChat
    let monitor: any Monitor
    let credentials: [String: Secret] = ["username": Secret("alice"), "password": Secret("correct horse")]
    var wrongCredentials: [String: Secret]? { ["username": Secret("alice"), "password": Secret("not the password")] }
    let logged: RecordingLogSink? = RecordingLogSink()
    private let count = Locked(0)

    init(_ client: HTTPClient, authority: TestCertificateAuthority) throws {
        server = try FakeRocketChat(identity: authority.localhost)
        monitor = RocketChatMonitor(
            try .fake(server.url, caFile: authority.caFile), app: "chat", transport: client, time: SystemTime())
        for number in 0..<70 { server.addRoom("direct\(number)") }
    }

    deinit { server.peer.stop() }

    // Rocket.Chat shows nobody's address, and has no id of the content.
    let abilities = Set(MonitorAbility.allCases).subtracting([.addresses, .contentKeys])

    /// Into one of seventy conversations: what comes to one at once is told in one item.
    func deliver(_ news: TestNews) async throws {
        let number = count.withLock { count in
            count += 1
            return count
        }
        server.send(news.subject, to: "direct\(number % 70)")
    }
    func markRead(_ key: String) async throws { server.room(of: key).map(server.read) }
    func remove(_ key: String) async throws { server.delete(key) }
    func wakeWithoutNews() async throws { server.read("direct69") }
    func setLosesWakeUps(_ loses: Bool) async throws {}
    func passTime() async throws {}
    func setServerRunning(_ running: Bool) async throws { server.peer.set { $0.isDown = !running } }
    func loginAttempts() async throws -> Int { server.state.withLock { $0.logins } }
    func setSilent(_ silent: Bool) async throws { server.peer.set { $0.isSilent = silent } }
    func throttle(seconds: Int) async throws { server.peer.set { $0.throttle = seconds } }
    func setNonsense(_ nonsense: Bool) async throws { server.peer.set { $0.isNonsense = nonsense } }
}

@Suite(.timeLimit(.minutes(3))) struct RocketChatConformanceTests {
    @Test("the rocketchat monitor keeps the contract", arguments: MonitorConformance.Check.allCases)
    func conformance(check: MonitorConformance.Check) async throws {
        let authority = try TestCertificateAuthority()
        try await OutboundClient.during { client in
            let subject = try FakeRocketChatSubject(client, authority: authority)
            try await MonitorConformance.run(check, subject)
            #expect(subject.server.refusals == [])
        }
    }
}
