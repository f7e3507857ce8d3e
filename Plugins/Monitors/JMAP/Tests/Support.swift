import Base
import Gateway
import GatewayTestKit
import Outbound

@testable import JMAPMonitor

/// The monitor against the fake, on a clock the test moves.
final class FakeSubject: MonitorSubject {
    let fake: FakeJMAP
    let time = ManualTime()
    let monitor: any Monitor
    let logged: RecordingLogSink?
    let credentials = ["username": Secret("anna"), "password": Secret("secret word")]
    var wrongCredentials: [String: Secret]? { ["username": Secret("anna"), "password": Secret("wrong word")] }

    init(pushes: Bool, _ keys: String = "") throws {
        let sink = RecordingLogSink()
        fake = FakeJMAP(
            authorization: "Basic \(Array("anna:secret word".utf8).base64)", pushes: pushes, time: time)
        logged = sink
        monitor = try JMAPMonitor.configured(
            by: JMAPMonitorPlugin(), "{\"monitor\":{\"url\":\"https://jmap.test\"\(keys)}}", transport: fake,
            time: time,
            log: Log(sink: sink, level: .debug))
    }

    func deliver(_ news: TestNews) async throws { fake.deliver(news.id, subject: news.subject) }
    func markRead(_ key: String) async throws { fake.update(key) { $0.keywords.insert("$seen") } }
    func remove(_ key: String) async throws { fake.destroy(key) }
    func wakeWithoutNews() async throws { fake.wake() }
    func setLosesWakeUps(_ loses: Bool) async throws { fake.setLosesWakeUps(loses) }
    func passTime() async throws { time.advanceToNextDeadline() }
    func setServerRunning(_ running: Bool) async throws { fake.setRunning(running) }
    func loginAttempts() async throws -> Int { fake.refused }
    func setSilent(_ silent: Bool) async throws { fake.setSilent(silent) }
    func throttle(seconds: Int) async throws {
        fake.throttle(seconds: seconds)
        // A monitor that has asked already would ask again only when the pause is over.
        fake.wake()
    }
    func setNonsense(_ nonsense: Bool) async throws { fake.setNonsense(nonsense) }

    /// Watches while the body runs.
    func watching(
        _ host: RecordingMonitorHost = RecordingMonitorHost(),
        _ body: @escaping @Sendable (RecordingMonitorHost) async throws -> Void
    ) async throws -> RecordingMonitorHost {
        let before = host.watchingCount
        try await MonitorRun.during(monitor, credentials: credentials, host: host) {
            try await host.waitForWatching(before + 1)
            try await body(host)
        }
        return host
    }
}

/// A running client for the time of a test.
func withClient(_ body: @escaping @Sendable (HTTPClient) async throws -> Void) async throws {
    let client = try HTTPClient()
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await client.run() }
        defer { client.beginShutdown() }
        try await body(client)
    }
}
