import Base
import Mail
import Testing

@Suite struct MailDraftTests {
    private static func draft(subject: String = "Hello", text: String = "Text") -> MailDraft {
        MailDraft(
            from: .init(name: "Farbell", address: "farbell@example.org"), to: .init(address: "alice@example.net"),
            subject: subject, text: text, date: Timestamp(seconds: 1_774_000_000), messageID: "id-1@example.org")
    }

    private static func headers(_ bytes: [UInt8]) -> MailHeaders { MailHeaders(parsing: bytes) }

    @Test("a message has its fields, and comes back as it was")
    func fields() throws {
        var draft = Self.draft(subject: "Größe 你好", text: "Zeile\nzwei 你好\n.\n")
        draft.references = ["root@example.org", "parent@example.org"]
        draft.fields = [("Auto-Submitted", "auto-generated")]
        let bytes = try #require(draft.bytes)
        let headers = Self.headers(bytes)
        #expect(headers.text("subject") == "Größe 你好")
        #expect(headers.addresses("from").first?.name == "Farbell")
        #expect(headers.addresses("from").first?.address == "farbell@example.org")
        #expect(headers.addresses("to").first?.address == "alice@example.net")
        #expect(headers.messageIDs("message-id") == ["id-1@example.org"])
        #expect(headers.messageIDs("references") == ["root@example.org", "parent@example.org"])
        #expect(headers.messageIDs("in-reply-to") == ["parent@example.org"])
        #expect(headers.text("auto-submitted") == "auto-generated")
        #expect(headers.date("date") == draft.date)
        #expect(headers.text("mime-version") == "1.0")
        #expect(bytes == draft.bytes)
    }

    @Test(
        "whatever the text, the message is ASCII with CRLF and short lines",
        arguments: [
            "", "plain", String(repeating: "long ", count: 2000), String(repeating: "x", count: 5000), "ä\r\nö\rü\n\n",
            String(repeating: "你好", count: 3000), "a\0b\u{7}c", "From me\n.\n..\n", "👩‍👩‍👧‍👦\u{202E}",
        ])
    func wire(text: String) throws {
        for draft in [Self.draft(text: text), Self.draft(subject: text)] {
            let bytes = try #require(draft.bytes)
            var (length, longest) = (0, 0)
            var isClean = true
            for (index, byte) in bytes.enumerated() {
                if byte == 0 || byte >= 0x80 { isClean = false }
                if byte == 0x0A, index == 0 || bytes[index - 1] != 0x0D { isClean = false }
                if byte == 0x0D, index + 1 == bytes.count || bytes[index + 1] != 0x0A { isClean = false }
                length = byte == 0x0A ? 0 : length + 1
                longest = max(longest, length)
            }
            #expect(isClean && longest <= 999, "\(longest)")
            #expect(bytes.suffix(2) == [0x0D, 0x0A])
        }
    }

    @Test("a subject or a name cannot add a field")
    func injection() throws {
        var draft = Self.draft(subject: "Hi\r\nBcc: eve@example.com\r\n\r\nbody")
        draft.from.name = "Bob\r\nBcc: eve@example.com"
        let bytes = try #require(draft.bytes)
        let head = String(decoding: bytes, as: UTF8.self).components(before: "\r\n\r\n")
        #expect(!head.lowercased().contains("\nbcc"))
        #expect(Self.headers(bytes).text("subject") == "Hi Bcc: eve@example.com body")
    }

    @Test("an address, an id or a field that could break the header makes no message")
    func unclean() {
        var drafts = [MailDraft](repeating: Self.draft(), count: 6)
        drafts[0].to.address = "a@b.example\r\nBcc: x@y.example"
        drafts[1].from.address = "Bob <a@b.example>"
        drafts[2].messageID = "a b@c"
        drafts[3].references = ["x@y>\r\n"]
        drafts[4].fields = [("X-Test", "a\r\nb")]
        drafts[5].fields = [("X Test", "a")]
        for draft in drafts { #expect(draft.bytes == nil) }
    }
}

extension String {
    fileprivate func components(before end: String) -> String {
        let bytes = Array(utf8)
        let mark = Array(end.utf8)
        let index = bytes.indices.first { bytes[$0...].starts(with: mark) } ?? bytes.count
        return String(decoding: bytes[..<index], as: UTF8.self)
    }
}
