import Base
import GatewayTestKit
import Testing

@Suite("The fake APNs", .timeLimit(.minutes(2))) struct FakeAPNsTests {
    static let device = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0"
    static let id = "123e4567-e89b-12d3-a456-4266554400a0"
    let authority: TestCertificateAuthority
    let key: ECKey
    let time = ManualTime()
    let fake: FakeAPNs

    init() throws {
        authority = try TestCertificateAuthority()
        key = try ECKey()
        var configuration = FakeAPNs.Configuration(
            keys: [.init(teamID: "TEAM000001", keyID: "KEY0000001", key: key)],
            topics: ["org.example.app": "TEAM000001", "org.example.other": "TEAM000002"])
        configuration.time = time
        fake = try FakeAPNs(configuration, identity: authority.localhost)
        fake.register(device: Self.device)
    }

    func token(
        issuer: JSON = "TEAM000001", keyID: JSON = "KEY0000001", issuedAt: JSON? = nil, key: ECKey? = nil
    ) throws -> String {
        let claims: JSON = ["iss": issuer, "iat": issuedAt ?? .integer(time.timestamp.seconds)]
        return try "bearer "
            + WebToken.sign(header: ["alg": "ES256", "kid": keyID], claims: claims, key: key ?? self.key)
    }

    func push(
        _ authorization: String?, device: String = device, headers: [String: String] = [:],
        body: String = #"{"aps":{"alert":"hello"}}"#, path: String = "/3/device/", method: String = "POST"
    ) async throws -> CurlAnswer {
        var fields = ["apns-topic": "org.example.app", "apns-push-type": "alert", "apns-id": Self.id]
        fields["authorization"] = authorization
        fields.merge(headers) { $1 }
        let list = fields.filter { $0.value != "-" }.map { ($0.key, $0.value) }
        return try await CurlAnswer.send(
            fake.origin + path + device, ca: authority.caFile, headers: list, body: Array(body.utf8), method: method)
    }

    @Test("a good push is accepted, echoes its id and is recorded") func accepted() async throws {
        let answer = try await push(token(), headers: ["apns-priority": "10", "apns-expiration": "0"])
        #expect(answer.status == 200)
        #expect(answer.version == "HTTP/2")
        #expect(answer.headers["apns-id"] == Self.id)
        #expect(answer.body == "")
        let recorded = try #require(try await fake.pushes.wait(count: 1).first)
        #expect(recorded.device == Self.device)
        #expect(recorded.payload["aps"]?["alert"]?.string == "hello")
        #expect(recorded.headers["apns-expiration"] == "0")
        #expect(recorded.connection == 1)
    }

    @Test(
        "an accepted push is answered by one HEADERS frame that ends the stream, a refused one by HEADERS and DATA",
        .enabled(if: FileSystem.exists("/usr/bin/nghttp"), "needs nghttp2-client"))
    func frames() async throws {
        let body = try TemporaryFolder()
        let file = try body.write(#"{"aps":{"alert":"hello"}}"#, to: "push.json")
        for (type, headersFlags, dataFrames) in [("alert", "0x05", 0), ("unheard of", "0x04", 1)] {
            let result = try await ChildProcess.run(
                "/usr/bin/nghttp",
                [
                    "-nv", "-d", file, "-H", "authorization: \(try token())", "-H", "apns-topic: org.example.app",
                    "-H", "apns-push-type: \(type)", "\(fake.origin)/3/device/\(Self.device)",
                ])
            let received = result.output.filter { $0.contains("recv HEADERS") || $0.contains("recv DATA") }
            #expect(
                received.count { $0.contains("HEADERS") && $0.contains("flags=\(headersFlags)") } == 1, "\(received)")
            #expect(received.count { $0.contains("DATA") } == dataFrames, "\(received)")
        }
        withExtendedLifetime(body) {}
    }

    @Test("HTTP/1.1 is not spoken") func http2Only() async throws {
        await #expect(throws: PeerError.self) {
            _ = try await CurlAnswer.send(
                fake.origin + "/3/device/\(Self.device)", ca: authority.caFile, headers: [], body: [],
                options: ["--http1.1"])
        }
        #expect(fake.requests.count == 0)
    }

    @Test(
        "provider tokens are verified",
        arguments: ["missing", "foreign key", "team", "kid", "string iat", "future", "junk"])
    func badTokens(_ kind: String) async throws {
        let now = time.timestamp.seconds
        let bad: String? =
            switch kind {
            case "missing": nil
            case "foreign key": try token(key: ECKey())
            case "team": try token(issuer: "TEAM000002")
            case "kid": try token(keyID: "KEY0000009")
            case "string iat": try token(issuedAt: .string("\(now)"))
            case "future": try token(issuedAt: .integer(now + 60))
            default: "bearer a.b.c"
            }
        let answer = try await push(bad)
        #expect(answer.status == 403)
        #expect(answer.reason == (kind == "missing" ? "MissingProviderToken" : "InvalidProviderToken"))
        #expect(fake.pushes.count == 0)
    }

    @Test("a token expires after an hour and may not be renewed within 20 minutes") func tokenAge() async throws {
        let first = try token()
        #expect(try await push(first).status == 200)
        time.advance(by: .seconds(60))
        let early = try await push(token())
        #expect(early.status == 429)
        #expect(early.reason == "TooManyProviderTokenUpdates")
        time.advance(by: .seconds(3540))
        #expect(try await push(first).status == 200)
        time.advance(by: .seconds(1))
        let late = try await push(first)
        #expect(late.status == 403)
        #expect(late.reason == "ExpiredProviderToken")
        #expect(try await push(token()).status == 200)
    }

    @Test(
        "headers are checked",
        arguments: [
            (["apns-topic": "-"], "MissingTopic"), (["apns-topic": "org.example.unknown"], "BadTopic"),
            (["apns-topic": "org.example.other"], "TopicDisallowed"), (["apns-push-type": "-"], "InvalidPushType"),
            (["apns-push-type": "shout"], "InvalidPushType"), (["apns-priority": "7"], "BadPriority"),
            (["apns-push-type": "background", "apns-priority": "10"], "BadPriority"),
            (["apns-push-type": "background", "apns-priority": "5"], "InvalidPushType"),
            (["apns-expiration": "soon"], "BadExpirationDate"),
            (["apns-id": "123E4567-e89b-12d3-a456-4266554400a0"], "BadMessageId"),
            (["apns-collapse-id": String(repeating: "c", count: 65)], "BadCollapseId"),
        ])
    func badHeaders(_ headers: [String: String], _ reason: String) async throws {
        let answer = try await push(token(), headers: headers)
        #expect(answer.status == 400)
        #expect(answer.reason == reason)
        #expect(fake.pushes.count == 0)
    }

    @Test("paths, tokens and payloads are checked") func badRequests() async throws {
        let token = try token()
        #expect(try await push(token, path: "/2/device/").reason == "BadPath")
        #expect(try await push(token, method: "PUT").reason == "MethodNotAllowed")
        #expect(try await push(token, device: "").reason == "MissingDeviceToken")
        #expect(try await push(token, device: "abcd").reason == "BadDeviceToken")
        #expect(try await push(token, body: "").reason == "PayloadEmpty")
        #expect(try await push(token, body: "{").status == 400)
        #expect(try await push(token, body: #"{"aps":{"content-available":1}}"#).reason == "InvalidPushType")
        let frame = #"{"aps":{"alert":""}}"#.utf8.count
        let longest = String(repeating: "x", count: 4096 - frame)
        #expect(try await push(token, body: #"{"aps":{"alert":"\#(longest)"}}"#).status == 200)
        let tooLong = try await push(token, body: #"{"aps":{"alert":"\#(longest)x"}}"#)
        #expect(tooLong.status == 413)
        #expect(tooLong.reason == "PayloadTooLarge")
        fake.unregister(device: Self.device, at: Timestamp(milliseconds: 1_700_000_000_123))
        let gone = try await push(token)
        #expect(gone.status == 410)
        #expect(gone.body == #"{"reason":"Unregistered","timestamp":1700000000123}"#)
    }

    @Test("faults come in the order they were scripted, then pushes are accepted again") func faults() async throws {
        let token = try token()
        fake.script(
            device: Self.device, .status(429, reason: "TooManyRequests", retryAfter: 7), .gone(timestampMilliseconds: 9)
        )
        let busy = try await push(token)
        #expect(busy.status == 429)
        #expect(busy.headers["retry-after"] == "7")
        #expect(try await push(token).body == #"{"reason":"Unregistered","timestamp":9}"#)
        fake.script(.refuseStream, .reset, .garbage, .dropConnection, .goAway(afterStreams: 0))
        for _ in 0..<3 { await #expect(throws: PeerError.self) { try await push(token) } }
        await #expect(throws: PeerError.self) { try await push(token) }
        // curl repeats by itself what GOAWAY says was not processed.
        _ = try? await push(token)
        fake.script(.emptyDataFrame, .delay(milliseconds: 30), .garbageBody(500))
        #expect(try await push(token).status == 200)
        #expect(try await push(token).status == 200)
        #expect(try await push(token).body.contains("oops"))
        #expect(try await push(token).status == 200)
    }

    @Test("one stream at a time until the first success; what is above the limit is refused")
    func streamLimit() async throws {
        fake.setStanding(.delay(milliseconds: 20))
        let token = try token()
        let folder = try TemporaryFolder()
        let body = try folder.write(#"{"aps":{"alert":"x"}}"#, to: "body.json")
        // h2load heeds the limit only once the SETTINGS frame has arrived, so the first flight is too large.
        let result = try await ChildProcess.run(
            "h2load",
            [
                "-n", "50", "-c", "1", "-m", "10", "-d", body, "-H", "authorization: \(token)", "-H",
                "apns-topic: org.example.app", "-H", "apns-push-type: alert",
                "https://localhost:\(fake.port)/3/device/\(Self.device)",
            ])
        #expect(result.exit == .code(0))
        #expect(fake.counts.connections == 1)
        #expect(fake.counts.refusedForLimit + fake.pushes.count == 50)
        #expect(fake.pushes.count > 10)
    }
}
