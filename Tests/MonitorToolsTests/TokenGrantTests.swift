import Base
import Gateway
import GatewayTestKit
import Testing

@testable import MonitorTools

@Suite("OAuth grants of monitors", .timeLimit(.minutes(1))) struct TokenGrantTests {
    private let time = ManualTime()

    private func answer(_ status: Int, _ body: String, retryAfter: String? = nil) -> HTTPResponse {
        HTTPResponse(
            status: status, headers: retryAfter.map { ["Retry-After": $0] } ?? [:], body: Array(body.utf8))
    }

    private func granted(_ token: String, seconds: Int = 1000, refresh: String? = nil) -> HTTPResponse {
        answer(
            200,
            #"{"access_token":"\#(token)","expires_in":\#(seconds)\#(refresh.map { #","refresh_token":"\#($0)""# } ?? "")}"#
        )
    }

    private func grant(_ http: StubTransport, refreshToken: String? = "r 1") -> TokenGrant {
        var client = TokenGrant.Client(tokenURL: "https://login.example/token", id: "c&1", secret: Secret("s/1"))
        client.scope = "mail read"
        return TokenGrant(
            client, refreshToken: refreshToken.map { Secret($0) }, pool: "imap:mail", transport: http, time: time)
    }

    private func form(_ request: HTTPRequest) -> String { String(decoding: request.body, as: UTF8.self) }

    @Test("the request is the one of RFC 6749 section 6, or section 4.4 without a refresh token")
    func request() async throws {
        let http = StubTransport { [granted] _, number in granted("t\(number)", 1000, nil) }
        #expect(try await grant(http).token().secret.exposed == "t1")
        #expect(try await grant(http, refreshToken: nil).token().secret.exposed == "t2")
        let requests = http.requests.all
        #expect(requests.map(\.method) == ["POST", "POST"] && requests.map(\.pool) == ["imap:mail", "imap:mail"])
        #expect(requests[0].url == "https://login.example/token")
        #expect(requests[0].headers["Content-Type"] == "application/x-www-form-urlencoded")
        #expect(
            form(requests[0])
                == "grant_type=refresh_token&client_id=c%261&refresh_token=r%201&client_secret=s%2F1&scope=mail%20read")
        #expect(
            form(requests[1])
                == "grant_type=client_credentials&client_id=c%261&client_secret=s%2F1&scope=mail%20read")
    }

    @Test("a token serves until 80 % of its life, however many want it")
    func life() async throws {
        let http = StubTransport { [granted] _, number in granted("t\(number)", 1000, nil) }
        let grant = grant(http)
        try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<100 { group.addTask { try await grant.token().secret.exposed } }
            for try await token in group { #expect(token == "t1") }
        }
        time.advance(by: .seconds(799))
        #expect(try await grant.token().secret.exposed == "t1")
        time.advance(by: .seconds(1))
        #expect(try await grant.token().secret.exposed == "t2")
        #expect(http.requests.count == 2)
    }

    @Test("a token refused before its end is replaced once; one made for the call is not")
    func refusedToken() async throws {
        let http = StubTransport { [granted] _, number in granted("t\(number)", 1000, nil) }
        let grant = grant(http)
        let used = Recorder<String>()
        func attempt(good: String) async throws {
            try await grant.authorized { token in
                used.append(token.secret.exposed)
                if token.secret.exposed != good { throw MonitorFailure(.authFailed, "refused") }
            }
        }
        await #expect(throws: MonitorFailure(.authFailed, "refused")) { try await attempt(good: "none") }
        #expect(used.all == ["t1"])
        try await attempt(good: "t2")
        #expect(used.all == ["t1", "t1", "t2"])
        await #expect(throws: MonitorFailure(.authFailed, "refused")) { try await attempt(good: "none") }
        #expect(used.all == ["t1", "t1", "t2", "t2", "t3"])
        await #expect(throws: MonitorFailure(.network, "away")) {
            try await grant.authorized { _ in throw MonitorFailure(.network, "away") }
        }
        #expect(http.requests.count == 3)
    }

    @Test("a refused grant is asked for once, and no word of it is secret")
    func refusedGrant() async throws {
        let http = StubTransport { [answer] _, _ in answer(400, #"{"error":"invalid_grant"}"#, nil) }
        let grant = grant(http)
        for _ in 0..<3 {
            await #expect(throws: MonitorFailure(.authFailed, "the token server refused: invalid_grant")) {
                try await grant.token()
            }
        }
        #expect(http.requests.count == 1)
    }

    @Test(
        "what the server answers becomes a typed failure",
        arguments: [
            (401, #"{"error":"invalid_client"}"#, MonitorFailure.Code.authFailed), (404, "<html>", .authFailed),
            (500, "", .authTemporary), (400, #"{"error":"temporarily_unavailable"}"#, .authTemporary),
            (429, "", .authTemporary), (200, "<html>", .protocolViolation), (302, "", .authTemporary),
        ])
    func failures(status: Int, body: String, code: MonitorFailure.Code) async throws {
        let http = StubTransport { [answer] _, _ in answer(status, body, nil) }
        let failure = await #expect(throws: MonitorFailure.self) { try await grant(http).token() }
        #expect(failure?.code == code)
    }

    @Test("a pause the server asks for is kept, by everybody")
    func pause() async throws {
        let http = StubTransport { [answer, granted] _, number in
            number == 1 ? answer(503, "", "90") : granted("t", 1000, nil)
        }
        let grant = grant(http)
        let end = time.now + .seconds(90)
        for _ in 0..<3 {
            let failure = await #expect(throws: MonitorFailure.self) { try await grant.token() }
            #expect(failure?.code == .throttled(until: end))
        }
        #expect(http.requests.count == 1)
        time.advance(by: .seconds(90))
        #expect(try await grant.token().secret.exposed == "t")
    }

    @Test(
        "no answer is the network's fault, an address nobody may name the registration's",
        arguments: [
            (HTTPTransportError.Code.timeout, MonitorFailure.Code.network), (.tls, .network),
            (.addressRefused, .authFailed),
        ])
    func unanswered(error: HTTPTransportError.Code, code: MonitorFailure.Code) async throws {
        let http = StubTransport { _, _ in throw HTTPTransportError(error, "text", surelyNotProcessed: true) }
        let failure = await #expect(throws: MonitorFailure.self) { try await grant(http).token() }
        #expect(failure?.code == code)
    }

    // MARK: Registrations

    private func settings(_ json: String) throws -> OAuthSettings {
        let text = #"{"oauth":\#(json)}"#
        return try ConfigDocument(file: "f.json", text: Array(text.utf8), environment: ["S": "shh"]).read {
            OAuthSettings($0)
        }
    }

    private static let credentials = [
        "username": "anna", "oauth.tokenURL": "https://login.example/token", "oauth.clientId": "c",
        "oauth.clientSecret": "s", "oauth.refreshToken": "r1",
    ].mapValues { Secret($0) }

    private func target(_ credentials: [String: Secret] = credentials) -> MonitorTarget {
        MonitorTarget(registration: "r1", account: "anna", credentials: credentials, cursor: nil)
    }

    @Test("a registration gives what the configuration does not")
    func fields() throws {
        let open = try settings("{}")
        #expect(
            open.credentialFields.map(\.name) == [
                "oauth.tokenURL", "oauth.clientId", "oauth.clientSecret", "oauth.refreshToken",
            ])
        #expect(open.credentialFields.map(\.isRequired) == [true, true, false, true])
        #expect(open.credentialFields.allSatisfy { !$0.isIdentity })
        let fixed = try settings(
            #"{"tokenURL":"https://login.example/token","clientId":"c","clientSecret":{"env":"S"},"scope":"x"}"#)
        #expect(fixed.credentialFields.map(\.name) == ["oauth.refreshToken"])
        #expect(throws: ConfigError.self) { try settings(#"{"clientId":"c","clientSecret":{"env":"S"}}"#) }
    }

    @Test("a registration's token URL is public and encrypted unless the administrator allows its host")
    func tokenURL() async throws {
        let http = StubTransport { [granted] _, number in granted("t\(number)", 1000, nil) }
        var open = OAuthSettings()
        var credentials = Self.credentials
        #expect(open.fault(in: credentials) == nil)
        credentials["oauth.tokenURL"] = Secret("http://intern/token")
        #expect(open.fault(in: credentials)?.field == "oauth.tokenURL")
        let grants = TokenGrants(open, pool: "p", transport: http, time: time)
        let host = RecordingMonitorHost()
        #expect(throws: MonitorFailure.self) { try grants.grant(of: target(credentials), host: host) }
        _ = try await grants.grant(of: target(), host: host).token()
        #expect(http.requests.last?.destination == .publicExcept(hosts: []))
        open.allowHosts = ["intern"]
        #expect(open.fault(in: credentials) == nil)
        let local = TokenGrants(open, pool: "p", transport: http, time: time)
        _ = try await local.grant(of: target(credentials), host: host).token()
        #expect(http.requests.last?.destination == .publicExcept(hosts: ["intern"]))
        var fixed = OAuthSettings()
        (fixed.tokenURL, fixed.clientID) = ("http://10.0.0.1/token", "c2")
        let own = TokenGrants(fixed, pool: "p", transport: http, time: time)
        _ = try await own.grant(of: target(), host: host).token()
        let last = try #require(http.requests.last)
        // The registration changes nothing of what the configuration gives.
        #expect(last.url == "http://10.0.0.1/token" && last.destination == .any)
        #expect(form(last) == "grant_type=refresh_token&client_id=c2&refresh_token=r1")
    }

    @Test("a grant outlives its watch, until the credentials change or it is refused")
    func kept() async throws {
        let http = StubTransport { [granted, answer] _, number in
            number == 2 ? answer(400, #"{"error":"invalid_grant"}"#, nil) : granted("t\(number)", 1000, nil)
        }
        let grants = TokenGrants(OAuthSettings(), pool: "p", transport: http, time: time)
        let host = RecordingMonitorHost()
        let first = try grants.grant(of: target(), host: host)
        _ = try await first.token()
        #expect(try grants.grant(of: target(), host: host) === first)
        var others = Self.credentials
        others["oauth.refreshToken"] = Secret("r2")
        let second = try grants.grant(of: target(others), host: host)
        #expect(second !== first)
        await #expect(throws: MonitorFailure.self) { try await second.token() }
        #expect(try grants.grant(of: target(others), host: host) !== second)
    }

    @Test("another refresh token is stored before its access token is used")
    func rotation() async throws {
        let http = StubTransport { [granted] _, number in granted("t\(number)", 1000, "r\(number + 1)") }
        let grants = TokenGrants(OAuthSettings(), pool: "p", transport: http, time: time)
        let host = RecordingMonitorHost()
        let grant = try grants.grant(of: target(), host: host)
        _ = try await grant.token()
        #expect(host.replaced["oauth.refreshToken"]?.exposed == "r2")
        let again = target(Self.credentials.merging(host.replaced) { $1 })
        #expect(try grants.grant(of: again, host: host) === grant)
        time.advance(by: .seconds(900))
        _ = try await grant.token()
        #expect(form(http.requests.all[1]).contains("refresh_token=r2&"))
        #expect(host.replaced["oauth.refreshToken"]?.exposed == "r3")
    }

    @Test("a replaced credential is kept without starting the monitor anew, also over a restart")
    func replaced() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let registration = try await test.register()
            _ = try await test.logIn(phone)
            try await test.waitForWatching(registration.id)
            try await test.monitor.replace("password", with: Secret("next"), of: registration.id)
            try await test.news(registration, "1")
            #expect(test.monitor.watches.count == 1)
            let stored = try #require(test.gateway.registrations.registration(registration.id))
            #expect(stored.credentialsRevision == registration.credentialsRevision)
            try await test.restart()
            try await test.waitForWatching(registration.id)
            let target = try #require(test.monitor.watches.last)
            #expect(target.credentials["password"]?.exposed == "next" && target.cursor != nil)
        }
    }
}
