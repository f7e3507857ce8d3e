import Base
import Cryptography
import Gateway
import GatewayTestKit
import Outbound
import Testing
import WebhookPush

@Suite("webhooks")
struct WebhookTests {
    private let url = Channel.Address.url("https://hook.example/x?y=1")

    private func adapter(_ http: any HTTPTransport, _ text: String = "{}") throws -> any PushAdapter {
        try WebhookPlugin().adapter(text, folder: ".", http: http, time: ManualTime())
    }

    private func report(_ response: HTTPResponse) async throws -> PushReport {
        try await adapter(StubTransport { _, _ in response }).send(.sample(to: url))
    }

    @Test("TT-9 a push is one plain request with the document")
    func request() async throws {
        let http = StubTransport { _, _ in HTTPResponse(status: 204) }
        let time = ManualTime()
        let adapter = try WebhookPlugin().adapter(
            #"{"allowHosts":["Fridge.home"]}"#, folder: ".", http: http, time: time)
        #expect(await adapter.send(.sample(to: url)) == PushReport(.delivered, status: 204))
        let request = try #require(http.requests.last)
        #expect(request.method == "POST")
        #expect(request.url == "https://hook.example/x?y=1")
        #expect(
            request.headers == [
                "Content-Type": "application/json", "webhook-id": "11111111-2222-4333-8444-555555555555",
                "webhook-timestamp": String(time.timestamp.seconds),
            ])
        #expect(String(decoding: request.body, as: UTF8.self) == Push.sampleDocument)
        #expect(request.destination == .publicExcept(hosts: ["fridge.home"]))
        #expect(request.redirectLimit == 0)
    }

    @Test("MN-13 a wakeup carries ids only; clearing names what to take away")
    func contents() async throws {
        let http = StubTransport { _, _ in HTTPResponse(status: 204) }
        let adapter = try adapter(http)
        _ = await adapter.send(.sample(to: url, payload: .wakeup))
        _ = await adapter.send(.sample(to: url, clear: ["n1", "n2"]))
        #expect(
            http.requests.all.map { String(decoding: $0.body, as: UTF8.self) }
                == [Push.sampleIDs, #"{"clear":["n1","n2"],"badge":0,"collapse":"c1"}"#])
    }

    @Test("the signature is the published example's, with its secret and time")
    func signature() async throws {
        let http = StubTransport { _, _ in HTTPResponse(status: 204) }
        let time = ManualTime(timestamp: Timestamp(seconds: 1_614_265_330))
        let adapter = try WebhookPlugin().adapter(
            #"{"secret":{"env":"SECRET"}}"#, folder: ".", http: http, time: time,
            environment: ["SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
        _ = await adapter.send(.sample(to: url, id: "msg_p5jXN8AQM9LWM0D4loKWxJek"))
        let request = try #require(http.requests.last)
        #expect(request.headers["webhook-timestamp"] == "1614265330")
        let value = try #require(request.headers["webhook-signature"])
        #expect(value.hasPrefix("v1,"))
        #expect([UInt8](base64: String(value.dropFirst(3)))?.count == 32)
    }

    @Test(
        "each status has its outcome",
        arguments: [
            (200, PushOutcome.delivered, nil, nil), (204, .delivered, nil, nil), (299, .delivered, nil, nil),
            (301, .rejected, "redirect", .token), (308, .rejected, "redirect", .token),
            (400, .rejected, "refused", .payload), (401, .rejected, "refused", .credential),
            (403, .rejected, "refused", .credential), (404, .rejected, "refused", .payload),
            (410, .gone(since: nil), "gone", .token), (413, .rejected, "refused", .payload),
            (408, .retry(after: nil, .device), "service_error", .service),
            (429, .retry(after: nil, .device), "too_many_requests", .service),
            (500, .retry(after: nil, .device), "service_error", .service),
            (503, .retry(after: nil, .device), "service_error", .service),
        ] as [(Int, PushOutcome, String?, PushHop?)])
    func table(status: Int, outcome: PushOutcome, reason: String?, hop: PushHop?) async throws {
        #expect(
            try await report(HTTPResponse(status: status))
                == PushReport(outcome, status: status, reason: reason, hop: hop))
    }

    @Test("a device with keys gets a document that only it can read, also to take notifications back")
    func sealed() async throws {
        let key = try AgreementKey.generate()
        let secret = try SecureRandom.bytes(16)
        let encryption = Device.Encryption(publicKey: key.publicKey, secret: secret)
        let http = StubTransport { _, _ in HTTPResponse(status: 204) }
        let adapter = try adapter(http)
        let long = String(repeating: "ü", count: 9000)
        _ = await adapter.send(.sample(to: url, encryption: encryption))
        _ = await adapter.send(.sample(to: url, clear: ["n1"], encryption: encryption))
        _ = await adapter.send(.sample(to: url, body: long, encryption: encryption))
        let texts = try http.requests.all.map { request in
            let document = try JSONParser.parse(request.body)
            #expect(document.object?.keys == ["sealed"])
            let sealed = try #require(document["sealed"]?.string.flatMap { [UInt8](base64URL: $0) })
            #expect(sealed.count <= 4096)
            return String(decoding: try WebPushEncryption.decrypt(sealed, key: key, auth: secret), as: UTF8.self)
        }
        #expect(texts[0] == Push.sampleDocument)
        #expect(texts[1] == #"{"clear":["n1"],"badge":0,"collapse":"c1"}"#)
        #expect(texts[2].contains("üü…"))
        let broken = Device.Encryption(publicKey: [4] + [UInt8](repeating: 1, count: 64), secret: secret)
        #expect(
            await adapter.send(.sample(to: url, encryption: broken))
                == PushReport(.rejected, reason: "invalid_encryption_key", hop: .token))
    }

    @Test("Retry-After is honoured", arguments: [429, 503])
    func retryAfter(status: Int) async throws {
        let response = HTTPResponse(status: status, headers: ["Retry-After": "7"])
        #expect(try await report(response).outcome == .retry(after: .seconds(7), .device))
    }

    @Test("every failed hop is named", arguments: HTTPTransportError.Code.allCases)
    func transport(code: HTTPTransportError.Code) async throws {
        let error = HTTPTransportError(code, "no", surelyNotProcessed: false)
        let report = try await adapter(StubTransport { _, _ in throw error }).send(.sample(to: url))
        if code == .responseTooLarge {
            #expect(report == PushReport(.rejected, reason: code.rawValue, hop: .service))
        } else {
            #expect(report == PushReport(transportError: error, blame: .device))
        }
    }

    @Test("only https URLs are taken as addresses, others where their host is allowed")
    func addresses() throws {
        let adapter = try adapter(
            StubTransport { _, _ in HTTPResponse(status: 204) }, #"{"allowHosts":["fridge.home","10.0.0.7"]}"#)
        for good in [
            "https://a.example/", "http://fridge.home/ring", "http://10.0.0.7:8080/", "https://[2001:db8::1]/",
        ] {
            #expect(adapter.fault(in: .url(good)) == nil)
        }
        for bad in ["http://a.example/", "http://fridge.home@evil.example/", "ftp://fridge.home/", "", "https://a b/"] {
            #expect(adapter.fault(in: .url(bad)) != nil, "\(bad)")
        }
        #expect(adapter.fault(in: .token("x")) != nil)
    }

    @Test("a bad address that got through is never sent to")
    func badAddress() async throws {
        let http = StubTransport { _, _ in HTTPResponse(status: 204) }
        let report = try await adapter(http).send(.sample(to: .url("http://a.example/")))
        #expect(report == PushReport(.rejected, reason: "invalid_address", hop: .token))
        #expect(http.requests.count == 0)
    }

    @Test("the example configuration is read")
    func exampleConfiguration() throws {
        let folder = try TemporaryFolder()
        try folder.write("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", to: "webhook.secret")
        let http = StubTransport { _, _ in HTTPResponse(status: 204) }
        let adapter = try WebhookPlugin().adapter(
            WebhookPlugin().example("things").serialized, folder: folder.path, http: http, time: SystemTime())
        #expect(adapter.concurrency == WebhookPlugin.defaultConcurrency)
        #expect(adapter.fault(in: .url("http://fridge.home.example/")) == nil)
    }

    @Test(
        "faults of the configuration are named",
        arguments: [
            (#"{"secret":"whsec_abc"}"#, "never as the value itself"),
            (#"{"secret":{"env":"NONE"}}"#, "secret"),
            (#"{"secret":{"env":"SHORT"}}"#, "not a Standard Webhooks secret"),
            (#"{"allowHosts":["http://x"]}"#, "allowHosts"), (#"{"alowHosts":["x"]}"#, "did you mean 'allowHosts'?"),
            (#"{"concurrency":0}"#, "out of range"),
        ])
    func faults(text: String, message: String) throws {
        do {
            _ = try WebhookPlugin().adapter(
                text, folder: ".", http: HTTPClient(), time: SystemTime(), environment: ["SHORT": "whsec_AAAA"])
            Issue.record("taken without a fault")
        } catch let error as ConfigError {
            #expect(error.description.contains(message), "\(error)")
            #expect(!error.description.contains("whsec_"))
        }
    }
}

/// Over loopback, through the real HTTP client.
@Suite("webhooks against a receiver") final class WebhookReceiverTests {
    private static let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    private let receiver: FakeWebhookReceiver
    private let adapter: any PushAdapter

    init() throws {
        receiver = try FakeWebhookReceiver(.init(secret: Self.secret))
        adapter = try WebhookPlugin().adapter(
            #"{"secret":{"env":"SECRET"},"allowHosts":["localhost"]}"#, folder: ".", http: HTTPClient(),
            time: SystemTime(), environment: ["SECRET": Self.secret])
    }

    deinit { receiver.stop() }

    private var address: Channel.Address { .url("\(receiver.origin)/ring") }

    @Test("SG-13 a push arrives once, signed, with its id")
    func delivered() async throws {
        #expect(await adapter.send(.sample(to: address)) == PushReport(.delivered, status: 204))
        let call = try #require(receiver.calls.last)
        #expect(call.id == "11111111-2222-4333-8444-555555555555")
        #expect(call.path == "/ring")
        #expect(call.body == Array(Push.sampleDocument.utf8))
        #expect(receiver.refusals.count == 0)
    }

    @Test("a receiver with another secret refuses, and that is final")
    func otherSecret() async throws {
        let other = try WebhookPlugin().adapter(
            #"{"secret":{"env":"SECRET"},"allowHosts":["localhost"]}"#, folder: ".", http: HTTPClient(),
            time: SystemTime(), environment: ["SECRET": "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"])
        #expect(
            await other.send(.sample(to: address))
                == PushReport(.rejected, status: 401, reason: "refused", hop: .credential))
        #expect(receiver.calls.count == 0)
    }

    @Test("limits, errors, redirects and ends")
    func faults() async throws {
        receiver.script(
            .status(429, retryAfter: "9"), .status(500), .redirect(301, location: "http://localhost:1/"), .status(410))
        #expect(await adapter.send(.sample(to: address)).outcome == .retry(after: .seconds(9), .device))
        #expect(await adapter.send(.sample(to: address)).outcome == .retry(after: nil, .device))
        #expect(await adapter.send(.sample(to: address)).reason == "redirect")
        #expect(await adapter.send(.sample(to: address)).outcome == .gone(since: nil))
        #expect(await adapter.send(.sample(to: address)).outcome == .delivered)
    }

    @Test("a push whose answer was lost is tried again under the same id")
    func unknownOutcome() async throws {
        receiver.script(.acceptThenReset)
        #expect(await adapter.send(.sample(to: address)).outcome == .retry(after: nil, .device))
        #expect(await adapter.send(.sample(to: address)).outcome == .delivered)
        #expect(receiver.calls.count == 2)
        #expect(Set(receiver.calls.all.compactMap(\.id)).count == 1)
    }

    @Test("a private address is refused unless its host is allowed")
    func privateAddress() async throws {
        let authority = try TestCertificateAuthority()
        let secure = try FakeWebhookReceiver(.init(identity: authority.localhost))
        defer { secure.stop() }
        let strict = try WebhookPlugin().adapter(
            #"{"caFile":"\#(authority.caFile)"}"#, folder: ".", http: HTTPClient(), time: SystemTime())
        let report = await strict.send(.sample(to: .url("\(secure.origin)/")))
        #expect(report == PushReport(.rejected, reason: "address_refused", hop: .token))
        #expect(secure.counts.requests == 0)
    }
}
