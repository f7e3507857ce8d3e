import Testing

@testable import IMAPMonitor

@Suite struct IMAPFramerTests {
    private static let literal = "From: a@example.org\r\nSubject: {9}\r\n x\r\n\r\n"

    /// A server's words with everything that is awkward to cut.
    static var transcript: [UInt8] {
        Array(
            ("* CAPABILITY IMAP4rev1 IDLE\r\n* OK [UIDVALIDITY 42] fine {5}\r\n+ idling\r\n* 3 EXISTS\r\n"
                + "* 3 FETCH (UID 7 FLAGS (\\Recent) BODY[HEADER.FIELDS (FROM SUBJECT)]<0> {\(literal.utf8.count)}\r\n\(literal)"
                + " INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")\r\n"
                + "* 2 FETCH (BODY[] {3+}\r\n\r\n) X (\"a \\\" {4}\" (NIL 12)) UID 6)\r\n"
                + "* SEARCH 4 8 15\r\n* VANISHED (EARLIER) 3:9\r\n* 2 EXPUNGE\r\nF9 NO [EXPUNGEISSUED] gone\r\n").utf8)
    }

    static var expected: [IMAPResponse] {
        [
            .capability(["IMAP4REV1", "IDLE"]),
            .status(IMAPStatus(kind: .ok, code: "UIDVALIDITY", argument: "42", text: "fine {5}")),
            .continuation, .exists(3),
            .fetch(
                IMAPFetch(
                    uid: 7, flags: ["\\recent"], internalDate: "17-Jul-1996 02:44:25 -0700",
                    header: .bytes(Array(literal.utf8)))),
            .fetch(IMAPFetch(uid: 6, header: .bytes(Array("\r\n)".utf8)))),
            .search([4, 8, 15]), .vanished([3...9]), .expunge,
            .status(IMAPStatus(tag: "F9", kind: .no, code: "EXPUNGEISSUED", text: "gone")),
        ]
    }

    @Test("a transcript is read the same however it is cut in two")
    func everySplit() throws {
        let bytes = Self.transcript
        for cut in 0...bytes.count {
            var framer = IMAPFramer()
            let responses = try framer.feed(Array(bytes[..<cut])) + framer.feed(Array(bytes[cut...]))
            #expect(responses == Self.expected, "cut at \(cut)")
            #expect(framer.pendingBytes == 0)
        }
    }

    @Test("a transcript is read the same byte by byte")
    func bytewise() throws {
        var framer = IMAPFramer()
        var responses: [IMAPResponse] = []
        for byte in Self.transcript { responses += try framer.feed([byte]) }
        #expect(responses == Self.expected)
    }

    @Test("a literal of 50 MB is skipped and what follows is read")
    func hugeLiteral() throws {
        var framer = IMAPFramer()
        var responses = try framer.feed(Array("* 1 FETCH (UID 5 BODY[HEADER] {50000000}\r\n".utf8))
        let chunk = [UInt8](repeating: UInt8(ascii: "x"), count: 50_000)
        for _ in 0..<1_000 {
            responses += try framer.feed(chunk)
            #expect(framer.pendingBytes < 1_000)
        }
        responses += try framer.feed(Array(" FLAGS (\\Seen))\r\n* 9 EXISTS\r\n".utf8))
        #expect(
            responses == [.fetch(IMAPFetch(uid: 5, flags: ["\\seen"], header: .oversized)), .exists(9)])
    }

    @Test("a line of 50 MB is skipped, with the literals in it, and what follows is read")
    func hugeLine() throws {
        var framer = IMAPFramer()
        var responses = try framer.feed(Array("* 1 FETCH (UID 5 X \"".utf8))
        let chunk = [UInt8](repeating: UInt8(ascii: "x"), count: 50_000)
        for _ in 0..<1_000 {
            responses += try framer.feed(chunk)
            #expect(framer.pendingBytes < 70_000)
        }
        responses += try framer.feed(Array("\" Y {17}\r\n* 7 EXISTS\r\n12345)\r\n* 9 EXISTS\r\n".utf8))
        #expect(responses == [.unreadable, .exists(9)])
    }

    @Test(
        "a response beyond what is skipped ends the connection",
        arguments: ["* X {99999999}\r\n", "* X {999999999999}\r\n"])
    func tooLarge(line: String) {
        var framer = IMAPFramer()
        #expect(throws: IMAPSyntaxError.self) { try framer.feed(Array(line.utf8)) }
        var endless = IMAPFramer(limits: .init(kept: 100, skipped: 1_000))
        #expect(throws: IMAPSyntaxError.self) {
            for _ in 0..<20 { _ = try endless.feed([UInt8](repeating: 0x20, count: 100)) }
        }
    }

    @Test(
        "what is no IMAP is unreadable, not a crash",
        arguments: [
            "\r\n", "* \r\n", "* 1 FETCH (UID\r\n", "* 1 FETCH UID 5\r\n", "* 1 FETCH (BODY[ {3}\r\nabc)\r\n",
            "F1 WHAT\r\n",
            "* 1 FETCH (FLAGS " + String(repeating: "(", count: 200) + "\r\n", "* 1 FETCH (X \"\r\n",
            "* 1 FETCH (X \"\\",
        ])
    func unreadable(line: String) throws {
        var framer = IMAPFramer()
        let responses = try framer.feed(Array((line + "\r\n").utf8))
        #expect(responses.contains(.unreadable) || responses.allSatisfy { $0 == .other })
        #expect(try framer.feed(Array("\r\n* 4 EXISTS\r\n".utf8)).last == .exists(4))
    }

    @Test("NUL and eight-bit bytes stay in a quoted string")
    func bytes() throws {
        var framer = IMAPFramer()
        let line = Array("* 1 FETCH (UID 5 BODY[HEADER] \"a".utf8) + [0, 0xFF] + Array("b\")\r\n".utf8)
        #expect(try framer.feed(line) == [.fetch(IMAPFetch(uid: 5, header: .bytes([0x61, 0, 0xFF, 0x62])))])
    }

    @Test("5,000 damaged transcripts are survived")
    func fuzz() async {
        var state: UInt64 = 1
        func random(_ limit: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % limit
        }
        var readable = 0
        for round in 0..<5_000 {
            // Others want their turn: there are as many as cores.
            if round % 100 == 0 { await Task.yield() }
            var bytes = Self.transcript
            for _ in 0...random(6) {
                let place = random(bytes.count)
                switch random(4) {
                case 0: bytes[place] = UInt8(random(256))
                case 1: bytes.remove(at: place)
                case 2: bytes.insert(Array("{}()\"\\ \r\n0*".utf8)[random(11)], at: place)
                default: bytes.replaceSubrange(place..., with: bytes[place...].prefix(random(200)))
                }
                if bytes.isEmpty { bytes = [0x0A] }
            }
            var framer = IMAPFramer()
            let cut = random(bytes.count)
            guard let first = try? framer.feed(Array(bytes[..<cut])),
                let second = try? framer.feed(Array(bytes[cut...]))
            else { continue }
            readable += (first + second).count
            #expect(framer.pendingBytes <= 2 * 65_536)
        }
        #expect(readable > 5_000)
    }
}
