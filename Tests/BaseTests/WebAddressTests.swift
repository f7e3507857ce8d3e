import Base
import Testing

@Suite("URLs that users and devices gave us")
struct WebAddressTests {
    @Test(
        "host and origin of a good URL",
        arguments: [
            ("https://push.example/abc?x=1", "push.example", "https://push.example"),
            ("HTTPS://Push.Example:443", "push.example", "https://push.example"),
            ("https://push.example:8443/a@b", "push.example", "https://push.example:8443"),
            ("http://127.0.0.1:80/", "127.0.0.1", "http://127.0.0.1"),
            ("http://[::1]:8080/x", "[::1]", "http://[::1]:8080"),
            ("https://a?b", "a", "https://a"),
        ])
    func good(text: String, host: String, origin: String) throws {
        let address = try WebAddress(text)
        #expect(address.host == host)
        #expect(address.origin == origin)
    }

    @Test(
        "what another reader could take for another host is refused",
        arguments: [
            "", "https://", "https:///path", "ftp://a/", "file:///etc/passwd", "javascript:alert(1)", "//a/b",
            "https://user@a/", "https://a:b@c/", "https://a\\@b/", "https://a b/", "https://a#@b/", "https://a:0/",
            "https://a:65536/", "https://a:+1/", "https://a:/", "https://ä.example/", "https://a\u{0}b/",
            "https://a\r\nb/", "https://[::1/", "https://[]/", "https://[::1]x/", "https://[g::]/", "https://.a/",
            "https://a%2eb/", "https://" + String(repeating: "a", count: 254),
            "https://a/" + String(repeating: "b", count: 2048),
        ])
    func bad(text: String) { #expect(throws: WebAddress.Fault.self) { try WebAddress(text) } }

    @Test("percent-encoding leaves only unreserved characters and those asked for")
    func percent() {
        #expect("a-Z.0_~".percentEncoded() == "a-Z.0_~")
        #expect("a b/ä&=%\n".percentEncoded() == "a%20b%2F%C3%A4%26%3D%25%0A")
        #expect("h:1/x".percentEncoded(keeping: ":") == "h:1%2Fx")
    }

    @Test(
        "references are resolved against the document's address (RFC 3986 section 5)",
        arguments: [
            ("https://b.example/y?z", "https://b.example/y?z"), ("//b.example/y", "https://b.example/y"),
            ("/y?z#f", "https://a.example:8443/y?z"), ("?page=2", "https://a.example:8443/p/q?page=2"),
            ("r", "https://a.example:8443/p/r"), (" /y ", "https://a.example:8443/y"), ("", nil), ("#top", nil),
            ("javascript:alert(1)", "https://a.example:8443/p/javascript:alert(1)"), ("http://u@b/", nil),
            ("/a b", nil),
        ] as [(String, String?)])
    func references(text: String, expected: String?) {
        #expect(WebAddress.resolve(text, at: "https://a.example:8443/p/q?x=1") == expected)
        #expect(WebAddress.resolve("x", at: "https://a.example") == "https://a.example/x")
    }
}
