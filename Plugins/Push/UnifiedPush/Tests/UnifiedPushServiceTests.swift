import Base
import Gateway
import GatewayTestKit
import Outbound
import Testing
import UnifiedPush

/// Over loopback, through the real client, against a server that checks everything.
@Suite("UnifiedPush against a push server") final class UnifiedPushServiceTests {
    private let authority: TestCertificateAuthority
    private let server: FakeUnifiedPush
    private let folder: TemporaryFolder

    init() throws {
        authority = try TestCertificateAuthority()
        server = try FakeUnifiedPush(.init(identity: authority.localhost))
        folder = try TemporaryFolder()
    }

    deinit { server.stop() }

    /// - Parameter more: further keys of the configuration.
    private func adapter(_ more: String = "", hosts: String = #""localhost""#) throws -> any PushAdapter {
        try UnifiedPushPlugin().adapter(
            #"{"caFile":"\#(authority.caFile)","allowHosts":[\#(hosts)]\#(more)}"#, folder: folder.path,
            http: HTTPClient(), time: SystemTime())
    }

    private func address(_ subscription: FakeUnifiedPush.Subscription) -> Channel.Address {
        .subscription(endpoint: subscription.endpoint, p256dh: subscription.p256dh, auth: subscription.auth)
    }

    @Test(
        "SG-8 SG-13 a push arrives and is decrypted with the app's keys",
        arguments: ["", #","discovery":true"#, #","subject":"mailto:a@b.example","keyFile":"k.pem""#])
    func delivered(more: String) async throws {
        let phone = address(try server.register())
        let adapter = try adapter(more)
        #expect(adapter.fault(in: phone) == nil)
        #expect(await adapter.send(.sample(to: phone)) == PushReport(.delivered, status: 201))
        #expect(server.pushes.last?.plaintext == Array(Push.sampleDocument.utf8))
        #expect(server.discoveries.count == (more.contains("discovery") ? 1 : 0))
        #expect(server.refusals.all == [])
    }

    @Test("a push waits for the first subscriber, and the end of a registration is its end", arguments: [404, 410])
    func life(status: Int) async throws {
        let adapter = try adapter()
        let subscription = try server.register(isConnected: false)
        let phone = address(subscription)
        let early = await adapter.send(.sample(to: phone))
        #expect(
            early
                == PushReport(
                    .retry(after: .seconds(300), .device), status: 507, reason: "no_subscriber", hop: .service))
        server.connect(subscription)
        #expect(await adapter.send(.sample(to: phone)).outcome == .delivered)
        server.unregister(subscription, status: status)
        #expect(await adapter.send(.sample(to: phone)).outcome == .gone(since: nil))
        #expect(server.pushes.count == 1)
    }

    @Test("limits, errors, redirects, cut connections and bodies too large")
    func faults() async throws {
        let adapter = try adapter()
        let subscription = try server.register()
        let phone = address(subscription)
        server.script(
            subscription, .status(429, retryAfter: "30"), .status(503), .redirect(302, location: server.origin + "/x"),
            .reset, .status(413))
        #expect(await adapter.send(.sample(to: phone)).outcome == .retry(after: .seconds(30), .device))
        #expect(await adapter.send(.sample(to: phone)).outcome == .retry(after: nil, .device))
        #expect(await adapter.send(.sample(to: phone)).reason == "redirect")
        #expect(await adapter.send(.sample(to: phone)).outcome == .retry(after: nil, .device))
        #expect(await adapter.send(.sample(to: phone)).outcome == .delivered)
        #expect(server.pushes.all.map(\.plaintext) == [Array(Push.sampleIDs.utf8)])
    }

    @Test("a server that wants VAPID gets it where there is a key")
    func vapid() async throws {
        var configuration = FakeUnifiedPush.Configuration(identity: authority.localhost)
        configuration.requiresVAPID = true
        let strict = try FakeUnifiedPush(configuration)
        defer { strict.stop() }
        let phone = address(try strict.register())
        let report = try await adapter().send(.sample(to: phone))
        #expect(report == PushReport(.rejected, status: 401, reason: "refused", hop: .credential))
        let signed = try adapter(#","subject":"mailto:a@b.example","keyFile":"k.pem""#)
        #expect(await signed.send(.sample(to: phone)).outcome == .delivered)
    }

    @Test("a server that answers no discovery is refused where one is wanted, and a private address always")
    func refused() async throws {
        var configuration = FakeUnifiedPush.Configuration(identity: authority.localhost)
        configuration.answersDiscovery = false
        let silent = try FakeUnifiedPush(configuration)
        defer { silent.stop() }
        let phone = address(try silent.register())
        let asked = try await adapter(#","discovery":true"#).send(.sample(to: phone))
        #expect(asked == PushReport(.rejected, status: 405, reason: "not_unifiedpush", hop: .token))
        let before = silent.counts.requests
        let outside = try await adapter(hosts: "").send(.sample(to: phone))
        #expect(outside == PushReport(.rejected, reason: "address_refused", hop: .token))
        #expect(silent.counts.requests == before)
        #expect(silent.pushes.count == 0)
    }

    @Test(
        "the fake refuses what no app could read, and what is no push",
        arguments: [("TTL", 400), ("Content-Encoding", 400), ("", 400), ("empty", 413), ("elsewhere", 404)])
    func strictness(left: String, status: Int) async throws {
        let subscription = try server.register()
        var headers: HTTPFields = ["TTL": "60", "Content-Encoding": "aes128gcm"]
        headers[left] = nil
        var request = HTTPRequest(
            "POST", left == "elsewhere" ? server.origin + "/upX" : subscription.endpoint, headers: headers,
            body: left == "empty" ? [] : Array("hello".utf8))
        request.caFile = authority.caFile
        #expect(try await HTTPClient().send(request).status == status)
        #expect(server.pushes.count == 0)
    }
}
