import Base
import Gateway
import GatewayTestKit
import MonitorTestKit
import MonitorTools
import Outbound
import Testing

@testable import MattermostMonitor

/// What rings and what does not, against the strict fake.
@Suite(.timeLimit(.minutes(3))) struct MattermostRulesTests {
    private func watching(
        credentials: [String: String] = ["username": "alice", "password": "correct horse"], usesToken: Bool = false,
        _ prepare: (FakeMattermost) -> Void = { _ in },
        _ body: @escaping @Sendable (FakeMattermost, RecordingMonitorHost) async throws -> Void
    ) async throws {
        let authority = try TestCertificateAuthority()
        let server = try FakeMattermost(identity: authority.localhost)
        defer { server.peer.stop() }
        prepare(server)
        try await OutboundClient.during { client in
            let settings = try PolledChatSettings.fake(server.url, caFile: authority.caFile, usesToken: usesToken)
            let monitor = MattermostMonitor(settings, app: "chat", transport: client, time: SystemTime())
            let host = RecordingMonitorHost()
            try await MonitorRun.during(monitor, credentials: credentials.mapValues { Secret($0) }, host: host) {
                try await host.waitForWatching()
                try await body(server, host)
            }
        }
        #expect(server.refusals == [])
    }

    @Test("mentions ring in channels, everything in direct ones; own, system, muted and edited posts do not")
    func rules() async throws {
        try await watching { server in
            server.addChannel("dm")
            server.addChannel("town", type: "O", name: "Town Square")
            var muted = FakeMattermost.Member()
            muted.props = ["mark_unread": "mention"]
            server.addChannel("muted", type: "P", name: "Muted", member: muted)
            var all = FakeMattermost.Member()
            all.props = ["push": "all"]
            server.addChannel("alerts", type: "P", name: "Alerts", member: all)
        } _: { server, host in
            let first = server.post("hello", in: "dm")
            server.post("own", in: "dm", by: "alice")
            server.post("anna joined", in: "dm", type: "system_join_channel")
            server.post("chatter", in: "town", isMention: false)
            server.post("please @alice.", in: "town")
            server.post("@alice in a muted one", in: "muted")
            server.post("disk full", in: "alerts", isMention: false)
            try await host.waitForItems(3)
            server.edit(first, "hello, edited")
            server.post("last", in: "dm")
            let items = try await host.waitForItems(4)
            #expect(Set(items.prefix(3).map(\.title)) == ["hello", "please @alice.", "disk full"])
            #expect(items[3].title == "last")
            #expect(items.first { $0.threadKey == "town" }?.sender == "Anna Example (Town Square)")
            #expect(items.first { $0.threadKey == "dm" }?.sender == "Anna Example")
        }
    }

    @Test("the user's words, first name and channel-wide mentions count; others do not")
    func words() throws {
        let session = try MattermostSession(
            token: Secret("t"),
            [
                "id": "u", "username": "alice", "first_name": "Alice",
                "notify_props": ["first_name": "true", "mention_keys": "deploy, on-call", "channel": "true"],
            ])
        let member = try #require(
            MattermostMember(["channel_id": "c", "notify_props": ["ignore_channel_mentions": "off"]]))
        let deaf = try #require(
            MattermostMember(["channel_id": "c", "notify_props": ["ignore_channel_mentions": "on"]]))
        func mentions(_ text: String, _ member: MattermostMember) -> Bool {
            MattermostPost(["id": "p", "channel_id": "c", "user_id": "x", "create_at": 1, "message": .string(text)])?
                .mentions(session, member) ?? false
        }
        for text in ["@alice", "hi @Alice!", "Alice, look", "DEPLOY now", "who is on-call?", "@channel", "ok @here."] {
            #expect(mentions(text, member), "\(text)")
        }
        for text in ["alice", "@alicent", "deployment", "malice", "@bob", "channel"] {
            #expect(!mentions(text, member), "\(text)")
        }
        #expect(!mentions("@all", deaf))
    }

    @Test("a flood in one channel is one item, and is not told again one by one")
    func flood() async throws {
        try await watching {
            $0.addChannel("dm")
        } _: { server, host in
            server.peer.set { $0.isDown = true }
            for number in 1...30 { server.post("flood \(number)", in: "dm") }
            server.peer.set { $0.isDown = false }
            try await host.waitForItems(1)
            server.post("after", in: "dm")
            let items = try await host.waitForItems(2)
            #expect(items.map(\.title) == ["30 new messages", "after"])
            server.view("dm")
            try await Eventually.wait("both seen: \(host.seen)") { Set(host.seen) == Set(items.map(\.key)) }
        }
    }

    @Test("an ended session is renewed once; sessions do not pile up; a token needs no login")
    func sessions() async throws {
        try await watching {
            $0.addChannel("dm")
        } _: { server, host in
            server.state.withLock { $0.tokens = [] }
            server.post("renewed", in: "dm")
            try await host.waitForItems(1)
            #expect(server.state.withLock { $0.logins } == 2)
            #expect(host.failures.isEmpty)
        }
        let authority = try TestCertificateAuthority()
        let server = try FakeMattermost(identity: authority.localhost)
        defer { server.peer.stop() }
        try await OutboundClient.during { client in
            let settings = try PolledChatSettings.fake(server.url, caFile: authority.caFile)
            let monitor = MattermostMonitor(settings, app: "chat", transport: client, time: SystemTime())
            for _ in 1...3 {
                let host = RecordingMonitorHost()
                let secrets = ["username": Secret("alice"), "password": Secret("correct horse")]
                try await MonitorRun.during(monitor, credentials: secrets, host: host) {
                    try await host.waitForWatching()
                }
            }
            #expect(server.state.withLock { $0.tokens.isEmpty && $0.logins == 3 && $0.logouts == 3 })
        }
        try await watching(credentials: ["token": "personal"], usesToken: true) { server in
            server.addChannel("dm")
            server.state.withLock { _ = $0.tokens.insert("personal") }
        } _: { server, host in
            server.post("by token", in: "dm")
            try await host.waitForItems(1)
            #expect(server.state.withLock { $0.logins } == 0)
            server.state.withLock { $0.tokens = [] }
            try await host.waitForFailures()
            #expect(host.failures.map(\.code) == [.authFailed])
        }
    }
}
