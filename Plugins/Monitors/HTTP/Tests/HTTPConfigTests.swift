import Base
import Gateway
import GatewayTestKit
import Testing

@testable import HTTPMonitor

@Suite struct HTTPMonitorConfigTests {
    @Test("the example configuration is valid")
    func example() throws {
        let monitor = try HTTPMonitor.configured(by: HTTPMonitorPlugin(), try HTTPMonitorPlugin().example())
        #expect(monitor.upstream == "https://oa.example.org")
        #expect(monitor.credentialFields.map(\.name) == ["username", "token"])
        #expect(monitor.settings.missingIsGone && monitor.settings.poll == .seconds(60))
    }

    @Test(
        "faults are reported with their cure",
        arguments: [
            (#"{}"#, "the key 'url' is missing"),
            (#"{"url":"https://a/{username}","items":"data"}"#, "expected a JSON Pointer"),
            (#"{"url":"http://a.example/{username}"}"#, "in the clear"),
            (#"{"url":"https://{username}.example/"}"#, "must not choose the server"),
            (#"{"url":"https://a/x","authentication":"none"}"#, "every user would see the same"),
            (#"{"url":"https://a/x","header":"X"}"#, "belongs to"),
            (#"{"url":"https://a/x","authentication":"header","header":"X Y"}"#, "no name of a header field"),
            (#"{"url":"https://a/x","read":"/r","unread":"/u"}"#, "not both"),
            (#"{"url":"https://a/x","nextParameter":"p"}"#, "needs 'next'"),
            (#"{"url":"https://a/x","pollSecond":60}"#, "did you mean 'pollSeconds'?"),
        ])
    func faults(text: String, message: String) {
        #expect { try HTTPMonitor.configured(by: HTTPMonitorPlugin(), "{\"monitor\":\(text)}") } throws: {
            "\($0)".contains(message)
        }
    }

    @Test(
        "JSON Pointers as RFC 6901 section 5 has them",
        arguments: [
            ("", nil), ("/foo/0", "bar"), ("/", "0"), ("/a~1b", "1"), ("/m~0n", "8"), ("/foo/1", "baz"),
            ("/foo/01", nil), ("/foo/2", nil), ("/foo/-", nil),
        ] as [(String, String?)])
    func pointers(text: String, value: String?) throws {
        let document = try JSONParser.parse(
            Array(#"{"foo":["bar","baz"],"":"0","a/b":"1","m~n":"8"}"#.utf8))
        #expect(try #require(JSONPointer(text)).value(in: document)?.string == value)
        #expect(JSONPointer("foo") == nil && JSONPointer("/a~2") == nil)
    }

    @Test(
        "times as servers write them",
        arguments: [
            ("2026-11-21T09:00:00+01:00", 1_795_248_000_000), ("2026-11-21 08:00:00", 1_795_248_000_000),
            ("Sat, 21 Nov 2026 08:00:00 +0000", 1_795_248_000_000), ("1795248000", 1_795_248_000_000),
            ("1795248000123", 1_795_248_000_123), ("2026-11-21", 1_795_219_200_000), ("soon", nil), ("tomorrow!", nil),
        ] as [(String, Int64?)])
    func times(text: String, milliseconds: Int64?) {
        #expect(ItemReader.time(.string(text))?.milliseconds == milliseconds)
    }

    @Test("the next page's parameter replaces the one that was there")
    func parameter() {
        #expect(HTTPMonitor.setting("page", to: "a b", in: "https://a/x?page=1&s=2") == "https://a/x?s=2&page=a%20b")
        #expect(HTTPMonitor.setting("page", to: "2", in: "https://a/x") == "https://a/x?page=2")
    }
}
