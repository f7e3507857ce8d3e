import Base
import Gateway
import GatewayTestKit
import MonitorTestKit
import Outbound
import Testing

@testable import MatrixMonitor

/// What a real Synapse does not do on demand, against the strict fake.
@Suite(.timeLimit(.minutes(3))) struct MatrixRulesTests {
    private func watching(
        _ prepare: (FakeMatrix) -> Void = { _ in },
        _ body: @escaping @Sendable (FakeMatrix, RecordingMonitorHost) async throws -> Void
    ) async throws {
        let authority = try TestCertificateAuthority()
        let server = try FakeMatrix(users: ["alice": "correct horse"], identity: authority.localhost)
        defer { server.stop() }
        prepare(server)
        try await OutboundClient.during { client in
            let settings = try MatrixMonitor.Settings.testing(server.url, caFile: authority.caFile)
            let monitor = MatrixMonitor(settings, app: "chat", transport: client, time: SystemTime())
            let host = RecordingMonitorHost()
            let credentials = ["username": Secret("alice"), "password": Secret("correct horse")]
            try await MonitorRun.during(monitor, credentials: credentials, host: host) {
                try await host.waitForWatching()
                try await body(server, host)
            }
        }
        #expect(server.refusals == [])
    }

    private static func text(_ text: String) -> JSON { ["msgtype": "m.text", "body": .string(text)] }

    @Test("a session that ends softly is renewed, as the same device; one that ends hard is not")
    func sessions() async throws {
        try await watching { server, host in
            let devices = server.devices
            server.endSessions(soft: true)
            server.send(Self.text("renewed"), to: "!a:example.org", from: "@anna:example.org")
            try await host.waitForItems(1)
            #expect(server.loginAttempts == 2)
            #expect(server.devices == devices && devices.count == 1)
            #expect(host.failures.isEmpty)
            server.endSessions(soft: false)
            try await host.waitForFailures()
            #expect(host.failures.map(\.code) == [.authFailed])
            #expect(server.loginAttempts == 2)
        }
    }

    @Test("an outage makes no new login, and the filter is registered once")
    func outage() async throws {
        try await watching { server, host in
            server.set { $0.isDown = true }
            try await host.waitForFailures(3)
            server.send(Self.text("after"), to: "!a:example.org", from: "@anna:example.org")
            server.set { $0.isDown = false }
            try await host.waitForItems(1)
            #expect(server.loginAttempts == 1)
            #expect(server.requests.filter { $0.hasSuffix("/filter") }.count == 1)
        }
    }

    @Test("leaving a room takes its items along; replies ring without what they quote")
    func leaving() async throws {
        try await watching { server in
            server.nameRoom("!a:example.org", "Team")
        } _: { server, host in
            let reply: JSON = [
                "msgtype": "m.text", "body": "> <@alice:example.org> old\n> words\n\nnew words",
                "m.relates_to": ["m.in_reply_to": ["event_id": "$old"]],
            ]
            let key = server.send(reply, to: "!a:example.org", from: "@anna:example.org")
            let item = try await host.waitForItems(1)[0]
            #expect(item.title == "new words")
            #expect(item.sender == "anna (Team)")
            server.leave("@alice:example.org", "!a:example.org")
            try await Eventually.wait("gone: \(host.gone)") { host.gone == [key] }
        }
    }

    @Test("a receipt amid a room reads what is before it, and nothing behind it")
    func partlyRead() async throws {
        try await watching { server, host in
            let keys = ["one", "two", "three"].map {
                server.send(Self.text($0), to: "!a:example.org", from: "@anna:example.org")
            }
            try await host.waitForItems(3)
            server.read(keys[1], by: "@alice:example.org")
            try await Eventually.wait("two are read: \(host.seen)") { Set(host.seen) == Set(keys[0...1]) }
            server.read(keys[2], by: "@alice:example.org")
            try await Eventually.wait("all are read: \(host.seen)") { Set(host.seen) == Set(keys) }
        }
    }

    @Test("a server without notifications is believed its counts")
    func withoutNotifications() async throws {
        try await watching { server in
            server.send(Self.text("old"), to: "!a:example.org", from: "@anna:example.org")
            server.forgetNotifications()
        } _: { server, host in
            let quiet = Self.text("of no concern")
            server.send(quiet, to: "!b:example.org", from: "@anna:example.org", notifies: false)
            server.send(Self.text("news"), to: "!c:example.org", from: "@anna:example.org")
            let items = try await host.waitForItems(1)
            #expect(items.map(\.title) == ["news"])
        }
    }

    @Test("more notifications than are looked at: what was not found is one item a room")
    func incomplete() throws {
        let sync = try MatrixSync(
            try JSONParser.parse(
                """
                {"next_batch":"s2","rooms":{"join":{"!a:x":{"timeline":{"events":[
                  {"event_id":"$1","type":"m.room.message","sender":"@b:x","origin_server_ts":1,"content":{"body":"one"}},
                  {"event_id":"$2","type":"m.room.message","sender":"@b:x","origin_server_ts":2,"content":{"body":"two"}}
                ]},"unread_notifications":{"notification_count":2}}}}}
                """), user: "@me:x")
        var book = MatrixBook(cursor: MatrixCursor(user: "@me:x", since: "s1", filter: "0"))
        #expect(book.needsNotifications(sync) && book.candidates(sync) == ["$1", "$2"])
        let changes = book.take(sync, [], isComplete: false, names: [:])
        guard changes.count == 1, case .new(let item) = changes[0] else {
            Issue.record("\(changes)")
            return
        }
        #expect(item.title == "2 new messages" && item.key == "missed/$2")
        #expect(MatrixCursor(book.cursor.encoded) == book.cursor)
        var complete = MatrixBook(cursor: MatrixCursor(user: "@me:x", since: "s1", filter: "0"))
        #expect(complete.take(sync, [], names: [:]) == [])
    }
}
