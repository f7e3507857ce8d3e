import Base
import Gateway
import MonitorTools
import GatewayTestKit
import MonitorTestKit
import Outbound
import Testing

@testable import MatrixMonitor

/// The monitor against the strict fake, over TLS and HTTP/2.
final class FakeMatrixSubject: MonitorSubject {
    let server: FakeMatrix
    let monitor: any Monitor
    let credentials: [String: Secret] = ["username": Secret("alice"), "password": Secret("correct horse")]
    var wrongCredentials: [String: Secret]? { ["username": Secret("alice"), "password": Secret("not the password")] }
    let logged: RecordingLogSink? = RecordingLogSink()
    private let count = Locked(0)

    init(_ client: HTTPClient, authority: TestCertificateAuthority) throws {
        server = try FakeMatrix(users: ["alice": "correct horse"], identity: authority.localhost)
        monitor = MatrixMonitor(
            try MatrixMonitor.Settings.testing(server.url, caFile: authority.caFile), app: "chat", transport: client,
            time: SystemTime())
    }

    deinit { server.stop() }

    // A Matrix id is no mail address, and there is no id of the content.
    let abilities = Set(MonitorAbility.allCases).subtracting([.addresses, .contentKeys])

    /// Into one of sixty rooms: what comes to one room at once is told in one item.
    func deliver(_ news: TestNews) async throws {
        let number = count.withLock { count in
            count += 1
            return count
        }
        server.send(
            ["msgtype": "m.text", "body": .string(news.subject)], to: "!room\(number % 60):example.org",
            from: "@anna:example.org", displayName: news.sender, time: Timestamp(news.time)?.milliseconds ?? 0)
    }
    func markRead(_ key: String) async throws { server.read(key, by: "@alice:example.org") }
    func remove(_ key: String) async throws { server.redact(key) }
    func wakeWithoutNews() async throws {
        // Somebody else has read a room.
        let event = server.send(
            ["body": "x"], type: "m.reaction", to: "!room0:example.org", from: "@bob:example.org", notifies: false)
        server.read(event, by: "@bob:example.org")
    }
    func setLosesWakeUps(_ loses: Bool) async throws {}
    func passTime() async throws {}
    func setServerRunning(_ running: Bool) async throws { server.set { $0.isDown = !running } }
    func loginAttempts() async throws -> Int { server.loginAttempts }
    func setSilent(_ silent: Bool) async throws { server.set { $0.isSilent = silent } }
    func throttle(seconds: Int) async throws { server.set { $0.throttle = seconds } }
    func setNonsense(_ nonsense: Bool) async throws { server.set { $0.isNonsense = nonsense } }
}

extension MatrixMonitor.Settings {
    /// With long polls of 40 ms and deadlines of two seconds.
    static func testing(_ url: String, caFile: String? = nil) throws -> MatrixMonitor.Settings {
        var settings = MatrixMonitor.Settings(address: try .fake(url, caFile: caFile))
        settings.poll = .milliseconds(40)
        return settings
    }
}

@Suite(.timeLimit(.minutes(3))) struct MatrixConformanceTests {
    @Test("the matrix monitor keeps the contract", arguments: MonitorConformance.Check.allCases)
    func conformance(check: MonitorConformance.Check) async throws {
        let authority = try TestCertificateAuthority()
        try await OutboundClient.during { client in
            let subject = try FakeMatrixSubject(client, authority: authority)
            try await MonitorConformance.run(check, subject)
            #expect(subject.server.refusals == [])
        }
    }
}
