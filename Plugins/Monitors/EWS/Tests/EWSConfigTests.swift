import Base
import Gateway
import GatewayTestKit
import Testing

@testable import EWSMonitor

@Suite struct EWSConfigTests {
    static func read(_ text: String) throws -> EWSMonitor {
        try EWSMonitor.configured(by: EWSMonitorPlugin(), text, environment: ["FARBELL_EWS_PASSWORD": "x"])
    }

    private static let url = #""url":"https://mail.example.org/EWS/Exchange.asmx""#

    @Test("the example configuration is valid")
    func example() throws {
        let monitor = try Self.read(try EWSMonitorPlugin().example())
        #expect(monitor.upstream == "mail.example.org:443")
        #expect(monitor.credentialFields.isEmpty && monitor.settings.mailboxDomain == "example.org")
    }

    @Test("who must give what")
    func access() throws {
        let own = try Self.read("{\"monitor\":{\(Self.url),\"mode\":\"own\"}}")
        #expect(own.credentialFields.map(\.name) == ["username", "password"])
        let service = try Self.read(
            "{\"monitor\":{\(Self.url),\"user\":\"EXAMPLE\\\\svc\",\"password\":{\"env\":\"FARBELL_EWS_PASSWORD\"},\"anyMailbox\":true}}"
        )
        #expect(service.credentialFields.map(\.name) == ["mailbox"])
        #expect(service.fault(in: ["mailbox": Secret("no address")], of: "anna") != nil)
        #expect(throws: ConfigError.self) { try Self.read("{\"monitor\":{\(Self.url)}}") }
        #expect(throws: ConfigError.self) {
            try Self.read("{\"monitor\":{\(Self.url),\"authentication\":\"oauth\"}}")
        }
        for url in ["http://mail.example.org/EWS/Exchange.asmx", "http://127.evil.example/EWS/Exchange.asmx"] {
            #expect(throws: ConfigError.self) { try Self.read("{\"monitor\":{\"mode\":\"own\",\"url\":\"\(url)\"}}") }
        }
    }

    @Test(
        "what the server's codes mean to the host",
        arguments: [
            ("ErrorServerBusy", "throttled"), ("ErrorExceededConnectionCount", "throttled"),
            ("ErrorImpersonateUserDenied", "auth_failed"), ("ErrorNonExistentMailbox", "source_gone"),
            ("ErrorInvalidSyncStateData", "cursor_invalid"), ("ErrorMailboxMoveInProgress", "network"),
            ("ErrorSchemaValidation", "protocol_violation"), ("", "protocol_violation"),
        ])
    func codes(code: String, name: String) {
        let failure = EWSFailure.of(code, backOff: .seconds(5), now: Moment(nanoseconds: 0))
        #expect(failure.code.name == name)
        if case .throttled(let until) = failure.code { #expect(until == Moment(nanoseconds: 5_000_000_000)) }
    }

    @Test("only the affinity cookie is taken, and only where it can be sent back")
    func cookies() {
        func cookie(_ values: String...) -> String? {
            var headers = HTTPFields()
            for value in values { headers.append("Set-Cookie", value) }
            return EWSAffinity.cookie(of: HTTPResponse(status: 200, headers: headers))
        }
        #expect(cookie("exchangecookie=1; path=/", "X-BackEndOverrideCookie=srv~1941; path=/; secure") == "srv~1941")
        #expect(cookie("X-BackEndOverrideCookie=a b") == nil)
        #expect(cookie("Other=1") == nil)
    }
}
