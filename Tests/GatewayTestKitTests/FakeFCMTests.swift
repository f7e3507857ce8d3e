import Base
import GatewayTestKit
import Testing

@Suite("The fake FCM", .timeLimit(.minutes(2))) struct FakeFCMTests {
    private static let key = Result { try RSAKey() }
    private static let device = "device:" + String(repeating: "aZ0-_", count: 20)
    private let authority: TestCertificateAuthority
    private let time = ManualTime()
    private let fake: FakeFCM

    init() throws {
        authority = try TestCertificateAuthority()
        var configuration = FakeFCM.Configuration(key: try Self.key.get())
        configuration.time = time
        fake = try FakeFCM(configuration, identity: authority.localhost)
        fake.register(Self.device)
    }

    /// The claims of a good grant.
    private var claims: JSONObject {
        [
            "iss": "sender@farbell-test.iam.gserviceaccount.com",
            "scope": "https://www.googleapis.com/auth/firebase.messaging", "aud": .string(fake.tokenURL),
            "iat": .integer(time.timestamp.seconds), "exp": .integer(time.timestamp.seconds + 3600),
        ]
    }

    private func grant(
        _ claims: JSONObject? = nil, header: JSON? = nil, key: RSAKey? = nil, type: String = GrantForm.type,
        contentType: String = "application/x-www-form-urlencoded"
    ) async throws -> CurlAnswer {
        let known: JSON = ["alg": "RS256", "typ": "JWT", "kid": "0123456789abcdef0123456789abcdef01234567"]
        let token = try WebToken.sign(
            header: header ?? known, claims: .object(claims ?? self.claims), key: key ?? Self.key.get())
        return try await CurlAnswer.send(
            fake.tokenURL, ca: authority.caFile, headers: [("Content-Type", contentType)],
            body: Array("grant_type=\(type)&assertion=\(token)".utf8))
    }

    private enum GrantForm { static let type = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer" }

    private func accessToken() async throws -> String {
        let answer = try await grant()
        #expect(answer.status == 200)
        return try #require(JSONParser.parse(answer.body)["access_token"]?.string)
    }

    private func send(
        _ message: String, token: String? = nil, project: String = "farbell-test",
        contentType: String = "application/json", options: [String] = ["--http2"]
    ) async throws -> CurlAnswer {
        let access = if let token { token } else { try await accessToken() }
        return try await CurlAnswer.send(
            "\(fake.origin)/v1/projects/\(project)/messages:send", ca: authority.caFile,
            headers: [("Content-Type", contentType), ("Authorization", "Bearer \(access)")],
            body: Array(message.utf8), options: options)
    }

    private func message(data: String = #"{"a":"b"}"#, android: String = "{}", device: String = device) -> String {
        #"{"message":{"token":"\#(device)","data":\#(data),"android":\#(android)}}"#
    }

    @Test("a good grant and a good message", arguments: ["--http2", "--http1.1"])
    func good(version: String) async throws {
        let text = message(android: #"{"priority":"HIGH","ttl":"3.5s","collapse_key":"k"}"#)
        let answer = try await send(text, options: [version])
        #expect(answer.status == 200)
        #expect(try JSONParser.parse(answer.body)["name"] == "projects/farbell-test/messages/0:1%0")
        #expect(fake.pushes.last?.token == Self.device)
        #expect(fake.pushes.last?.data("a") == "b")
    }

    @Test(
        "bad grants are refused",
        arguments: ["iss", "scope", "aud", "future", "past", "long", "kid", "alg", "key", "type", "form"])
    func badGrants(_ kind: String) async throws {
        let now = time.timestamp.seconds
        func with(_ key: String, _ value: JSON) -> JSONObject {
            var claims = claims
            claims[key] = value
            return claims
        }
        let answer =
            switch kind {
            case "iss": try await grant(with("iss", "x@y"))
            case "scope": try await grant(with("scope", "https://www.googleapis.com/auth/drive"))
            case "aud": try await grant(with("aud", "https://fcm.googleapis.com/"))
            case "future": try await grant(with("iat", .integer(now + 600)))
            case "past": try await grant(with("exp", .integer(now)))
            case "long": try await grant(with("exp", .integer(now + 3601)))
            case "kid": try await grant(header: ["alg": "RS256", "typ": "JWT", "kid": "x"])
            case "alg": try await grant(header: ["alg": "none", "typ": "JWT"])
            case "key": try await grant(key: RSAKey())
            case "type": try await grant(type: "client_credentials")
            default: try await grant(contentType: "application/json")
            }
        #expect(answer.status == 400)
        let error = try JSONParser.parse(answer.body)["error"]?.string
        let expected = ["scope": "invalid_scope", "type": "unsupported_grant_type", "form": "invalid_request"]
        #expect(error == expected[kind] ?? "invalid_grant")
    }

    @Test("access tokens are checked, and expire")
    func accessTokens() async throws {
        #expect(try await send(message(), token: "x").status == 401)
        let token = try await accessToken()
        #expect(try await send(message(), token: token).status == 200)
        time.advance(by: .seconds(3599))
        #expect(try await send(message(), token: token).status == 401)
        let other = try await accessToken()
        fake.revokeAccessTokens()
        #expect(try await send(message(), token: other).status == 401)
        #expect(try await send(message(), project: "other").status == 403)
    }

    @Test("messages are checked")
    func badMessages() async throws {
        let token = try await accessToken()
        let long = String(repeating: "x", count: 4096)
        let bad = [
            "", "[]", "{}", #"{"message":{}}"#, #"{"message":{"topic":"all"}}"#,
            #"{"message":{"token":"\#(Self.device)","to":"x"}}"#, message(data: #"{"a":1}"#),
            message(data: #"{"a":null}"#),
            message(data: #"{"from":"b"}"#), message(data: #"{"google.x":"b"}"#), message(data: #"{"gcm":"b"}"#),
            message(data: #"{"a":"\#(long)"}"#), message(android: #"{"ttl":"5"}"#), message(android: #"{"ttl":5}"#),
            message(android: #"{"ttl":"-1s"}"#), message(android: #"{"ttl":"2419201s"}"#),
            message(android: #"{"priority":"10"}"#), message(android: #"{"collapseKey":"x"}"#),
            message(device: "short"), message(device: Self.device + "!"), message(device: Self.device + "x"),
        ]
        for text in bad { #expect(try await send(text, token: token).status == 400, "\(text.prefix(80))") }
        #expect(try await send(message(), token: token, contentType: "text/plain").status == 400)
        let fits = message(data: #"{"a":"\#(long.dropLast())"}"#)
        #expect(try await send(fits, token: token).status == 200)
        #expect(fake.pushes.count == 1)
    }

    @Test("devices and faults answer in Google's form")
    func answers() async throws {
        let token = try await accessToken()
        fake.script(.fcm(429, code: "QUOTA_EXCEEDED", quota: "device", retryAfter: "3"))
        let quota = try await send(message(), token: token)
        #expect(quota.status == 429)
        #expect(quota.headers["retry-after"] == "3")
        fake.registerElsewhere(Self.device)
        #expect(try await send(message(), token: token).body.contains("SENDER_ID_MISMATCH"))
        fake.unregister(Self.device)
        let gone = try await send(message(), token: token)
        #expect(gone.status == 404)
        #expect(try JSONParser.parse(gone.body)["error"]?["details"]?[0]?["errorCode"] == "UNREGISTERED")
        #expect(fake.pushes.count == 0)
    }
}
