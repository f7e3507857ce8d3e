import Testing

@testable import Outbound

@Suite("Where a request over HTTP/2 goes") struct HTTP2TargetTests {
    @Test(
        "plain URLs",
        arguments: [
            ("https://api.push.apple.com/3/device/ab", "api.push.apple.com", "/3/device/ab"),
            ("https://Example.COM:8443/a?b=c%20d&e", "example.com:8443", "/a?b=c%20d&e"),
            ("HTTPS://example.com:443/", "example.com", "/"), ("https://example.com", "example.com", "/"),
            ("https://[::1]:9/x", "[::1]:9", "/x"), ("https://[fe80::1.2.3.4]", "[fe80::1.2.3.4]", "/"),
            ("https://a_b-c.example/x.y/z..w", "a_b-c.example", "/x.y/z..w"),
        ])
    func plain(url: String, authority: String, path: String) throws {
        let target = try #require(HTTP2Target(url))
        #expect(target.authority == authority)
        #expect(target.path == path)
    }

    @Test(
        "what is libcurl's matter",
        arguments: [
            "http://example.com/", "https://", "https:///x", "https://user@example.com/", "https://exämple.com/",
            "https://example.com:/", "https://example.com:123456/", "https://example.com:a/", "https://example.com?x",
            "https://example.com/#x", "https://example.com/a b", "https://example.com/ä", "https://example.com/a/../b",
            "https://example.com/./a", "https://[::1", "https://[::g]/", "https://[::1]x/", "example.com/", "",
            "https\u{1A}//example.com/", "https://example.com/\u{7F}",
        ])
    func notPlain(url: String) { #expect(HTTP2Target(url) == nil) }
}
