import Base
import Foundation
import GatewayTestKit
import Inbound
import Testing

@testable import FarbellClient

/// The real transport against real servers on the loopback address.
@Suite(.timeLimit(.minutes(2))) struct TransportTests {
    private static func client(
        _ port: Int, _ transport: URLSessionTransport = URLSessionTransport()
    ) throws
        -> FarbellClient
    {
        let url = try #require(URL(string: "http://127.0.0.1:\(port)"))
        var client = FarbellClient(server: url, token: "token", transport: transport)
        client.retry = .never
        return client
    }

    /// Runs the gateway's own HTTP server with some routes.
    private static func withServer(
        _ routes: (inout Router) -> Void, limits change: (inout ServerLimits) -> Void = { _ in },
        _ body: @escaping @Sendable (Int, Server) async throws -> Void
    ) async throws {
        var router = Router()
        routes(&router)
        var limits = ServerLimits()
        limits.stream.tick = .milliseconds(20)
        limits.drainTimeout = .seconds(2)
        change(&limits)
        let server = try Server(
            ServerConfiguration(limits: limits, threads: 2), handler: router, log: Log(sink: NullLogSink()))
        try server.listen()
        let port = Int(try #require(server.port))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            defer { server.beginShutdown() }
            try await body(port, server)
            server.beginShutdown()
            try await group.waitForAll()
        }
    }

    @Test("connections are reused; after one that the server closed, the next call is not lost")
    func reuse() async throws {
        let peer = try HTTPPeer(name: "gateway", identity: nil) { request in
            var reply = PeerReply.answer(204)
            if request.path.hasSuffix("close/read") { reply.goAwayAfter = 0 }
            return reply
        }
        defer { peer.stop() }
        let client = try Self.client(peer.port)
        for _ in 0..<20 { try await client.read("m") }
        #expect(peer.counts.connections == 1 && peer.counts.requests == 20)
        try await client.read("close")
        for _ in 0..<3 { try await client.read("m") }
        #expect(peer.counts.connections == 2 && peer.counts.requests == 24)
    }

    @Test("answers large and small arrive whole, requests too; a redirect is not followed")
    func bodies() async throws {
        try await Self.withServer({ router in
            router.addNow("POST", "/v1/messages") { request in
                .json(["messages": [["id": .string("\(request.body.count)"), "to": "a", "seq": 1, "state": "held"]]])
            }
            router.addNow("GET", "/v1/messages/{id}") { _ in
                let detail = String(repeating: "0123456789", count: 500_000)
                return .json([
                    "id": "m", "state": "done",
                    "history": [
                        ["at": "2026-11-21T08:00:00.000Z", "state": "done", "detail": .string(detail)]
                    ],
                ])
            }
            router.addNow("POST", "/v1/messages/{id}/read") { _ in
                InboundResponse(status: 307, headers: ["Location": "http://127.0.0.1:1/elsewhere"])
            }
        }) { port, _ in
            let client = try Self.client(port)
            #expect(try await client.trace("m").history.first?.detail?.utf8.count == 5_000_000)
            let sent = try await client.send(to: .app("a"), String(repeating: "x", count: 900_000))
            #expect(Int(sent.first?.id ?? "") ?? 0 > 900_000)
            let error = await #expect(throws: FarbellError.self) { try await client.read("m") }
            #expect(error?.status == 307)
        }
    }

    @Test("PL-9 a cancelled long poll closes its connection, so that the server hands out nothing on it")
    func cancelledPoll() async throws {
        let arrived = Locked(false)
        try await Self.withServer({ router in
            router.addLater("POST", "/v1/messages/receive") { request in
                arrived.withLock { $0 = true }
                try await Eventually.wait("the client to hang up") { request.isClientGone }
                arrived.withLock { $0 = false }
                return .json(["messages": []])
            }
        }) { port, server in
            let client = try Self.client(port)
            let polling = Task { for try await _ in client.messages() {} }
            try await Eventually.wait("the poll to arrive") { arrived.withLock { $0 } }
            polling.cancel()
            await #expect(throws: CancellationError.self) { try await polling.value }
            try await Eventually.wait("the server to see it") { !arrived.withLock { $0 } }
            try await Eventually.wait("the connection to be closed") { server.statistics.connections == 0 }
        }
    }

    @Test("MN-9 a stream hands out events as they come, outlives its pings, and closes when left or cancelled")
    func stream() async throws {
        let streams = Locked<[Inbound.EventStream]>([])
        let reasons = Locked<[Inbound.EventStream.CloseReason]>([])
        try await Self.withServer(
            { router in
                router.addNow("GET", "/v1/stream") { _ in
                    let stream = Inbound.EventStream(onClose: { reason in reasons.withLock { $0.append(reason) } })
                    streams.withLock { $0.append(stream) }
                    return .stream(stream)
                }
            }, limits: { $0.stream.pingInterval = .milliseconds(200) }
        ) { port, server in
            let client = try Self.client(port)
            let heard = Locked<[Int64]>([])
            let reader = Task {
                // Shorter than the silence between the events, longer than that between the pings.
                for try await event in client.stream(idle: .seconds(6)) {
                    heard.withLock { $0.append(event.id ?? -1) }
                    if event.id == 3 { break }
                }
            }
            try await Eventually.wait("the stream") { streams.withLock { $0.count } == 1 }
            let stream = try #require(streams.withLock { $0.first })
            for id in 1...2 {
                stream.send(id: UInt64(id), event: "presence", data: Array(#"{"account":"a","status":"b"}"#.utf8))
                try await Eventually.wait("event \(id)") { heard.withLock { $0.count } == id }
            }
            try await SystemTime().sleep(for: .seconds(8))
            #expect(streams.withLock { $0.count } == 1, "pings keep the connection")
            // Again and again: on a machine that stood still the reader may just be connecting anew.
            try await Eventually.wait("event 3", for: .seconds(60), every: .milliseconds(100)) {
                for stream in streams.withLock({ $0 }) { stream.send(id: 3, event: "presence", data: []) }
                return heard.withLock { $0.contains(3) }
            }
            try await withTaskCancellationHandler {
                try await reader.value
            } onCancel: {
                reader.cancel()
            }
            #expect(heard.withLock { $0 } == [1, 2, 3])
            try await Eventually.wait("the left stream to close") { server.statistics.streams == 0 }

            let second = Task { for try await _ in client.stream() {} }
            try await Eventually.wait("the second stream") { server.statistics.streams == 1 }
            second.cancel()
            await #expect(throws: CancellationError.self) { try await second.value }
            try await Eventually.wait("the cancelled stream to close") { server.statistics.streams == 0 }
            // Two, unless the reader had to connect anew.
            let opened = streams.withLock { $0.count }
            #expect(reasons.withLock { $0 } == Array(repeating: .clientGone, count: opened) && opened >= 2)
        }
    }

    @Test("MN-9 a silent connection times out and is replaced")
    func silence() async throws {
        let count = Locked(0)
        try await Self.withServer({ router in
            router.addNow("GET", "/v1/stream") { _ in
                let number = count.withLock { count in
                    count += 1
                    return count
                }
                let stream = Inbound.EventStream()
                stream.sendRetry(milliseconds: 1)
                if number == 2 { stream.send(id: 1, event: "novelty", data: [49]) }
                return .stream(stream)
            }
        }) { port, _ in
            let client = try Self.client(port)
            for try await event in client.stream(idle: .seconds(1)) {
                #expect(event.content == .unknown(name: "novelty", data: "1"))
                break
            }
            #expect(count.withLock { $0 } == 2)
        }
    }

    @Test("MN-9 a reader that stands still costs a bounded amount of memory, and loses nothing")
    func slowReader() async throws {
        // Each connection sends what comes after the last id, as the gateway does; much more than may wait.
        let (count, size) = (12, 1 << 20)
        let asked = Locked<[String?]>([])
        try await Self.withServer({ router in
            router.addNow("GET", "/v1/stream") { request in
                let after = request.headers["Last-Event-ID"]
                asked.withLock { $0.append(after) }
                var limits = StreamLimits()
                limits.bufferedBytes = 16 << 20
                let stream = Inbound.EventStream(limits: limits)
                let text = Array(repeating: UInt8(ascii: "x"), count: size)
                for id in (after.flatMap { Int($0) } ?? 0) + 1...count {
                    stream.send(id: UInt64(id), event: "novelty", data: id == 1 ? [49] : text)
                }
                return .stream(stream)
            }
        }) { port, server in
            let client = try Self.client(port)
            var ids: [Int64] = []
            var stream = client.stream()
            stream.waitingLimit = 2 << 20
            for try await event in stream {
                ids.append(event.id ?? -1)
                if event.id == 1 {
                    try await Eventually.wait("the connection to be given up") { server.statistics.streams == 0 }
                }
                if event.id == Int64(count) { break }
            }
            #expect(ids == Array(1...Int64(count)))
            #expect(asked.withLock { $0.count } >= 2)
        }
    }

    @Test("a server that is not there, cuts off, or never answers is an error of the right kind")
    func failures() async throws {
        let peer = try HTTPPeer(name: "gateway", identity: nil) { request in
            PeerReply(request.path.contains("/hang/") ? .hang : .drop)
        }
        defer { peer.stop() }
        let client = try Self.client(peer.port)
        let cut = await #expect(throws: FarbellError.self) { try await client.read("m") }
        #expect(cut?.code == .connectionFailed)
        let silent = await #expect(throws: FarbellError.self) {
            _ = try await client.wire.perform(Call("POST", "messages", "hang", "read").silent(for: .seconds(1)))
        }
        #expect(silent?.code == .timedOut)
        let port = try ServerPort.next()
        let nobody = try Self.client(port)
        let absent = await #expect(throws: FarbellError.self) { try await nobody.read("m") }
        #expect(absent?.code == .connectionFailed)
        let gate = Gate()
        let cancelled = Task {
            await gate.pass()
            try await client.read("hang")
        }
        cancelled.cancel()
        gate.open()
        await #expect(throws: CancellationError.self) { try await cancelled.value }
        let nonsense = FarbellClient(server: URL(fileURLWithPath: "/tmp"), token: "t")
        let malformed = await #expect(throws: FarbellError.self) { try await nonsense.read("m") }
        #expect(malformed?.code == .invalidRequest)
    }

    @Test("sixteen long polls at once do not keep other calls waiting")
    func manyPolls() async throws {
        let gate = Gate()
        let waiting = Locked(0)
        try await Self.withServer({ router in
            router.addLater("POST", "/v1/messages/receive") { _ in
                waiting.withLock { $0 += 1 }
                await gate.pass()
                return .json(["messages": []])
            }
            router.addNow("POST", "/v1/messages/{id}/read") { _ in .empty() }
        }) { port, _ in
            let client = try Self.client(port)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<16 { group.addTask { _ = try await client.receive(wait: .seconds(30)) } }
                try await Eventually.wait("all polls") { waiting.withLock { $0 } == 16 }
                try await client.read("m")
                gate.open()
                try await group.waitForAll()
            }
        }
    }
}
