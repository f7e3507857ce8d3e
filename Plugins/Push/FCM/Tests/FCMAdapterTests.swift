import Base
import Cryptography
import Gateway
import GatewayTestKit
import Testing

@testable import FCMPush

@Suite("the FCM adapter", .timeLimit(.minutes(2)))
struct FCMAdapterTests {
    private func messages(_ http: StubTransport) -> [HTTPRequest] {
        http.requests.all.filter { $0.url != Rig.tokenURL }
    }
    private func grants(_ http: StubTransport) -> [HTTPRequest] {
        http.requests.all.filter { $0.url == Rig.tokenURL }
    }

    @Test("SG-13 a grant is signed for the account, and the token it brings is shown with the message")
    func request() async throws {
        let http = service { _, _ in google(200) }
        let rig = try Rig(http)
        #expect(await rig.adapter.send(push()) == PushReport(.delivered, status: 200))
        let grant = try #require(grants(http).first)
        #expect(grant.method == "POST")
        #expect(grant.headers["Content-Type"] == "application/x-www-form-urlencoded")
        let text = String(decoding: grant.body, as: UTF8.self)
        let prefix = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion="
        #expect(text.hasPrefix(prefix))
        let token = try #require(WebToken(String(text.dropFirst(prefix.count))))
        let now = rig.time.timestamp.seconds
        #expect(try token.isSignedRS256(by: Rig.key.get()))
        #expect(token.header == ["alg": "RS256", "typ": "JWT", "kid": "key1"])
        #expect(
            token.claims == [
                "iss": "sender@farbell-test.iam.gserviceaccount.com",
                "scope": "https://www.googleapis.com/auth/firebase.messaging", "aud": .string(Rig.tokenURL),
                "iat": .integer(now), "exp": .integer(now + 3600),
            ])
        let message = try #require(messages(http).first)
        #expect(message.url == "https://fcm.googleapis.com/v1/projects/farbell-test/messages:send")
        #expect(message.headers["Authorization"] == "Bearer t1")
        #expect(message.headers["Content-Type"] == "application/json; charset=UTF-8")
        #expect(message.pool == "fcm:tested:key1")
        #expect(message.redirectLimit == 0)
        #expect(message.timeout >= .seconds(10))
    }

    @Test("one access token serves all pushes, and is renewed before it expires")
    func cached() async throws {
        let http = service { _, _ in google(200) }
        let rig = try Rig(http)
        for _ in 0..<3 { _ = await rig.adapter.send(push()) }
        rig.time.advance(by: .seconds(3200))
        _ = await rig.adapter.send(push())
        #expect(grants(http).count == 1)
        rig.time.advance(by: .seconds(200))
        _ = await rig.adapter.send(push())
        #expect(grants(http).count == 2)
        #expect(messages(http).last?.headers["Authorization"] == "Bearer t2")
    }

    @Test("many pushes at once ask for one token")
    func single() async throws {
        let gate = ShutdownSignal()
        let http = StubTransport { request, _ in
            guard request.url == Rig.tokenURL else { return google(200) }
            await gate.wait()
            return grant()
        }
        let adapter = try #require(Rig(http).adapter as? FCMAdapter)
        try await withThrowingTaskGroup(of: PushOutcome.self) { group in
            for _ in 0..<100 { group.addTask { await adapter.send(push()).outcome } }
            try await Eventually.wait("99 waiting") { adapter.tokens.waitingCount == 99 }
            gate.raise()
            for try await outcome in group { #expect(outcome == .delivered) }
        }
        #expect(grants(http).count == 1)
    }

    @Test("401 renews the token once and sends again; a second one waits for the operator")
    func unauthenticated() async throws {
        let http = service { request, _ in
            request.headers["Authorization"] == "Bearer t1" ? google(401) : google(200)
        }
        #expect(try await Rig(http).adapter.send(push()) == PushReport(.delivered, status: 200))
        #expect(grants(http).count == 2)
        let never = service { _, _ in google(401) }
        let report = try await Rig(never).adapter.send(push())
        #expect(report == PushReport(.credential, status: 401, reason: "UNAUTHENTICATED"))
        #expect(grants(never).count == 2)
        #expect(messages(never).count == 2)
    }

    @Test("THIRD_PARTY_AUTH_ERROR is a credential at Google's other side: it stops nobody who needs none")
    func thirdParty() async throws {
        let http = service { request, _ in
            String(decoding: request.body, as: UTF8.self).contains("other-token")
                ? google(200) : google(401, code: "THIRD_PARTY_AUTH_ERROR")
        }
        let adapter = try Rig(http).adapter
        let report = await adapter.send(push())
        #expect(report == PushReport(.credential, status: 401, reason: "THIRD_PARTY_AUTH_ERROR"))
        #expect(await adapter.send(push(token: "other-token-other-token")).outcome == .delivered)
        #expect(
            await adapter.send(push())
                == PushReport(.rejected, status: 401, reason: "THIRD_PARTY_AUTH_ERROR", hop: .credential))
        #expect(grants(http).count == 1, "a new access token would not help")
    }

    @Test("a refused grant is our credential's fault, and nothing is sent")
    func refusedGrants() async throws {
        let http = StubTransport { _, _ in refusedGrant(400, "invalid_grant") }
        let report = try await Rig(http).adapter.send(push())
        #expect(report == PushReport(.credential, status: 400, reason: "invalid_grant"))
        #expect(messages(http).count == 0)
        let broken = StubTransport { _, _ in HTTPResponse(status: 503, headers: ["Retry-After": "9"]) }
        #expect(try await Rig(broken).adapter.send(push()).outcome == .retry(after: .seconds(9), .service))
    }

    @Test("a push is over in less than 30 seconds, also when every answer is late")
    func deadline() async throws {
        let time = ManualTime(timestamp: SystemTime().timestamp)
        let http = StubTransport { request, _ in
            time.advance(by: request.timeout - .milliseconds(1))
            return request.url == Rig.tokenURL ? grant() : google(401)
        }
        let start = time.now
        #expect(try await Rig(http, time: time).adapter.send(push()).outcome == .credential)
        #expect(time.now - start < .seconds(30))
    }

    @Test("MN-1 MN-8 only a bounded registration token is taken as an address")
    func addresses() async throws {
        let http = service { _, _ in google(200) }
        let adapter = try Rig(http).adapter
        #expect(adapter.fault(in: .token(registration)) == nil)
        for text in [
            "", "short", String(repeating: "a", count: 1025), registration + "\"", registration + "/x",
            "ü" + registration,
        ] {
            #expect(adapter.fault(in: .token(text)) != nil, "\(text)")
        }
        #expect(adapter.fault(in: .url("https://a.example/")) != nil)
        let report = await adapter.send(push(token: "\"},\"topic\":\"all-of-them\""))
        #expect(report == PushReport(.rejected, reason: "invalid_address", hop: .token))
        #expect(http.requests.count == 0)
    }
}

@Suite("the configuration of FCM")
struct FCMConfigurationTests {
    private let nothing = NoTransport()

    @Test("the example configuration is read")
    func example() throws {
        let example = try FCMPlugin().example("google")
        let folder = try TemporaryFolder()
        try folder.write(Rig.account().serializedBytes, to: #require(example["serviceAccountFile"]?.string))
        let adapter = try FCMPlugin().adapter(
            example.serialized, folder: folder.path, http: nothing, time: SystemTime())
        #expect(adapter.canClear)
        #expect(try adapter.subscriptionKey() == nil)
    }

    private func faults(_ config: String, account: String) throws -> String {
        let folder = try TemporaryFolder()
        try folder.write(account, to: "a.json")
        do {
            _ = try FCMPlugin().adapter(config, folder: folder.path, http: nothing, time: SystemTime())
            return ""
        } catch let error as ConfigError {
            return error.description
        }
    }

    @Test(
        "faults of the configuration are named",
        arguments: [
            ("{}", "the key 'serviceAccountFile' is missing"),
            (#"{"serviceAccountFile":"none.json"}"#, "serviceAccountFile: cannot read the file"),
            (#"{"serviceAccountfile":"a.json"}"#, "did you mean 'serviceAccountFile'?"),
            (#"{"serviceAccountFile":"a.json","url":"http://x"}"#, "url: "),
        ])
    func config(text: String, message: String) throws {
        let found = try faults(text, account: Rig.account().serialized)
        #expect(found.contains(message), "\(found)")
    }

    private func account(_ change: (inout JSONObject) -> Void) throws -> String {
        var object = try #require(try Rig.account().object)
        change(&object)
        return JSON.object(object).serialized
    }

    @Test("a bad account file is named with file, line and column, and its key never shown")
    func badAccount() throws {
        let config = "{\n  \"serviceAccountFile\": \"a.json\"\n}"
        let key = try #require(try Rig.account()["private_key"]?.string)
        let elliptic = try ES256Key.generate().pem().exposed
        let cases: [(String, String)] = [
            ("{\n  \"type\": \"service_account\",\n  oops", "a.json:3:3: "),
            ("{\n  \"type\": \"authorized_user\"}", "a.json:2:11: type: not the file of a service account"),
            ("[]", "a.json:1:1: expected an object"), ("{}", "a.json:1:1: not the file of a service account"),
            (#"{"project_info":{"project_number":"1"}}"#, "this is an app's google-services.json"),
            (try account { $0["private_key"] = nil }, "the key 'private_key' is missing"),
            (try account { $0["private_key"] = "abc" }, "private_key: not a private key as Google gives it"),
            (
                try account { $0["private_key"] = .string(key.replacing("BEGIN", with: "BEGLN")) },
                "private_key: not a private key as Google gives it"
            ),
            (
                try account { $0["private_key"] = .string(elliptic) },
                "not an RSA key of at least 2048 bits"
            ),
            (try account { $0["client_email"] = "nobody" }, "client_email: not an address"),
            (try account { $0["project_id"] = "a/../b" }, "project_id: not the id of a project"),
            (try account { $0["token_uri"] = "http://oauth.example/token" }, "token_uri: the scheme"),
            (try account { $0["private_key_id"] = "" }, "private_key_id: must not be empty"),
        ]
        for (text, message) in cases {
            let found = try faults(config, account: text)
            #expect(found.contains("config.json:2:25: serviceAccountFile: "), "\(found)")
            #expect(found.contains(message), "\(message): \(found)")
            #expect(!found.contains("PRIVATE KEY"), "\(found)")
        }
    }
}
