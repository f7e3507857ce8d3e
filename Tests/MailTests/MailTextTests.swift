import Base
import Mail
import Testing

@Suite struct MailTextTests {
    private let family = "👨‍👩‍👧‍👦"

    @Test("Controls and bidirectional controls are taken out, white space is folded")
    func displayable() {
        let clean = { MailText.displayable($0, limit: .subject) }
        #expect(clean("a\u{0}\u{1}\u{7F}\u{9B}b") == "ab")
        #expect(clean("invoice\u{202E}fdp.exe") == "invoicefdp.exe")
        for value in Array(0x202A...0x202E) + Array(0x2066...0x2069) + [0x200E, 0x200F, 0x061C] as [UInt32] {
            let scalar = Unicode.Scalar(value)!
            #expect(clean("a\(scalar)b") == "ab", "U+\(String(value, radix: 16))")
        }
        #expect(clean("  a \r\n\t b\u{A0}\u{2028}c\u{3000} ") == "a b c")
        #expect(clean("\u{202E} \u{200F}") == "")
        #expect(clean("\(family) été שלום") == "\(family) été שלום")
    }

    @Test("A bidirectional override inside an encoded word is taken out too")
    func encodedOverride() {
        let digest = MailDigest(
            parsing: Array(
                ("Subject: =?utf-8?Q?a=E2=80=AEb=0D=0AX?=\n"
                    + "From: =?utf-8?Q?e=E2=80=AEvil=1B=5B31m?= <a@b.c>\n\n").utf8))
        #expect(digest.subject == "ab X")
        #expect(digest.from?.name == "evil[31m")
    }

    @Test("Texts are cut by graphemes and by bytes, whichever comes first")
    func limits() {
        let families = String(repeating: family, count: 10)
        #expect(
            MailText.displayable(families, limit: .init(graphemes: 3, bytes: 1000))
                == String(repeating: family, count: 3))
        #expect(
            MailText.displayable(families, limit: .init(graphemes: 10, bytes: 60))
                == String(repeating: family, count: 2))
        let tall = "a" + String(repeating: "\u{301}", count: 5000) + "b"
        #expect(MailText.displayable(tall, limit: .subject) == "")
        #expect(MailText.displayable("abc def", limit: .init(graphemes: 4, bytes: 10)) == "abc")
    }

    @Test("A text is truncated between graphemes, with an ellipsis inside the limit")
    func truncated() {
        #expect(MailText.truncated("abc", bytes: 3) == "abc")
        #expect(MailText.truncated("abcdef", bytes: 5) == "ab…")
        #expect(MailText.truncated("ab cdef", bytes: 6) == "ab…")
        #expect(MailText.truncated("äöüß", bytes: 7) == "äö…")
        #expect(MailText.truncated(family + "x", bytes: 10) == "…")
        #expect(MailText.truncated("äö", bytes: 2) == "ä")
        #expect(MailText.truncated("äö", bytes: 0) == "")
        for limit in 0..<80 {
            let text = MailText.truncated("Grüße \(family) 你好 e\u{301}nd \(family)", bytes: limit)
            #expect(text.utf8.count <= limit)
        }
    }

    @Test("SG-10 a digest line names sender and subject and fits")
    func digestLine() {
        let read = { (text: String) in MailDigest(parsing: Array(text.utf8)) }
        let both = read("From: Joe <a@b.c>\nSubject: Lunch?\n\n")
        #expect(MailText.digestLine(both, bytes: 100) == "Joe: Lunch?")
        #expect(MailText.digestLine(read("Subject: Lunch?\n\n"), bytes: 100) == "Lunch?")
        #expect(MailText.digestLine(read("From: a@b.c\n\n"), bytes: 100) == "a@b.c")
        #expect(MailText.digestLine(read(""), bytes: 100) == "")
        let long = read(
            "From: \(String(repeating: "n", count: 90)) <a@b.c>\nSubject: \(String(repeating: "s", count: 90))\n\n")
        let line = MailText.digestLine(long, bytes: 60)
        #expect(line.utf8.count <= 60)
        #expect(line.hasPrefix("nnn") && line.contains("…: sss") && line.hasSuffix("…"))
    }
}
