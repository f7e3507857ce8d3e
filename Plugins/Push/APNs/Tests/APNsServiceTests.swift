import Base
import Cryptography
import Gateway
import GatewayTestKit
import Outbound
import Testing

@testable import APNsPush

/// Over loopback, through the real HTTP client, against a service with Apple's rules.
@Suite("APNs against a fake Apple") final class APNsServiceTests {
    private let authority: TestCertificateAuthority
    private let apple: FakeAPNs
    private let rig: Rig
    private var adapter: any PushAdapter { rig.adapter }

    convenience init() throws { try self.init(resetLimit: nil) }

    /// - Parameter resetLimit: see `FakeAPNs.Configuration`.
    private init(resetLimit: (burst: Int, perSecond: Int)?) throws {
        authority = try TestCertificateAuthority()
        let key = try ECKey()
        var configuration = FakeAPNs.Configuration(
            keys: [.init(teamID: Rig.team, keyID: Rig.keyID, key: key)], topics: ["com.example.client": Rig.team])
        configuration.acceptsAnyDevice = true
        configuration.resetLimit = resetLimit
        apple = try FakeAPNs(configuration, identity: authority.localhost)
        rig = try Rig(
            HTTPClient(), pem: Secret(bytes: key.privatePEM()),
            more: #","url":"\#(apple.origin)","caFile":"\#(authority.caFile)""#)
    }

    deinit { apple.stop() }

    @Test("SG-8 SG-13 an alert, a wakeup and a clearing push pass all of Apple's checks")
    func delivered() async throws {
        let key = try AgreementKey.generate()
        let keys = Device.Encryption(publicKey: key.publicKey, secret: [UInt8](repeating: 7, count: 16))
        for push in [
            push(), push(payload: .wakeup), push(clear: ["n1"]), push(priority: .low),
            push(priority: .high).sealed(keys, locale: nil),
        ] {
            #expect(await adapter.send(push) == PushReport(.delivered, status: 200))
        }
        let received = try await apple.pushes.wait(count: 5)
        #expect(!received[4].payload.serialized.contains("Outlook"))
        #expect(received[0].device == deviceToken)
        #expect(received[0].apnsID == "11111111-2222-4333-8444-555555555555")
        #expect(received[0].payload["aps"]?["alert"]?["title"]?.string == "Outlook")
        #expect(received[0].payload["farbell"]?["tap"]?.string == "tap1")
        #expect(received[1].payload["aps"]?["alert"] == nil)
        #expect(received[2].payload["farbell"]?["clear"] == ["n1"])
        #expect(Set(received.map(\.connection)).count == 1)
    }

    @Test("a burst at the start opens one stream until the first success, and nothing is refused")
    func burst() async throws {
        let outcomes = await withTaskGroup(of: PushOutcome.self) { group in
            for _ in 0..<200 { group.addTask { [adapter] in await adapter.send(push()).outcome } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.allSatisfy { $0 == .delivered })
        #expect(apple.pushes.count == 200)
        #expect(Set(apple.requests.all.compactMap { $0.headers["authorization"] }).count == 1)
    }

    /// Sends pushes, 50 at a time, and returns the outcomes of those not delivered.
    private func send(_ count: Int) async -> [PushOutcome] {
        await withTaskGroup(of: PushOutcome.self) { group in
            var lost: [PushOutcome] = []
            for number in 0..<count {
                if number >= 50, let outcome = await group.next(), outcome != .delivered { lost.append(outcome) }
                group.addTask { [adapter] in await adapter.send(push()).outcome }
            }
            return await group.reduce(into: lost) { if $1 != .delivered { $0.append($1) } }
        }
    }

    @Test("2,000 pushes go over one connection, and each is taken once")
    func oneConnection() async throws {
        #expect(await send(2000) == [])
        #expect(apple.counts.connections == 1)
        #expect(apple.pushes.count == 2000)
    }

    // libcurl 7.88, which spoke HTTP/2 here once, sends RST_STREAM after every answer without a body.
    @Test("a service that takes many resets for an attack sees none")
    func resets() async throws {
        let strict = try APNsServiceTests(resetLimit: (burst: 10, perSecond: 1))
        #expect(await strict.send(1000) == [])
        #expect(strict.apple.counts.resets == 0)
        #expect(strict.apple.counts.connections == 1)
        #expect(strict.apple.pushes.count == 1000)
    }

    @Test("a token that died is gone since the time Apple names")
    func gone() async throws {
        let since = Timestamp(milliseconds: 1_700_000_000_123)
        apple.unregister(device: deviceToken, at: since)
        #expect(
            await adapter.send(push()) == PushReport(.gone(since: since), status: 410, reason: "Unregistered"))
    }

    @Test("an unknown token is pruned only beside another's success")
    func badToken() async throws {
        let other = String(repeating: "ab", count: 32)
        apple.script(device: other, .status(400, reason: "BadDeviceToken"), .status(400, reason: "BadDeviceToken"))
        #expect(await adapter.send(push(token: other)).outcome == .rejected)
        #expect(await adapter.send(push()).outcome == .delivered)
        #expect(await adapter.send(push(token: other)).outcome == .gone(since: nil))
    }

    @Test("a key Apple does not know is a refused credential")
    func credential() async throws {
        let stranger = try Rig(HTTPClient(), more: #","url":"\#(apple.origin)","caFile":"\#(authority.caFile)""#)
        let report = await stranger.adapter.send(push())
        #expect(report == PushReport(.credential, status: 403, reason: "InvalidProviderToken"))
    }

    @Test("limits, errors, lost streams and connections; then service goes on")
    func faults() async throws {
        #expect(await adapter.send(push()).outcome == .delivered)
        apple.script(
            .status(429, reason: "TooManyRequests", retryAfter: 60), .status(503, reason: "ServiceUnavailable"),
            .garbageBody(500), .reset, .dropConnection, .garbage, .emptyDataFrame)
        #expect(await adapter.send(push()).outcome == .retry(after: .seconds(60), .device))
        #expect(await adapter.send(push()).outcome == .retry(after: nil, .service))
        #expect(
            await adapter.send(push())
                == PushReport(.retry(after: nil, .service), status: 500, reason: "no_reason"))
        // What a connection in use lost, libcurl itself repeats on a new one: then it is delivered, once more
        // under the same id.
        var lost = 0
        try await Eventually.wait("the script to be used up") {
            let report = await adapter.send(push())
            #expect(report.outcome == .delivered || report.outcome == .retry(after: nil, .service), "\(report)")
            if report.status == nil { lost += 1 }
            return apple.requests.all.filter { $0.status == 0 }.count == 3
        }
        #expect(lost >= 1)
        #expect(await adapter.send(push()) == PushReport(.delivered, status: 200))
        #expect(await adapter.send(push()) == PushReport(.delivered, status: 200))
        #expect(Set(apple.requests.all.map { $0.headers["apns-id"] }).count == 1)
    }

    @Test("a young provider token called expired is never replaced, and the lane waits for the operator")
    func expired() async throws {
        #expect(await adapter.send(push()).outcome == .delivered)
        apple.script(.status(403, reason: "ExpiredProviderToken"))
        let report = await adapter.send(push())
        #expect(report == PushReport(.credential, status: 403, reason: "ExpiredProviderToken"))
        #expect(await adapter.send(push()).outcome == .delivered)
    }

    @Test("a service that is not there is a failed hop, and so is one nobody vouches for")
    func hops() async throws {
        let untrusted = try Rig(HTTPClient(), more: #","url":"\#(apple.origin)""#)
        #expect(
            await untrusted.adapter.send(push()) == PushReport(.retry(after: nil, .service), reason: "tls", hop: .tls))
        let port = apple.port
        apple.stop()
        let gone = try Rig(
            HTTPClient(), more: #","url":"https://localhost:\#(port)","caFile":"\#(authority.caFile)""#)
        #expect(
            await gone.adapter.send(push()) == PushReport(.retry(after: nil, .service), reason: "connect", hop: .tcp))
    }

    @Test("the longest texts still pass", arguments: ["a", "👨‍👩‍👧‍👦", "\u{1}"])
    func longest(unit: String) async throws {
        let text = String(repeating: unit, count: 5000)
        #expect(await adapter.send(push(title: text, body: text)) == PushReport(.delivered, status: 200))
    }
}
