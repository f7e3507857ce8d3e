import Base
import GatewayTestKit
import Testing

@testable import Inbound

@Suite(.timeLimit(.minutes(2))) struct ShutdownTests {
    /// A server that always has something to do: `/stream` stays open, and `/wait` is answered when the gate opens.
    private struct Busy {
        let log = StreamLog()
        let gate = TestGate()

        var router: Router {
            let (log, gate) = (log, gate)
            var router = Router()
            router.addNow("GET", "/stream") { _ in .stream(log.make()) }
            router.addLater("GET", "/wait") { _ in
                await gate.pass()
                return .text("done")
            }
            return router
        }
    }

    @Test("streams are told when to come back, a running request is answered, nobody else gets in")
    func drain() async throws {
        let busy = Busy()
        let (log, gate, router) = (busy.log, busy.gate, busy.router)
        try await withServer(router) { port, server in
            let clients = try await onThread {
                let stream = try WireClient(port: port)
                _ = try stream.openStream()
                let waiting = try WireClient(port: port)
                waiting.send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\n")
                return SendableBox((stream: stream, waiting: waiting))
            }
            await eventually("the handler runs") { gate.arrivals.get == 1 }
            server.beginShutdown()
            server.beginShutdown()
            await eventually("the stream is told") { log.reasons.get == [.shutdown] }
            let goodbye = try await onThread {
                String(decoding: try clients.value.stream.readChunk(), as: UTF8.self)
            }
            #expect(goodbye.hasPrefix(": the server stops\n\nretry: "))
            let milliseconds = Int(goodbye.split(separator: " ").last?.split(separator: "\n").first ?? "")
            #expect((2000..<4000).contains(milliseconds ?? 0))
            await eventually("the port is closed") { (try? WireClient(port: port)) == nil }
            gate.open()
            let answer = try await onThread { try clients.value.waiting.readResponse() }
            #expect(answer.text == "done")
            #expect(answer.headers["Connection"]?.lowercased() == "close")
        }
    }

    @Test("a handler that does not end is cancelled after the drain time and answers 503")
    func cancelledHandler() async throws {
        let gate = TestGate()
        var router = Router()
        router.addLater("GET", "/forever") { _ in
            gate.arrivals.change { $0 += 1 }
            try await SystemTime().sleep(for: .seconds(3600))
            return .empty()
        }
        try await withServer(router, limits: { $0.drainTimeout = .milliseconds(100) }) { port, server in
            let client = try await onThread {
                let client = try WireClient(port: port)
                client.send("GET /forever HTTP/1.1\r\nHost: test\r\n\r\n")
                return SendableBox(client)
            }
            await eventually("the handler runs") { gate.arrivals.get == 1 }
            server.beginShutdown()
            // The connection ends with the answer or, when the server is quicker, without it.
            let rest = try await onThread { String(decoding: try client.value.readToEnd(), as: UTF8.self) }
            #expect(rest.isEmpty || rest.hasPrefix("HTTP/1.1 503"))
        }
    }

    @Test("cancelling run() ends it with streams, handlers and half requests open")
    func cancelled() async throws {
        let busy = Busy()
        let (log, gate, router) = (busy.log, busy.gate, busy.router)
        let server = try Server(ServerConfiguration(), handler: router, log: Log(sink: NullLogSink()))
        try server.listen()
        let port = try #require(server.port)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            let clients = try await onThread {
                let texts = ["/stream HTTP/1.1\r\nHost: a\r\n\r\n", "/wait HTTP/1.1\r\nHost: a\r\n\r\n", "/half HT"]
                return SendableBox(
                    try texts.map { text in
                        let client = try WireClient(port: port)
                        client.send("GET \(text)")
                        return client
                    })
            }
            await eventually("all have begun") {
                gate.arrivals.get == 1 && server.statistics.streams == 1 && server.statistics.connections == 2
            }
            group.cancelAll()
            try await group.waitForAll()
            #expect(clients.value.count == 3)
        }
        #expect(log.reasons.get == [.shutdown])
        #expect(server.statistics.connections == 0)
    }

    @Test("start and stop under load, again and again")
    func underLoad() async throws {
        for _ in 0..<5 {
            let log = StreamLog()
            var router = Router()
            router.addNow("GET", "/stream") { _ in .stream(log.make()) }
            router.addLater("GET", "/later") { _ in
                await Task.yield()
                return .text("x")
            }
            let answered = Box(0)
            let clients = Box(0)
            try await withServer(router, limits: { $0.drainTimeout = .milliseconds(200) }) { port, server in
                for _ in 0..<4 {
                    SystemThread.start(name: "load") {
                        // Fails when the server has gone, which is the end of the loop.
                        do {
                            let client = try WireClient(port: port)
                            let stream = try WireClient(port: port)
                            _ = try stream.openStream()
                            while try client.call("GET", "/later").status == 200 { answered.change { $0 += 1 } }
                        } catch {}
                        clients.change { $0 += 1 }
                    }
                }
                await eventually("requests flow") { answered.get > 200 }
                for stream in log.streams.get { stream.send(id: 1, event: "", data: [1]) }
                server.beginShutdown()
            }
            await eventually("the clients ended") { clients.get == 4 }
            #expect(log.reasons.get.allSatisfy { $0 == .shutdown || $0 == .clientGone })
        }
    }
}
