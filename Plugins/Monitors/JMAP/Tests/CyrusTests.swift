import Base
import Gateway
import MonitorTools
import GatewayTestKit
import Outbound
import Testing

@testable import JMAPMonitor

/// The monitor against a real Cyrus. Where `Scripts/unpack-cyrus` was not run, they are skipped.
@Suite(
    .enabled(if: CyrusServer.isAvailable, "Cyrus was not unpacked: run Scripts/install --tests"), .serialized,
    .timeLimit(.minutes(5)))
struct CyrusTests {
    struct Rig: Sendable {
        let server: CyrusServer
        let client: HTTPClient
        let monitor: JMAPMonitor
        let host = RecordingMonitorHost()
        var credentials = ["username": Secret("anna"), "password": Secret(CyrusServer.password)]

        func during(_ body: @escaping @Sendable () async throws -> Void) async throws {
            try await MonitorRun.during(monitor, credentials: credentials, host: host, body: body)
        }
        func deliver(_ news: TestNews) async throws { try await server.deliver(news.mail, to: "anna") }

        /// What another client does.
        func set(_ arguments: JSONObject) async throws {
            let http = MonitorHTTP(base: server.origin, pool: "other", transport: client, time: SystemTime())
            let login = "Basic \(Array("anna:\(CyrusServer.password)".utf8).base64)"
            let jmap = JMAPClient(http: http, time: SystemTime(), authorization: login)
            let session = try await jmap.session(at: server.origin + "/jmap/")
            let result = try await jmap.call([.init("Email/set", "s", arguments)], session).required("s")
            #expect(result["notUpdated"]?.object == nil && result["notDestroyed"]?.object == nil)
        }
    }

    static func withRig(_ body: @escaping @Sendable (Rig) async throws -> Void) async throws {
        let server = try await CyrusServer(users: ["anna"])
        try await withClient { client in
            // The clock of the monitor is faster than ours: it asks every half second.
            let monitor = try JMAPMonitor.configured(
                by: JMAPMonitorPlugin(), "{\"monitor\":{\"url\":\"\(server.origin)\",\"pollSeconds\":10}}",
                transport: client,
                time: FastTime(factor: 20))
            try await body(Rig(server: server, client: client, monitor: monitor))
        }
        try await server.stop()
    }

    @Test("SG-4 SG-5 SG-14 the mail of a real server is told, old mail is not; read, deleted and moved are told")
    func news() async throws {
        try await Self.withRig { rig in
            try await rig.deliver(TestNews("old", id: "old"))
            try await rig.during {
                try await rig.host.waitForWatching()
                let encoded = Array("=?GB18030?B?xOO6ww==?= =?ISO-2022-JP?B?GyRCJDMkcyRLJEEkTxsoQg==?=".utf8)
                try await rig.deliver(TestNews("", header: encoded, id: "new"))
                try await rig.host.waitForItems(1)
                try await rig.deliver(TestNews("two", id: "2"))
                try await rig.deliver(TestNews("three", id: "3"))
                let items = try await rig.host.waitForItems(3)
                try await rig.set(["update": [items[0].key: ["keywords/$seen": true]]])
                try await Eventually.wait("seen") { rig.host.seen == [items[0].key] }
                try await rig.set(["destroy": [.string(items[1].key)]])
                try await Eventually.wait("gone") { rig.host.gone == [items[1].key] }
            }
            let item = try #require(rig.host.rung.first)
            #expect(item.title == "你好こんにちは" && item.preview?.hasPrefix("The text.") == true)
            #expect(item.sender == "Anna Example" && item.senderAddress == "anna@example.org")
            #expect(item.contentKey == "new@example.org" && item.time != nil && item.threadKey != nil)
            #expect(rig.host.failures.isEmpty && rig.host.rung.count == 3)
        }
    }

    @Test("mail that came while nobody watched is told after a restart of the server, once")
    func restart() async throws {
        try await Self.withRig { rig in
            // Cyrus makes the account with its first message.
            try await rig.deliver(TestNews("old", id: "old"))
            try await rig.during { try await rig.host.waitForWatching() }
            try await rig.deliver(TestNews("while away", id: "a"))
            try await rig.during {
                try await rig.host.waitForItems(1)
                try await rig.server.stop()
                try await rig.host.waitForFailures()
                try await rig.server.start()
                try await rig.deliver(TestNews("back", id: "b"))
                try await rig.host.waitForItems(2, deadline: .seconds(30))
            }
            #expect(rig.host.rung.map(\.title) == ["while away", "back"])
            #expect(rig.host.failures.allSatisfy { $0.code == .network })
        }
    }

    @Test("a refused password is tried once")
    func wrongPassword() async throws {
        try await Self.withRig { rig in
            var rig = rig
            rig.credentials["password"] = Secret("wrong horse")
            let wrong = rig
            try await wrong.during { try await wrong.host.waitForFailures() }
            #expect(wrong.host.failures.map(\.code) == [.authFailed])
        }
    }

    @Test("a state that Cyrus does not know sets a new baseline, and mail that came since then rings")
    func unknownState() async throws {
        try await Self.withRig { rig in
            let cursor = JMAPCursor(account: "anna", state: "no number", time: SystemTime().timestamp)
            try await rig.deliver(TestNews("since", id: "s"))
            rig.host.cursor = cursor.encoded
            try await rig.during { try await rig.host.waitForWatching() }
            #expect(rig.host.rung.map(\.title) == ["since"] && rig.host.failures.isEmpty)
        }
    }
}

/// The machine's clock, whose waits are shorter.
struct FastTime: TimeSource {
    let factor: Int64
    private let system = SystemTime()
    private let start = SystemTime().now

    init(factor: Int64) { self.factor = factor }

    var now: Moment { start + .nanoseconds((system.now - start).nanoseconds * factor) }
    var timestamp: Timestamp { system.timestamp }
    func sleep(until moment: Moment) async throws {
        try await system.sleep(until: system.now + .nanoseconds(max(0, (moment - now).nanoseconds / factor)))
    }
}
