import Base
import Gateway
import MailMonitoring
import Testing

@testable import IMAPMonitor

/// Drives a session by hand, without sockets or clocks.
struct SessionRig {
    var session: IMAPSession
    var now = IMAPSession.Instant(now: Moment(nanoseconds: 1_000_000_000), wall: Timestamp(seconds: 1_795_248_000))
    var sent: [String] = []
    var batches: [MonitorBatch] = []
    var failure: MonitorFailure?
    var watching = false

    init(cursor: IMAPCursor? = nil, options: IMAPSession.Options = .init()) {
        session = IMAPSession(cursor: cursor, options: options, idle: IdleBudget(.seconds(540)), jitter: { 0.5 }) {
            bytes in
            var header = MessageHeader()
            for line in String(decoding: bytes, as: UTF8.self).split(separator: "\r\n") {
                if line.hasPrefix("Subject: ") { header.subject = String(line.dropFirst(9)) }
                if line.hasPrefix("Message-ID: ") { header.messageID = String(line.dropFirst(12)) }
            }
            return header
        }
        let time = now
        perform(session.start(time))
    }

    mutating func perform(_ actions: [IMAPSession.Action]) {
        for action in actions {
            switch action {
            case .send(let bytes): sent.append(String(decoding: bytes, as: UTF8.self).replacing("\r\n", with: ""))
            case .emit(let batch): batches.append(batch)
            case .watching: watching = true
            case .heard: break
            case .fail(let failure): self.failure = failure
            }
        }
    }

    /// The server's lines; `$` stands for the tag of the command sent last.
    mutating func server(_ lines: String...) {
        let tag = sent.last { $0.hasPrefix("F") }?.split(separator: " ").first ?? ""
        let text = lines.map { $0.replacing("$", with: tag) + "\r\n" }.joined()
        perform(session.received(Array(text.utf8), now))
    }

    mutating func advance(_ duration: Duration) {
        now = .init(now: now.now + duration, wall: now.wall + duration)
        perform(session.deadlinePassed(now))
    }

    var changes: [MonitorBatch.Change] { batches.flatMap(\.changes) }
    var cursor: IMAPCursor? { batches.last.flatMap { IMAPCursor($0.cursor) } }
    var titles: [String?] {
        changes.compactMap { if case .new(let item) = $0 { item.title } else { nil } }
    }
    /// The command sent last, without its tag.
    var last: String { sent.last.map { String($0.drop { $0 != " " }.dropFirst()) } ?? "" }

    static func header(
        _ uid: Int, _ subject: String, flags: String = "", date: String = "21-Nov-2026 08:00:00 +0000"
    ) -> String {
        let header = "Subject: \(subject)\r\nMessage-ID: <\(subject)@x>\r\n\r\n"
        return "* \(uid) FETCH (UID \(uid) FLAGS (\(flags)) INTERNALDATE \"\(date)\" "
            + "BODY[HEADER.FIELDS (FROM)]<0> {\(header.utf8.count)}\r\n\(header))"
    }

    static func stored(next: UInt32, unseen: [UInt32] = []) -> IMAPCursor {
        var cursor = IMAPCursor(validity: 9, next: next, checked: Timestamp(seconds: 1_795_248_000))
        cursor.unseen = unseen
        return cursor
    }

    /// Up to the first question for new mail.
    static func examined(
        _ cursor: IMAPCursor? = nil, exists: Int = 3, next: Int = 4, capabilities: String = "IMAP4rev1 IDLE"
    )
        -> SessionRig
    {
        var rig = SessionRig(cursor: cursor)
        rig.server("* CAPABILITY \(capabilities)", "$ OK done")
        rig.server("* \(exists) EXISTS", "* OK [UIDVALIDITY 9] v", "* OK [UIDNEXT \(next)] n", "$ OK [READ-ONLY] done")
        return rig
    }

    /// Up to `+ idling`.
    static func idling(_ cursor: IMAPCursor? = nil) -> SessionRig {
        var rig = examined(cursor)
        while rig.last != "IDLE" {
            rig.server(rig.last.hasSuffix("(UID FLAGS)") ? "* 1 FETCH (UID 1 FLAGS ())\r\n$ OK" : "$ OK")
        }
        rig.server("+ idling")
        return rig
    }
}

@Suite struct IMAPSessionTests {
    @Test("MON the first run sets a baseline and announces nothing old")
    func baseline() {
        let rig = SessionRig.idling()
        #expect(rig.sent[1] == "F2 EXAMINE \"INBOX\"")
        #expect(rig.changes.isEmpty && rig.batches.count == 1)
        #expect(rig.cursor?.next == 4 && rig.cursor?.validity == 9)
        #expect(rig.watching && rig.session.phase == .idling)
    }

    @Test("without UIDNEXT the highest UID is asked for")
    func noUIDNext() {
        var rig = SessionRig()
        rig.server("$ OK [CAPABILITY IMAP4rev1 IDLE] done")
        rig.server("* 3 EXISTS", "* OK [UIDVALIDITY 9] v", "$ OK done")
        #expect(rig.last == "UID FETCH * (UID)")
        rig.server("* 3 FETCH (UID 77)", "$ OK done")
        #expect(rig.cursor?.next == 78)
    }

    @Test("SG-4 an EXISTS while idling is announced, and n:* does not announce the last old message again")
    func exists() {
        var rig = SessionRig.idling(SessionRig.stored(next: 4))
        rig.server("* 4 EXISTS")
        #expect(rig.last == "" && rig.sent.last == "DONE")
        rig.server("$ OK idle done")
        #expect(rig.last.hasPrefix("UID FETCH 4:* ("))
        rig.server(SessionRig.header(4, "news"), "$ OK done")
        #expect(rig.titles == ["news"])
        #expect(rig.cursor?.next == 5 && rig.cursor?.unseen == [4])
        #expect(rig.last == "IDLE")
        rig.server("+ idling", "* 5 EXISTS")
        rig.server("$ OK idle done")
        rig.server(SessionRig.header(4, "news"), "$ OK done")
        #expect(rig.titles == ["news"])
    }

    @Test("an EXISTS in any answer is news: with + idling, inside the FETCH answer")
    func existsAnywhere() {
        var rig = SessionRig.examined(SessionRig.stored(next: 4))
        rig.server(SessionRig.header(4, "one"), "* 5 EXISTS", "$ OK done")
        #expect(rig.last.hasPrefix("UID FETCH 5:*"))
        rig.server(SessionRig.header(5, "two"), "$ OK done")
        #expect(rig.last == "UID FETCH 4:5 (UID FLAGS)")
        rig.server("* 4 FETCH (UID 4 FLAGS ())", "* 5 FETCH (UID 5 FLAGS ())", "* 6 EXISTS", "$ OK done")
        #expect(rig.last.hasPrefix("UID FETCH 6:*"))
        rig.server(SessionRig.header(6, "three"), "$ OK done")
        #expect(rig.last == "IDLE")
        rig.server("* 7 EXISTS", "+ idling")
        #expect(rig.sent.last == "DONE")
        #expect(rig.titles == ["one", "two", "three"])
    }

    @Test("what was read or deleted elsewhere is seen or gone")
    func readElsewhere() {
        var rig = SessionRig.idling(SessionRig.stored(next: 4, unseen: [1]))
        rig.server("* 1 FETCH (FLAGS (\\Seen))")
        rig.server("$ OK idle done")
        rig.server("$ OK done")
        #expect(rig.last == "UID FETCH 1 (UID FLAGS)")
        rig.server("* 1 FETCH (UID 1 FLAGS (\\Seen))", "$ OK done")
        #expect(rig.changes == [.seen(key: "9/1")])

        rig = SessionRig.idling(SessionRig.stored(next: 4, unseen: [1]))
        rig.server("* 1 EXPUNGE")
        rig.server("$ OK idle done")
        rig.server("$ OK done")
        rig.server("$ OK done")
        #expect(rig.changes == [.gone(key: "9/1")])
        #expect(rig.cursor?.unseen == [])
    }

    @Test("an incomplete flags answer withdraws nothing")
    func incompleteFlags() {
        var rig = SessionRig.examined(SessionRig.stored(next: 4, unseen: [1, 2]))
        rig.server("$ OK done")
        rig.server("$ NO [EXPUNGEISSUED] some went")
        rig.server("$ OK done")
        #expect(rig.changes.isEmpty && rig.failure == nil)
    }

    @Test("messages already read ring for nothing; an expunged one is dropped")
    func seenFirst() {
        var rig = SessionRig.examined(SessionRig.stored(next: 4))
        rig.server(
            SessionRig.header(4, "read", flags: "\\Seen"), "* 5 FETCH (UID 5 FLAGS () BODY[HEADER.FIELDS (FROM)] NIL)",
            SessionRig.header(6, "unread"), "$ OK done")
        #expect(rig.titles == ["unread"])
        #expect(rig.cursor?.next == 7)
    }

    @Test("a header that cannot be read does not lose its message")
    func unreadableHeader() {
        var rig = SessionRig.examined(SessionRig.stored(next: 4))
        rig.server("* 4 FETCH (UID 4 BODY[ \"", "* 5 FETCH (UID 5 FLAGS () BODY[HEADER] {70000000}\r\nabc")
        #expect(rig.failure?.code == .protocolViolation)

        rig = SessionRig.examined(SessionRig.stored(next: 4))
        rig.server("* 4 FETCH (UID 4 BODY[ \"", "$ OK done")
        #expect(rig.last == "UID FETCH 4:* (UID FLAGS INTERNALDATE)")
        rig.server("* 4 FETCH (UID 4 FLAGS ())", "$ OK done")
        #expect(rig.changes.count == 1 && rig.titles == [nil])
        #expect(rig.cursor?.next == 5)
    }

    @Test("10,000 new messages come in bounded batches")
    func flood() async {
        var rig = SessionRig.examined(SessionRig.stored(next: 4))
        for uid in 4..<10_004 {
            if uid % 500 == 0 { await Task.yield() }
            rig.server(SessionRig.header(uid, "m\(uid)"))
        }
        #expect(rig.batches.allSatisfy { $0.changes.count <= 100 && $0.cursor.count < MonitorBatch.cursorLimit })
        #expect(rig.cursor?.next == 4, "nothing promises the order of an answer: the mark moves at its end")
        rig.server("$ OK done")
        #expect(rig.titles.count == 10_000 && rig.cursor?.next == 10_004)
    }

    @Test("half-open: no answer to DONE within the deadline is a network failure")
    func halfOpen() {
        var rig = SessionRig.idling()
        rig.advance(.seconds(301))
        #expect(rig.sent.last == "DONE")
        rig.advance(.seconds(29))
        #expect(rig.failure == nil)
        rig.advance(.seconds(1))
        #expect(rig.failure?.code == .network)
        #expect(rig.session.idle.limit < .seconds(540))
    }

    @Test("every command has a deadline")
    func deadlines() {
        var rig = SessionRig()
        rig.advance(.seconds(30))
        #expect(rig.failure?.message == "the server did not answer CAPABILITY in time")
    }

    @Test("a lost wake-up is found when the timer ends the IDLE")
    func lostWakeUp() {
        var rig = SessionRig.idling(SessionRig.stored(next: 4))
        let quiet = rig.session.deadline - rig.now.now
        #expect(quiet <= .seconds(300))
        rig.advance(quiet)
        rig.server("* 4 EXISTS", "$ OK idle done")
        rig.server(SessionRig.header(4, "late"), "$ OK done")
        #expect(rig.titles == ["late"])
    }

    @Test("a server without IDLE is polled")
    func polling() {
        var rig = SessionRig.examined(SessionRig.stored(next: 4), capabilities: "IMAP4rev1")
        rig.server("$ OK done")
        #expect(rig.session.phase == .pausing && rig.watching)
        rig.advance(.seconds(60))
        #expect(rig.last == "NOOP")
        rig.server("* 4 EXISTS", "$ OK done")
        rig.server(SessionRig.header(4, "polled"), "$ OK done")
        #expect(rig.titles == ["polled"])
    }

    @Test("a server that refuses IDLE is polled, not asked for ever")
    func refusedIdle() {
        var rig = SessionRig.examined(SessionRig.stored(next: 4))
        rig.server("$ OK done")
        rig.server("$ BAD no idle here")
        rig.server("$ OK done")
        #expect(rig.session.phase == .pausing)
    }

    @Test("a server that says EXISTS for ever does not keep the session busy")
    func chatty() {
        var rig = SessionRig.examined(SessionRig.stored(next: 4))
        var rounds = 0
        while rig.last != "IDLE", rounds < 100 {
            rig.server("* 3 EXISTS", "$ OK done")
            rounds += 1
        }
        #expect(rounds < 20)
        rig.server("+ idling")
        #expect(rig.session.phase == .idling)
    }

    @Test(
        "refusals keep their meaning",
        arguments: [
            ("NO [NONEXISTENT] no such mailbox", MonitorFailure.Code.sourceGone), ("NO what", .sourceGone),
            ("NO [UNAVAILABLE] later", .network), ("NO [AUTHORIZATIONFAILED] no", .authFailed),
            ("BAD what", .protocolViolation),
        ])
    func refusals(answer: String, code: MonitorFailure.Code) {
        var rig = SessionRig()
        rig.server("* CAPABILITY IDLE", "$ OK done")
        rig.server("$ \(answer)")
        #expect(rig.failure?.code == code)
    }

    @Test("a BYE is a network failure with the server's words, a limit a pause")
    func bye() {
        var rig = SessionRig.idling()
        rig.server("* BYE Selected mailbox was deleted, \u{7}please relogin")
        #expect(rig.failure?.code == .network)
        #expect(
            rig.failure?.message == "the server answered IDLE with BYE Selected mailbox was deleted, please relogin")
        rig = SessionRig.idling()
        rig.server("* BYE [LIMIT] slow down")
        #expect(rig.failure?.code == .throttled(until: rig.now.now + .seconds(300)))
    }

    @Test("a rebuilt mailbox announces what came since, once, and a flood as one item")
    func rebuilt() {
        var old = IMAPCursor(validity: 8, next: 100, checked: Timestamp("2026-11-21T08:00:00Z")!)
        old.remember("<known@x>")
        func rig(_ messages: [String]) -> SessionRig {
            var rig = SessionRig.examined(old, next: 200)
            #expect(rig.last == "UID SEARCH UNSEEN SINCE 20-Nov-2026")
            rig.server("* SEARCH \((1...50).map(String.init).joined(separator: " "))", "$ OK done")
            #expect(rig.last.hasPrefix("UID FETCH 1:50 ("))
            for message in messages { rig.server(message) }
            rig.server("$ OK done")
            #expect(rig.last.hasPrefix("UID FETCH 200:*"))
            #expect(rig.cursor?.validity == 9 && rig.cursor?.next == 200)
            return rig
        }
        let late = "21-Nov-2026 09:00:00 +0000"
        let few = rig([
            SessionRig.header(1, "before", date: "21-Nov-2026 07:59:00 +0000"),
            SessionRig.header(2, "known", date: late),
            SessionRig.header(3, "after", date: late),
        ])
        #expect(few.titles == ["after"] && few.cursor?.unseen == [3])
        let flood = rig((1...21).map { SessionRig.header($0, "m\($0)", date: late) })
        #expect(flood.changes.count == 1 && flood.titles.first??.contains("rebuilt") == true)
    }

    @Test("leaving on purpose logs out, from inside IDLE too")
    func farewell() {
        var rig = SessionRig.idling()
        #expect(String(decoding: rig.session.farewell, as: UTF8.self).hasPrefix("DONE\r\nF"))
        rig.server("* BYE")
        #expect(rig.session.farewell.isEmpty)
    }

    @Test("5,000 damaged conversations are survived")
    func fuzz() async {
        var state: UInt64 = 7
        func random(_ limit: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % limit
        }
        let lines = [
            "* 4 EXISTS", "$ OK done", "$ NO [EXPUNGEISSUED] x", "+ idling", "* 2 EXPUNGE", "* SEARCH 1 2 3",
            "* VANISHED 3:4",
            "* 1 FETCH (UID 1 FLAGS (\\Seen))", "* 1 FETCH (FLAGS ())", SessionRig.header(4, "x"),
            "* OK [UIDNEXT 4294967295] n",
            "* 1 FETCH (UID 4294967295 BODY[HEADER] NIL)", "rubbish", "* OK [UIDVALIDITY 0] v",
        ]
        var survived = 0
        for round in 0..<5_000 {
            // Others want their turn: there are as many as cores.
            if round % 100 == 0 { await Task.yield() }
            var rig = SessionRig.examined(random(2) == 0 ? nil : SessionRig.stored(next: 4, unseen: [1, 2]))
            for _ in 0..<30 {
                if random(8) == 0 { rig.advance(.seconds(random(200))) } else { rig.server(lines[random(lines.count)]) }
                rig.batches.removeAll { $0.changes.count > 1_000 }
            }
            #expect(rig.session.phase == .ended || rig.session.deadline < .distantFuture)
            if rig.failure == nil { survived += 1 }
        }
        #expect(survived > 100)
    }
}
