import Base
import Gateway
import GatewayTestKit
import MailMonitoring
import Testing

@testable import IMAPMonitor

@Suite struct IMAPConfigTests {
    static func read(_ text: String) throws(ConfigError) -> IMAPMonitor {
        try IMAPMonitor.configured(by: IMAPMonitorPlugin(), text, environment: ["M": "m"])
    }

    static func monitor(_ keys: String) throws -> IMAPMonitor { try read("{\"monitor\":{\(keys)}}") }

    @Test("the example configuration is valid")
    func example() throws {
        let monitor = try Self.read(try IMAPMonitorPlugin().example())
        #expect(monitor.upstream == "mail.example.org:993")
        #expect(monitor.settings.server.encryption == .implicit && monitor.settings.idle == .seconds(540))
        #expect(
            monitor.credentialFields
                == [CredentialField("username", isSecret: false), CredentialField("password", isSecret: true)])
    }

    @Test(
        "addresses",
        arguments: [
            ("imaps://a.example", "a.example:993"), ("imap://a.example", "a.example:143"),
            ("imaps://a.example:10993", "a.example:10993"),
            ("imaps://[2001:db8::1]:10993", "[2001:db8::1]:10993"), ("imaps://[::1]", "[::1]:993"),
            ("IMAPS://A.example/", "A.example:993"),
        ])
    func addresses(url: String, upstream: String) throws {
        #expect(try Self.monitor("\"url\":\"\(url)\"").upstream == upstream)
    }

    @Test("a password never crosses a network in the clear unless that is meant")
    func encryption() throws {
        #expect(try Self.monitor(#""url":"imap://a.example""#).settings.server.encryption == .startTLS)
        #expect(try Self.monitor(#""url":"imap://localhost""#).settings.server.encryption == .none)
        #expect(
            try Self.monitor(#""url":"imap://127.0.0.1","startTLS":"required""#).settings.server.encryption == .startTLS
        )
        #expect(
            try Self.monitor(#""url":"imap://a.example","startTLS":"none","allowPlaintext":true"#).settings.server
                .encryption
                == .none)
        #expect(throws: ConfigError.self) { try Self.monitor(#""url":"imap://a.example","startTLS":"none""#) }
        #expect(throws: ConfigError.self) { try Self.monitor(#""url":"imap://127.evil.example","startTLS":"none""#) }
    }

    @Test("tokens instead of passwords")
    func tokens() throws {
        let monitor = try Self.monitor(#""url":"imaps://a.example","authentication":"token""#)
        #expect(monitor.credentialFields.map(\.name) == ["username", "token"])
    }

    @Test("a refresh token instead of a password; what the configuration gives is not asked for")
    func refreshTokens() throws {
        let open = try Self.monitor(#""url":"imaps://a.example","authentication":"oauth""#)
        #expect(
            open.credentialFields.map(\.name) == [
                "username", "oauth.tokenURL", "oauth.clientId", "oauth.clientSecret", "oauth.refreshToken",
            ])
        let bad = ["username": "a", "oauth.tokenURL": "http://a"].mapValues { Secret($0) }
        #expect(open.fault(in: bad, of: "a")?.field == "oauth.tokenURL")
        let fixed = try Self.monitor(
            #""url":"imaps://a.example","authentication":"oauth","oauth":{"tokenURL":"https://l/t","clientId":"c"}"#)
        #expect(fixed.credentialFields.map(\.name) == ["username", "oauth.refreshToken"])
    }

    static let master =
        #""url":"imaps://a.example","authentication":"master","master":{"user":"farbell","password":{"env":"M"}"#

    @Test(
        "with a master user a registration opens its account's mailbox and no other",
        arguments: [
            ("anna", nil, "anna", true), ("anna", "anna", "anna", true), ("anna", "bert", "", false),
            ("anna", "team", "team", true), ("bert", "team", "", false), ("Anna", nil, "", false),
            ("änna", nil, "", false), ("a*b", nil, "", false),
        ] as [(String, String?, String, Bool)])
    func masterUser(account: String, named: String?, mailbox: String, isAllowed: Bool) throws {
        let monitor = try Self.monitor(Self.master + #","separator":"*","allow":{"anna":["team"]}}"#)
        #expect(monitor.credentialFields == [CredentialField("username", isSecret: false, isRequired: false)])
        let credentials = named.map { ["username": Secret($0)] } ?? [:]
        let fault = monitor.fault(in: credentials, of: AccountID(account))
        #expect((fault == nil) == isAllowed, "\(String(describing: fault))")
        guard case .master(let master) = monitor.settings.authentication, isAllowed else { return }
        #expect(try master.mailbox(of: AccountID(account), credentials) == mailbox)
    }

    @Test("an account's mailbox may have another name; where none is listed nothing is asked for")
    func masterTemplate() throws {
        let monitor = try Self.monitor(Self.master + #","mailbox":"{account}@example.org"}"#)
        #expect(monitor.credentialFields.isEmpty)
        guard case .master(let master) = monitor.settings.authentication else { throw CancellationError() }
        #expect(try master.mailbox(of: "anna", [:]) == "anna@example.org")
        #expect(monitor.fault(in: ["username": Secret("anna")], of: "anna") != nil)
    }

    @Test(
        "faults are reported with their cure",
        arguments: [
            (#"{"monitor":{}}"#, "the key 'url' is missing"),
            (#"{"monitor":{"url":"http://a"}}"#, "not one of imaps, imap"),
            (#"{"monitor":{"url":"imaps://a/INBOX"}}"#, "no path"),
            (#"{"monitor":{"url":"imaps://u:p@a"}}"#, "no path"),
            (#"{"monitor":{"url":"imaps://a:0"}}"#, "no path"),
            (#"{"monitor":{"url":"imaps://a","startTLS":"required"}}"#, "from the first byte"),
            (#"{"monitor":{"url":"imaps://a","mailbox":"a\r\nb"}}"#, "control characters"),
            (#"{"monitor":{"url":"imaps://a","idleSeconds":1800}}"#, "out of range"),
            (#"{"monitor":{"url":"imaps://a","oauth":{}}}"#, "belongs to"),
            (#"{"monitor":{"url":"imaps://a","authentication":"master"}}"#, "'master' is missing"),
            (
                #"{"monitor":{"url":"imaps://a","authentication":"master","master":{"user":"u","password":{"env":"M"},"mailbox":"x"}}}"#,
                "{account} once"
            ),
            (#"{"monitor":{"url":"imaps://a","idleSecond":60}}"#, "did you mean 'idleSeconds'?"),
        ])
    func faults(text: String, message: String) {
        #expect { try Self.read(text) } throws: { "\($0)".contains(message) }
    }

    @Test("without a mail client, as in `farbell check`, nothing crashes")
    func noClient() async throws {
        let host = RecordingMonitorHost()
        let credentials = ["username": Secret("a"), "password": Secret("b")]
        try await MonitorRun.during(Self.monitor(#""url":"imaps://a""#), credentials: credentials, host: host) {
            try await host.waitForFailures()
        }
        #expect(host.failures.first?.code == .network)
    }

    @Test("a registration without a password is refused without connecting")
    func noPassword() async throws {
        let host = RecordingMonitorHost()
        try await MonitorRun.during(
            Self.monitor(#""url":"imaps://a""#), credentials: ["username": Secret("a")], host: host
        ) {
            try await host.waitForFailures()
        }
        #expect(host.failures.map(\.code) == [.authFailed])
    }
}
