import Base
import Gateway
import GatewayTestKit
import Outbound
import Testing
import WebPush

/// Over loopback, through the real HTTP client, against a service that checks everything.
@Suite("Web Push against a push service") final class WebPushServiceTests {
    private let authority: TestCertificateAuthority
    private let service: FakeWebPushService
    private let adapter: any PushAdapter
    private let folder: TemporaryFolder

    init() throws {
        authority = try TestCertificateAuthority()
        service = try FakeWebPushService(.init(identity: authority.localhost))
        folder = try TemporaryFolder()
        adapter = try WebPushPlugin().adapter(
            #"{"subject":"mailto:a@b.example","keyFile":"k.pem","caFile":"\#(authority.caFile)","allowHosts":["localhost"]}"#,
            folder: folder.path, http: HTTPClient(), time: SystemTime())
    }

    deinit { service.stop() }

    private func subscribe() throws -> (FakeWebPushService.Subscription, Channel.Address) {
        let text = try #require(try adapter.subscriptionKey())
        let key = try #require([UInt8](base64URL: text))
        let subscription = try service.subscribe(sender: key)
        return (
            subscription,
            .subscription(endpoint: subscription.endpoint, p256dh: subscription.p256dh, auth: subscription.auth)
        )
    }

    @Test("SG-8 SG-13 a push arrives and is decrypted with the browser's keys")
    func delivered() async throws {
        let (_, address) = try subscribe()
        #expect(adapter.fault(in: address) == nil)
        #expect(await adapter.send(.sample(to: address)) == PushReport(.delivered, status: 201))
        let received = try #require(try await service.pushes.wait(count: 1).first)
        #expect(received.plaintext == Array(Push.sampleDocument.utf8))
        #expect(received.headers["Topic"] == "c1")
        #expect(received.headers["Urgency"] == "normal")
    }

    @Test("a subscription that ended is gone, whichever way the service says so", arguments: [false, true])
    func gone(forgetting: Bool) async throws {
        let (subscription, address) = try subscribe()
        service.unsubscribe(subscription, forgetting: forgetting)
        let report = await adapter.send(.sample(to: address))
        #expect(report == PushReport(.gone(since: nil), status: forgetting ? 404 : 410, reason: "subscription_gone"))
    }

    @Test("a subscription made with another key is refused and kept")
    func otherKey() async throws {
        let subscription = try service.subscribe(sender: ECKey().publicPoint)
        let address = Channel.Address.subscription(
            endpoint: subscription.endpoint, p256dh: subscription.p256dh, auth: subscription.auth)
        let report = await adapter.send(.sample(to: address))
        #expect(report.outcome == .rejected)
        #expect(report.status == 403 || report.status == 401 || report.status == 400)
    }

    @Test("limits, errors, redirects and cut connections")
    func faults() async throws {
        let (subscription, address) = try subscribe()
        service.script(
            subscription, .status(429, retryAfter: "30"), .status(503),
            .redirect(302, location: "https://localhost:1/"),
            .reset, .status(413))
        #expect(await adapter.send(.sample(to: address)).outcome == .retry(after: .seconds(30), .device))
        #expect(await adapter.send(.sample(to: address)).outcome == .retry(after: nil, .device))
        #expect(await adapter.send(.sample(to: address)).reason == "redirect")
        let cut = await adapter.send(.sample(to: address))
        #expect(cut.outcome == .retry(after: nil, .device))
        #expect(cut.status == nil)
        #expect(await adapter.send(.sample(to: address)).outcome == .delivered)
        let last = try #require(service.pushes.last)
        #expect(last.plaintext == Array(Push.sampleIDs.utf8))
    }

    @Test("the longest texts still fit", arguments: ["a", "👨‍👩‍👧‍👦"])
    func longest(unit: String) async throws {
        let (_, address) = try subscribe()
        let text = String(repeating: unit, count: 5000)
        #expect(await adapter.send(.sample(to: address, title: text, body: text)).outcome == .delivered)
        #expect(service.pushes.last?.json?["title"]?.string?.hasSuffix("…") == true)
    }

    @Test("an endpoint with a private address is refused unless its host is allowed")
    func privateAddress() async throws {
        let strict = try WebPushPlugin().adapter(
            #"{"subject":"mailto:a@b.example","keyFile":"k.pem","caFile":"\#(authority.caFile)"}"#,
            folder: folder.path, http: HTTPClient(), time: SystemTime())
        let (_, address) = try subscribe()
        #expect(
            await strict.send(.sample(to: address)) == PushReport(.rejected, reason: "address_refused", hop: .token))
        #expect(service.requests.count == 0)
    }

    @Test("a certificate of nobody we trust is a failed hop")
    func untrusted() async throws {
        let other = try WebPushPlugin().adapter(
            #"{"subject":"mailto:a@b.example","keyFile":"k.pem","allowHosts":["localhost"]}"#, folder: folder.path,
            http: HTTPClient(), time: SystemTime())
        let (_, address) = try subscribe()
        #expect(
            await other.send(.sample(to: address)) == PushReport(.retry(after: nil, .device), reason: "tls", hop: .tls))
    }

    @Test("a hundred pushes at once all arrive")
    func many() async throws {
        let (_, address) = try subscribe()
        let outcomes = await withTaskGroup(of: PushOutcome.self) { group in
            for _ in 0..<100 { group.addTask { [adapter] in await adapter.send(.sample(to: address)).outcome } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.allSatisfy { $0 == .delivered })
        #expect(service.pushes.count == 100)
    }
}
