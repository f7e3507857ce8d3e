import Base
import GatewayTestKit
import Testing

/// Applications that are slow, and calls that somebody plays back, against the built program.
@Suite(.timeLimit(.minutes(3)))
struct CallbackAbuseTests {
    private static let secret = "whsec_" + [UInt8]("a callback's secret of 32 bytes!".utf8).base64

    /// Runs a gateway whose application `oa` is the receiver; `body` gets the application's key, too.
    private static func run(
        _ more: [(String, JSON)] = [],
        _ body: @escaping @Sendable (Scenario, FakeWebhookReceiver, _ key: String) async throws -> Void
    ) async throws {
        var configuration = FakeWebhookReceiver.Configuration(secret: secret)
        configuration.echoes = true
        let application = try FakeWebhookReceiver(configuration)
        defer { application.stop() }
        var callback: JSONObject = [
            "url": .string(application.origin + "/farbell"), "secret": ["file": "callback.secret"],
        ]
        for (key, value) in more { callback.append(key, value) }
        var options = Scenario.Options()
        (options.hasMailServer, options.startsGateway, options.users) = (false, false, ["alice", "bob"])
        options.files = ["callback.secret": secret]
        options.sections = [
            "apps": ["oa": ["name": "OA", "key": ["file": "oa.key"], "callback": .object(callback)]]
        ]
        try await Scenario.run(options) { world in
            world.gateway.keepSecret(secret)
            let made = try await world.gateway.run("app", "key", "oa")
            let key = try #require(made.output.first, "\(made.errors)")
            world.gateway.keepSecret(key)
            try await world.gateway.start()
            try await world.log.wait(for: "callback.proven")
            try await body(world, application, key)
        }
    }

    @Test("IM-1 an application that does not answer holds up nobody else, and gets everything in order afterwards")
    func slow() async throws {
        try await Self.run([("timeoutSeconds", 1)]) { world, application, _ in
            application.setStanding(.hang)
            let (alice, bob) = (try await world.phone("alice"), try await world.phone("bob"))
            for (phone, text) in [(alice, "first"), (alice, "second"), (bob, "other")] {
                let body: JSON = ["to": ["app": "oa"], "body": .string(text)]
                _ = try await phone.client.call("POST", "/v1/messages", body)
            }
            let retry = try await world.log.wait(for: "callback.retry")
            #expect(retry["reason"]?.contains("time") == true, "\(retry)")
            _ = try await alice.client.call("POST", "/v1/messages", ["to": ["account": "bob"], "body": "meanwhile"])
            _ = try #require(try await bob.wait(1).first)
            #expect(application.calls.all.isEmpty)
            application.setStanding(nil)
            try await Eventually.wait("all calls", for: .seconds(60)) { application.calls.all.count >= 3 }
            let texts = application.calls.all.compactMap { $0.json?["body"]?.string }
            #expect(Set(texts) == ["first", "second", "other"])
            #expect(texts.filter { $0 != "other" } == ["first", "second"])
        }
    }

    @Test("IM-1 a recorded call that is played back counts once; changed in any way it counts not at all")
    func replayed() async throws {
        let port = try ServerPort.next()
        try await Self.run { world, recorder, key in
            try world.gateway.folder.write(key, to: "application.key")
            let root = "/" + #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
            let example = try await ChildProcess(
                "/usr/bin/env",
                [
                    "FARBELL=http://127.0.0.1:\(world.gateway.port)",
                    "FARBELL_KEY_FILE=\(world.gateway.folder.file("application.key"))",
                    "CALLBACK_SECRET=\(Self.secret)", "python3", "\(root)/Documentation/Examples/approvals.py",
                    "\(port)",
                ])
            defer { example.terminate() }
            try await Eventually.wait("the example") {
                (try? await PlainHTTP.send("GET", "/cases", port: port).status) == 200
            }
            let alice = try await world.phone("alice")
            let wish: JSON = ["who": "alice", "what": "a new chair"]
            _ = try await PlainHTTP.send("POST", "/ask", port: port, body: wish.serializedBytes)
            _ = try #require(try await alice.wait(1).first)
            let page = try await alice.client.call("GET", "/v1/messages?queue=account/alice")
            let question = try #require(page["items"]?[0]?["id"]?.string)
            _ = try await alice.client.call("POST", "/v1/messages/\(question)/reply", ["body": "yes"])
            let call = try await Eventually.value("the call") {
                recorder.calls.all.first { $0.json?["type"] == "message" }
            }

            func play(_ change: (inout HTTPFields) -> Void = { _ in }, body: [UInt8]? = nil) async throws -> Int {
                var headers = HTTPFields()
                for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
                    headers[name] = call.headers[name]
                }
                change(&headers)
                return try await PlainHTTP.send(
                    "POST", "/farbell", port: port, headers: headers, body: body ?? call.body
                ).status
            }
            func confirmations() async throws -> Int {
                let page = try await alice.client.call("GET", "/v1/messages?queue=account/alice")
                return page["items"]?.array?.count { $0["body"] == "Noted: a new chair is approved." } ?? 0
            }
            let text = String(decoding: call.body, as: UTF8.self)
            #expect(try await play(body: Array(text.replacing("yes", with: "no").utf8)) == 401)
            #expect(try await play { $0["webhook-timestamp"] = "1" } == 401)
            #expect(try await play { $0["webhook-id"] = "another" } == 401)
            #expect(try await play { $0["webhook-signature"] = nil } == 401)
            // Signed as it must be, but long ago.
            let id = try #require(call.id)
            let old = try #require(call.headers["webhook-timestamp"].flatMap { Int64($0) }) - 301
            let signature = StandardWebhook.signature(
                id: id, timestamp: "\(old)", body: call.body, key: Array("a callback's secret of 32 bytes!".utf8))
            #expect(
                try await play {
                    ($0["webhook-timestamp"], $0["webhook-signature"]) = ("\(old)", signature)
                } == 401)
            #expect(try await confirmations() == 0)
            for _ in 0..<3 { #expect(try await play() == 200) }
            #expect(try await confirmations() == 1)
        }
    }
}
