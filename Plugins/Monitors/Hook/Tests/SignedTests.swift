import Base
import Gateway
import GatewayTestKit
import Testing

@testable import HookMonitor

@Suite struct SignedTests {
    private static let news: JSON = ["user": "alice", "events": [["type": "new", "id": "1", "title": "one"]]]

    private static func refusal(_ body: () async throws -> Void) async throws -> InboundRefusal.Code? {
        do {
            try await body()
            return nil
        } catch let refusal as InboundRefusal {
            return refusal.code
        }
    }

    @Test("what has no right signature, or an old one, tells nothing")
    func proof() async throws {
        let time = ManualTime()
        let monitor = try HookMonitor.configured(
            by: HookMonitorPlugin(), SignedSender.configuration, time: time, environment: SignedSender.environment)
        let sender = SignedSender(time: time)
        let wrong = SignedSender(time: time, key: Array("another key of more than 24 bytes".utf8))
        let desk = RecordingDesk()
        let now = time.timestamp
        let body = Self.news.serializedBytes
        let fields = sender.headers(body, id: "a")
        let calls = [
            wrong.call(body, id: "a"),
            sender.call(body, id: "a", at: now + .seconds(-301)), sender.call(body, id: "a", at: now + .seconds(301)),
            InboundCall(method: "POST", body: body + [0x20]) { fields[$0] },
            InboundCall(method: "POST", body: body) { $0 == "webhook-id" ? "b" : fields[$0] },
            InboundCall(method: "POST", body: body) { $0 == "webhook-signature" ? nil : fields[$0] },
            InboundCall(method: "POST", body: body) { $0 == "webhook-timestamp" ? "x" : fields[$0] },
        ]
        for call in calls {
            #expect(try await Self.refusal { try await monitor.receive(call, desk: desk) } == .unauthorized)
        }
        #expect(desk.batches.count == 0)
        try await monitor.receive(sender.call(body, id: "a"), desk: desk)
        #expect(desk.batches.count == 1)
    }

    @Test("the same call again is taken once; an id used for something else is refused; a replay grows too old")
    func replay() async throws {
        let time = ManualTime()
        let monitor = try HookMonitor.configured(
            by: HookMonitorPlugin(), SignedSender.configuration, time: time, environment: SignedSender.environment)
        let sender = SignedSender(time: time)
        let desk = RecordingDesk()
        let first = sender.call(Self.news, id: "a")
        // Not stored: it may come again.
        desk.failure.withLock { $0 = GatewayError(.stopping, "not now") }
        await #expect(throws: GatewayError.self) { try await monitor.receive(first, desk: desk) }
        desk.failure.withLock { $0 = nil }
        try await monitor.receive(first, desk: desk)
        try await monitor.receive(first, desk: desk)
        try await monitor.receive(sender.call(Self.news, id: "a"), desk: desk)
        #expect(desk.batches.count == 1)
        let other: JSON = ["user": "alice", "events": [["type": "gone", "id": "1"]]]
        let conflict = sender.call(other, id: "a")
        #expect(try await Self.refusal { try await monitor.receive(conflict, desk: desk) } == .conflict)
        time.advance(by: .seconds(301))
        #expect(try await Self.refusal { try await monitor.receive(first, desk: desk) } == .unauthorized)
        #expect(desk.batches.count == 1)
    }

    @Test("the ledger forgets what can not come again, and stays bounded")
    func ledger() {
        var ledger = ReplayLedger(lifetime: .seconds(600))
        let start = Moment(nanoseconds: 0)
        for number in 0..<(ReplayLedger.limit + 5) {
            let id = "\(number)"
            #expect(ledger.judge(id, digest: [1], now: start) == .fresh)
            ledger.note(id, digest: [1], now: start)
        }
        #expect(ledger.judge("100004", digest: [1], now: start) == .repeated)
        #expect(ledger.judge("100004", digest: [2], now: start) == .conflict)
        #expect(ledger.judge("0", digest: [1], now: start) == .fresh)
        #expect(ledger.judge("100004", digest: [1], now: start + .seconds(600)) == .fresh)
    }

    @Test(
        "malformed documents are refused with their place",
        arguments: [
            "x", "[]", #"{"user":"a"}"#, #"{"user":"a","events":[]}"#,
            #"{"user":"","events":[{"type":"gone","id":"1"}]}"#,
            #"{"user":"a","events":[{"type":"gone"}]}"#, #"{"user":"a","events":[{"type":"left","id":"1"}]}"#,
            #"{"user":"a","events":[{"type":"new","id":"1","body":"x"}]}"#,
            #"{"user":"a","events":[{"type":"new","id":"1","time":"now"}]}"#,
            #"{"user":"a","events":[{"type":"new","id":"1","priority":"urgent"}]}"#,
            #"{"user":"a","events":[{"type":"new","id":"1"},{"type":"gone","id":"1"}]}"#,
            #"{"user":"a","to":"b","events":[{"type":"gone","id":"1"}]}"#,
        ])
    func malformed(text: String) {
        #expect { try SignedDocument.read(Array(text.utf8)) } throws: { ($0 as? InboundRefusal)?.code == .malformed }
    }

    @Test("all fields of an item")
    func fields() throws {
        let text = """
            {"user":"alice@example.org","events":[{"type":"new","id":"1","title":"a\\u0000b","sender":"Anna",\
            "senderAddress":"a@x","preview":"p","thread":"t","content":"c","time":"2026-11-21T08:00:00Z",\
            "priority":"high"},{"type":"seen","id":"2"},{"type":"gone","id":"3"}]}
            """
        let news = try SignedDocument.read(Array(text.utf8))
        var item = Item(
            key: "1", contentKey: "c", threadKey: "t", sender: "Anna", senderAddress: "a@x", title: "ab", preview: "p",
            time: Timestamp(seconds: 1_795_248_000))
        item.priority = .high
        #expect(news == HookNews(user: "alice@example.org", changes: [.new(item), .seen(key: "2"), .gone(key: "3")]))
    }
}

@Suite struct HookConfigTests {
    @Test("the example configuration is valid, and a mail address may name an account")
    func example() async throws {
        let monitor = try HookMonitor.configured(
            by: HookMonitorPlugin(), try HookMonitorPlugin().example(),
            environment: ["FARBELL_HOOK_SECRET": "sixteen bytes or more"])
        let desk = RecordingDesk()
        func call(_ login: String, _ body: String) -> InboundCall {
            InboundCall(method: "PUT", body: Array(body.utf8)) {
                $0 == "Authorization" ? "Basic \(Array(login.utf8).base64)" : nil
            }
        }
        let body = """
            {"user":"alice@example.org","event":"messageNew","folder":"INBOX","imap-uidvalidity":7,"imap-uid":3,\
            "from":"=?utf-8?Q?J=C3=BCrgen?= <j@x.org>","subject":"=?gb18030?B?xOO6ww==?=","snippet":"Hi","unseen":1}
            """
        let good = "farbell:sixteen bytes or more"
        for login in ["farbell:sixteen bytes or mord", "sixteen bytes or more", "x:\(good)", ""] {
            await #expect(throws: InboundRefusal.self) { try await monitor.receive(call(login, body), desk: desk) }
        }
        try await monitor.receive(call(good, body.replacing("INBOX", with: "Junk")), desk: desk)
        try await monitor.receive(call(good, body.replacing("messageNew", with: "flagsSet")), desk: desk)
        #expect(desk.batches.count == 0)
        try await monitor.receive(call(good, body), desk: desk)
        let item = Item(key: "7/3", sender: "Jürgen", senderAddress: "j@x.org", title: "你好", preview: "Hi")
        #expect(desk.batches.last?.account == "alice")
        #expect(desk.batches.last?.batch == MonitorBatch(changes: [.new(item)], cursor: HookMonitor.cursor))
    }

    @Test(
        "faults are reported with their cure",
        arguments: [
            (#"{}"#, "the key 'secret' is missing"), (#"{"secret":{"env":"SHORT"}}"#, "24 to 64 bytes"),
            (#"{"secret":{"env":"SHORT"},"format":"dovecot"}"#, "at least 16 bytes"),
            (#"{"secret":{"env":"S"},"folders":["INBOX"]}"#, "belongs to \"format\":\"dovecot\""),
            (#"{"secret":{"env":"S"},"format":"dovecot","toleranceSeconds":60}"#, "Dovecot sends no times"),
            (#"{"secret":{"env":"S"},"format":"dovecot","username":"a:b"}"#, "holds no colon"),
            (#"{"secret":{"env":"S"},"user":"part"}"#, "not one of full, local"),
            (#"{"secret":{"env":"S"},"url":"https://a"}"#, "unknown key 'url'"),
        ])
    func faults(text: String, message: String) {
        let environment = SignedSender.environment.merging(["SHORT": "short"]) { $1 }
        #expect {
            try HookMonitor.configured(by: HookMonitorPlugin(), "{\"monitor\":\(text)}", environment: environment)
        } throws: {
            "\($0)".contains(message)
        }
    }
}
