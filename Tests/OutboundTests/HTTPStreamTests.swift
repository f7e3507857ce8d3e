import Base
import GatewayTestKit
import Testing

@testable import Outbound

/// Answers that go on, against a peer that sends them piece by piece.
@Suite(.timeLimit(.minutes(3)))
struct HTTPStreamTests {
    let client: HTTPClient
    let time = SystemTime()
    let peer: HTTPPeer
    /// What every request is answered with; `/hang` never is.
    let stream = PeerStream()

    init() throws {
        client = try HTTPClient()
        peer = try HTTPPeer(name: "stream", identity: nil) { [stream] request in
            switch request.path {
            case "/hang": PeerReply(.hang)
            case "/redirect": .answer(302, headers: ["Location": "/stream"], body: Array("moved".utf8))
            case "/plain": .answer(404, body: Array("nothing here".utf8))
            case "/empty": .answer(204)
            default: PeerReply(.stream(status: 200, headers: ["X-Kind": "events"], stream))
            }
        }
    }

    private var soon: Moment { time.now + .seconds(20) }

    private func request(_ path: String = "/stream") -> HTTPRequest {
        HTTPRequest("GET", "http://127.0.0.1:\(peer.port)\(path)")
    }

    private func text(_ bytes: [UInt8]?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

    private func code(_ body: () async throws -> Void) async -> HTTPTransportError.Code? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? HTTPTransportError)?.code
        }
    }

    @Test("an answer is there with its header, its body comes piece by piece and ends")
    func pieces() async throws {
        let answer = try await client.open(request())
        #expect(answer.head.status == 200 && answer.head.headers["x-kind"] == "events" && answer.head.body.isEmpty)
        stream.send("one")
        #expect(text(try await answer.next(until: soon)) == "one")
        async let late = answer.next(until: soon)
        stream.send("two")
        #expect(text(try await late) == "two")
        #expect(await client.statistics().streams == 1)
        stream.finish()
        #expect(try await answer.next(until: soon) == nil)
        #expect(try await answer.next(until: soon) == nil)
        #expect(await client.statistics().running == 0)
    }

    @Test("an answer of another kind is handed out all the same, and one without a body ends at once")
    func plainAnswers() async throws {
        let plain = try await client.open(request("/plain"))
        #expect(plain.head.status == 404)
        #expect(text(try await plain.next(until: soon)) == "nothing here")
        #expect(try await plain.next(until: soon) == nil)
        let empty = try await client.open(request("/empty"))
        #expect(empty.head.status == 204)
        #expect(try await empty.next(until: soon) == nil)
        var moved = request("/redirect")
        #expect(try await client.open(moved).head.status == 302)
        moved.redirectLimit = 1
        stream.send("there")
        let followed = try await client.open(moved)
        #expect(followed.head.status == 200 && followed.head.headers["Location"] == nil)
        #expect(text(try await followed.next(until: soon)) == "there")
    }

    @Test("no more than the limit waits here: a slow reader stops the sender, and gets every byte")
    func backPressure() async throws {
        var request = request()
        request.responseLimit = 10_000
        let answer = try await client.open(request)
        let total = 16 << 20
        stream.send((0..<total).map { UInt8(truncatingIfNeeded: $0 ^ $0 >> 8) })
        // What the sender cannot get rid of has to stay with it: the sockets' buffers take a few MiB.
        try await Eventually.wait("what the test waits for") { stream.unsentBytes > 0 }
        var place = 0
        while place < total {
            guard let chunk = try await answer.next(until: soon) else { break }
            #expect(chunk.count <= 16_384)
            let isRight = chunk.enumerated().allSatisfy { index, byte in
                byte == UInt8(truncatingIfNeeded: (place + index) ^ (place + index) >> 8)
            }
            guard isRight else { return #expect(Bool(false), "the bytes near \(place) are others") }
            place += chunk.count
        }
        #expect(place == total)
        stream.finish()
        #expect(try await answer.next(until: soon) == nil)
    }

    @Test("silence ends a wait at its deadline, and the stream with it")
    func deadlines() async throws {
        let answer = try await client.open(request())
        let due = time.now + .milliseconds(40)
        #expect(await code { _ = try await answer.next(until: due) } == .timeout)
        #expect(time.now >= due)
        #expect(await code { _ = try await answer.next(until: soon) } == .timeout)
        try await Eventually.wait("what the test waits for") { !stream.isOpen }
        var silent = request("/hang")
        silent.timeout = .milliseconds(40)
        #expect(await code { _ = try await client.open(silent) } == .timeout)
        #expect(await client.statistics().streams == 1)
    }

    @Test("a cancelled wait loses nothing; a cancelled opening leaves nothing behind")
    func cancellation() async throws {
        let answer = try await client.open(request())
        let waiting = Task { try await answer.next(until: soon) }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { _ = try await waiting.value }
        stream.send("kept")
        #expect(text(try await answer.next(until: soon)) == "kept")
        let opening = Task { try await client.open(request("/hang")) }
        try await Eventually.wait("what the test waits for") { peer.counts.requests == 2 }
        opening.cancel()
        await #expect(throws: CancellationError.self) { _ = try await opening.value }
        try await Eventually.wait("what the test waits for") { try await peer.listener.openConnections() == 1 }
        #expect(await client.statistics().streams == 1)
    }

    @Test("a closed stream, or one that nobody holds, leaves the wire")
    func closing() async throws {
        let answer = try await client.open(request())
        async let waits = code { _ = try await answer.next(until: soon) }
        answer.close()
        answer.close()
        #expect(await waits == .stopped)
        #expect(await code { _ = try await answer.next(until: soon) } == .stopped)
        try await Eventually.wait("what the test waits for") { try await peer.listener.openConnections() == 0 }
        do {
            let other = try await client.open(request("/hold"))
            #expect(other.head.status == 200)
        }
        try await Eventually.wait("what the test waits for") { try await peer.listener.openConnections() == 0 }
    }

    @Test("a connection that breaks is an error, not the end of the body")
    func broken() async throws {
        let answer = try await client.open(request())
        stream.send("half")
        #expect(text(try await answer.next(until: soon)) == "half")
        stream.abort()
        #expect(await code { _ = try await answer.next(until: soon) } == .connectionLost)
        #expect(await code { _ = try await client.open(HTTPRequest("GET", "http://127.0.0.1:1/")) } == .connect)
    }

    @Test("streams are counted, take no place from short requests, and end when the client stops")
    func limits() async throws {
        var configuration = HTTPClient.Configuration()
        (configuration.streams, configuration.connectionsPerHost) = (12, 1)
        let client = try HTTPClient(configuration)
        let peer = try HTTPPeer(name: "many", identity: nil) { request in
            request.path == "/short"
                ? .answer(200) : PeerReply(.stream(status: 200, headers: [:], PeerStream()))
        }
        var open: [any HTTPStream] = []
        for _ in 0..<12 { open.append(try await client.open(HTTPRequest("GET", "http://127.0.0.1:\(peer.port)/"))) }
        let more = HTTPRequest("GET", "http://127.0.0.1:\(peer.port)/short")
        #expect(await code { _ = try await client.open(more) } == .overloaded)
        #expect(try await client.send(more).status == 200)
        open.removeLast()
        _ = try await client.open(more)
        let first = open[0]
        async let waits = code { _ = try await first.next(until: soon) }
        client.beginShutdown()
        #expect(await code { _ = try await client.open(more) } == .stopped)
        try await client.run()
        #expect(await waits == .stopped)
    }
}
