import Base
import Gateway
import GatewayTestKit
import Testing
import XMPPTools

@testable import XMPPMonitor

@Suite struct XMPPConfigTests {
    static func read(_ text: String) throws(ConfigError) -> XMPPMonitor {
        try XMPPMonitor.configured(by: XMPPMonitorPlugin(), text)
    }

    static func monitor(_ keys: String) throws -> XMPPMonitor { try read("{\"monitor\":{\(keys)}}") }

    @Test("the example configuration is valid")
    func example() throws {
        let monitor = try Self.read(try XMPPMonitorPlugin().example())
        #expect(monitor.upstream == "chat.example.org:5223")
        #expect(monitor.settings.server.isEncrypted && monitor.settings.domain == "example.org")
        #expect(monitor.credentialFields.map(\.name) == ["username", "password"])
    }

    @Test(
        "addresses",
        arguments: [
            ("xmpps://a.example", "a.example:5223"), ("xmpp://localhost", "localhost:5222"),
            ("xmpps://[2001:db8::1]:443", "[2001:db8::1]:443"), ("xmpps://a.example:443/", "a.example:443"),
        ])
    func addresses(url: String, upstream: String) throws {
        #expect(try Self.monitor("\"url\":\"\(url)\"").upstream == upstream)
    }

    @Test(
        "faults are reported with their cure; a password never crosses a network in the clear unless that is meant",
        arguments: [
            (#"{"monitor":{}}"#, "the key 'url' is missing"),
            (#"{"monitor":{"url":"https://a"}}"#, "not one of xmpps, xmpp"),
            (#"{"monitor":{"url":"xmpps://a/b"}}"#, "no path"),
            (#"{"monitor":{"url":"xmpps://u@a"}}"#, "no path"),
            (#"{"monitor":{"url":"xmpp://a.example"}}"#, "in the clear"),
            (#"{"monitor":{"url":"xmpps://a","domain":"a@b"}}"#, "expected a domain"),
            (#"{"monitor":{"url":"xmpps://a","pingSeconds":5}}"#, "out of range"),
            (#"{"monitor":{"url":"xmpps://a","pingSecond":60}}"#, "did you mean 'pingSeconds'?"),
        ])
    func faults(text: String, message: String) {
        #expect { try Self.read(text) } throws: { "\($0)".contains(message) }
    }

    @Test("plain text on purpose")
    func plaintext() throws {
        #expect(!(try Self.monitor(#""url":"xmpp://a.example","allowPlaintext":true"#).settings.server.isEncrypted))
    }

    @Test(
        "credentials that cannot be right are refused without connecting",
        arguments: [
            ["username": "a"], ["password": "b"], ["username": "a@other.example", "password": "b"],
            ["username": "a/b", "password": "b"], ["username": "@example.org", "password": "b"],
            ["username": "a", "password": "b\0c"],
        ])
    func credentials(fields: [String: String]) async throws {
        let host = RecordingMonitorHost()
        let monitor = try Self.monitor(#""url":"xmpps://a","domain":"example.org""#)
        try await MonitorRun.during(monitor, credentials: fields.mapValues { Secret($0) }, host: host) {
            try await host.waitForFailures()
        }
        #expect(host.failures.map(\.code) == [.authFailed])
    }

    @Test("without a client, as in `farbell check`, nothing crashes")
    func noClient() async throws {
        let host = RecordingMonitorHost()
        let credentials = ["username": Secret("a"), "password": Secret("b")]
        try await MonitorRun.during(Self.monitor(#""url":"xmpps://a""#), credentials: credentials, host: host) {
            try await host.waitForFailures()
        }
        #expect(host.failures.first?.code == .network)
    }
}
