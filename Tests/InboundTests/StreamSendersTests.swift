import Base
import GatewayTestKit
import Testing

@testable import Inbound

@Suite(.timeLimit(.minutes(2))) struct StreamSendersTests {
    private func at(_ milliseconds: Int64) -> Moment { Moment(nanoseconds: milliseconds * 1_000_000) }

    @Test("a sender writes a few events itself in each window, and no more")
    func allowance() {
        var allowance = SendAllowance()
        func taken(_ count: Int, _ now: Moment) -> Int {
            var taken = 0
            for _ in 0..<count where allowance.take(now: now) { taken += 1 }
            return taken
        }
        #expect(taken(100, at(5)) == SendAllowance.writes)
        #expect(taken(100, at(6)) == 0)
        #expect(taken(1, at(7)) == 1)
        #expect(taken(1, at(8)) == 1)
        #expect(taken(100, at(8)) == SendAllowance.writes - 2)
        #expect(taken(100, at(9)) == SendAllowance.writes)
    }

    private func router(_ log: StreamLog) -> Router {
        var router = Router()
        router.addNow("GET", "/stream") { _ in .stream(log.make()) }
        return router
    }

    private func connect(_ port: UInt16, _ count: Int) async throws -> SendableBox<[WireClient]> {
        try await onThread {
            SendableBox(
                try (0..<count).map { _ in
                    let client = try WireClient(port: port)
                    _ = try client.openStream()
                    return client
                })
        }
    }

    @Test("bursts from several threads reach every stream, each in its order, and the ends too")
    func bursts() async throws {
        let log = StreamLog()
        try await withServer(router(log)) { port, server in
            let clients = try await connect(port, 200)
            let streams = log.streams.get
            let done = Box(0)
            for thread in 0..<2 {
                SystemThread.start(name: "burst") {
                    for round in 0..<50 {
                        for stream in streams {
                            stream.send(id: nil, event: "", data: Array("\(thread) \(round)".utf8))
                        }
                    }
                    done.change { $0 += 1 }
                }
            }
            await eventually("all is sent") { done.get == 2 }
            for stream in streams { stream.close() }
            let texts = try await onThread {
                try clients.value.map { client in
                    var text = ""
                    while case let chunk = try client.readChunk(), !chunk.isEmpty {
                        text += String(decoding: chunk, as: UTF8.self)
                    }
                    return text
                }
            }
            for text in texts {
                let events = text.split(separator: "\n\n")
                #expect(events.count == 100)
                for thread in 0..<2 {
                    #expect(
                        events.filter { $0.hasPrefix("data: \(thread) ") } == (0..<50).map { "data: \(thread) \($0)" })
                }
            }
            await eventually("all have ended") { server.statistics.streams == 0 }
        }
        #expect(log.reasons.get == Array(repeating: .ended, count: 200))
    }

    @Test("chunks of every length of their number are whole")
    func chunkSizes() async throws {
        let log = StreamLog()
        try await withServer(router(log)) { port, _ in
            let clients = try await connect(port, 1)
            let stream = try #require(log.streams.get.first)
            for size in [1, 9, 10, 15, 16, 17, 247, 248, 255, 256, 4087, 4088, 4089, 4096, 8192, 70_000] {
                let data = Array(repeating: UInt8(ascii: "x"), count: size)
                stream.send(id: nil, event: "", data: data)
                let text = try await onThread { try clients.value[0].readStream(until: "\n\n") }
                #expect(text == "data: " + String(decoding: data, as: UTF8.self) + "\n\n")
            }
        }
    }

    @Test("a server that stops in the middle of bursts ends every stream")
    func stopped() async throws {
        for _ in 0..<5 {
            let log = StreamLog()
            let isOver = Box(false)
            let senders = Box(0)
            try await withServer(router(log), limits: { $0.drainTimeout = .milliseconds(1) }) { port, server in
                let clients = try await connect(port, 100)
                let streams = log.streams.get
                for _ in 0..<2 {
                    SystemThread.start(name: "burst") {
                        while !isOver.get { for stream in streams { stream.send(id: 1, event: "a", data: [1, 2, 3]) } }
                        senders.change { $0 += 1 }
                    }
                }
                server.beginShutdown()
                #expect(clients.value.count == 100)
            }
            isOver.set(true)
            await eventually("the senders ended") { senders.get == 2 }
            #expect(log.reasons.get.count == 100)
        }
    }
}
