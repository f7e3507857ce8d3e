import Base
import Gateway
import GatewayTestKit
import Testing

@Suite("Access tokens: who asks, who waits") struct AccessTokenCacheTests {
    private let start = Moment(nanoseconds: 0)
    private func after(_ seconds: Int64) -> Moment { start + .seconds(seconds) }

    private func token(_ entry: AccessTokenCache.Entry) -> String? {
        if case .use(let token) = entry { token.secret.exposed } else { nil }
    }

    @Test("one asks for all, and all get the token")
    func oneAsks() {
        var cache = AccessTokenCache()
        #expect(cache.enter(now: start) == .fetch)
        #expect(cache.enter(now: start) == .wait(1))
        #expect(cache.enter(now: start) == .wait(2))
        let actions = cache.fetched(.granted(Secret("a"), life: .seconds(3600)), now: start)
        let granted = cache.usable(now: start)
        #expect(granted?.secret.exposed == "a")
        #expect(actions == [1, 2].compactMap { number in granted.map { .give(number, $0) } })
        #expect(token(cache.enter(now: start)) == "a")
        #expect(granted?.authorization == "Bearer a")
    }

    @Test("a token is renewed five minutes before its end, and meanwhile the others use it")
    func renewal() {
        var cache = AccessTokenCache()
        _ = cache.enter(now: start)
        _ = cache.fetched(.granted(Secret("a"), life: .seconds(3600)), now: start)
        #expect(token(cache.enter(now: after(3299))) == "a")
        #expect(cache.enter(now: after(3300)) == .fetch)
        #expect(token(cache.enter(now: after(3300))) == "a")
        #expect(cache.enter(now: after(3600)) == .wait(1))
        let actions = cache.fetched(.granted(Secret("b"), life: .seconds(3600)), now: after(3601))
        #expect(actions.count == 1)
        #expect(token(cache.enter(now: after(3601))) == "b")
    }

    @Test("a short life is renewed at its half, a long one counts as a day")
    func lives() {
        var cache = AccessTokenCache()
        _ = cache.enter(now: start)
        _ = cache.fetched(.granted(Secret("a"), life: .seconds(100)), now: start)
        #expect(token(cache.enter(now: after(49))) == "a")
        #expect(cache.enter(now: after(50)) == .fetch)
        _ = cache.fetched(.granted(Secret("b"), life: .seconds(1 << 40)), now: start)
        #expect(token(cache.enter(now: after(86_099))) == "b")
        #expect(cache.enter(now: after(86_100)) == .fetch)
    }

    @Test("a failure is everybody's; after an early renewal that failed the old token goes on for a while")
    func failure() {
        var cache = AccessTokenCache()
        _ = cache.enter(now: start)
        _ = cache.enter(now: start)
        #expect(cache.fetched(.failed, now: start) == [.fail(1)])
        #expect(cache.enter(now: start) == .fetch)
        _ = cache.fetched(.granted(Secret("a"), life: .seconds(3600)), now: start)
        #expect(cache.enter(now: after(3400)) == .fetch)
        #expect(cache.fetched(.failed, now: after(3400)) == [])
        #expect(token(cache.enter(now: after(3429))) == "a")
        #expect(cache.enter(now: after(3430)) == .fetch)
        #expect(cache.fetched(.failed, now: after(3590)) == [])
        #expect(cache.enter(now: after(3600)) == .fetch)
    }

    @Test("a refused token is renewed once, however many were refused with it")
    func refused() throws {
        var cache = AccessTokenCache()
        _ = cache.enter(now: start)
        _ = cache.fetched(.granted(Secret("a"), life: .seconds(3600)), now: start)
        let old = try #require(cache.usable(now: start))
        cache.refused(old)
        #expect(cache.usable(now: start) == nil)
        #expect(cache.enter(now: start) == .fetch)
        _ = cache.fetched(.granted(Secret("b"), life: .seconds(3600)), now: start)
        cache.refused(old)
        #expect(token(cache.enter(now: start)) == "b")
    }

    @Test("when the one who asks is cancelled the next one asks; who gave up is left out")
    func abandoned() {
        var cache = AccessTokenCache()
        _ = cache.enter(now: start)
        for number in 1...3 { #expect(cache.enter(now: start) == .wait(number)) }
        cache.giveUp(1)
        #expect(cache.fetched(.abandoned, now: start) == [.fetch(2)])
        #expect(cache.enter(now: start) == .wait(4))
        #expect(cache.fetched(.failed, now: start) == [.fail(3), .fail(4)])
        #expect(cache.enter(now: start) == .fetch)
        #expect(cache.fetched(.abandoned, now: start) == [])
        #expect(cache.enter(now: start) == .fetch)
    }
}

@Suite("Access tokens with tasks", .timeLimit(.minutes(1))) struct AccessTokensTests {
    /// Grants that a test lets go one by one.
    private final class Server: Sendable {
        let calls = Recorder<Int>()
        private let grants = Locked<[AccessTokens.Grant]>([])

        func put(_ grant: AccessTokens.Grant) { grants.withLock { $0.append(grant) } }

        func ask() async -> AccessTokens.Grant {
            calls.append(1)
            while !Task.isCancelled {
                if let grant = grants.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) { return grant }
                await Task.yield()
            }
            return .cancelled
        }
    }

    private let server = Server()
    private let tokens: AccessTokens

    init() { tokens = AccessTokens(time: ManualTime()) { [server] in await server.ask() } }

    private static func secret(_ answer: AccessTokens.Answer) -> String? {
        if case .token(let token) = answer { token.secret.exposed } else { nil }
    }

    @Test("two hundred at once cause one request")
    func manyAtOnce() async throws {
        try await withThrowingTaskGroup(of: String?.self) { group in
            for _ in 0..<200 { group.addTask { [tokens] in Self.secret(await tokens.token()) } }
            try await Eventually.wait("199 waiting") { tokens.waitingCount == 199 }
            server.put(.granted(Secret("a"), life: .seconds(60)))
            for try await secret in group { #expect(secret == "a") }
        }
        #expect(server.calls.count == 1)
    }

    @Test("a failure reaches all who wait, with its report")
    func failure() async throws {
        let report = PushReport(.credential, status: 400, reason: "invalid_grant")
        try await withThrowingTaskGroup(of: AccessTokens.Answer.self) { group in
            for _ in 0..<5 { group.addTask { [tokens] in await tokens.token() } }
            try await Eventually.wait("4 waiting") { tokens.waitingCount == 4 }
            server.put(.failed(report))
            for try await answer in group { #expect(answer == .failed(report)) }
        }
        #expect(server.calls.count == 1)
    }

    @Test("the asking task is cancelled: another asks; a waiting one is cancelled: it leaves the line")
    func cancelled() async throws {
        let first = Task { [tokens] in await tokens.token() }
        _ = try await server.calls.wait(count: 1)
        let second = Task { [tokens] in await tokens.token() }
        try await Eventually.wait("1 waiting") { tokens.waitingCount == 1 }
        let third = Task { [tokens] in await tokens.token() }
        try await Eventually.wait("2 waiting") { tokens.waitingCount == 2 }
        third.cancel()
        #expect(Self.secret(await third.value) == nil)
        #expect(tokens.waitingCount == 1)
        first.cancel()
        #expect(Self.secret(await first.value) == nil)
        server.put(.granted(Secret("b"), life: .seconds(60)))
        #expect(Self.secret(await second.value) == "b")
        #expect(server.calls.count == 2)
    }

    private func grant(_ status: Int, _ body: String, retryAfter: String? = nil) -> AccessTokens.Grant {
        let headers: HTTPFields = retryAfter.map { ["Retry-After": $0] } ?? [:]
        return AccessTokens.Grant(
            HTTPResponse(status: status, headers: headers, body: Array(body.utf8)), now: Timestamp(seconds: 0))
    }

    @Test("what a token endpoint answers is read")
    func answers() {
        #expect(
            grant(200, #"{"access_token":"x.y","expires_in":3599,"token_type":"Bearer"}"#)
                == .granted(Secret("x.y"), life: .seconds(3599)))
        #expect(
            grant(200, #"{"access_token":"x","expires_in":"86400"}"#) == .granted(Secret("x"), life: .seconds(86_400)))
        #expect(grant(200, #"{"access_token":"x"}"#) == .granted(Secret("x"), life: .seconds(3600)))
        let none = AccessTokens.Grant.failed(
            PushReport(.retry(after: nil, .service), status: 200, reason: "no_access_token"))
        for body in [
            "", "[]", "{}", #"{"access_token":""}"#, #"{"access_token":"a b"}"#, #"{"access_token":"a\r\nX: y"}"#,
            #"{"access_token":"x","expires_in":0}"#, #"{"access_token":"x","token_type":"mac"}"#,
        ] {
            #expect(grant(200, body) == none, "\(body)")
        }
    }

    @Test(
        "a refusal is the credential's, trouble is the service's",
        arguments: [
            (400, #"{"error":"invalid_grant"}"#, PushOutcome.credential, "invalid_grant"),
            (401, #"{"error":"invalid_client"}"#, .credential, "invalid_client"),
            (403, "", .credential, "token_refused"), (404, "<html>", .credential, "token_refused"),
            (400, #"{"error":"two words"}"#, .credential, "token_refused"),
            (400, #"{"error":"temporarily_unavailable"}"#, .retry(after: nil, .service), "temporarily_unavailable"),
            (408, "", .retry(after: nil, .service), "token_service"),
            (429, "", .retry(after: .seconds(7), .service), "token_service"),
            (500, #"{"error":"internal_failure"}"#, .retry(after: .seconds(7), .service), "internal_failure"),
            (503, "<html>", .retry(after: nil, .service), "token_service"),
            (302, "", .retry(after: nil, .service), "token_service"),
        ] as [(Int, String, PushOutcome, String)])
    func refusals(status: Int, body: String, outcome: PushOutcome, reason: String) {
        let after: String? = if case .retry(_?, _) = outcome { "7" } else { nil }
        #expect(
            grant(status, body, retryAfter: after) == .failed(PushReport(outcome, status: status, reason: reason)))
    }
}

@Suite("A refused address, or a wrong configuration") struct AddressSuspicionTests {
    private let now = Moment(nanoseconds: 0)

    @Test("an address is at fault only while others succeed")
    func address() {
        var suspicion = AddressSuspicion()
        #expect(suspicion.refused("a", now: now) == .unknown)
        suspicion.succeeded("a", now: now)
        #expect(suspicion.refused("a", now: now) == .unknown, "its own success proves nothing about others")
        suspicion.succeeded("b", now: now)
        #expect(suspicion.refused("a", now: now) == .address)
        #expect(suspicion.refused("b", now: now) == .address)
        #expect(suspicion.refused("a", now: now + AddressSuspicion.recent) == .unknown)
    }

    @Test("different addresses refused without any success point to the configuration")
    func configuration() {
        var suspicion = AddressSuspicion()
        for _ in 0..<20 { #expect(suspicion.refused("same", now: now) == .unknown) }
        for number in 2..<AddressSuspicion.addressesUntilConfiguration {
            #expect(suspicion.refused("\(number)", now: now) == .unknown)
        }
        #expect(suspicion.refused("e", now: now) == .configuration)
        suspicion.succeeded("f", now: now)
        #expect(suspicion.refused("e", now: now) == .address)
    }
}
