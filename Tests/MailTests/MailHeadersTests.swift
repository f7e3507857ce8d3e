import Base
import Mail
import Testing

@Suite struct MailHeadersTests {
    private func digest(_ text: String) -> MailDigest { MailDigest(parsing: Array(text.utf8)) }
    private func from(_ value: String) -> MailAddress? { digest("From: \(value)\r\n\r\n").from }

    @Test("A usual header block gives all fields of a digest")
    func usual() {
        let read = digest(
            """
            From: "Joe Q. Public" <john.q.public@example.com>\r
            To: x@y.example\r
            Subject: =?utf-8?Q?Caf=C3=A9?= menu,\r
             as agreed\r
            Date: Fri, 20 Nov 2026 23:58:00 +0100\r
            Message-ID: <5678.21-Nov-1997@example.com>\r
            In-Reply-To: <3456@example.net>\r
            References: <1234@local.machine.example>\r
             <3456@example.net>\r
            List-Id: "The list" <Lemonade.example.ORG>\r
            Auto-Submitted: auto-replied (vacation)\r
            Precedence: Bulk\r
            \r
            Subject: in the body\r

            """)
        #expect(read.from == MailAddress(name: "Joe Q. Public", address: "john.q.public@example.com"))
        #expect(read.subject == "Café menu, as agreed")
        #expect(read.date?.description == "2026-11-20T22:58:00.000Z")
        #expect(read.messageID == "5678.21-Nov-1997@example.com")
        #expect(read.inReplyTo == "3456@example.net")
        #expect(read.threadRoot == "1234@local.machine.example")
        #expect(read.listID == "lemonade.example.org")
        #expect(read.autoSubmitted == "auto-replied")
        #expect(read.precedence == "bulk")
        #expect(read.isAutomatic)
    }

    @Test(
        "A digest of nothing is empty",
        arguments: ["", "\r\n", "\r\n\r\n", "\n\n\nbody", "garbage", "\0\0", ":", "From:"])
    func nothing(text: String) {
        let read = digest(text)
        #expect(read.from == nil && read.messageID == nil && read.date == nil && read.threadRoot == nil)
        #expect(read.subject.isEmpty && !read.isAutomatic)
        #expect(read.listID == nil && read.autoSubmitted == nil && read.inReplyTo == nil)
    }

    @Test("Lines that are no fields do not hide those that are")
    func garbageLines() {
        #expect(digest("garbage\r\nSubject: x\r\n\r\n").subject == "x")
        #expect(digest("A: b\r\ngarbage\r\nSubject: x\r\n\r\n").subject == "x")
        #expect(digest(" fold\r\nSubject: x\r\n\r\n").subject == "x")
        #expect(digest(": y\r\nSubject: x\r\n\r\n").subject == "x")
        #expect(digest("From someone Fri Nov 20\nSubject: x\n\n").subject == "x")
        #expect(digest("\u{FEFF}Subject: x\n\n").subject == "x")
        #expect(digest("\r\n\r\nSubject: x\r\n").subject == "x")
        #expect(digest("SUBJECT : x\r\n\r\n").subject == "x")
        #expect(digest("Subject: x\nSubject: y\n\n").subject == "x")
    }

    @Test("Fields are read whatever the body's type, and the body is not")
    func bodies() {
        for type in ["multipart/mixed; boundary=b", "message/rfc822", "text/plain", "nonsense"] {
            let read = digest("Content-Type: \(type)\n\nSubject: inner\n\n--b\nSubject: part\n\n--b--\n")
            #expect(read.subject.isEmpty)
            #expect(digest("Content-Type: \(type)\nSubject: x\n\nSubject: inner\n\n--b").subject == "x")
        }
        #expect(MailHeaders(parsing: Array("content-TYPE: text/x\n\n".utf8)).text("Content-Type") == "text/x")
    }

    @Test("A carriage return alone starts no field, NUL is taken out")
    func lineEnds() {
        let read = digest("Subject: x\rFrom: boss@example.org\r\nX: y\r\n\r\n")
        #expect(read.subject == "x From: boss@example.org")
        #expect(read.from == nil)
        #expect(digest("Subject: a\0b\0\r\n\r\n").subject == "ab")
    }

    @Test("A block cut at any byte gives a beginning of its subject")
    func cut() {
        let bytes = Array("From: =?utf-8?Q?J=C3=B6?= <a@b.c>\r\nSubject: abc =?utf-8?B?5L2g5aW9?= def\r\n".utf8)
        let whole = MailDigest(parsing: bytes).subject
        #expect(whole == "abc 你好 def")
        for count in bytes.indices {
            let subject = MailDigest(parsing: Array(bytes.prefix(count))).subject
            #expect(whole.hasPrefix(subject), "cut at \(count): \(subject)")
        }
    }

    @Test("A subject of 200 kB is read up to the limits")
    func huge() {
        let read = digest("Subject: " + String(repeating: "ä", count: 100_000) + "\r\nFrom: a@b.c\r\n\r\n")
        #expect(read.subject == String(repeating: "ä", count: 250))
        #expect(read.from == nil)
    }

    @Test("Many fields, addresses and references are read up to the limits")
    func many() {
        let fields = (0..<3000).map { "X-\($0): y\n" }.joined()
        #expect(digest(fields + "Subject: late\n\n").subject.isEmpty)
        let headers = MailHeaders(
            parsing: Array(
                ("To: " + (0..<120).map { "a\($0)@b.c" }.joined(separator: ",") + "\nReferences: "
                    + (0..<500).map { "<\($0)@b.c>" }.joined() + "\n\n").utf8))
        #expect(headers.addresses("to").count == MailHeaders.addressLimit)
        #expect(headers.messageIDs("references").count == MailHeaders.referenceLimit)
    }

    @Test("Addresses in all their forms")
    func addresses() {
        #expect(from("a@b.example") == MailAddress(name: nil, address: "a@b.example"))
        #expect(from("<a@b.example>") == MailAddress(name: nil, address: "a@b.example"))
        #expect(from("Joe <a@b.example>") == MailAddress(name: "Joe", address: "a@b.example"))
        #expect(from("a@b.example (Joe)") == MailAddress(name: "Joe", address: "a@b.example"))
        #expect(from(#""Joe \"J\" X" <a@b.example>"#) == MailAddress(name: "Joe \"J\" X", address: "a@b.example"))
        #expect(
            from("=?utf-8?Q?J=C3=B6?= <a@b.example>, c@d.example") == MailAddress(name: "Jö", address: "a@b.example"))
        #expect(from("\"=?utf-8?Q?J=C3=B6?=\" <a@b.example>") == MailAddress(name: "Jö", address: "a@b.example"))
        #expect(from("=?utf-8?Q?Doe=2C_J_=3Cx=40y=3E?= <a@b.c>") == MailAddress(name: "Doe, J <x@y>", address: "a@b.c"))
    }

    @Test("Addresses without domain, groups, and what is no address")
    func oddAddresses() {
        #expect(from("joe") == MailAddress(name: nil, address: "joe"))
        #expect(from("Joe <joe>") == MailAddress(name: "Joe", address: "joe"))
        #expect(from("Joe <joe@MISSING_DOMAIN>") == MailAddress(name: "Joe", address: "joe"))
        #expect(from("Team: Joe <a@b.c>, d@e.f;") == MailAddress(name: "Joe", address: "a@b.c"))
        #expect(from("Undisclosed senders:;") == MailAddress(name: "Undisclosed senders", address: nil))
        #expect(from("=?utf-8?B?Sm9lIDxhQGI+?=") == MailAddress(name: "Joe <a@b>", address: nil))
        #expect(from("<>") == MailAddress(name: "<>", address: nil))
        #expect(from("   ") == nil)
        let group = MailHeaders(parsing: Array("To: A: a@b.c, d@e.f;, g@h.i\n\n".utf8)).addresses("To")
        #expect(group.compactMap(\.address) == ["a@b.c", "d@e.f", "g@h.i"])
        #expect(digest("Sender: s@t.u\n\n").from?.address == "s@t.u")
        #expect(from("\"Joe <a@b.c>")?.address?.contains("a@b.c") != false)
    }

    @Test(
        "Dates of all times",
        arguments: [
            ("Fri, 20 Nov 2026 23:58:00 +0100", 1_795_215_480), ("20 Nov 2026 23:58 GMT", 1_795_219_080),
            ("Fri, 20 Nov 26 23:58:00 EST", 1_795_237_080), ("Fri, 20 Nov 2026 23:58:00 -0000 (x)", 1_795_219_080),
            ("", nil), ("x", nil), ("Fri, 99 Foo 2026 99:99:99 +9999", nil), ("Thu, 1 Jan 1960 00:00:00 +0000", nil),
        ] as [(String, Int64?)])
    func dates(text: String, seconds: Int64?) {
        #expect(digest("Date: \(text)\r\n\r\n").date?.seconds == seconds)
    }

    @Test("Threads begin at the first reference, the answered message, or the message itself")
    func threads() {
        #expect(digest("Message-ID: <a@b>\n\n").threadRoot == "a@b")
        #expect(digest("Message-ID: <a@b>\nIn-Reply-To: <c@d>\n\n").threadRoot == "c@d")
        #expect(digest("In-Reply-To: <c@d>\nReferences: <r@s><t@u>\n\n").threadRoot == "r@s")
        #expect(digest("Message-ID: junk\nReferences: junk\n\n").threadRoot != "")
        #expect(digest("In-Reply-To: Your message of Monday <c@d>\n\n").inReplyTo == "c@d")
    }

    @Test(
        "Automatic mail is told from people's",
        arguments: [
            ("Auto-Submitted: no", false), ("Auto-Submitted: auto-generated", true), ("Precedence: list", true),
            ("Precedence: first-class", false), ("List-Id: <l.example>", true), ("List-Id: l.example", true),
            ("X: y", false),
        ])
    func automatic(field: String, expected: Bool) {
        #expect(digest(field + "\r\n\r\n").isAutomatic == expected)
    }
}
