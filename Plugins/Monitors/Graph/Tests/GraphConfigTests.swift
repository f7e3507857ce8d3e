import Base
import Gateway
import MonitorTools
import GatewayTestKit
import Testing

@testable import GraphMonitor

@Suite struct GraphConfigTests {
    static func read(_ text: String, hookBase: String? = nil) throws -> GraphMonitor {
        try GraphMonitor.configured(
            by: GraphMonitorPlugin(), text, environment: ["FARBELL_GRAPH_SECRET": "x"], hookBase: hookBase)
    }

    @Test("the example configuration is valid")
    func example() throws {
        let monitor = try Self.read(try GraphMonitorPlugin().example())
        #expect(monitor.upstream == "graph.microsoft.com:443" && monitor.credentialFields.isEmpty)
    }

    @Test("who must give what")
    func access() throws {
        #expect(throws: ConfigError.self) { try Self.read(#"{"monitor":{}}"#) }
        #expect(throws: ConfigError.self) {
            try Self.read(#"{"monitor":{"mode":"own","url":"http://g.example/v1.0"}}"#)
        }
        let fields = try Self.read(#"{"monitor":{"mode":"own"}}"#).credentialFields.map(\.name)
        #expect(fields.contains(OAuthSettings.Field.refreshToken))
    }

    @Test("notifications go to the gateway's own address or to another, by https, and slow the polling down")
    func notifications() throws {
        func monitor(_ notifications: String, base: String? = "https://bell.example/hooks/") throws -> GraphMonitor {
            try Self.read(#"{"monitor":{"mode":"own"\#(notifications)}}"#, hookBase: base)
        }
        let polling = try monitor("")
        #expect(polling.notificationURL == nil && polling.settings.notifiedPoll == .seconds(30))
        let notified = try monitor(#","notifications":{}"#)
        #expect(notified.notificationURL == "https://bell.example/hooks/mail")
        #expect(notified.settings.notifiedPoll == .seconds(300) && notified.settings.poll == .seconds(30))
        let other = try monitor(#","notifications":{"url":"https://x.example/hooks/mail"}"#)
        #expect(other.notificationURL == "https://x.example/hooks/mail")
        #expect(throws: ConfigError.self) { try monitor(#","notifications":{}"#, base: "http://bell.example/hooks/") }
        #expect(throws: ConfigError.self) { try monitor(#","notifications":{}"#, base: nil) }
    }

    @Test("a cursor keeps the link and what was there before; anything else is none")
    func cursor() throws {
        var cursor = GraphCursor(
            link: "https://graph.example/v1.0/x?$deltatoken=" + String(repeating: "t", count: 20_000))
        cursor.note("old", received: Timestamp("2026-11-20T08:00:00Z"))
        cursor.note("newest", received: Timestamp("2026-11-21T08:00:00Z"))
        #expect(GraphCursor(cursor.encoded) == cursor && cursor.encoded.count < MonitorBatch.cursorLimit)
        #expect(GraphCursor(Array(#"{"v":2,"link":"x","edge":[]}"#.utf8)) == nil)
        func item(_ key: String, _ time: String) -> Item { Item(key: key, time: Timestamp(time)) }
        #expect(!cursor.isNews(item("old", "2026-11-20T08:00:00Z")))
        #expect(!cursor.isNews(item("newest", "2026-11-21T08:00:00Z")))
        #expect(cursor.isNews(item("other", "2026-11-21T08:00:00Z")))
    }
}
