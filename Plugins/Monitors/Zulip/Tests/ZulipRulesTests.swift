import Base
import Gateway
import GatewayTestKit
import MonitorTestKit
import Outbound
import Testing

@testable import ZulipMonitor

/// What rings and what does not, against the strict fake.
@Suite(.timeLimit(.minutes(3))) struct ZulipRulesTests {
    private let credentials = ["username": Secret("alice@example.org"), "apiKey": Secret("correct-horse")]

    private func withServer(
        _ body: @escaping @Sendable (FakeZulip, ZulipMonitor) async throws -> Void
    ) async throws {
        let authority = try TestCertificateAuthority()
        let server = try FakeZulip(identity: authority.localhost)
        defer { server.peer.stop() }
        try await OutboundClient.during { client in
            let settings = try ZulipMonitor.Settings.testing(server.url, caFile: authority.caFile)
            try await body(
                server, ZulipMonitor(settings, app: "chat", transport: client, time: SystemTime()))
        }
        #expect(server.refusals == [])
    }

    @Test("direct messages, mentions, alert words and channels of the user's choice ring; own and read ones do not")
    func rules() async throws {
        try await withServer { server, monitor in
            server.state.withLock { $0.subscriptions = [1: nil, 2: true, 3: false] }
            let host = RecordingMonitorHost()
            try await MonitorRun.during(monitor, credentials: credentials, host: host) {
                try await host.waitForWatching()
                server.send("chatter", channel: 1, topic: "lunch")
                server.send("named", channel: 1, topic: "lunch", flags: ["mentioned"])
                server.send("alert", channel: 3, flags: ["has_alert_word"])
                server.send("quiet", channel: 3)
                server.send("chosen", channel: 2, topic: "deploys")
                server.send("own", from: 10, flags: ["read"])
                server.send("read already", flags: ["read"])
                server.tell([
                    "type": "subscription", "op": "update", "property": "push_notifications", "stream_id": 3,
                    "value": true,
                ])
                server.send("chosen now", channel: 3)
                server.send("direct")
                let items = try await host.waitForItems(5)
                #expect(items.map(\.title) == ["named", "alert", "chosen", "chosen now", "direct"])
                #expect(items[0].sender == "Anna Example (general > lunch)")
                #expect(items[0].threadKey == "c1/lunch")
                #expect(items[4].sender == "Anna Example")
                #expect(items[4].threadKey == "d10,11")
                server.read([], all: true)
                try await Eventually.wait("all seen: \(host.seen)") { Set(host.seen) == Set(items.map(\.key)) }
            }
        }
    }

    @Test("a lost queue is registered again, and what happened meanwhile is caught up with")
    func lostQueue() async throws {
        try await withServer { server, monitor in
            let host = RecordingMonitorHost()
            try await MonitorRun.during(monitor, credentials: credentials, host: host) {
                try await host.waitForWatching()
                let first = server.send("first")
                let second = server.send("second")
                try await host.waitForItems(2)
                server.peer.set { $0.isDown = true }
                server.forgetQueues()
                server.read([first])
                server.send("missed")
                server.send("missed and read", flags: ["read"])
                for number in 1...30 { server.send("flood \(number)", channel: 1, topic: "t", flags: ["mentioned"]) }
                server.peer.set { $0.isDown = false }
                let items = try await host.waitForItems(4)
                #expect(items.map(\.title) == ["first", "second", "missed", "30 new messages"])
                #expect(host.seen == ["\(first)"])
                server.delete([second])
                try await Eventually.wait("gone: \(host.gone)") { host.gone == ["\(second)"] }
                #expect(host.failures.allSatisfy { $0.code == .network })
            }
            #expect(server.state.withLock { $0.registrations } == 2)
        }
    }

    @Test("an interrupted watch goes on with its queue; a cancelled one deletes it")
    func queues() async throws {
        try await withServer { server, monitor in
            let host = RecordingMonitorHost()
            try await MonitorRun.during(monitor, credentials: credentials, host: host) {
                try await host.waitForWatching()
                server.peer.set { $0.isDown = true }
                try await host.waitForFailures()
                let message = server.send("while away")
                server.delete([message])
                server.peer.set { $0.isDown = false }
                // Both events are in the queue, in their order.
                try await Eventually.wait("gone: \(host.gone)") { host.gone == ["\(message)"] }
                #expect(server.state.withLock { $0.registrations } == 1)
            }
            #expect(server.state.withLock { $0.queues.isEmpty })
        }
    }
}
