import Base
import GatewayTestKit
import Testing

@Suite("The fake Web Push service", .timeLimit(.minutes(2))) struct FakeWebPushTests {
    let authority: TestCertificateAuthority
    let key: ECKey
    let time = ManualTime()
    let fake: FakeWebPushService

    init() throws {
        authority = try TestCertificateAuthority()
        key = try ECKey()
        var configuration = FakeWebPushService.Configuration(identity: authority.localhost)
        configuration.time = time
        fake = try FakeWebPushService(configuration)
    }

    func authorization(
        audience: String? = nil, expiry: Int64 = 3600, contact: JSON = "mailto:a@example.org", signer: ECKey? = nil
    ) throws -> String {
        let claims: JSON = [
            "aud": .string(audience ?? fake.origin), "exp": .integer(time.timestamp.seconds + expiry), "sub": contact,
        ]
        let token = try WebToken.sign(header: ["typ": "JWT", "alg": "ES256"], claims: claims, key: signer ?? key)
        return "vapid t=\(token), k=\(key.publicPoint.base64URL)"
    }

    func seal(_ text: String, for subscription: FakeWebPushService.Subscription) throws -> [UInt8] {
        try #require(
            WebPushMessage.seal(
                Array(text.utf8), receiver: [UInt8](base64URL: subscription.p256dh) ?? [],
                authentication: [UInt8](base64URL: subscription.auth) ?? []))
    }

    func push(
        _ subscription: FakeWebPushService.Subscription, headers: [String: String] = [:], body: [UInt8]? = nil,
        options: [String] = ["--http2"]
    ) async throws -> CurlAnswer {
        var fields = [
            "TTL": "60", "Content-Encoding": "aes128gcm", "Urgency": "high", "Authorization": try authorization(),
        ]
        fields.merge(headers) { $1 }
        return try await CurlAnswer.send(
            subscription.endpoint, ca: authority.caFile,
            headers: fields.filter { $0.value != "-" }.map { ($0.key, $0.value) },
            body: try body ?? seal(#"{"title":"hi"}"#, for: subscription), options: options)
    }

    @Test("messages are decrypted and recorded", arguments: ["--http2", "--http1.1"])
    func accepted(_ version: String) async throws {
        let subscription = try fake.subscribe(sender: key.publicPoint)
        let answer = try await push(subscription, headers: ["Topic": "mail_1-A"], options: [version])
        #expect(answer.status == 201)
        #expect(answer.version == (version == "--http2" ? "HTTP/2" : "HTTP/1.1"))
        #expect(answer.headers["location"] == "\(fake.origin)/message/1")
        let recorded = try #require(fake.pushes.all.first)
        #expect(recorded.json?["title"]?.string == "hi")
        #expect(recorded.sender == key.publicPoint)
        #expect(recorded.endpoint == subscription.endpoint)
    }

    @Test("plain HTTP works for other fakes' sake") func plain() async throws {
        let plain = try FakeWebPushService(.init(identity: nil))
        let subscription = try plain.subscribe()
        #expect(subscription.endpoint.hasPrefix("http://localhost:\(plain.port)/push/"))
        let answer = try await push(subscription)
        // The token's audience is the other fake's origin.
        #expect(answer.status == 403)
        #expect(answer.body == "aud")
    }

    @Test(
        "headers are checked",
        arguments: [
            (["TTL": "-"], 400), (["TTL": "soon"], 400), (["Content-Encoding": "aesgcm"], 400),
            (["Urgency": "now"], 400),
            (["Topic": String(repeating: "t", count: 33)], 400), (["Topic": "a+b"], 400), (["Authorization": "-"], 401),
            (["Authorization": "vapid t=a.b.c, k=AAAA"], 403),
        ])
    func badHeaders(_ headers: [String: String], _ status: Int) async throws {
        let answer = try await push(fake.subscribe(), headers: headers)
        #expect(answer.status == status)
        #expect(fake.pushes.count == 0)
    }

    @Test("VAPID tokens are verified", arguments: ["signature", "aud", "past", "far", "sub", "key"])
    func badTokens(_ kind: String) async throws {
        let bad =
            switch kind {
            case "signature": try authorization(signer: ECKey())
            case "aud": try authorization(audience: "https://push.example.org")
            case "past": try authorization(expiry: 0)
            case "far": try authorization(expiry: 86_401)
            case "sub": try authorization(contact: "a@example.org")
            default: try authorization()
            }
        let subscription = try fake.subscribe(sender: kind == "key" ? ECKey().publicPoint : nil)
        let answer = try await push(subscription, headers: ["Authorization": bad])
        #expect(answer.status == 403)
        #expect(answer.body == ["past": "exp", "far": "exp", "key": "VapidPkHashMismatch"][kind] ?? kind)
    }

    @Test("messages too long, for others, or tampered with are refused") func badBodies() async throws {
        let subscription = try fake.subscribe()
        let longest = try seal(String(repeating: "x", count: 3993), for: subscription)
        #expect(longest.count == 4096)
        #expect(try await push(subscription, body: longest).status == 201)
        #expect(try await push(subscription, body: longest + [0]).status == 413)
        #expect(try await push(subscription, body: seal("x", for: fake.subscribe())).body == "undecryptable")
        var tampered = try seal("x", for: subscription)
        tampered[100] ^= 1
        #expect(try await push(subscription, body: tampered).status == 400)
    }

    @Test("ended subscriptions and scripted faults") func faults() async throws {
        let subscription = try fake.subscribe()
        let other = try fake.subscribe()
        fake.script(subscription, .status(429, retryAfter: "120"), .redirect(307, location: "https://example.org/"))
        #expect(try await push(other).status == 201)
        let busy = try await push(subscription)
        #expect(busy.status == 429)
        #expect(busy.headers["retry-after"] == "120")
        #expect(try await push(subscription).headers["location"] == "https://example.org/")
        fake.script(nil, .reset)
        await #expect(throws: PeerError.self) { try await push(subscription) }
        fake.unsubscribe(subscription)
        #expect(try await push(subscription).status == 410)
        fake.unsubscribe(subscription, forgetting: true)
        #expect(try await push(subscription).status == 404)
    }

    @Test("the example of RFC 8291 section 5 opens") func referenceExample() throws {
        let secret = try #require([UInt8](base64URL: "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"))
        let point = try #require(
            [UInt8](
                base64URL: "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"))
        let frame = try #require(
            [UInt8](hexadecimal: "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420"))
        let inner = try #require([UInt8](hexadecimal: "a144034200"))
        let pem = "-----BEGIN PRIVATE KEY-----\n\((frame + secret + inner + point).base64)\n-----END PRIVATE KEY-----\n"
        let receiver = try #require(ECKey(pem: pem))
        #expect(receiver.publicPoint == point)
        let body =
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PB"
            + "ru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
        let plain = WebPushMessage.open(
            try #require([UInt8](base64URL: body)), receiver: receiver,
            authentication: try #require([UInt8](base64URL: "BTBZMqHH6r4Tts7J_aSIgg")))
        #expect(plain.map { String(decoding: $0, as: UTF8.self) } == "When I grow up, I want to be a watermelon")
    }
}

@Suite("The fake webhook receiver", .timeLimit(.minutes(1))) struct FakeWebhookTests {
    static let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    let time = ManualTime()

    func receiver() throws -> FakeWebhookReceiver {
        var configuration = FakeWebhookReceiver.Configuration(secret: Self.secret)
        configuration.time = time
        return try FakeWebhookReceiver(configuration)
    }

    func send(
        _ receiver: FakeWebhookReceiver, offset: Int64 = 0, tamper: Bool = false, options: [String] = []
    ) async throws -> CurlAnswer {
        let key = [UInt8](base64: String(Self.secret.dropFirst(6))) ?? []
        let body = Array(#"{"a":1}"#.utf8)
        let timestamp = "\(time.timestamp.seconds + offset)"
        let signature = StandardWebhook.signature(id: "msg_1", timestamp: timestamp, body: body, key: key)
        return try await CurlAnswer.send(
            receiver.origin + "/hook", ca: "/dev/null",
            headers: [
                ("webhook-id", "msg_1"), ("webhook-timestamp", timestamp),
                ("webhook-signature", "v1,AAAA \(signature)"),
            ], body: tamper ? body + [32] : body, options: options)
    }

    @Test("signed requests are taken, by length and in chunks; others are not") func signatures() async throws {
        let receiver = try receiver()
        #expect(try await send(receiver).status == 204)
        #expect(try await send(receiver, options: ["-H", "Transfer-Encoding: chunked"]).status == 204)
        #expect(receiver.calls.all.map { $0.json?["a"]?.integer } == [1, 1])
        #expect(receiver.calls.last?.id == "msg_1")
        #expect(try await send(receiver, tamper: true).status == 401)
        #expect(try await send(receiver, offset: -301).status == 401)
        #expect(receiver.refusals.all == ["webhook-signature", "webhook-timestamp"])
        #expect(receiver.calls.count == 2)
    }

    @Test("the specification's own example verifies") func referenceExample() throws {
        let key = try #require([UInt8](base64: String(Self.secret.dropFirst(6))))
        let signature = StandardWebhook.signature(
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: "1614265330", body: Array(#"{"test": 2432232314}"#.utf8),
            key: key)
        #expect(signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
    }

    @Test("scripted statuses and cuts") func faults() async throws {
        let receiver = try receiver()
        receiver.script(.status(503, retryAfter: "1"), .acceptThenReset)
        #expect(try await send(receiver).status == 503)
        await #expect(throws: PeerError.self) { try await send(receiver) }
        #expect(receiver.calls.count == 1)
        #expect(try await send(receiver).status == 204)
    }

    @Test("requests are found at any cut of the stream") func cuts() throws {
        let text =
            "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcPUT /b HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
            + "2;x=y\r\nde\r\n1\r\nf\r\n0\r\n\r\n"
        for size in 1...text.utf8.count {
            var parser = HTTP1Parser()
            var found: [String] = []
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                parser.feed(Array(rest.prefix(size)))
                rest = rest.dropFirst(size)
                while case .request(let head, let body) = parser.next(bodyLimit: 100) {
                    found.append("\(head.method) \(head.path) \(String(decoding: body, as: UTF8.self))")
                }
            }
            #expect(found == ["POST /a abc", "PUT /b def"])
        }
    }
}
