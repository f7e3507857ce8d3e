import Base
import Gateway
import GatewayTestKit
import GotifyPush
import Outbound
import Testing

/// Over loopback, through the real client, against a server that checks everything.
@Suite("Gotify against a server") final class GotifyServiceTests {
    private let server: FakeGotify
    private let client: HTTPClient
    private let adapter: any PushAdapter

    init() throws {
        client = try HTTPClient()
        server = try FakeGotify()
        adapter = try GotifyPlugin().adapter(
            #"{"url":"\#(server.origin)"}"#, folder: ".", http: client, time: SystemTime(),
            tapPage: "https://bell.example/l/")
    }

    deinit { server.stop() }

    @Test("SG-8 SG-13 a message arrives at the application, until the application is deleted")
    func delivered() async throws {
        let (mine, other) = (server.makeApplication(), server.makeApplication())
        #expect(adapter.fault(in: .token(mine)) == nil)
        #expect(await adapter.send(.sample(to: .token(mine))) == PushReport(.delivered, status: 200))
        let message = try #require(server.messages.last)
        #expect(message.token == mine)
        #expect(message.title == "Outlook")
        #expect(message.message == "New mail from Bob")
        #expect(message.priority == 5)
        #expect(
            message.extras["client::notification"]?["click"]?["url"]?.string == "https://bell.example/l/tap1")
        server.deleteApplication(mine)
        #expect(
            await adapter.send(.sample(to: .token(mine)))
                == PushReport(.gone(since: nil), status: 401, reason: "unknown_application"))
        #expect(await adapter.send(.sample(to: .token(other))).outcome == .delivered)
    }

    @Test("the longest texts, wakeups and pushes without a body are what Gotify takes", arguments: ["a", "語", "\"\\"])
    func longest(unit: String) async throws {
        let token = Channel.Address.token(server.makeApplication())
        let text = String(repeating: unit, count: 20_000)
        #expect(await adapter.send(.sample(to: token, title: text, body: text)).outcome == .delivered)
        #expect(await adapter.send(.sample(to: token, payload: .wakeup)).outcome == .delivered)
        #expect(await adapter.send(.sample(to: token, body: nil)).outcome == .delivered)
        #expect(server.refusals.all == [])
    }

    @Test("limits, errors, redirects and cut connections")
    func faults() async throws {
        let token = server.makeApplication()
        server.script(
            token: token, .reset, .status(429, retryAfter: "9"), .status(500),
            .redirect(301, location: "http://localhost:1/"), .status(413))
        func send() async -> PushReport { await adapter.send(.sample(to: .token(token))) }
        // On a fresh connection: on one used before, libcurl itself sends again.
        #expect(await send().outcome == .retry(after: nil, .service))
        #expect(await send().outcome == .retry(after: .seconds(9), .service))
        #expect(await send().outcome == .retry(after: nil, .service))
        #expect(await send().reason == "redirect")
        #expect(await send().outcome == .delivered)
        #expect(server.messages.all.map(\.message) == ["You have a message"])
    }

    @Test(
        "the fake refuses what Gotify refuses",
        arguments: [
            ("/message", #"{"title":"x"}"#, 400), ("/message", #"{"message":"x","priority":"5"}"#, 400),
            ("/message", #"{"message":"x","more":1}"#, 400), ("/message", "x", 400), ("/messages", "{}", 404),
        ])
    func strictness(path: String, body: String, status: Int) async throws {
        let response = try await client.send(
            HTTPRequest(
                "POST", server.origin + path,
                headers: ["Content-Type": "application/json", "X-Gotify-Key": server.makeApplication()],
                body: Array(body.utf8)))
        #expect(response.status == status)
        #expect(try JSONParser.parse(response.body)["errorCode"]?.integer == Int64(status))
        #expect(server.messages.count == 0)
    }
}
