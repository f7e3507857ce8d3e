import Base
import Gateway
import MonitorTools
import GatewayTestKit
import Testing

@testable import FeedMonitor

@Suite struct FeedDocumentTests {
    private static func items(_ text: String, charset: String? = nil) throws -> [Item] {
        try FeedDocument.entries(Array(text.utf8), charset: charset).map(\.item)
    }

    @Test("RSS with HTML in its words, names in brackets, and no ids")
    func rss() throws {
        let items = try Self.items(
            """
            <rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel><title>No item</title>
            <item><title>A &amp;amp; B &amp;#8364; &amp;lt;i&gt;</title><link>https://a/1</link>
            <description><![CDATA[<p>Some <b>bold</b>&nbsp;text</p><script]]></description>
            <author>j@x.org (Jürgen)</author><pubDate>Sat, 21 Nov 2026 09:00:00 +0100</pubDate></item>
            <item><description>Only a text</description></item>
            <item><title>x < y</title></item></channel></rss>
            """.replacing("x < y", with: "x &lt; y"))
        #expect(
            items[0]
                == Item(
                    key: "https://a/1", contentKey: "https://a/1", sender: "Jürgen", senderAddress: "j@x.org",
                    title: "A & B € <i>", preview: "Some bold text", time: Timestamp(seconds: 1_795_248_000)))
        #expect(items[1].title == "Only a text" && items[1].key.hasPrefix("hash:") && items[1].preview == nil)
        #expect(items[2].title == "x < y" && items[1].key != items[2].key)
    }

    @Test("Atom with XHTML, a link as id, and dates")
    func atom() throws {
        let items = try Self.items(
            """
            <feed xmlns="http://www.w3.org/2005/Atom"><title>No entry</title><entry>
            <title type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">Less: <em>&lt;</em></div></title>
            <link rel="self" href="https://a/self"/><link href="https://a/1"/><updated>2026-11-21T08:00:00Z</updated>
            <summary type="html">&lt;p>one&lt;/p></summary></entry></feed>
            """)
        #expect(items.map(\.key) == ["https://a/1"])
        #expect(items[0].title == "Less: <" && items[0].preview == "one")
        #expect(items[0].time == Timestamp(seconds: 1_795_248_000))
    }

    @Test("character sets: the transport's before the document's, unless it is wrong; control characters are dropped")
    func characters() throws {
        let latin =
            Array("<rss><channel><item><title>J".utf8) + [0xFC] + Array("rgen</title></item></channel></rss>".utf8)
        #expect(try FeedDocument.entries(latin, charset: "iso-8859-1").first?.item.title == "Jürgen")
        #expect(throws: MonitorFailure.self) { try FeedDocument.entries(latin, charset: nil) }
        let text = "<rss><channel><item><title>Jü\u{0}r\u{B}gen</title></item></channel></rss>"
        #expect(try Self.items(text, charset: "us-ascii").first?.title == "Jürgen")
        #expect(FeedMonitor.charset("text/xml; x=y; Charset=\"UTF-8\"") == "UTF-8")
        #expect(FeedMonitor.charset("text/xml") == nil && FeedMonitor.charset(nil) == nil)
    }

    @Test(
        "what is no feed is a violation, and never a crash",
        arguments: [
            "", "<html><body/></html>", "<rss>", "<rss><channel><item></channel></rss>", "{}",
            "<!DOCTYPE rss [<!ENTITY a 'b'>]><rss/>",
        ])
    func noFeed(text: String) {
        #expect { try Self.items(text) } throws: { ($0 as? MonitorFailure)?.code == .protocolViolation }
    }

    @Test("an entry that is edited, or moved within the feed, does not ring again")
    func edited() throws {
        var list = ListWatch(cursor: ListCursor(time: Timestamp(seconds: 0)))
        func look(_ ids: [String], _ title: String) -> [MonitorBatch] {
            let entries = ids.map { ListWatch.Entry(Item(key: $0, title: title)) }
            return list.look(entries, missingIsGone: false, now: Timestamp(seconds: 1))
        }
        #expect(look(["2", "1"], "a").flatMap(\.changes).count == 2)
        #expect(look(["1", "2"], "b").isEmpty)
        #expect(look(["2"], "b").isEmpty)
        #expect(look(["1", "2", "3"], "b").flatMap(\.changes).count == 1)
    }
}

@Suite struct FeedConfigTests {
    @Test("the example configuration is valid")
    func example() throws {
        let monitor = try FeedMonitor.configured(by: FeedMonitorPlugin(), try FeedMonitorPlugin().example())
        #expect(monitor.upstream == "https://news.example.org" && monitor.credentialFields.isEmpty)
        #expect(monitor.settings.isShared)
    }

    @Test(
        "faults are reported with their cure",
        arguments: [
            (#"{}"#, "the key 'url' is missing"), (#"{"url":"ftp://a"}"#, "not one of https, http"),
            (#"{"url":"http://a/x","authentication":"basic"}"#, "in the clear"),
            (#"{"url":"https://{username}.a/x"}"#, "must not choose the server"),
            (#"{"url":"https://a/x","pollSeconds":1}"#, "out of range"),
        ])
    func faults(text: String, message: String) {
        #expect { try FeedMonitor.configured(by: FeedMonitorPlugin(), "{\"monitor\":\(text)}") } throws: {
            "\($0)".contains(message)
        }
    }
}
