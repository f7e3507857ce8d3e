import Base
import Gateway
import GatewayTestKit
import Outbound
import Testing

@testable import EWSMonitor

/// How the monitor under test logs in.
enum TestAccess: String, Sendable, CaseIterable, CustomTestStringConvertible {
    case serviceBasic, serviceNTLM, ownNTLM

    var testDescription: String { rawValue }
    var isService: Bool { self != .ownNTLM }
}

/// The monitor with a fake Exchange, over the real client, with short waits.
final class EWSSubject: MonitorSubject {
    static let mailbox = "alice@example.org"

    let exchange: FakeExchange
    let monitor: any Monitor
    let credentials: [String: Secret]
    let wrongCredentials: [String: Secret]?
    let access: TestAccess
    private let time = SystemTime()

    init(
        _ client: HTTPClient, _ access: TestAccess, options: FakeExchange.Options = FakeExchange.Options(),
        change: (inout EWSMonitor.Settings) -> Void = { _ in }
    ) throws {
        var options = options
        options.login = access == .serviceBasic ? .basic : .ntlm
        exchange = try FakeExchange(options: options)
        self.access = access
        var settings = EWSMonitor.Settings()
        settings.mailboxDomain = "example.org"
        settings.stream.heartbeat = .seconds(1)
        settings.stream.reconcile = .milliseconds(300)
        settings.stream.settle = .milliseconds(10)
        change(&settings)
        var endpoint = EWSClient.Endpoint(url: "http://127.0.0.1:\(exchange.port)/EWS/Exchange.asmx", pool: "ews/test")
        endpoint.timeout = .seconds(2)
        let scheme: HTTPRequest.Authentication.Scheme = access == .serviceBasic ? .basic : .ntlm
        let secret = Secret(options.password)
        if access.isService {
            let login = HTTPRequest.Authentication(scheme, user: "EXAMPLE\\svc", password: secret)
            monitor = EWSMonitor(settings, .service(.password(login)), endpoint, transport: client, time: SystemTime())
            (credentials, wrongCredentials) = ([:], nil)
        } else {
            monitor = EWSMonitor(settings, .password(scheme), endpoint, transport: client, time: SystemTime())
            credentials = ["username": Secret("EXAMPLE\\alice@example.org"), "password": secret]
            wrongCredentials = ["username": credentials["username"] ?? Secret(""), "password": Secret("not the one")]
        }
    }

    deinit { exchange.stop() }

    func deliver(_ news: TestNews) async throws { exchange.deliver(news, to: Self.mailbox) }
    func markRead(_ key: String) async throws { exchange.markRead(key, in: Self.mailbox) }
    func remove(_ key: String) async throws { exchange.remove(key, from: Self.mailbox) }
    func wakeWithoutNews() async throws { exchange.wake(Self.mailbox) }
    func setLosesWakeUps(_ loses: Bool) async throws { exchange.setLosesWakeUps(loses) }
    /// The waits are short.
    func passTime() async throws {}
    func setServerRunning(_ running: Bool) async throws { try await exchange.setRunning(running) }
    func loginAttempts() async throws -> Int { exchange.attempts }
    func setSilent(_ silent: Bool) async throws { exchange.setSilent(silent) }
    func throttle(seconds: Int) async throws {
        exchange.setStanding(.soap(code: "ErrorServerBusy", backOffMilliseconds: seconds * 1000))
    }
    func setNonsense(_ nonsense: Bool) async throws { exchange.setNonsense(nonsense) }
}

/// A client for the time of a test.
func withClient<Result: Sendable>(
    _ body: @escaping @Sendable (HTTPClient) async throws -> Result
) async throws -> Result {
    let client = try HTTPClient()
    defer { client.beginShutdown() }
    return try await body(client)
}

@Suite(.timeLimit(.minutes(3))) struct EWSConformanceTests {
    @Test(
        "the ews monitor keeps the contract", arguments: MonitorConformance.Check.allCases, TestAccess.allCases)
    func conformance(check: MonitorConformance.Check, access: TestAccess) async throws {
        try await withClient { client in
            let subject = try EWSSubject(client, access)
            try await MonitorConformance.run(check, subject)
            #expect(subject.exchange.violations == [])
        }
    }
}
