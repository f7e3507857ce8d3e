import Base
import Gateway
import GatewayTestKit
import MonitorTestKit
import MonitorTools
import Outbound
import Testing

@testable import RocketChatMonitor

/// What rings and what does not, against the strict fake.
@Suite(.timeLimit(.minutes(3))) struct RocketChatRulesTests {
    private func watching(
        credentials: [String: String] = ["username": "alice", "password": "correct horse"], usesToken: Bool = false,
        times: Int = 1, _ prepare: (FakeRocketChat) -> Void = { _ in },
        _ body: @escaping @Sendable (FakeRocketChat, RecordingMonitorHost) async throws -> Void
    ) async throws {
        let authority = try TestCertificateAuthority()
        let server = try FakeRocketChat(identity: authority.localhost)
        defer { server.peer.stop() }
        prepare(server)
        try await OutboundClient.during { client in
            let settings = try PolledChatSettings.fake(server.url, caFile: authority.caFile, usesToken: usesToken)
            let monitor = RocketChatMonitor(settings, app: "chat", transport: client, time: SystemTime())
            for _ in 0..<times {
                let host = RecordingMonitorHost()
                try await MonitorRun.during(monitor, credentials: credentials.mapValues { Secret($0) }, host: host) {
                    try await host.waitForWatching()
                    try await body(server, host)
                }
            }
        }
        #expect(server.refusals == [])
    }

    @Test("mentions ring in channels, everything in direct ones; own, system, muted and edited messages do not")
    func rules() async throws {
        try await watching { server in
            server.addRoom("dm")
            server.addRoom("town", type: "c", name: "General")
            server.addRoom("deaf", type: "c", name: "Deaf", settings: ["muteGroupMentions": true])
            server.addRoom("muted", type: "p", name: "Muted", settings: ["disableNotifications": true])
            server.addRoom("alerts", type: "p", name: "Alerts", settings: ["mobilePushNotifications": "all"])
            server.addRoom("off", type: "p", name: "Off", settings: ["mobilePushNotifications": "nothing"])
        } _: { server, host in
            let first = server.send("hello", to: "dm")
            server.send("own", to: "dm", by: "alice")
            server.send("anna joined", to: "dm", type: "uj")
            server.send("chatter", to: "town")
            server.send("for bob", to: "town", mentions: ["bob"])
            server.send("for you", to: "town", mentions: ["alice"])
            server.send("for all", to: "town", mentions: ["all"])
            server.send("for all the deaf", to: "deaf", mentions: ["all"])
            server.send("muted", to: "muted", mentions: ["alice"])
            server.send("off", to: "off", mentions: ["alice"])
            server.send("disk full", to: "alerts")
            server.send("c2VjcmV0", to: "dm", type: "e2e")
            try await host.waitForItems(5)
            server.edit(first, "hello, edited")
            server.send("last", to: "dm")
            let items = try await host.waitForItems(6)
            #expect(Set(items.prefix(5).map(\.title)) == ["hello", "for you", "for all", "disk full", nil])
            #expect(items[5].title == "last")
            #expect(items.first { $0.threadKey == "town" }?.sender == "Anna Example (General)")
            #expect(items.first { $0.threadKey == "dm" }?.sender == "Anna Example")
            // Nothing asks for a room again that has not changed.
            let asked = server.peer.requests.all.filter { $0.contains("syncMessages") }.count
            #expect(asked < server.peer.requests.count)
        }
    }

    @Test("a flood in one room is one item; a room the user is put out of takes its items along")
    func flood() async throws {
        try await watching {
            $0.addRoom("dm")
        } _: { server, host in
            server.peer.set { $0.isDown = true }
            for number in 1...30 { server.send("flood \(number)", to: "dm") }
            server.peer.set { $0.isDown = false }
            try await host.waitForItems(1)
            server.send("after", to: "dm")
            let items = try await host.waitForItems(2)
            #expect(items.map(\.title) == ["30 new messages", "after"])
            server.state.withLock { $0.rooms["dm"]?.isOpen = false }
            try await Eventually.wait("both gone: \(host.gone)") { Set(host.gone) == Set(items.map(\.key)) }
        }
    }

    @Test("an ended session is renewed once; sessions do not pile up")
    func sessions() async throws {
        try await watching {
            $0.addRoom("dm")
        } _: { server, host in
            server.state.withLock { $0.tokens = [] }
            server.send("renewed", to: "dm")
            try await host.waitForItems(1)
            #expect(server.state.withLock { $0.logins } == 2)
            #expect(host.failures.isEmpty)
        }
        try await watching(times: 3) { server, _ in
            #expect(server.state.withLock { $0.tokens.count } == 1)
        }
    }

    @Test("a token needs no login; one that is revoked is tried once; preferences of the user count")
    func tokens() async throws {
        try await watching(credentials: ["userId": "alice", "token": "personal"], usesToken: true) { server in
            server.addRoom("town", type: "c", name: "General")
            server.state.withLock { state in
                state.tokens.insert("personal")
                state.level = "all"
            }
        } _: { server, host in
            server.send("anything", to: "town")
            try await host.waitForItems(1)
            #expect(server.state.withLock { $0.logins } == 0)
            server.state.withLock { $0.tokens = [] }
            try await host.waitForFailures()
            #expect(host.failures.map(\.code) == [.authFailed])
        }
    }
}
