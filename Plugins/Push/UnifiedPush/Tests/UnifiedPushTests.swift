import Base
import Cryptography
import Gateway
import GatewayTestKit
import Testing

@testable import UnifiedPush

/// An app's side of a registration.
private struct Phone {
    let key: AgreementKey
    let auth: [UInt8]
    let address: Channel.Address

    init(_ endpoint: String = "https://ntfy.example/upAbc?up=1") throws {
        key = try AgreementKey.generate()
        auth = try SecureRandom.bytes(16)
        address = .subscription(endpoint: endpoint, p256dh: key.publicKey.base64URL, auth: auth.base64URL)
    }

    func text(_ request: HTTPRequest) throws -> String {
        String(decoding: try WebPushEncryption.decrypt(request.body, key: key, auth: auth), as: UTF8.self)
    }
}

@Suite("the UnifiedPush adapter")
struct UnifiedPushTests {
    private let folder: TemporaryFolder
    private let time = ManualTime(timestamp: SystemTime().timestamp)

    init() throws { folder = try TemporaryFolder() }

    private func adapter(_ http: any HTTPTransport, _ text: String = "{}") throws -> any PushAdapter {
        try UnifiedPushPlugin().adapter(text, folder: folder.path, http: http, time: time)
    }

    private func answering(_ status: Int, _ headers: HTTPFields = [:], _ body: String = "") -> StubTransport {
        StubTransport { _, _ in HTTPResponse(status: status, headers: headers, body: Array(body.utf8)) }
    }

    @Test("SG-13 a push is Web Push without an identity, and only the app can read it")
    func request() async throws {
        let http = answering(201)
        let phone = try Phone()
        let adapter = try adapter(http, #"{"allowHosts":["localhost"]}"#)
        #expect(try adapter.subscriptionKey() == nil)
        #expect(await adapter.send(.sample(to: phone.address)) == PushReport(.delivered, status: 201))
        let request = try #require(http.requests.last)
        #expect(http.requests.count == 1)
        #expect(request.method == "POST")
        #expect(request.url == "https://ntfy.example/upAbc?up=1")
        #expect(request.headers["Authorization"] == nil)
        #expect(request.headers["Content-Encoding"] == "aes128gcm")
        #expect(request.headers["TTL"] == "2419200")
        #expect(request.headers["Urgency"] == "normal")
        #expect(request.headers["Topic"] == "c1")
        #expect(request.destination == .publicExcept(hosts: ["localhost"]))
        #expect(request.redirectLimit == 0)
        #expect(request.pool == "unifiedpush:tested")
        #expect(try phone.text(request) == Push.sampleDocument)
    }

    @Test("with a key pushes are signed, and apps are told its public half")
    func signed() async throws {
        let http = answering(201)
        let adapter = try adapter(http, #"{"subject":"mailto:a@b.example","keyFile":"k.pem"}"#)
        _ = await adapter.send(.sample(to: try Phone().address))
        let value = try #require(http.requests.last?.headers["Authorization"])
        let key = try #require(try adapter.subscriptionKey())
        #expect(value.hasSuffix(", k=\(key)"))
    }

    @Test("MN-13 a wakeup carries ids only; clearing names what to take away; long texts fit into 4096 bytes")
    func contents() async throws {
        let http = answering(201)
        let phone = try Phone()
        let adapter = try adapter(http)
        #expect(adapter.canClear)
        _ = await adapter.send(.sample(to: phone.address, payload: .wakeup))
        _ = await adapter.send(.sample(to: phone.address, clear: ["n1"]))
        _ = await adapter.send(.sample(to: phone.address, body: String(repeating: "語", count: 5000)))
        let texts = try http.requests.all.map(phone.text)
        #expect(texts[0] == Push.sampleIDs)
        #expect(texts[1] == #"{"clear":["n1"],"badge":0,"collapse":"c1"}"#)
        #expect(http.requests.all[2].body.count <= 4096)
        #expect(texts[2].contains("語…"))
    }

    @Test(
        "each status has its outcome",
        arguments: [
            (200, PushOutcome.delivered, nil, nil), (201, .delivered, nil, nil), (202, .delivered, nil, nil),
            (302, .rejected, "redirect", .token), (400, .rejected, "refused", .payload),
            (401, .rejected, "refused", .credential), (403, .rejected, "refused", .credential),
            (404, .gone(since: nil), "subscription_gone", .token),
            (410, .gone(since: nil), "subscription_gone", .token), (413, .rejected, "payload_too_large", .payload),
            (429, .retry(after: nil, .device), "too_many_requests", .service),
            (500, .retry(after: nil, .device), "service_error", .service),
            (507, .retry(after: .seconds(300), .device), "no_subscriber", .service),
        ] as [(Int, PushOutcome, String?, PushHop?)])
    func table(status: Int, outcome: PushOutcome, reason: String?, hop: PushHop?) async throws {
        let report = try await adapter(answering(status)).send(.sample(to: try Phone().address))
        #expect(report == PushReport(outcome, status: status, reason: reason, hop: hop))
    }

    @Test("Retry-After is honoured, also of 507", arguments: [429, 503, 507])
    func retryAfter(status: Int) async throws {
        let report = try await adapter(answering(status, ["Retry-After": "40"])).send(.sample(to: try Phone().address))
        #expect(report.outcome == .retry(after: .seconds(40), .device))
    }

    @Test(
        "a limit or a missing subscriber of one endpoint does not hold up its server's others", arguments: [429, 507])
    func perEndpoint(status: Int) async throws {
        let http = StubTransport { request, _ in
            HTTPResponse(status: request.url.hasSuffix("/busy") ? status : 201)
        }
        let adapter = try adapter(http)
        let (busy, other) = (try Phone("https://up.example/busy"), try Phone("https://up.example/other"))
        for _ in 0..<20 { _ = await adapter.send(.sample(to: busy.address)) }
        #expect(http.requests.count == 20)
        #expect(await adapter.send(.sample(to: other.address)).outcome == .delivered)
    }

    @Test("without a key, refusals never stop the lane")
    func noCredential() async throws {
        let adapter = try adapter(answering(403))
        for number in 0..<30 {
            let report = await adapter.send(.sample(to: try Phone("https://up.example/\(number)").address))
            #expect(report.outcome == .rejected)
        }
    }

    @Test("an endpoint is asked once a day what it is, where that is configured")
    func discovery() async throws {
        let http = StubTransport { request, _ in
            request.method == "GET"
                ? HTTPResponse(status: 200, body: Array("{\"unifiedpush\":{\"version\":1}}\n".utf8))
                : HTTPResponse(status: 201)
        }
        let adapter = try adapter(http, #"{"discovery":true}"#)
        let phone = try Phone()
        for _ in 0..<2 { #expect(await adapter.send(.sample(to: phone.address)).outcome == .delivered) }
        #expect(http.requests.all.map(\.method) == ["GET", "POST", "POST"])
        let question = try #require(http.requests.all.first)
        #expect(question.url == "https://ntfy.example/upAbc?up=1")
        #expect(question.destination == .publicExcept(hosts: []))
        #expect(question.redirectLimit == 0)
        #expect(question.timeout == UnifiedPushAdapter.discoveryTimeout)
        time.advance(by: DiscoveredEndpoints.life)
        _ = await adapter.send(.sample(to: phone.address))
        #expect(http.requests.all.map(\.method) == ["GET", "POST", "POST", "GET", "POST"])
    }

    @Test(
        "what does not say that it is UnifiedPush gets no push",
        arguments: [
            (200, "{}", PushOutcome.rejected), (200, #"{"unifiedpush":{"version":2}}"#, .rejected),
            (200, "", .rejected),
            (204, #"{"unifiedpush":{"version":1}}"#, .rejected), (302, "", .rejected), (405, "", .rejected),
            (403, "", .rejected), (404, "", .gone(since: nil)), (410, "", .gone(since: nil)),
            (429, "", .retry(after: nil, .device)), (500, "", .retry(after: nil, .device)),
        ] as [(Int, String, PushOutcome)])
    func notUnifiedPush(status: Int, body: String, outcome: PushOutcome) async throws {
        let http = answering(status, [:], body)
        let report = try await adapter(http, #"{"discovery":true}"#).send(.sample(to: try Phone().address))
        #expect(report.outcome == outcome)
        if outcome == .rejected { #expect(report.reason == "not_unifiedpush") }
        #expect(http.requests.all.map(\.method) == ["GET"])
    }

    @Test("the discovery remembers a bounded number of endpoints")
    func bounded() {
        var endpoints = DiscoveredEndpoints()
        let now = Moment(nanoseconds: 0)
        for number in 0..<DiscoveredEndpoints.limit { endpoints.insert("\(number)", now: now) }
        #expect(endpoints.contains("0", now: now))
        endpoints.insert("one more", now: now)
        #expect(!endpoints.contains("0", now: now))
        #expect(endpoints.contains("one more", now: now))
    }

    @Test("MN-1 MN-8 only a sound endpoint of at most 1000 bytes is taken")
    func addresses() throws {
        let adapter = try adapter(answering(201), #"{"allowHosts":["localhost"]}"#)
        func fault(_ endpoint: String) throws -> String? { adapter.fault(in: try Phone(endpoint).address) }
        let start = "https://up.example/"
        #expect(try fault(start + String(repeating: "x", count: 1000 - start.utf8.count)) == nil)
        #expect(try fault(start + String(repeating: "x", count: 1001 - start.utf8.count))?.contains("1000") == true)
        #expect(try fault("http://localhost:8080/up1") == nil)
        #expect(try fault("http://up.example/up1")?.contains("https://") == true)
        #expect(try fault("https://user@up.example/up1") != nil)
        #expect(adapter.fault(in: .url("https://up.example/up1")) != nil)
        let off = ([4] + [UInt8](repeating: 1, count: 64)).base64URL
        let auth = [UInt8](repeating: 1, count: 16).base64URL
        #expect(
            adapter.fault(in: .subscription(endpoint: start, p256dh: off, auth: auth))?.contains("curve") == true)
    }

    @Test("the example configuration is read")
    func exampleConfiguration() throws {
        let adapter = try adapter(answering(201), UnifiedPushPlugin().example("phones").serialized)
        #expect(adapter.concurrency == UnifiedPushPlugin.defaultConcurrency)
        #expect(try adapter.subscriptionKey() != nil)
    }

    @Test(
        "faults of the configuration are named",
        arguments: [
            (#"{"keyFile":"k.pem"}"#, "'subject' is missing"), (#"{"subject":"mailto:a@b.c"}"#, "'keyFile' is missing"),
            (#"{"subject":"me","keyFile":"k.pem"}"#, "subject: expected"), (#"{"allowHosts":["x:1"]}"#, "allowHosts"),
            (#"{"discovry":true}"#, "did you mean 'discovery'?"), (#"{"concurrency":0}"#, "out of range"),
        ])
    func faults(text: String, message: String) throws {
        do {
            _ = try adapter(answering(201), text)
            Issue.record("taken without a fault")
        } catch let error as ConfigError {
            #expect(error.description.contains(message), "\(error)")
        }
    }
}
