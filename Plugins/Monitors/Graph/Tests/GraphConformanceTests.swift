import Base
import Gateway
import MonitorTools
import GatewayTestKit
import Outbound
import Testing

@testable import GraphMonitor

/// The monitor with a fake Graph, over the real client, with a clock the test moves.
final class GraphSubject: MonitorSubject {
    let graph: FakeGraph
    let monitor: any Monitor
    let credentials: [String: Secret]
    let wrongCredentials: [String: Secret]?
    let time = ManualTime()

    init(_ client: HTTPClient, isService: Bool, isNotified: Bool = false) throws {
        graph = try FakeGraph(time: time)
        var http = MonitorHTTP(base: graph.url, pool: "graph/test", transport: client, time: time)
        http.timeout = .seconds(2)
        var settings = GraphMonitor.Settings()
        settings.mailboxDomain = "example.org"
        let log = Log(sink: NullLogSink())
        let notices =
            isNotified
            ? GraphNotices(url: "https://bell.example/hooks/mail", http: http, time: time, log: log) : nil
        let secret = Secret(FakeGraph.clientSecret)
        var client0 = TokenGrant.Client(tokenURL: graph.tokenURL, id: FakeGraph.clientID, secret: secret)
        client0.scope = "https://graph.microsoft.com/.default"
        if isService {
            let grant = TokenGrant(client0, refreshToken: nil, pool: "graph/test", transport: client, time: time)
            monitor = GraphMonitor(settings, .service(grant), http: http, time: time, notices: notices)
            (credentials, wrongCredentials) = ([:], nil)
        } else {
            var oauth = OAuthSettings()
            (oauth.tokenURL, oauth.clientID, oauth.clientSecret) = (graph.tokenURL, FakeGraph.clientID, secret)
            let grants = TokenGrants(oauth, pool: "graph/test", transport: client, time: time)
            monitor = GraphMonitor(settings, .own(grants, oauth), http: http, time: time, notices: notices)
            credentials = [OAuthSettings.Field.refreshToken: Secret(FakeGraph.refreshToken)]
            wrongCredentials = [OAuthSettings.Field.refreshToken: Secret("another-refresh-token")]
        }
    }

    deinit { graph.stop() }

    func deliver(_ news: TestNews) async throws { graph.deliver(news) }
    func markRead(_ key: String) async throws { graph.markRead(key) }
    func remove(_ key: String) async throws { graph.remove(key) }
    /// It only polls.
    func wakeWithoutNews() async throws { time.advanceToNextDeadline() }
    func setLosesWakeUps(_ loses: Bool) async throws {}
    func passTime() async throws { time.advanceToNextDeadline() }
    func setServerRunning(_ running: Bool) async throws { try await graph.setRunning(running) }
    func loginAttempts() async throws -> Int { graph.tokenRequests }
    func setSilent(_ silent: Bool) async throws { graph.setSilent(silent) }
    func throttle(seconds: Int) async throws { graph.setThrottle(seconds) }
    func setNonsense(_ nonsense: Bool) async throws { graph.setNonsense(nonsense) }
}

/// A client for the time of a test.
func withClient<Result: Sendable>(
    _ body: @escaping @Sendable (HTTPClient) async throws -> Result
) async throws -> Result {
    let client = try HTTPClient()
    defer { client.beginShutdown() }
    return try await body(client)
}

@Suite(.timeLimit(.minutes(3))) struct GraphConformanceTests {
    @Test("the graph monitor keeps the contract", arguments: MonitorConformance.Check.allCases, [true, false])
    func conformance(check: MonitorConformance.Check, isService: Bool) async throws {
        try await withClient { client in
            // Both kinds, one of them with notifications that never come.
            let subject = try GraphSubject(client, isService: isService, isNotified: !isService)
            try await MonitorConformance.run(check, subject)
            #expect(subject.graph.violations == [])
        }
    }

    @Test("an old message that is changed is no news; a link that was forgotten makes the cursor invalid")
    func oldMessages() async throws {
        try await withClient { client in
            let subject = try GraphSubject(client, isService: true)
            subject.graph.deliver(TestNews("old", id: "old"))
            let host = RecordingMonitorHost()
            try await MonitorRun.during(subject.monitor, credentials: [:], host: host) {
                try await host.waitForWatching()
                for id in subject.graph.ids { subject.graph.touch(id) }
                subject.graph.deliver(TestNews("new", id: "new"))
                try await Eventually.wait("the news") {
                    try await subject.passTime()
                    return !host.rung.isEmpty
                }
                subject.graph.revokeTokens()
                subject.graph.deliver(TestNews("next", id: "next"))
                try await Eventually.wait("news with another token") {
                    try await subject.passTime()
                    return host.rung.count == 2
                }
                subject.graph.forgetLinks()
                try await Eventually.wait("a failure") {
                    try await subject.passTime()
                    return !host.failures.isEmpty
                }
            }
            #expect(host.rung.map(\.title) == ["new", "next"])
            #expect(host.failures.map(\.code) == [.cursorInvalid])
        }
    }
}
