import Base
import Gateway
import MailMonitoring
import Testing

@testable import IMAPMonitor

@Suite struct IMAPSyntaxTests {
    @Test(
        "mailbox names go out quoted and in modified UTF-7 (RFC 3501 section 5.1.3)",
        arguments: [
            ("INBOX", "\"INBOX\""), ("a \"b\" \\c", "\"a \\\"b\\\" \\\\c\""), ("R&D", "\"R&-D\""),
            ("~peter/mail/台北/日本語", "\"~peter/mail/&U,BTFw-/&ZeVnLIqe-\""), ("Entwürfe", "\"Entw&APw-rfe\""),
        ])
    func mailbox(name: String, quoted: String) { #expect(IMAPSyntax.quotedMailbox(name) == quoted) }

    @Test func sets() {
        #expect(IMAPSyntax.set([1, 2, 3, 5, 9, 10]) == "1:3,5,9:10")
        #expect(IMAPSyntax.set([7]) == "7")
    }

    @Test(
        "internal dates",
        arguments: [
            ("17-Jul-1996 02:44:25 -0700", "1996-07-17T09:44:25.000Z"),
            (" 7-Feb-2026 23:59:59 +0530", "2026-02-07T18:29:59.000Z"),
        ])
    func dates(text: String, time: String) { #expect(IMAPSyntax.timestamp(text)?.description == time) }

    @Test(
        "what is no date is none",
        arguments: ["", "x", "17-Foo-1996 02:44:25 -0700", "99-Jul-1996 02:44:25 -0700", "17-Jul-1996 2 3"])
    func noDate(text: String) { #expect(IMAPSyntax.timestamp(text) == nil) }

    @Test func day() { #expect(IMAPSyntax.day(Timestamp("2026-11-05T23:00:00Z")!) == "5-Nov-2026") }

    @Test("a server's words lose control characters and length")
    func clean() {
        #expect(ServerWords.clean("a\u{0}b\u{1B}[0m\u{202E}c\r\n") == "ab[0mc")
        #expect(ServerWords.clean(String(repeating: "x", count: 10_000)).count == 200)
    }

    @Test("a cursor comes back as it was stored, and stays small")
    func cursor() throws {
        var cursor = IMAPCursor(validity: .max, next: .max, checked: Timestamp(seconds: 1_795_248_000))
        for uid in 0..<2_000 as Range<UInt32> {
            cursor.follow(4_294_000_000 + uid)
            cursor.remember("<\(uid)@example.org>")
        }
        cursor.follow(7)
        #expect(cursor.unseen.count == 500 && cursor.recent.count == 256)
        #expect(cursor.remembers("<1999@example.org>") && !cursor.remembers("<1@example.org>"))
        #expect(IMAPCursor(cursor.encoded) == cursor)
        #expect(cursor.encoded.count < MonitorBatch.cursorLimit / 4)
    }

    @Test(
        "what is no cursor of ours is refused",
        arguments: [
            "", "{}", "null", "[1]", #"{"v":2,"validity":1,"next":2,"checked":3,"unseen":[],"recent":""}"#,
            #"{"v":1,"validity":1,"next":0,"checked":3,"unseen":[],"recent":""}"#,
            #"{"v":1,"validity":1,"next":2,"checked":3,"unseen":[-1],"recent":""}"#,
            #"{"v":1,"validity":1,"next":2,"checked":3,"unseen":[],"recent":"AAA"}"#,
        ])
    func foreignCursor(text: String) { #expect(IMAPCursor(Array(text.utf8)) == nil) }

    @Test("an idle connection lost early shortens the next ones, survival lengthens them again")
    func idleBudget() {
        var budget = IdleBudget(.seconds(540))
        budget.lost(after: .seconds(10))
        #expect(budget.limit == .seconds(540))
        budget.lost(after: .seconds(300))
        #expect(budget.limit == .seconds(240))
        budget.lost(after: .seconds(70))
        #expect(budget.limit == .seconds(60))
        for _ in 0..<20 { budget.survived() }
        #expect(budget.limit == .seconds(540) && budget.learned == nil)
    }
}
