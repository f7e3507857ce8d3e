import Base
import Cryptography
import Gateway
import GatewayTestKit
import Glibc
import Testing
import WebPush

@Suite("the Web Push adapter")
struct WebPushAdapterTests {
    private let nothing = StubTransport { _, _ in HTTPResponse(status: 201) }

    /// The claims of a request's VAPID token, its signature checked with the key it names.
    private func claims(_ request: HTTPRequest) throws -> JSONObject {
        let value = try #require(request.headers["Authorization"])
        let parts = try #require(value.hasPrefix("vapid t=") ? value.dropFirst(8).split(separator: ", k=") : nil)
        let key = try #require([UInt8](base64URL: String(parts[1])))
        return try JSONWebToken.verify(String(parts[0]), es256PublicKey: key).claims
    }

    @Test("SG-8 a request has RFC 8030's headers and a body only the browser can read")
    func request() async throws {
        let http = StubTransport { _, _ in HTTPResponse(status: 201) }
        let rig = try Rig(http, more: #","allowHosts":["localhost"],"caFile":"ca.pem""#)
        let browser = try Browser("https://push.example:8443/s/1")
        let expires = rig.time.timestamp + .seconds(3600)
        #expect(await rig.adapter.send(.sample(to: browser.address, expires: expires)).outcome == .delivered)
        let request = try #require(http.requests.last)
        #expect(request.method == "POST")
        #expect(request.url == "https://push.example:8443/s/1")
        #expect(request.headers["TTL"] == "3600")
        #expect(request.headers["Content-Encoding"] == "aes128gcm")
        #expect(request.headers["Urgency"] == "normal")
        #expect(request.headers["Topic"] == "c1")
        #expect(request.destination == .publicExcept(hosts: ["localhost"]))
        #expect(request.redirectLimit == 0)
        #expect(request.pool == "webpush:tested")
        #expect(request.caFile == "\(rig.folder.path)/ca.pem")
        #expect(try browser.text(request) == Push.sampleDocument)
        #expect(
            try claims(request) == [
                "aud": "https://push.example:8443",
                "exp": .integer((rig.time.timestamp + .seconds(12 * 3600)).seconds), "sub": "mailto:a@b.example",
            ])
    }

    @Test("MN-13 a wakeup carries ids only; clearing names what to take away")
    func contents() async throws {
        let browser = try Browser()
        let rig = try Rig(nothing)
        _ = await rig.adapter.send(.sample(to: browser.address, payload: .wakeup))
        #expect(try browser.text(#require(nothing.requests.last)) == Push.sampleIDs)
        _ = await rig.adapter.send(.sample(to: browser.address, clear: ["n1"]))
        #expect(try browser.text(#require(nothing.requests.last)) == #"{"clear":["n1"],"badge":0,"collapse":"c1"}"#)
    }

    @Test("Safari, which punishes pushes that show nothing, gets no clearing push")
    func safari() async throws {
        let browser = try Browser("https://web.push.apple.com/Qabc")
        let rig = try Rig(nothing)
        #expect(await rig.adapter.send(.sample(to: browser.address, clear: ["n1"])).reason == "clear_not_allowed")
        #expect(nothing.requests.count == 0)
        #expect(await rig.adapter.send(.sample(to: browser.address)).outcome == .delivered)
    }

    @Test("a body never exceeds 4096 bytes", arguments: ["a", "👨‍👩‍👧‍👦", "e\u{301}"])
    func size(unit: String) async throws {
        let browser = try Browser()
        let rig = try Rig(nothing)
        let text = String(repeating: unit, count: 6000)
        #expect(await rig.adapter.send(.sample(to: browser.address, title: text, body: text)).outcome == .delivered)
        let request = try #require(nothing.requests.last)
        #expect((4050...4096).contains(request.body.count))
        #expect(try JSONParser.parse(browser.text(request))["body"]?.string?.hasSuffix("\(unit)…") == true)
    }

    @Test("an authorization serves its origin for six hours")
    func reuse() async throws {
        let rig = try Rig(nothing)
        let (one, two) = (try Browser("https://a.example/1"), try Browser("https://a.example/2"))
        let other = try Browser("https://b.example/1")
        for browser in [one, two, other] { _ = await rig.adapter.send(.sample(to: browser.address)) }
        rig.time.advance(by: .seconds(6 * 3600 - 1))
        _ = await rig.adapter.send(.sample(to: one.address))
        rig.time.advance(by: .seconds(1))
        _ = await rig.adapter.send(.sample(to: one.address))
        let values = try nothing.requests.all.map { try #require($0.headers["Authorization"]) }
        #expect(values[0] == values[1])
        #expect(values[0] != values[2])
        #expect(values[0] == values[3])
        #expect(values[0] != values[4])
    }

    @Test("the server's key is made on first use, private, and stays the same")
    func key() async throws {
        let folder = try TemporaryFolder()
        let sink = RecordingLogSink()
        let text = #"{"subject":"mailto:a@b.example","keyFile":"key.pem"}"#
        let adapter = try WebPushPlugin().adapter(
            text, folder: folder.path, http: nothing, time: SystemTime(), log: Log(sink: sink, level: .trace))
        let path = "\(folder.path)/key.pem"
        #expect(!FileSystem.exists(path), "configuring changes nothing")
        let key = try #require(try adapter.subscriptionKey())
        #expect([UInt8](base64URL: key)?.count == 65)
        var status = stat()
        #expect(unsafe stat(path, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
        #expect(sink.records(of: "push.key_created").count == 1)
        let again = try WebPushPlugin().adapter(text, folder: folder.path, http: nothing, time: SystemTime())
        #expect(try again.subscriptionKey() == key)
        #expect(try adapter.subscriptionKey() == key)
    }

    @Test("a key file that cannot be used is never replaced")
    func badKey() async throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("not a key", to: "key.pem")
        #expect(throws: ConfigError.self) {
            try WebPushPlugin().adapter(
                #"{"subject":"mailto:a@b.example","keyFile":"key.pem"}"#, folder: folder.path, http: nothing,
                time: SystemTime())
        }
        #expect(FileSystem.contents(of: path, limit: 100) == Array("not a key".utf8))
        let adapter = try WebPushPlugin().adapter(
            #"{"subject":"mailto:a@b.example","keyFile":"none/key.pem"}"#, folder: folder.path, http: nothing,
            time: SystemTime())
        #expect(throws: (any Error).self) { try adapter.subscriptionKey() }
        let report = await adapter.send(.sample(to: try Browser().address))
        #expect(report == PushReport(.credential, reason: "key_unavailable"))
    }

    @Test("MN-1 MN-8 only a sound subscription is taken as an address")
    func addresses() throws {
        let adapter = try Rig(nothing, more: #","allowHosts":["localhost"]"#).adapter
        let good = try Browser()
        #expect(adapter.fault(in: good.address) == nil)
        let (p256dh, auth) = (good.key.publicKey, good.auth.base64URL)
        func fault(_ endpoint: String, _ key: [UInt8]? = nil, _ secret: String? = nil) -> String? {
            adapter.fault(
                in: .subscription(
                    endpoint: endpoint, p256dh: (key ?? p256dh).base64URL, auth: secret ?? auth))
        }
        #expect(fault("http://localhost:9/x") == nil)
        #expect(fault("http://push.example/x")?.contains("https://") == true)
        #expect(fault("https://a@b/") != nil)
        #expect(fault("file:///etc/passwd") != nil)
        #expect(fault("https://push.example/" + String(repeating: "x", count: 2048)) != nil)
        let endpoint = "https://push.example/x"
        #expect(fault(endpoint, Array(p256dh.dropLast()))?.contains("65 bytes") == true)
        #expect(fault(endpoint, [4] + [UInt8](repeating: 1, count: 64))?.contains("curve") == true)
        #expect(fault(endpoint, [2] + p256dh.dropFirst())?.contains("uncompressed") == true)
        #expect(fault(endpoint, nil, "AAAA")?.contains("16 bytes") == true)
        #expect(fault(endpoint, nil, "%%%") != nil)
        #expect(adapter.fault(in: .token("ab")) != nil)
    }

    @Test("the example configuration is read")
    func exampleConfiguration() throws {
        let folder = try TemporaryFolder()
        let text = try WebPushPlugin().example("browsers").serialized
        let adapter = try WebPushPlugin().adapter(text, folder: folder.path, http: nothing, time: SystemTime())
        #expect(adapter.concurrency == WebPushPlugin.defaultConcurrency)
        #expect(adapter.canClear)
        #expect(try adapter.subscriptionKey() != nil)
        #expect(FileSystem.exists("\(folder.path)/webpush.pem"))
    }

    @Test(
        "faults of the configuration are named",
        arguments: [
            ("{}", "'subject' is missing"), ("{}", "'keyFile' is missing"),
            (#"{"subject":"push@example.com","keyFile":"k"}"#, "subject: expected 'mailto:"),
            (#"{"subject":"http://a","keyFile":"k"}"#, "subject: expected"),
            (#"{"subject":"mailto:a@b.c","keyFile":"k","allowHosts":["https://x"]}"#, "allowHosts"),
            (#"{"subject":"mailto:a@b.c","keyFile":"k","allowHosts":["x:80"]}"#, "without a port"),
            (#"{"subject":"mailto:a@b.c","keyfile":"k"}"#, "did you mean 'keyFile'?"),
        ])
    func faults(text: String, message: String) throws {
        do {
            _ = try WebPushPlugin().adapter(text, folder: ".", http: nothing, time: SystemTime())
            Issue.record("taken without a fault")
        } catch let error as ConfigError {
            #expect(error.description.contains(message), "\(error)")
        }
    }
}
