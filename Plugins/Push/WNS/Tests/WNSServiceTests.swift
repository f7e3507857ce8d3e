import Base
import Cryptography
import Gateway
import GatewayTestKit
import Outbound
import Testing
import WNSPush

/// Over loopback, through the real HTTP client, against a service with Microsoft's rules.
@Suite("WNS against a fake Microsoft", .timeLimit(.minutes(2))) final class WNSServiceTests {
    private let authority: TestCertificateAuthority
    private let windows: FakeWNS
    private let rig: Rig
    private let uri: String
    private var adapter: any PushAdapter { rig.adapter }

    init() throws {
        authority = try TestCertificateAuthority()
        windows = try FakeWNS(.init(secret: Rig.secret), identity: authority.localhost)
        rig = try Rig(HTTPClient(), more: Self.keys(windows, authority, windows.storeTokenURL))
        uri = windows.openChannel()
    }

    deinit { windows.stop() }

    private static func keys(_ windows: FakeWNS, _ authority: TestCertificateAuthority, _ tokenURL: String) -> String {
        #","tokenURL":"\#(tokenURL)","caFile":"\#(authority.caFile)","allowHosts":["localhost"]"#
    }

    @Test("SG-8 SG-13 an alert, a wakeup, a clearing and a sealed push pass all of Microsoft's checks")
    func delivered() async throws {
        let key = try AgreementKey.generate()
        let secret = try SecureRandom.bytes(16)
        let keys = Device.Encryption(publicKey: key.publicKey, secret: secret)
        for push in [
            push(to: uri), push(to: uri, payload: .wakeup), push(to: uri, clear: ["n1"]), push(to: uri, priority: .low),
            push(to: uri, encryption: keys),
        ] {
            #expect(await adapter.send(push) == PushReport(.delivered, status: 200))
        }
        let received = windows.pushes.all
        #expect(received.map(\.type) == ["toast", "raw", "raw", "toast", "raw"])
        #expect(received.allSatisfy { $0.channel == uri })
        let toast = try #require(received[0].toast)
        #expect(toast.texts == ["Outlook", "New mail from Bob"])
        #expect(try JSONParser.parse(toast.attributes["launch"] ?? "")["tap"] == "tap1")
        #expect(received[1].json?["notification"] == "n1")
        #expect(received[2].json?["clear"] == ["n1"])
        #expect(received[3].toast?.isSilent == true)
        let sealed = try #require(received[4].json?["sealed"]?.string.flatMap { [UInt8](base64URL: $0) })
        #expect(try WebPushEncryption.decrypt(sealed, key: key, auth: secret) == Array(Push.sampleDocument.utf8))
        #expect(windows.grants.count == 1)
    }

    @Test("Entra's token service does as well")
    func entra() async throws {
        let entra = try Rig(
            HTTPClient(), tenant: "contoso.example", more: Self.keys(windows, authority, windows.entraTokenURL))
        #expect(await entra.adapter.send(push(to: uri)).outcome == .delivered)
        #expect(windows.grants.last?.path == "/contoso.example/oauth2/v2.0/token")
    }

    @Test("the longest texts still pass", arguments: ["a", "👨‍👩‍👧‍👦", "\u{1}", "&"])
    func longest(unit: String) async throws {
        let text = String(repeating: unit, count: 6000)
        #expect(await adapter.send(push(to: uri, title: text, body: text)) == PushReport(.delivered, status: 200))
        #expect(windows.pushes.last?.toast?.texts.count == 2)
    }

    @Test("fifty pushes at once share one access token")
    func burst() async throws {
        let outcomes = await withTaskGroup(of: PushOutcome.self) { group in
            for _ in 0..<50 { group.addTask { [adapter, uri] in await adapter.send(push(to: uri)).outcome } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.allSatisfy { $0 == .delivered })
        #expect(windows.pushes.count == 50)
        #expect(windows.grants.count == 1)
    }

    @Test("a toast for a device that is away comes later; a raw one is kept; a muted one is given up")
    func conditions() async throws {
        windows.set(uri, .disconnected)
        #expect(
            await adapter.send(push(to: uri))
                == PushReport(.retry(after: .seconds(300), .device), status: 200, reason: "dropped_disconnected"))
        #expect(
            await adapter.send(push(to: uri, payload: .wakeup))
                == PushReport(.delivered, status: 200, reason: "disconnected"))
        windows.set(uri, .temporarilyDisconnected)
        #expect(await adapter.send(push(to: uri)).outcome == .retry(after: nil, .device))
        windows.set(uri, .muted)
        #expect(
            await adapter.send(push(to: uri)) == PushReport(.rejected, status: 200, reason: "dropped", hop: .token))
        windows.set(uri, .throttled(30))
        #expect(await adapter.send(push(to: uri)).outcome == .retry(after: .seconds(30), .device))
        windows.set(uri, .throttled(nil))
        #expect(await adapter.send(push(to: uri)).outcome == .retry(after: nil, .device))
        #expect(windows.pushes.count == 1)
        windows.set(uri, .connected)
        #expect(await adapter.send(push(to: uri)).outcome == .delivered)
    }

    @Test("channels that are unknown or expired are gone; another app's is refused")
    func channels() async throws {
        let unknown = windows.openChannel() + "x"
        #expect(await adapter.send(push(to: unknown)).reason == "channel_unknown")
        windows.set(uri, .expired)
        #expect(
            await adapter.send(push(to: uri)) == PushReport(.gone(since: nil), status: 410, reason: "channel_expired"))
        windows.set(uri, .foreign)
        #expect(await adapter.send(push(to: uri)).reason == "forbidden")
    }

    @Test("revoked access tokens are renewed once")
    func revoked() async throws {
        #expect(await adapter.send(push(to: uri)).outcome == .delivered)
        windows.revokeAccessTokens()
        #expect(await adapter.send(push(to: uri)).outcome == .delivered)
        #expect(windows.grants.count == 2)
        #expect(windows.requests.all.map(\.status) == [200, 401, 200])
    }

    @Test("a wrong secret is a refused credential at either service")
    func credential() async throws {
        let other = try FakeWNS(.init(secret: "another"), identity: authority.localhost)
        defer { other.stop() }
        let store = try Rig(HTTPClient(), more: Self.keys(other, authority, other.storeTokenURL))
        #expect(
            await store.adapter.send(push(to: uri)) == PushReport(.credential, status: 400, reason: "invalid_client"))
        let entra = try Rig(
            HTTPClient(), tenant: "contoso.example", more: Self.keys(other, authority, other.entraTokenURL))
        #expect(
            await entra.adapter.send(push(to: uri)) == PushReport(.credential, status: 401, reason: "invalid_client"))
    }

    @Test("throttles, errors and lost answers; then service goes on")
    func faults() async throws {
        windows.script(
            .status(406, retryAfter: "21"), .status(413), .accept, .status(500), .status(503), .acceptThenReset,
            .redirect(302, location: "https://localhost:1/"))
        #expect(await adapter.send(push(to: uri)).outcome == .retry(after: .seconds(21), .service))
        #expect(await adapter.send(push(to: uri)).outcome == .delivered)
        #expect(windows.pushes.last?.type == "raw")
        #expect(await adapter.send(push(to: uri)).outcome == .retry(after: nil, .service))
        #expect(await adapter.send(push(to: uri)).status == 503)
        // What a connection in use lost, libcurl itself may repeat on a new one: then the answer is the redirect's.
        #expect(await adapter.send(push(to: uri)).outcome == .retry(after: nil, .service))
        windows.setStanding(nil)
        try await Eventually.wait("the script to be used up") {
            await adapter.send(push(to: uri)).outcome == .delivered
        }
        let tags = windows.pushes.all.compactMap { $0.headers["X-WNS-Tag"] }
        #expect(tags.count >= 2)
        #expect(Set(tags).count == 1)
    }

    @Test("a private address is refused unless its host is allowed, and so is a service nobody vouches for")
    func hops() async throws {
        let strict = try Rig(
            HTTPClient(), more: #","tokenURL":"\#(windows.storeTokenURL)","caFile":"\#(authority.caFile)""#)
        #expect(await strict.adapter.send(push(to: uri)).reason == "invalid_address")
        let untrusted = try Rig(
            HTTPClient(), more: #","tokenURL":"\#(windows.storeTokenURL)","allowHosts":["localhost"]"#)
        #expect(
            await untrusted.adapter.send(push(to: uri))
                == PushReport(.retry(after: nil, .service), reason: "tls", hop: .tls))
        windows.stop()
        let gone = try Rig(HTTPClient(), more: Self.keys(windows, authority, windows.storeTokenURL))
        #expect(
            await gone.adapter.send(push(to: uri))
                == PushReport(.retry(after: nil, .service), reason: "connect", hop: .tcp))
    }
}
