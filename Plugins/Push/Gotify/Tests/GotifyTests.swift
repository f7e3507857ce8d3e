import Base
import Cryptography
import Gateway
import GatewayTestKit
import GotifyPush
import Testing

@Suite("the Gotify adapter")
struct GotifyTests {
    private let token = Channel.Address.token("AbCdEfGhIjKlMnO")

    private func adapter(_ http: any HTTPTransport, _ more: String = "") throws -> any PushAdapter {
        try GotifyPlugin().adapter(
            #"{"url":"https://gotify.example/sub/"\#(more)}"#, folder: ".", http: http, time: ManualTime(),
            tapPage: "https://bell.example/l/")
    }

    private func answering(_ status: Int, _ headers: HTTPFields = [:], _ body: String = "") -> StubTransport {
        StubTransport { _, _ in HTTPResponse(status: status, headers: headers, body: Array(body.utf8)) }
    }

    private func document(_ request: HTTPRequest?) throws -> JSON {
        let request = try #require(request)
        return try JSONParser.parse(request.body)
    }

    @Test("SG-13 a push is a message of the person's application, with the page to open and no markdown")
    func request() async throws {
        let http = answering(200)
        #expect(try await adapter(http).send(.sample(to: token)) == PushReport(.delivered, status: 200))
        let request = try #require(http.requests.last)
        #expect(request.method == "POST")
        #expect(request.url == "https://gotify.example/sub/message")
        #expect(request.headers == ["Content-Type": "application/json", "X-Gotify-Key": "AbCdEfGhIjKlMnO"])
        #expect(request.destination == .any)
        #expect(request.redirectLimit == 0)
        #expect(request.pool == "gotify:tested")
        #expect(
            try document(request) == [
                "title": "Outlook", "message": "New mail from Bob", "priority": 5,
                "extras": [
                    "client::display": ["contentType": "text/plain"],
                    "client::notification": ["click": ["url": "https://bell.example/l/tap1"]],
                    "farbell::push": [
                        "notification": "n1", "app": "oa", "badge": 3, "collapse": "c1", "tap": "tap1",
                    ],
                ],
            ])
    }

    @Test(
        "the priority is low, normal or high",
        arguments: [(Message.Priority.low, 2), (.normal, 5), (.high, 8)] as [(Message.Priority, Int64)])
    func priority(priority: Message.Priority, number: Int64) async throws {
        let http = answering(200)
        _ = try await adapter(http).send(.sample(to: token, priority: priority))
        #expect(try document(http.requests.last)["priority"]?.integer == number)
    }

    @Test("MN-13 a wakeup says only that there is something, and there is always a text")
    func wakeup() async throws {
        let http = answering(200)
        let adapter = try adapter(http)
        _ = await adapter.send(.sample(to: token, payload: .wakeup, locale: "zh"))
        _ = await adapter.send(.sample(to: token, body: nil))
        let documents = try http.requests.all.map { try document($0) }
        #expect(documents.map { $0["message"]?.string } == ["您有一条新消息", "You have a message"])
        #expect(documents.map { $0["title"]?.string } == [nil, "Outlook"])
    }

    @Test("a device with keys gets a document that only it can read, and nothing else of the message")
    func sealed() async throws {
        let key = try AgreementKey.generate()
        let secret = try SecureRandom.bytes(16)
        let http = answering(200)
        let adapter = try adapter(http)
        let encryption = Device.Encryption(publicKey: key.publicKey, secret: secret)
        for body in ["New mail from Bob", String(repeating: "語", count: 5000)] {
            #expect(await adapter.send(.sample(to: token, body: body, encryption: encryption)).outcome == .delivered)
        }
        let texts = try http.requests.all.map { request in
            let document = try document(request)
            #expect(document.object?.keys == ["message", "priority", "extras"])
            #expect(document["message"]?.string == "You have a message")
            #expect(document["extras"]?.object?.keys == ["client::display", "farbell::push"])
            let text = document["extras"]?["farbell::push"]?["sealed"]?.string
            let sealed = try #require(text.flatMap { [UInt8](base64URL: $0) })
            return String(decoding: try WebPushEncryption.decrypt(sealed, key: key, auth: secret), as: UTF8.self)
        }
        #expect(texts[0] == Push.sampleDocument)
        #expect(texts[1].contains("語…"))
        let broken = Device.Encryption(publicKey: [4] + [UInt8](repeating: 1, count: 64), secret: secret)
        #expect(
            await adapter.send(.sample(to: token, encryption: broken))
                == PushReport(.rejected, reason: "invalid_encryption_key", hop: .token))
    }

    @Test(
        "each status has its outcome",
        arguments: [
            (200, PushOutcome.delivered, nil, nil), (302, .rejected, "redirect", .service),
            (400, .rejected, "refused", .payload), (401, .rejected, "forbidden", .credential),
            (403, .rejected, "forbidden", .credential), (404, .rejected, "not_gotify", .service),
            (413, .rejected, "payload_too_large", .payload), (418, .rejected, "refused", .payload),
            (429, .retry(after: nil, .service), "too_many_requests", .service),
            (500, .retry(after: nil, .service), "service_error", .service),
            (503, .retry(after: nil, .service), "service_error", .service),
        ] as [(Int, PushOutcome, String?, PushHop?)])
    func table(status: Int, outcome: PushOutcome, reason: String?, hop: PushHop?) async throws {
        let report = try await adapter(answering(status)).send(.sample(to: token))
        #expect(report == PushReport(outcome, status: status, reason: reason, hop: hop))
    }

    @Test("only Gotify's own 401 says that the application is gone")
    func unknownApplication() async throws {
        let body = #"{"error":"Unauthorized","errorCode":401,"errorDescription":"you need to provide…"}"#
        #expect(
            try await adapter(answering(401, [:], body)).send(.sample(to: token))
                == PushReport(.gone(since: nil), status: 401, reason: "unknown_application"))
        for other in ["", "<html>", #"{"error":"Unauthorized"}"#, #"{"error":"x","errorCode":403}"#] {
            #expect(try await adapter(answering(401, [:], other)).send(.sample(to: token)).outcome == .rejected)
        }
    }

    @Test("Retry-After is honoured", arguments: [429, 503])
    func retryAfter(status: Int) async throws {
        let report = try await adapter(answering(status, ["Retry-After": "7"])).send(.sample(to: token))
        #expect(report.outcome == .retry(after: .seconds(7), .service))
    }

    @Test("a text too large for a proxy is left out, once")
    func tooLarge() async throws {
        let http = StubTransport { _, number in HTTPResponse(status: number == 1 ? 413 : 200) }
        #expect(try await adapter(http).send(.sample(to: token)).outcome == .delivered)
        #expect(try document(http.requests.last)["message"]?.string == "You have a message")
        let always = answering(413)
        _ = try await adapter(always).send(.sample(to: token, payload: .wakeup))
        #expect(always.requests.count == 1)
    }

    @Test("every failed hop is named", arguments: HTTPTransportError.Code.allCases)
    func transport(code: HTTPTransportError.Code) async throws {
        let error = HTTPTransportError(code, "no", surelyNotProcessed: false)
        let adapter = try adapter(StubTransport { _, _ in throw error })
        #expect(await adapter.send(.sample(to: token)) == PushReport(transportError: error, blame: .service))
    }

    @Test("messages cannot be taken back")
    func clear() async throws {
        let http = answering(200)
        let adapter = try adapter(http)
        #expect(!adapter.canClear)
        #expect(await adapter.send(.sample(to: token, clear: ["n1"])).reason == "clear_not_supported")
        #expect(http.requests.count == 0)
    }

    @Test("only application tokens are taken as addresses, and nothing that could become a header of its own")
    func addresses() async throws {
        let http = answering(200)
        let adapter = try adapter(http)
        #expect(adapter.fault(in: token) == nil)
        for bad in [
            Channel.Address.token(""), .token("a b"), .token("a\r\nX: y"), .token("ü"),
            .token(String(repeating: "x", count: 513)), .url("https://gotify.example/"),
        ] {
            #expect(adapter.fault(in: bad) != nil)
            #expect(
                await adapter.send(.sample(to: bad))
                    == PushReport(.rejected, reason: "invalid_address", hop: .token))
        }
        #expect(http.requests.count == 0)
    }

    @Test("the example configuration is read")
    func exampleConfiguration() throws {
        let adapter = try GotifyPlugin().adapter(
            GotifyPlugin().example("gotify").serialized, folder: ".", http: answering(200), time: SystemTime())
        #expect(adapter.concurrency == GotifyPlugin.defaultConcurrency)
    }

    @Test(
        "faults of the configuration are named",
        arguments: [
            ("{}", "'url' is missing"), (#"{"url":"gotify.example"}"#, "url"),
            (#"{"url":"https://x","token":"A"}"#, "unknown key 'token'"),
            (#"{"url":"https://x","concurrency":0}"#, "out of range"),
        ])
    func faults(text: String, message: String) throws {
        do {
            _ = try GotifyPlugin().adapter(text, folder: ".", http: answering(200), time: SystemTime())
            Issue.record("taken without a fault")
        } catch let error as ConfigError {
            #expect(error.description.contains(message), "\(error)")
        }
    }
}
