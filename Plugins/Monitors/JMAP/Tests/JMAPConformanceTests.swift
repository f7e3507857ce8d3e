import Base
import Gateway
import GatewayTestKit
import Testing

@testable import JMAPMonitor

@Suite(.timeLimit(.minutes(3))) struct JMAPConformanceTests {
    @Test(
        "the jmap monitor keeps the contract, pushed and polling", arguments: MonitorConformance.Check.allCases,
        [true, false])
    func conformance(check: MonitorConformance.Check, pushes: Bool) async throws {
        try await MonitorConformance.run(check, FakeSubject(pushes: pushes))
    }
}

@Suite(.timeLimit(.minutes(2))) struct JMAPMailTests {
    @Test("SG-4 a push rings at once, without a timer; one of another kind does not wake")
    func push() async throws {
        let subject = try FakeSubject(pushes: true)
        _ = try await subject.watching { host in
            try await Eventually.wait("a stream") { subject.fake.openStreams == 1 }
            subject.fake.deliver("a", subject: "at once")
            try await host.waitForItems(1)
        }
        #expect(subject.fake.openStreams == 0)
    }

    @Test("a server that does not push is asked by the clock, and not for a stream again")
    func noPush() async throws {
        let subject = try FakeSubject(pushes: false)
        let host = try await subject.watching { host in
            subject.fake.deliver("a", subject: "later")
            try await subject.time.waitForSleepers(1)
            subject.time.advance(by: .seconds(70))
            try await host.waitForItems(1)
        }
        #expect(host.failures.isEmpty)
    }

    @Test("a stream that falls silent is given up, and the news meanwhile is told")
    func silentStream() async throws {
        let subject = try FakeSubject(pushes: true)
        _ = try await subject.watching { host in
            try await Eventually.wait("a stream") { subject.fake.openStreams == 1 }
            // The timer of the whole comparison and the stream's patience.
            try await subject.time.waitForSleepers(2)
            subject.fake.setLosesWakeUps(true)
            subject.fake.deliver("a", subject: "unheard")
            subject.time.advance(by: JMAPListener.patience)
            try await host.waitForItems(1)
            try await subject.time.waitForSleepers(2)
            subject.time.advance(by: .seconds(2))
            try await Eventually.wait("another stream") { subject.fake.openStreams == 1 }
        }
    }

    @Test("SG-14 sent mail, drafts, junk, trash and what was read already do not ring; moving away is gone")
    func silentMailboxes() async throws {
        let subject = try FakeSubject(pushes: true)
        let host = try await subject.watching { host in
            for mailbox in ["sent", "drafts", "junk", "trash"] {
                subject.fake.deliver(mailbox, subject: mailbox, to: mailbox)
            }
            subject.fake.deliver("read", subject: "read", keywords: ["$seen"])
            subject.fake.deliver("draft", subject: "draft", keywords: ["$draft"])
            subject.fake.deliver("a", subject: "a")
            try await host.waitForItems(1)
            subject.fake.update("a") { $0.mailbox = "junk" }
            try await Eventually.wait("gone") { host.gone.contains("a") }
        }
        #expect(host.rung.map(\.title) == ["a"])
    }

    @Test("a server that forgot what changed: nothing old rings, nothing new is lost")
    func forgotten() async throws {
        let subject = try FakeSubject(pushes: false)
        let host = try await subject.watching { host in
            subject.fake.deliver("a", subject: "known")
            try await subject.time.waitForSleepers(1)
            subject.time.advance(by: .seconds(70))
            try await host.waitForItems(1)
        }
        subject.time.advance(by: .seconds(3_600))
        subject.fake.deliver("b", subject: "while away")
        subject.fake.forgetChanges()
        _ = try await subject.watching(host) { _ in }
        _ = try await subject.watching(host) { _ in }
        #expect(host.rung.map(\.title) == ["known", "while away"])
        #expect(host.failures.isEmpty && host.repeated == 0)
    }

    @Test("a mailbox that was rebuilt with many messages rings once")
    func rebuilt() async throws {
        let subject = try FakeSubject(pushes: false)
        let host = try await subject.watching { _ in }
        subject.time.advance(by: .seconds(600))
        for number in 0..<30 { subject.fake.deliver("n\(number)", subject: "n\(number)") }
        subject.fake.forgetChanges()
        _ = try await subject.watching(host) { _ in }
        #expect(host.rung.map(\.title) == ["The mailbox was rebuilt; it may hold new messages"])
    }

    @Test("event streams are read cut anywhere, with every line end, and bounded")
    func events() throws {
        let text = ": c\r\nevent: state\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\nevent: ping\n\ndata:x\rid: 7\r\revent: y\n"
        for size in 1...text.utf8.count {
            var reader = ServerEvents()
            var events: [ServerEvents.Event] = []
            let bytes = Array(text.utf8)
            for start in stride(from: 0, to: bytes.count, by: size) {
                events += try reader.take(Array(bytes[start..<min(start + size, bytes.count)]))
            }
            #expect(events == [.init(name: "state", data: "{\"a\":\n1}"), .init(name: "message", data: "x")])
        }
        var reader = ServerEvents()
        #expect(throws: ServerEvents.TooLong.self) {
            _ = try reader.take([UInt8](repeating: 0x61, count: ServerEvents.limit + 1))
        }
    }
}

@Suite struct JMAPConfigTests {
    @Test("the example configuration is valid")
    func example() throws {
        let monitor = try JMAPMonitor.configured(by: JMAPMonitorPlugin(), try JMAPMonitorPlugin().example())
        #expect(monitor.upstream == "https://mail.example.org")
        #expect(monitor.settings.sessionURL == "https://mail.example.org/.well-known/jmap")
        #expect(monitor.credentialFields.map(\.name) == ["username", "password"])
        let token = try JMAPMonitor.configured(
            by: JMAPMonitorPlugin(), #"{"monitor":{"url":"https://a/jmap/session","authentication":"token"}}"#)
        #expect(
            token.settings.sessionURL == "https://a/jmap/session" && token.credentialFields.map(\.name) == ["token"])
    }

    @Test(
        "faults are reported with their cure",
        arguments: [
            (#"{}"#, "the key 'url' is missing"), (#"{"url":"http://a.example"}"#, "in the clear"),
            (#"{"url":"https://a","mailboxes":[]}"#, "expected roles"),
            (#"{"url":"https://a","authentication":"oauth"}"#, "not one of password, token"),
            (#"{"url":"https://a","mailbox":"INBOX"}"#, "did you mean 'mailboxes'?"),
        ])
    func faults(text: String, message: String) {
        #expect { try JMAPMonitor.configured(by: JMAPMonitorPlugin(), "{\"monitor\":\(text)}") } throws: {
            "\($0)".contains(message)
        }
    }

    @Test("addresses of a session never lead from TLS to where there is none")
    func session() throws {
        func session(_ api: String) throws -> JMAPSession {
            try JMAPSession(
                ["apiUrl": .string(api), "primaryAccounts": ["urn:ietf:params:jmap:mail": "u"]],
                at: "https://a.example/x")
        }
        #expect(try session("/jmap/").apiURL == "https://a.example/jmap/")
        #expect(try session("https://b.example/jmap").apiURL == "https://b.example/jmap")
        #expect(throws: MonitorFailure.self) { try session("http://a.example/jmap") }
    }
}
