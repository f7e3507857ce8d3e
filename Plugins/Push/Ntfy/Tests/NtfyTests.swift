import Base
import Cryptography
import Gateway
import GatewayTestKit
import Testing

@testable import NtfyPush

@Suite("the ntfy adapter")
struct NtfyTests {
    private let topic = Channel.Address.token("alice_7")
    private let time = ManualTime()

    private func adapter(_ http: any HTTPTransport, _ more: String = "") throws -> any PushAdapter {
        try NtfyPlugin().adapter(
            #"{"url":"https://ntfy.example/","token":{"env":"TOKEN"}\#(more)}"#, folder: ".", http: http, time: time,
            environment: ["TOKEN": "tk_secret"], tapPage: "https://bell.example/l/")
    }

    private func answering(_ status: Int, _ headers: HTTPFields = [:], _ body: String = "") -> StubTransport {
        StubTransport { _, _ in HTTPResponse(status: status, headers: headers, body: Array(body.utf8)) }
    }

    private func document(_ request: HTTPRequest?) throws -> JSONObject {
        let request = try #require(request)
        return try #require(try JSONParser.parse(request.body).object)
    }

    @Test("SG-13 a push is published in JSON, with the page to open")
    func request() async throws {
        let http = answering(200)
        let adapter = try adapter(http, #","tags":["bell"],"caFile":"ca.pem""#)
        #expect(await adapter.send(.sample(to: topic)) == PushReport(.delivered, status: 200))
        let request = try #require(http.requests.last)
        #expect(request.method == "POST")
        #expect(request.url == "https://ntfy.example/")
        #expect(request.headers == ["Authorization": "Bearer tk_secret", "Content-Type": "application/json"])
        #expect(request.destination == .any)
        #expect(request.redirectLimit == 0)
        #expect(request.pool == "ntfy:tested")
        #expect(request.caFile == "./ca.pem")
        #expect(
            try document(request) == [
                "topic": "alice_7", "priority": 3, "sequence_id": "c1", "tags": ["bell", "oa"],
                "click": "https://bell.example/l/tap1", "title": "Outlook", "message": "New mail from Bob",
            ])
    }

    @Test(
        "the priority is low, normal or high",
        arguments: [(Message.Priority.low, 2), (.normal, 3), (.high, 4)] as [(Message.Priority, Int64)])
    func priority(priority: Message.Priority, number: Int64) async throws {
        let http = answering(200)
        _ = try await adapter(http).send(.sample(to: topic, priority: priority))
        #expect(try document(http.requests.last)["priority"]?.integer == number)
    }

    @Test("MN-13 a wakeup says only that there is something, in the device's language")
    func wakeup() async throws {
        let http = answering(200)
        let adapter = try adapter(http)
        _ = await adapter.send(.sample(to: topic, payload: .wakeup))
        _ = await adapter.send(.sample(to: topic, payload: .wakeup, locale: "zh-CN"))
        let documents = try http.requests.all.map { try document($0) }
        #expect(documents.map { $0["message"]?.string } == ["You have a message", "您有一条新消息"])
        #expect(documents.allSatisfy { $0["title"] == nil })
    }

    @Test("a device with keys gets a text that only it can read, and nothing else of the message")
    func sealed() async throws {
        let key = try AgreementKey.generate()
        let secret = try SecureRandom.bytes(16)
        let http = answering(200)
        let adapter = try adapter(http, #","tags":["bell"]"#)
        let encryption = Device.Encryption(publicKey: key.publicKey, secret: secret)
        for body in ["New mail from Bob", String(repeating: "語", count: 5000)] {
            #expect(
                await adapter.send(.sample(to: topic, body: body, encryption: encryption)).outcome == .delivered)
        }
        let texts = try http.requests.all.map { request in
            #expect(request.body.count <= NtfyMessage.limit)
            let document = try document(request)
            #expect(document.keys == ["topic", "priority", "sequence_id", "tags", "message"])
            #expect(document["tags"] == ["bell"])
            let message = try #require(document["message"]?.string)
            let text = try JSONParser.parse(Array(message.utf8))
            let sealed = try #require(text["sealed"]?.string.flatMap { [UInt8](base64URL: $0) })
            return String(decoding: try WebPushEncryption.decrypt(sealed, key: key, auth: secret), as: UTF8.self)
        }
        #expect(texts[0] == Push.sampleDocument)
        #expect(texts[1].contains("語…"))
        let broken = Device.Encryption(publicKey: [4] + [UInt8](repeating: 1, count: 64), secret: secret)
        #expect(
            await adapter.send(.sample(to: topic, encryption: broken))
                == PushReport(.rejected, reason: "invalid_encryption_key", hop: .token))
    }

    @Test("the document never exceeds 4096 bytes", arguments: ["a", "👨‍👩‍👧‍👦", "\""])
    func size(unit: String) async throws {
        let http = answering(200)
        let text = String(repeating: unit, count: 6000)
        _ = try await adapter(http).send(.sample(to: topic, title: text, body: text))
        let request = try #require(http.requests.last)
        #expect((4040...4096).contains(request.body.count))
        #expect(try document(request)["message"]?.string?.hasSuffix("\(unit)…") == true)
    }

    @Test("a text too large for the server is left out, once")
    func tooLarge() async throws {
        let http = StubTransport { _, number in HTTPResponse(status: number == 1 ? 413 : 200) }
        #expect(try await adapter(http).send(.sample(to: topic)).outcome == .delivered)
        #expect(
            try http.requests.all.map { try document($0)["message"]?.string }
                == ["New mail from Bob", "You have a message"])
        let small = StubTransport { _, number in
            number == 1 ? HTTPResponse(status: 400, body: Array(#"{"code":40014}"#.utf8)) : HTTPResponse(status: 200)
        }
        #expect(try await adapter(small).send(.sample(to: topic)).outcome == .delivered)
        let always = answering(413)
        #expect(try await adapter(always).send(.sample(to: topic)).reason == "payload_too_large")
        #expect(always.requests.count == 2)
    }

    @Test("taking a message back ends its sequence")
    func clear() async throws {
        let http = answering(200)
        let adapter = try adapter(http)
        #expect(adapter.canClear)
        _ = await adapter.send(.sample(to: topic, clear: ["n1"]))
        _ = await adapter.send(.sample(to: topic, collapse: "no/name", clear: ["n1"]))
        _ = await adapter.send(.sample(to: topic, collapse: "no/name"))
        let first = try #require(http.requests.all.first)
        #expect(first.method == "PUT")
        #expect(first.url == "https://ntfy.example/alice_7/c1/clear")
        #expect(first.body.isEmpty)
        #expect(first.headers == ["Authorization": "Bearer tk_secret"])
        let last = try document(http.requests.last)
        let sequence = try #require(last["sequence_id"]?.string)
        #expect(NtfyTopic.isName(sequence))
        #expect(http.requests.all[1].url == "https://ntfy.example/alice_7/\(sequence)/clear")
    }

    @Test("another server gets neither our token nor a connection to a private address")
    func foreign() async throws {
        let http = answering(200)
        let adapter = try adapter(http, #","allowHosts":["fridge.home"]"#)
        _ = await adapter.send(.sample(to: .url("https://other.example/sub/bob")))
        let request = try #require(http.requests.last)
        #expect(request.url == "https://other.example/sub/")
        #expect(request.headers["Authorization"] == nil)
        #expect(request.destination == .publicExcept(hosts: ["fridge.home"]))
        #expect(request.pool == "ntfy:tested:foreign")
        #expect(try document(request)["topic"]?.string == "bob")
        // A URL on the configured server is that server.
        _ = await adapter.send(.sample(to: .url("https://ntfy.example/bob")))
        #expect(http.requests.last?.headers["Authorization"] == "Bearer tk_secret")
        // And nothing that only begins like it.
        _ = await adapter.send(.sample(to: .url("https://ntfy.example/sub/bob")))
        #expect(http.requests.last?.headers["Authorization"] == nil)
    }

    @Test("only topics are taken as addresses")
    func addresses() throws {
        let adapter = try adapter(answering(200), #","allowHosts":["fridge.home"]"#)
        let longest = String(repeating: "x", count: 64)
        for good in [Channel.Address.token("a"), .token(longest), .token("A-_9"), .url("https://other.example/t")] {
            #expect(adapter.fault(in: good) == nil)
        }
        #expect(adapter.fault(in: .url("http://fridge.home:8080/t")) == nil)
        for bad in [
            Channel.Address.token(""), .token(longest + "x"), .token("a/b"), .token("ü"),
            .url("http://other.example/t"),
            .url("https://other.example/"), .url("https://other.example"), .url("https://other.example/t?x=1"),
            .url("https://other.example/?x=/t"),
            .url("https://a@other.example/t"), .url("https://"), .url("https:///t"),
            .subscription(endpoint: "https://a.example/", p256dh: "", auth: ""),
        ] {
            #expect(adapter.fault(in: bad) != nil, "\(bad)")
        }
    }

    @Test("the operator's server may do without TLS, but not what else is on its host")
    func plain() throws {
        let adapter = try NtfyPlugin().adapter(
            #"{"url":"http://ntfy.lan/sub"}"#, folder: ".", http: answering(200), time: time)
        #expect(adapter.fault(in: .url("http://ntfy.lan/sub/alice")) == nil)
        #expect(adapter.fault(in: .url("http://ntfy.lan/sub/more/alice")) != nil)
        #expect(adapter.fault(in: .url("http://ntfy.lan/alice")) != nil)
    }

    @Test("a bad address that got through is never sent to")
    func badAddress() async throws {
        let http = answering(200)
        let report = try await adapter(http).send(.sample(to: .token("a/b")))
        #expect(report == PushReport(.rejected, reason: "invalid_address", hop: .token))
        #expect(http.requests.count == 0)
    }

    @Test("the example configuration is read")
    func exampleConfiguration() throws {
        let folder = try TemporaryFolder()
        try folder.write("tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2\n", to: "ntfy.token")
        let adapter = try NtfyPlugin().adapter(
            NtfyPlugin().example("ntfy").serialized, folder: folder.path, http: answering(200), time: time)
        #expect(adapter.concurrency == NtfyPlugin.defaultConcurrency)
    }

    @Test(
        "faults of the configuration are named",
        arguments: [
            ("{}", "'url' is missing"), (#"{"url":"ftp://x"}"#, "url"),
            (#"{"url":"https://x","token":"tk_1"}"#, "never as the value itself"),
            (#"{"url":"https://x","token":{"env":"BAD"}}"#, "token: a token has no spaces"),
            (#"{"url":"https://x","tags":["a,b"]}"#, "tags"),
            (#"{"url":"https://x","allowHosts":["x/"]}"#, "allowHosts"),
            (#"{"url":"https://x","tokn":{"env":"BAD"}}"#, "did you mean 'token'?"),
        ])
    func faults(text: String, message: String) throws {
        do {
            _ = try NtfyPlugin().adapter(
                text, folder: ".", http: answering(200), time: time, environment: ["BAD": "tk with space"])
            Issue.record("taken without a fault")
        } catch let error as ConfigError {
            #expect(error.description.contains(message), "\(error)")
            #expect(!error.description.contains("tk with"))
        }
    }
}
