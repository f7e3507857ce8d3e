import Base
import Cryptography
import Gateway
import GatewayTestKit
import Testing

@testable import APNsPush

@Suite("provider tokens")
struct ProviderTokenTests {
    private func authorization(_ request: HTTPRequest) throws -> String {
        try #require(request.headers["authorization"])
    }

    @Test("a token names key, team and time and is signed by the key")
    func form() async throws {
        let http = StubTransport { _, _ in apple(200) }
        let rig = try Rig(http)
        _ = await rig.adapter.send(push())
        let value = try authorization(#require(http.requests.last))
        #expect(value.hasPrefix("bearer "))
        let token = try JSONWebToken.verify(String(value.dropFirst(7)), es256PublicKey: rig.key.publicKey)
        #expect(token.header == ["alg": "ES256", "kid": .string(Rig.keyID)])
        #expect(token.claims == ["iss": .string(Rig.team), "iat": .integer(rig.time.timestamp.seconds)])
    }

    @Test("a token serves for 45 minutes and is replaced before an hour")
    func reuse() async throws {
        let http = StubTransport { _, _ in apple(200) }
        let rig = try Rig(http)
        _ = await rig.adapter.send(push())
        rig.time.advance(by: .seconds(45 * 60 - 1))
        _ = await rig.adapter.send(push())
        rig.time.advance(by: .seconds(1))
        _ = await rig.adapter.send(push())
        let tokens = try http.requests.all.map(authorization)
        #expect(tokens[0] == tokens[1])
        #expect(tokens[1] != tokens[2])
    }

    @Test("a token called expired is renewed once, if it is older than 20 minutes")
    func expired() async throws {
        let http = StubTransport { _, number in number == 2 ? apple(403, "ExpiredProviderToken") : apple(200) }
        let rig = try Rig(http)
        _ = await rig.adapter.send(push())
        rig.time.advance(by: .seconds(20 * 60))
        #expect(await rig.adapter.send(push()) == PushReport(.delivered, status: 200))
        let sent = http.requests.all
        #expect(sent.count == 3)
        #expect(try authorization(sent[1]) != authorization(sent[2]))
        #expect(sent[1].headers["apns-id"] == sent[2].headers["apns-id"])
    }

    @Test("a young token is never renewed: the clock is wrong, and the operator must know")
    func tooSoon() async throws {
        let http = StubTransport { _, number in number == 1 ? apple(200) : apple(403, "ExpiredProviderToken") }
        let rig = try Rig(http)
        _ = await rig.adapter.send(push())
        rig.time.advance(by: .seconds(20 * 60 - 1))
        let report = await rig.adapter.send(push())
        #expect(report == PushReport(.credential, status: 403, reason: "ExpiredProviderToken"))
        #expect(http.requests.count == 2)
    }

    @Test("a second refusal in a row is final")
    func twice() async throws {
        let http = StubTransport { _, number in number == 1 ? apple(200) : apple(403, "ExpiredProviderToken") }
        let rig = try Rig(http)
        _ = await rig.adapter.send(push())
        rig.time.advance(by: .seconds(30 * 60))
        #expect(await rig.adapter.send(push()).outcome == .credential)
        #expect(http.requests.count == 3)
    }

    @Test("a refusal of a token already replaced costs no further signature")
    func stale() {
        var cache = ProviderTokenCache()
        var signatures = 0
        func sign() -> String {
            signatures += 1
            return "t\(signatures)"
        }
        let start = Moment(nanoseconds: 0)
        let old = cache.token(now: start, sign: sign)
        let later = start + .seconds(1800)
        #expect(cache.expired(generation: old.generation, now: later) == .sendAgain)
        #expect(cache.expired(generation: old.generation, now: later) == .sendAgain)
        let fresh = cache.token(now: later, sign: sign)
        #expect(cache.expired(generation: old.generation, now: later) == .sendAgain)
        #expect(cache.token(now: later, sign: sign) == fresh)
        #expect(cache.expired(generation: fresh.generation, now: later) == .tooSoon)
        #expect(signatures == 2)
    }

    @Test("entries with the same key share one token, and other keys have their own")
    func shared() async throws {
        let http = StubTransport { _, _ in apple(200) }
        let folder = try TemporaryFolder()
        for name in ["a.p8", "b.p8"] { try folder.write(ES256Key.generate().pem().bytes, to: name) }
        let (plugin, time) = (APNsPlugin(), ManualTime(timestamp: SystemTime().timestamp))
        for (key, id, topic) in [("a", "KEY1234567", "one"), ("a", "KEY1234567", "two"), ("b", "KEY7654321", "one")] {
            let adapter = try plugin.adapter(
                #"{"teamId":"TEAM123456","keyId":"\#(id)","keyFile":"\#(key).p8","topic":"\#(topic)"}"#,
                folder: folder.path, http: http, time: time)
            #expect(await adapter.send(push()).outcome == .delivered)
            time.advance(by: .seconds(60))
        }
        let tokens = try http.requests.all.map(authorization)
        #expect(tokens[0] == tokens[1])
        #expect(tokens[1] != tokens[2])
    }

    @Test("TooManyProviderTokenUpdates keeps the token")
    func tooMany() async throws {
        let http = StubTransport { _, number in
            number == 1 ? apple(429, "TooManyProviderTokenUpdates", retryAfter: "60") : apple(200)
        }
        let rig = try Rig(http)
        #expect(
            await rig.adapter.send(push())
                == PushReport(
                    .retry(after: .seconds(60), .service), status: 429, reason: "TooManyProviderTokenUpdates",
                    hop: .credential))
        rig.time.advance(by: .seconds(60))
        #expect(await rig.adapter.send(push()).outcome == .delivered)
        let tokens = try http.requests.all.map(authorization)
        #expect(tokens[0] == tokens[1])
    }

    @Test("a corrected wall clock neither renews nor keeps a token")
    func wallClock() async throws {
        let http = StubTransport { _, _ in apple(200) }
        let rig = try Rig(http)
        _ = await rig.adapter.send(push())
        rig.time.correctWallClock(by: .seconds(86_400))
        _ = await rig.adapter.send(push())
        let tokens = try http.requests.all.map(authorization)
        #expect(tokens[0] == tokens[1])
    }
}
