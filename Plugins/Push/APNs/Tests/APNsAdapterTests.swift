import APNsPush
import Base
import Cryptography
import Gateway
import GatewayTestKit
import Testing

@Suite("the APNs adapter")
struct APNsAdapterTests {
    private let nothing = StubTransport { _, _ in apple(200) }

    @Test("a request goes to the device's path over HTTP/2, in the credential's pool")
    func request() async throws {
        let http = StubTransport { _, _ in apple(200) }
        let rig = try Rig(http)
        _ = await rig.adapter.send(push(token: deviceToken.uppercased()))
        let request = try #require(http.requests.last)
        #expect(request.method == "POST")
        #expect(request.url == "https://api.push.apple.com/3/device/\(deviceToken)")
        #expect(request.version == .http2)
        #expect(request.pool == "apns:tested:\(Rig.keyID)")
        #expect(request.redirectLimit == 0)
        #expect(request.timeout <= .seconds(15))
        #expect(request.caFile == nil)
        #expect(request.certificate == nil)
        #expect(request.provesConnections)
    }

    @Test(
        "an environment names Apple's service",
        arguments: [("production", "https://api.push.apple.com"), ("sandbox", "https://api.sandbox.push.apple.com")])
    func environment(name: String, url: String) async throws {
        let http = StubTransport { _, _ in apple(200) }
        _ = try await Rig(http, more: #","environment":"\#(name)""#).adapter.send(push())
        #expect(http.requests.last?.url == "\(url)/3/device/\(deviceToken)")
    }

    @Test("MN-1 MN-8 only a bounded hexadecimal token is taken as an address")
    func addresses() throws {
        let adapter = try Rig(nothing).adapter
        #expect(adapter.fault(in: .token(deviceToken)) == nil)
        #expect(adapter.fault(in: .token(String(repeating: "aB", count: 256))) == nil)
        for text in [
            "", "0af1", deviceToken + "0", String(repeating: "a", count: 514), "../../../x/../../ab",
            "zz" + deviceToken,
        ] {
            #expect(adapter.fault(in: .token(text)) != nil, "\(text)")
        }
        #expect(adapter.fault(in: .url("https://a.example/")) != nil)
        #expect(adapter.fault(in: .subscription(endpoint: "https://a", p256dh: "", auth: "")) != nil)
    }

    @Test("a bad address that got through is never sent to")
    func badAddress() async throws {
        let http = StubTransport { _, _ in apple(200) }
        let report = try await Rig(http).adapter.send(push(token: "../x"))
        #expect(report == PushReport(.rejected, reason: "invalid_address", hop: .token))
        #expect(http.requests.count == 0)
    }

    @Test("the example configuration is read")
    func example() throws {
        let folder = try TemporaryFolder()
        for name in ["apple", "apple-sandbox"] {
            let example = try APNsPlugin().example(name)
            try folder.write(ES256Key.generate().pem().bytes, to: #require(example["keyFile"]?.string))
            let adapter = try APNsPlugin().adapter(
                example.serialized, folder: folder.path, http: nothing, time: SystemTime())
            #expect(adapter.concurrency == APNsPlugin.defaultConcurrency)
            #expect(adapter.canClear)
            #expect(try adapter.subscriptionKey() == nil)
        }
    }

    @Test(
        "faults of the configuration are named",
        arguments: [
            ("{}", ["'teamId' is missing", "'keyId' is missing", "'keyFile' is missing", "'topic' is missing"]),
            (#"{"teamId":"short","keyId":"KEY1234567","keyFile":"key.p8","topic":"t"}"#, ["teamId: expected the ten"]),
            (
                #"{"teamId":"TEAM123456","keyId":"KEY1234567","keyFile":"none.p8","topic":"t"}"#,
                ["keyFile: cannot read the file"]
            ),
            (
                #"{"teamId":"TEAM123456","keyId":"KEY1234567","keyFile":"bad.p8","topic":"t"}"#,
                ["keyFile: not a key as Apple gives it"]
            ),
            (
                #"{"teamId":"TEAM123456","keyId":"KEY1234567","keyFile":"key.p8","topic":"a b"}"#,
                ["topic: expected the app's bundle id"]
            ),
            (
                #"{"teamId":"TEAM123456","keyId":"KEY1234567","keyFile":"key.p8","topic":"t","url":"http://x"}"#,
                ["url: "]
            ),
            (
                #"{"teamId":"TEAM123456","keyId":"KEY1234567","keyFile":"key.p8","topic":"t","url":"https://x","environment":"sandbox"}"#,
                ["url: 'environment' names the service already"]
            ),
            (
                #"{"teamId":"TEAM123456","keyId":"KEY1234567","keyFile":"key.p8","topic":"t","environment":"beta"}"#,
                ["'beta' is not one of production, sandbox"]
            ),
            (
                #"{"keyFile":"key.p8","certificateFile":"none.pem","topic":"t"}"#,
                ["keyFile: a certificate needs no key", "certificateFile: cannot read the file"]
            ),
            (
                #"{"certificateFile":"bad.p8","topic":"t"}"#,
                ["certificateFile: not a certificate with its key"]
            ),
            (
                #"{"teamID":"TEAM123456","keyId":"KEY1234567","keyFile":"key.p8","topic":"t"}"#,
                ["did you mean 'teamId'?"]
            ),
        ])
    func faults(text: String, messages: [String]) throws {
        let folder = try TemporaryFolder()
        try folder.write(ES256Key.generate().pem().bytes, to: "key.p8")
        try folder.write(Array("not a key".utf8), to: "bad.p8")
        do {
            _ = try APNsPlugin().adapter(text, folder: folder.path, http: nothing, time: SystemTime())
            Issue.record("taken without a fault")
        } catch let error as ConfigError {
            for message in messages { #expect(error.description.contains(message), "\(error)") }
        }
    }
}
