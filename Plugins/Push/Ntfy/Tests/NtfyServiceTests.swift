import Base
import Gateway
import GatewayTestKit
import NtfyPush
import Outbound
import Testing

/// Over loopback, through the real client, against a server that checks everything.
@Suite("ntfy against a server") final class NtfyServiceTests {
    private let server: FakeNtfy
    private let client: HTTPClient

    init() throws {
        client = try HTTPClient()
        var configuration = FakeNtfy.Configuration()
        configuration.tokens = ["tk_good"]
        configuration.readOnly = ["news"]
        server = try FakeNtfy(configuration)
    }

    deinit { server.stop() }

    private func adapter(
        _ server: FakeNtfy, token: String? = "tk_good", url: String? = nil, more: String = ""
    ) throws -> any PushAdapter {
        let secret = token == nil ? "" : #","token":{"env":"TOKEN"}"#
        return try NtfyPlugin().adapter(
            #"{"url":"\#(url ?? server.origin)"\#(secret)\#(more)}"#, folder: ".", http: client, time: SystemTime(),
            environment: ["TOKEN": token ?? ""], tapPage: "https://bell.example/l/")
    }

    @Test("SG-8 SG-13 a message is published, replaced and taken back")
    func delivered() async throws {
        let adapter = try adapter(server)
        for title in ["Outlook", "Outlook again"] {
            let report = await adapter.send(.sample(to: .token("alice"), title: title, priority: .high))
            #expect(report == PushReport(.delivered, status: 200))
        }
        #expect(await adapter.send(.sample(to: .token("alice"), clear: ["n1"])).outcome == .delivered)
        let messages = server.messages.all
        #expect(messages.map(\.title) == ["Outlook", "Outlook again"])
        #expect(messages.map(\.sequence) == ["c1", "c1"])
        #expect(messages.map(\.priority) == [4, 4])
        #expect(messages.map(\.click) == ["https://bell.example/l/tap1", "https://bell.example/l/tap1"])
        #expect(messages.map(\.tags) == [["oa"], ["oa"]])
        #expect(server.clears.all == [FakeNtfy.Clear(topic: "alice", sequence: "c1")])
        #expect(server.refusals.all == [])
    }

    @Test("the longest texts, wakeups and pushes without a tap are what ntfy takes", arguments: ["a", "語", "\"\\"])
    func longest(unit: String) async throws {
        let adapter = try adapter(server)
        let text = String(repeating: unit, count: 5000)
        #expect(await adapter.send(.sample(to: .token("a"), title: text, body: text)).outcome == .delivered)
        #expect(await adapter.send(.sample(to: .token("a"), payload: .wakeup)).outcome == .delivered)
        #expect(await adapter.send(.sample(to: .token("a"), body: nil)).outcome == .delivered)
        #expect(server.refusals.all == [])
    }

    @Test("a token that is no good stops the lane; a forbidden topic does not")
    func authorization() async throws {
        let bad = try adapter(server, token: "tk_bad")
        #expect(
            await bad.send(.sample(to: .token("alice"))) == PushReport(.credential, status: 401, reason: "unauthorized")
        )
        let none = try adapter(server, token: nil)
        #expect(
            await none.send(.sample(to: .token("alice")))
                == PushReport(.rejected, status: 403, reason: "forbidden", hop: .credential))
        let good = try adapter(server)
        #expect(
            await good.send(.sample(to: .token("news")))
                == PushReport(.rejected, status: 403, reason: "forbidden", hop: .credential))
        #expect(server.messages.count == 0)
    }

    @Test("a topic at another server gets no token, and none at a private address unless that is allowed")
    func foreign() async throws {
        let other = try FakeNtfy()
        defer { other.stop() }
        let topic = Channel.Address.url("\(other.origin)/bob")
        let strict = try adapter(server)
        #expect(strict.fault(in: topic) != nil)
        let open = try adapter(server, more: #","allowHosts":["localhost"]"#)
        #expect(await open.send(.sample(to: topic)).outcome == .delivered)
        #expect(other.messages.all.map(\.topic) == ["bob"])
        #expect(other.messages.last?.authorization == nil)
        #expect(server.counts.requests == 0)
        let authority = try TestCertificateAuthority()
        let secure = try FakeNtfy(.init(identity: authority.localhost))
        defer { secure.stop() }
        let refused = try await adapter(server, more: #","caFile":"\#(authority.caFile)""#)
            .send(.sample(to: .url("\(secure.origin)/bob")))
        #expect(refused == PushReport(.rejected, reason: "address_refused", hop: .token))
        #expect(secure.counts.connections == 0)
    }

    @Test("limits, errors, redirects and cut connections")
    func faults() async throws {
        let adapter = try adapter(server)
        server.script(
            topic: "alice", .reset, .status(429, retryAfter: "9"), .status(507), .status(500),
            .redirect(301, location: "http://localhost:1/"), .status(413))
        func send() async -> PushReport { await adapter.send(.sample(to: .token("alice"))) }
        // On a fresh connection: on one used before, libcurl itself sends again.
        #expect(await send().outcome == .retry(after: nil, .service))
        #expect(await send().outcome == .retry(after: .seconds(9), .service))
        #expect(await send().outcome == .retry(after: .seconds(300), .device))
        #expect(await send().outcome == .retry(after: nil, .service))
        #expect(await send().reason == "redirect")
        #expect(await send().outcome == .delivered)
        #expect(server.messages.all.map(\.message) == ["You have a message"])
    }

    @Test("an old server publishes, but cannot take back")
    func old() async throws {
        var configuration = FakeNtfy.Configuration()
        configuration.isOld = true
        let old = try FakeNtfy(configuration)
        defer { old.stop() }
        let adapter = try adapter(old, token: nil)
        #expect(await adapter.send(.sample(to: .token("alice"))).outcome == .delivered)
        #expect(await adapter.send(.sample(to: .token("alice"), clear: ["n1"])).reason == "clear_not_supported")
    }

    @Test("nobody at the configured address is the server's trouble")
    func nobody() async throws {
        let origin = server.origin
        server.stop()
        let report = try await adapter(server, url: origin).send(.sample(to: .token("alice")))
        #expect(report == PushReport(.retry(after: nil, .service), reason: "connect", hop: .tcp))
    }

    @Test(
        "the fake refuses what ntfy refuses",
        arguments: [
            (#"{"topic":"a/b"}"#, 40_009), (#"{"topic":"docs"}"#, 40_010), (#"{"topic":"a","priority":6}"#, 40_007),
            (#"{"topic":"a","tag":[]}"#, 40_017), (#"{"topic":"a","sequence_id":"a b"}"#, 40_017),
            (#"{"topic":"a","tags":["a,b"]}"#, 40_017), ("x", 40_017),
        ])
    func strictness(body: String, code: Int) async throws {
        let response = try await client.send(
            HTTPRequest(
                "POST", "\(server.origin)/",
                headers: ["Content-Type": "application/json", "Authorization": "Bearer tk_good"],
                body: Array(body.utf8)))
        #expect(response.status == code / 100)
        #expect(try JSONParser.parse(response.body)["code"]?.integer == Int64(code))
        #expect(server.messages.count == 0)
    }
}
