import Base
import Cryptography
import FCMPush
import Gateway
import GatewayTestKit
import Outbound
import Testing

/// Over loopback, through the real HTTP client, against a service with Google's rules.
@Suite("FCM against a fake Google", .timeLimit(.minutes(2))) final class FCMServiceTests {
    private let authority: TestCertificateAuthority
    private let google: FakeFCM
    private let rig: Rig
    private let time = ManualTime()
    private var adapter: any PushAdapter { rig.adapter }

    init() throws {
        authority = try TestCertificateAuthority()
        var configuration = try FakeFCM.Configuration(key: Rig.key.get())
        configuration.time = time
        google = try FakeFCM(configuration, identity: authority.localhost)
        rig = try Self.rig(google, authority, time: time)
        google.register(registration)
    }

    deinit { google.stop() }

    private static func rig(
        _ google: FakeFCM, _ authority: TestCertificateAuthority, account: [UInt8]? = nil, time: ManualTime
    ) throws -> Rig {
        try Rig(
            HTTPClient(), account: account ?? google.serviceAccount(),
            more: #","url":"\#(google.origin)","caFile":"\#(authority.caFile)""#, time: time)
    }

    @Test("SG-8 SG-13 an alert, a wakeup, a clearing and a sealed push pass all of Google's checks")
    func delivered() async throws {
        let key = try AgreementKey.generate()
        let secret = try SecureRandom.bytes(16)
        let keys = Device.Encryption(publicKey: key.publicKey, secret: secret)
        for push in [push(), push(payload: .wakeup), push(clear: ["n1"]), push(priority: .low), push(encryption: keys)]
        {
            #expect(await adapter.send(push) == PushReport(.delivered, status: 200))
        }
        let received = google.pushes.all
        #expect(received.map(\.token) == Array(repeating: registration, count: 5))
        #expect(received[0].data("title") == "Outlook")
        #expect(received[0].data("tap") == "tap1")
        #expect(received[1].data("title") == nil)
        #expect(received[2].data("clear") == "n1")
        let sealed = try #require(received[4].data("sealed").flatMap { [UInt8](base64URL: $0) })
        #expect(try WebPushEncryption.decrypt(sealed, key: key, auth: secret) == Array(Push.sampleDocument.utf8))
        #expect(google.grants.count == 1)
        #expect(google.requests.all.allSatisfy { $0.status == 200 })
    }

    @Test("the longest texts still pass", arguments: ["a", "👨‍👩‍👧‍👦", "\u{1}", "\""])
    func longest(unit: String) async throws {
        let text = String(repeating: unit, count: 5000)
        #expect(await adapter.send(push(title: text, body: text)) == PushReport(.delivered, status: 200))
    }

    @Test("two hundred pushes at once share one access token")
    func burst() async throws {
        let outcomes = await withTaskGroup(of: PushOutcome.self) { group in
            for _ in 0..<200 { group.addTask { [adapter] in await adapter.send(push()).outcome } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.allSatisfy { $0 == .delivered })
        #expect(google.pushes.count == 200)
        #expect(google.grants.count == 1)
    }

    @Test("dead tokens are gone; a foreign one only beside another's success")
    func deadTokens() async throws {
        let other = "other-" + registration
        #expect(
            await adapter.send(push(token: other))
                == PushReport(.gone(since: nil), status: 400, reason: "INVALID_ARGUMENT"))
        google.registerElsewhere(other)
        #expect(await adapter.send(push(token: other)).outcome == .rejected)
        #expect(await adapter.send(push()).outcome == .delivered)
        #expect(
            await adapter.send(push(token: other))
                == PushReport(.gone(since: nil), status: 403, reason: "SENDER_ID_MISMATCH"))
        google.unregister(registration)
        #expect(
            await adapter.send(push()) == PushReport(.gone(since: nil), status: 404, reason: "UNREGISTERED"))
    }

    @Test("revoked access tokens are renewed once, by one request for all")
    func revoked() async throws {
        #expect(await adapter.send(push()).outcome == .delivered)
        google.revokeAccessTokens()
        let outcomes = await withTaskGroup(of: PushOutcome.self) { group in
            for _ in 0..<20 { group.addTask { [adapter] in await adapter.send(push()).outcome } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.allSatisfy { $0 == .delivered })
        #expect(google.grants.count == 2)
    }

    @Test("an access token is renewed before it expires, and goes on where that fails")
    func expiry() async throws {
        #expect(await adapter.send(push()).outcome == .delivered)
        time.advance(by: .seconds(3300))
        google.scriptGrants(.status(503))
        #expect(await adapter.send(push()).outcome == .delivered)
        #expect(google.grants.all.map(\.status) == [200, 503])
        time.advance(by: AccessTokenCache.pauseAfterFailure)
        #expect(await adapter.send(push()).outcome == .delivered)
        #expect(google.grants.count == 3)
        time.advance(by: .seconds(3700))
        #expect(await adapter.send(push()).outcome == .delivered)
        #expect(google.requests.all.allSatisfy { $0.status == 200 }, "no expired token was shown")
        #expect(Set(google.requests.all.compactMap { $0.headers["authorization"] }).count == 3)
    }

    @Test("a key Google does not know is a refused credential, and so is a project that is not ours")
    func credential() async throws {
        let stranger = try Self.rig(google, authority, account: google.serviceAccount(key: RSAKey()), time: time)
        #expect(
            await stranger.adapter.send(push()) == PushReport(.credential, status: 400, reason: "invalid_grant"))
        let text = String(decoding: try google.serviceAccount(), as: UTF8.self)
        let moved = text.replacing(#""project_id":"farbell-test""#, with: #""project_id":"another""#)
        let elsewhere = try Self.rig(google, authority, account: Array(moved.utf8), time: time)
        #expect(
            await elsewhere.adapter.send(push()) == PushReport(.credential, status: 403, reason: "PERMISSION_DENIED"))
    }

    @Test("limits, errors and lost connections; then service goes on")
    func faults() async throws {
        google.script(
            .fcm(429, code: "QUOTA_EXCEEDED", retryAfter: "90"), .fcm(503, code: "UNAVAILABLE", retryAfter: "5"),
            .fcm(500, code: "INTERNAL"), .fcm(401, code: "THIRD_PARTY_AUTH_ERROR"), .status(502, body: "<html>"),
            .redirect(302, location: "https://localhost:1/"))
        #expect(await adapter.send(push()).outcome == .retry(after: .seconds(90), .service))
        #expect(await adapter.send(push()).outcome == .retry(after: .seconds(5), .service))
        #expect(await adapter.send(push()).outcome == .retry(after: nil, .service))
        #expect(await adapter.send(push()).outcome == .credential)
        #expect(await adapter.send(push()).reason == "no_reason")
        #expect(await adapter.send(push()).outcome == .retry(after: nil, .service))
        #expect(await adapter.send(push()) == PushReport(.delivered, status: 200))
        #expect(google.pushes.count == 1)
    }

    @Test("a push whose answer was lost is tried again under the same id")
    func unknownOutcome() async throws {
        google.script(.acceptThenReset)
        #expect(await adapter.send(push()).outcome == .retry(after: nil, .service))
        #expect(await adapter.send(push()).outcome == .delivered)
        #expect(google.pushes.count == 2)
        #expect(Set(google.pushes.all.map { $0.data("id") }).count == 1)
    }

    @Test("trouble of the token endpoint holds pushes back, and is over when it is over")
    func tokenTrouble() async throws {
        google.scriptGrants(.status(503, retryAfter: "11"), .status(200, body: "{}"), .reset)
        #expect(
            await adapter.send(push())
                == PushReport(.retry(after: .seconds(11), .service), status: 503, reason: "token_service"))
        #expect(await adapter.send(push()).reason == "no_access_token")
        let lost = await adapter.send(push())
        #expect(lost.outcome == .retry(after: nil, .service) && lost.status == nil)
        #expect(google.requests.count == 0)
        #expect(await adapter.send(push()).outcome == .delivered)
    }

    @Test("a service that is not there is a failed hop, and so is one nobody vouches for")
    func hops() async throws {
        let untrusted = try Rig(
            HTTPClient(), account: google.serviceAccount(), more: #","url":"\#(google.origin)""#)
        #expect(
            await untrusted.adapter.send(push()) == PushReport(.retry(after: nil, .service), reason: "tls", hop: .tls))
        google.stop()
        let gone = try Self.rig(google, authority, time: time)
        #expect(
            await gone.adapter.send(push()) == PushReport(.retry(after: nil, .service), reason: "connect", hop: .tcp))
    }
}
