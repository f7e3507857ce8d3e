import Base
import Gateway
import Testing

@Suite("the document of a push")
struct PushDocumentTests {
    private func push(
        title: String = "Outlook", body: String? = "New mail from Bob", payload: Device.Payload = .summary,
        content: Push.Content? = nil
    ) -> Push {
        let message = MessageKey(queue: 1, seq: 2)
        let notification = Notification(
            id: "n1", account: "alice", device: "d1", app: "oa", message: message, messages: [message], title: title,
            body: body, badge: 3, collapse: "c1", thread: "t1", tap: "tap1")
        return Push(
            id: "p1", device: "d1", address: .token("t"), content: content ?? .alert(notification), payload: payload,
            priority: .normal, expires: Timestamp(seconds: 1))
    }

    private func text(_ push: Push, limit: Int = 4096, idOnly: Bool = false) -> String? {
        PushDocument.bytes(of: push, limit: limit, idOnly: idOnly).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test("SG-10 a summary carries title and text")
    func summary() {
        #expect(
            text(push())
                == #"{"notification":"n1","app":"oa","title":"Outlook","body":"New mail from Bob","badge":3,"collapse":"c1","tap":"tap1"}"#
        )
        #expect(
            text(push(body: nil))
                == #"{"notification":"n1","app":"oa","title":"Outlook","badge":3,"collapse":"c1","tap":"tap1"}"#)
    }

    @Test("MN-13 a wakeup device gets neither title nor body")
    func wakeup() {
        let expected = #"{"notification":"n1","app":"oa","badge":3,"collapse":"c1","tap":"tap1"}"#
        #expect(text(push(payload: .wakeup)) == expected)
        #expect(text(push(), idOnly: true) == expected)
        #expect(text(push(payload: .wakeup), limit: expected.utf8.count) == expected)
        #expect(text(push(payload: .wakeup), limit: expected.utf8.count - 1) == nil)
    }

    @Test("a clearing push names what to take away, as far as it fits")
    func clear() {
        let whole = push(content: .clear(["n1", "n2", "n3"], collapse: "c1", badge: 0))
        let expected = #"{"clear":["n1","n2","n3"],"badge":0,"collapse":"c1"}"#
        #expect(text(whole) == expected)
        #expect(text(whole, limit: expected.utf8.count) == expected)
        #expect(
            text(whole, limit: expected.utf8.count - 1) == #"{"clear":["n1","n2"],"badge":0,"collapse":"c1"}"#)
        #expect(text(whole, limit: 40) == nil)
        #expect(text(push(content: .clear([], collapse: "c1", badge: 0))) == #"{"clear":[],"badge":0,"collapse":"c1"}"#)
    }

    @Test("the longer text is shortened first, with an ellipsis")
    func longestFirst() throws {
        let long = String(repeating: "b", count: 300)
        let bytes = try #require(PushDocument.bytes(of: push(title: "Short", body: long), limit: 200))
        let document = try JSONParser.parse(bytes)
        #expect(bytes.count == 200)
        #expect(document["title"]?.string == "Short")
        #expect(document["body"]?.string?.hasSuffix("b…") == true)
        let other = try #require(PushDocument.bytes(of: push(title: long, body: "Short"), limit: 200))
        #expect(try JSONParser.parse(other)["body"]?.string == "Short")
    }

    /// What is left of a text is a prefix of its characters, and the document keeps to its limit, for
    /// every limit from nothing to plenty.
    @Test(
        "shortening never splits a character and never exceeds the limit",
        arguments: [
            ("plain ascii text that goes on and on", "and a body that is longer than the title is"),
            ("👨‍👩‍👧‍👦👩🏽‍🚀🇩🇪🇫🇷é̂ạ̈", "नमस्ते दुनिया 한국어 조합 ᄒᆞᆫ글 🏴󠁧󠁢󠁥󠁮󠁧󠁿🏴󠁧󠁢󠁥󠁮󠁧󠁿"),
            ("\"\\\n\r\n\u{0}\u{1F}\u{7F}\u{2028}\u{2029}\"", "\u{0600}1\u{0600}2\u{200D}x\u{FEFF}y"),
            ("", "👨‍👩‍👧‍👦"), ("e" + String(repeating: "\u{301}", count: 200), "ok"), ("", ""),
        ])
    func property(title: String, body: String) throws {
        let push = push(title: title, body: body)
        let full = try #require(PushDocument.bytes(of: push, limit: 100_000))
        var fitted = 0
        for limit in 0...full.count {
            guard let bytes = PushDocument.bytes(of: push, limit: limit) else { continue }
            fitted += 1
            #expect(bytes.count <= limit)
            let document = try JSONParser.parse(bytes)
            try checkPrefix(#require(document["title"]?.string), of: title)
            try checkPrefix(#require(document["body"]?.string), of: body)
            if limit == full.count { #expect(bytes == full) }
        }
        #expect(fitted > 0)
    }

    private func checkPrefix(_ shortened: String, of text: String) throws {
        guard shortened != text else { return }
        if shortened.isEmpty { return }
        #expect(shortened.unicodeScalars.last == "…")
        let kept = String(String.UnicodeScalarView(shortened.unicodeScalars.dropLast()))
        #expect(Array(text).starts(with: Array(kept)))
        #expect(Array(text.unicodeScalars).starts(with: Array(kept.unicodeScalars)))
    }

    @Test("a text of a megabyte costs no more than the limit allows")
    func huge() throws {
        let text = String(repeating: "ä", count: 1 << 19)
        let bytes = try #require(PushDocument.bytes(of: push(title: text, body: text), limit: 4096))
        #expect(bytes.count <= 4096)
        #expect(bytes.count > 4080)
    }
}
