import Base
import Gateway
import GatewayTestKit
import Outbound
import Testing

@testable import APNsPush

/// Everything a service can do to a push, against the adapter through the real HTTP client.
@Suite("APNs when things go wrong", .timeLimit(.minutes(2))) final class APNsFaultTests {
    /// The real client with less patience, so that nobody waits 14 seconds for a test.
    private struct Impatient: HTTPTransport {
        let client: HTTPClient

        func send(_ request: HTTPRequest) async throws -> HTTPResponse {
            var request = request
            request.timeout = .milliseconds(700)
            return try await client.send(request)
        }

        func retireConnections(ofPool name: String) { client.retireConnections(ofPool: name) }
    }

    private let authority: TestCertificateAuthority
    private let apple: FakeAPNs
    private let rig: Rig
    private let key: ECKey
    private let client: HTTPClient
    private var adapter: any PushAdapter { rig.adapter }

    init() throws {
        authority = try TestCertificateAuthority()
        key = try ECKey()
        var configuration = FakeAPNs.Configuration(
            keys: [.init(teamID: Rig.team, keyID: Rig.keyID, key: key)], topics: ["com.example.client": Rig.team])
        configuration.acceptsAnyDevice = true
        apple = try FakeAPNs(configuration, identity: authority.localhost)
        client = try HTTPClient()
        rig = try Rig(
            client, pem: Secret(bytes: key.privatePEM()),
            more: #","url":"\#(apple.origin)","caFile":"\#(authority.caFile)""#)
    }

    deinit { apple.stop() }

    private func id(_ number: Int) -> String {
        let digits = String(number)
        return "11111111-2222-4333-8444-" + String(repeating: "0", count: 12 - digits.count) + digits
    }

    /// Sends pushes with ids of their own, all at once, each again until it is not to be repeated, as the host does;
    /// returns how many attempts that took.
    private func sendAll(_ numbers: Range<Int>) async -> Int {
        await withTaskGroup(of: Int.self) { group in
            for number in numbers {
                group.addTask { [adapter, id = id(number)] in
                    for attempt in 1...20 {
                        let report = await adapter.send(push(id: id))
                        if case .retry = report.outcome { continue }
                        #expect(report == PushReport(.delivered, status: 200))
                        return attempt
                    }
                    return 1000
                }
            }
            return await group.reduce(0, +)
        }
    }

    /// How often each id was accepted.
    private var accepted: [String: Int] {
        apple.pushes.all.reduce(into: [:]) { $0[$1.apnsID, default: 0] += 1 }
    }

    @Test("429 with Retry-After pauses the device, a burst of 503 the service; then the push is taken once")
    func busy() async throws {
        apple.script(.status(429, reason: "TooManyRequests", retryAfter: 60))
        apple.script(repeating: .status(503, reason: "ServiceUnavailable", retryAfter: 900), count: 3)
        #expect(
            await adapter.send(push())
                == PushReport(.retry(after: .seconds(60), .device), status: 429, reason: "TooManyRequests"))
        for _ in 0..<3 {
            #expect(
                await adapter.send(push())
                    == PushReport(.retry(after: .seconds(900), .service), status: 503, reason: "ServiceUnavailable"))
        }
        #expect(await adapter.send(push()).outcome == .delivered)
        #expect(apple.pushes.count == 1)
        // After each failure of the service its connection is not used again.
        #expect(apple.counts.connections == 4)
    }

    @Test(
        "410 says since when, long ago or in the future; what that means the host decides",
        arguments: [
            Int64(1000), 4_000_000_000_000,
        ])
    func gone(milliseconds: Int64) async throws {
        for reason in ["Unregistered", "ExpiredToken"] {
            apple.script(.gone(timestampMilliseconds: milliseconds, reason: reason))
            #expect(
                await adapter.send(push())
                    == PushReport(.gone(since: Timestamp(milliseconds: milliseconds)), status: 410, reason: reason))
        }
    }

    @Test("a refused stream is sent again at once under the same id, and taken once")
    func refusedStream() async throws {
        #expect(await adapter.send(push(id: id(0))).outcome == .delivered)
        apple.script(.refuseStream)
        #expect(await adapter.send(push(id: id(1))) == PushReport(.delivered, status: 200))
        #expect(apple.requests.all.count { $0.headers["apns-id"] == self.id(1) } == 2)
        #expect(accepted == [id(0): 1, id(1): 1])
    }

    @Test("among many pushes a refused stream, or an end of the connection, opens no second one for more than a push")
    func replacedConnection() async throws {
        #expect(await sendAll(0..<1) == 1)
        for (number, fault) in [HTTPFault.refuseStream, .goAway(afterStreams: 10), .goAway(afterStreams: 0)]
            .enumerated()
        {
            apple.setStanding(.delay(milliseconds: 20))
            apple.script(.delay(milliseconds: 5), fault)
            let start = 1 + number * 200
            _ = await sendAll(start..<start + 200)
            #expect((start..<start + 200).allSatisfy { accepted[id($0)] != nil }, "\(fault)")
        }
        // What was under way when a connection ended may be taken twice, under the same id.
        #expect(apple.counts.refusedForLimit == 0)
        #expect(apple.counts.connections > 1)
        apple.setStanding(nil)
    }

    @Test("a connection cut while idle: the burst that follows proves the new one with a single push")
    func cutWhileIdle() async throws {
        #expect(await sendAll(0..<50) == 50)
        try await apple.listener.dropConnections()
        apple.setStanding(.delay(milliseconds: 10))
        _ = await sendAll(50..<250)
        #expect(apple.counts.refusedForLimit == 0)
        #expect(accepted.count == 250)
        #expect(accepted.values.allSatisfy { $0 == 1 })
    }

    @Test("a stream limit cut to one is obeyed, and nothing is lost or taken twice")
    func streamLimit() async throws {
        #expect(await sendAll(0..<1) == 1)
        apple.script(.streamLimit(1))
        _ = await sendAll(1..<2)
        apple.setStanding(.delay(milliseconds: 1))
        let attempts = await sendAll(2..<102)
        #expect(attempts == 100)
        #expect(accepted.count == 102)
        #expect(accepted.values.allSatisfy { $0 == 1 })
    }

    @Test("GOAWAY with a push above its last stream: the push is tried again under the same ids, and taken once")
    func goAway() async throws {
        #expect(await adapter.send(push(id: id(0))).outcome == .delivered)
        apple.script(.goAway(afterStreams: 0))
        _ = await sendAll(1..<2)
        #expect(accepted == [id(0): 1, id(1): 1])
        #expect(Set(apple.requests.all.dropFirst().map { $0.headers["apns-collapse-id"] }) == ["c1"])
    }

    @Test("a push that is never answered times out, and the next one takes another connection")
    func hang() async throws {
        let impatient = try Rig(
            Impatient(client: client), pem: Secret(bytes: key.privatePEM()),
            more: #","url":"\#(apple.origin)","caFile":"\#(authority.caFile)""#)
        #expect(await impatient.adapter.send(push()).outcome == .delivered)
        apple.script(.hang)
        #expect(
            await impatient.adapter.send(push())
                == PushReport(.retry(after: nil, .service), reason: "timeout", hop: .service))
        #expect(await impatient.adapter.send(push()) == PushReport(.delivered, status: 200))
        #expect(apple.counts.connections == 2)
    }

    @Test(
        "a stream or connection lost before or after the push was taken: a repeat has the same id",
        arguments: [
            (HTTPFault.reset, 1), (.acceptThenReset, 2), (.dropConnection, 1), (.acceptThenDrop, 2), (.garbage, 1),
        ])
    func lost(fault: HTTPFault, times: Int) async throws {
        // On a connection that has served before libcurl repeats by itself; on a new one the host does.
        for round in 0..<2 {
            if round == 1 { #expect(await adapter.send(push(id: id(7))).outcome == .delivered) }
            apple.script(fault)
            _ = await sendAll(round..<round + 1)
            #expect(accepted[id(round)] == times, "\(fault)")
        }
    }

    @Test("an answer that cannot be read and an empty DATA frame before the real one change nothing")
    func strangeAnswers() async throws {
        apple.script(
            .emptyDataFrame, .afterEmptyData(.status(400, reason: "BadTopic")), .garbageBody(500), .garbageBody(410))
        #expect(await adapter.send(push()) == PushReport(.delivered, status: 200))
        #expect(await adapter.send(push()).reason == "BadTopic")
        #expect(await adapter.send(push()).reason == "no_reason")
        #expect(await adapter.send(push()) == PushReport(.gone(since: nil), status: 410, reason: "no_reason"))
        #expect(apple.counts.connections == 2)
    }

    @Test("a payload Apple calls too large is sent again by its ids alone, once, under the same id")
    func tooLarge() async throws {
        apple.script(.status(413, reason: "PayloadTooLarge"))
        #expect(await adapter.send(push()) == PushReport(.delivered, status: 200))
        let requests = apple.requests.all
        #expect(requests.map { $0.headers["apns-push-type"] } == ["alert", "background"])
        #expect(Set(requests.map { $0.headers["apns-id"] }).count == 1)
    }
}
