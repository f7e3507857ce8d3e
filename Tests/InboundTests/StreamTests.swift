import Base
import GatewayTestKit
import Testing

@testable import Inbound

@Suite(.timeLimit(.minutes(2))) struct StreamTests {
    private func router(_ log: StreamLog, limits: StreamLimits = StreamLimits()) -> Router {
        var router = Router()
        router.addNow("GET", "/stream") { _ in .stream(log.make(limits: limits)) }
        router.addLater("GET", "/later") { _ in
            await Task.yield()
            let stream = log.make(limits: limits)
            stream.send(id: 1, event: "hello", data: Array("early".utf8))
            return .stream(stream)
        }
        router.addNow("GET", "/now") { _ in .text("here") }
        return router
    }

    private func send(_ number: UInt64, to stream: EventStream) {
        stream.send(id: number, event: "message", data: Array("{\"n\":\(number)}".utf8))
    }

    @Test("events arrive in order with their ids; the end is proper", arguments: ["/stream", "/later"])
    func order(target: String) async throws {
        let log = StreamLog()
        try await withServer(router(log)) { port, _ in
            let (client, head) = try await onThread {
                let client = try WireClient(port: port)
                let head = try client.openStream(target)
                return (SendableBox(client), head)
            }
            #expect(head.status == 200)
            #expect(head.headers["Content-Type"] == "text/event-stream")
            #expect(head.headers["Date"].flatMap { HTTPDate.parse($0) } != nil)
            #expect(head.headers["Cache-Control"] == "no-store")
            #expect(head.headers["X-Accel-Buffering"] == "no")
            #expect(head.headers["Farbell-Request-Id"] != nil)
            let stream = try #require(log.streams.get.first)
            for number in 1...500 as ClosedRange<UInt64> { send(number, to: stream) }
            stream.sendRetry(milliseconds: 1500)
            stream.close()
            stream.send(id: 501, event: "message", data: [])
            let (text, rest) = try await onThread {
                var text = ""
                while case let chunk = try client.value.readChunk(), !chunk.isEmpty {
                    text += String(decoding: chunk, as: UTF8.self)
                }
                return (text, try client.value.readToEnd())
            }
            let early = target == "/later" ? "id: 1\nevent: hello\ndata: early\n\n" : ""
            let events = (1...500).map { "id: \($0)\nevent: message\ndata: {\"n\":\($0)}\n\n" }.joined()
            #expect(text == early + events + "retry: 1500\n\n")
            #expect(rest.isEmpty)
            #expect(log.reasons.get == [.ended])
        }
    }

    @Test("many threads may send while the connection goes to sleep and wakes")
    func contention() async throws {
        let log = StreamLog()
        let limits = StreamLimits()
        try await withServer(router(log, limits: limits)) { port, _ in
            let client = try await onThread {
                let client = try WireClient(port: port)
                _ = try client.openStream()
                return SendableBox(client)
            }
            let stream = try #require(log.streams.get.first)
            let time = SystemTime()
            async let reading = onThread {
                var text = ""
                while case let chunk = try client.value.readChunk(), !chunk.isEmpty {
                    text += String(decoding: chunk, as: UTF8.self)
                }
                return text
            }
            await withTaskGroup(of: Void.self) { group in
                for sender in 0..<4 {
                    group.addTask {
                        for number in 0..<2000 {
                            while stream.bufferedBytes > 10_000 { try? await time.sleep(for: .microseconds(50)) }
                            stream.send(id: nil, event: "", data: Array("\(sender):\(number)".utf8))
                            if number % 7 == 0 { await Task.yield() }
                        }
                    }
                }
            }
            stream.close()
            let lines = try await reading.split(separator: "\n").map { $0.dropFirst(6) }
            #expect(lines.count == 8000)
            for sender in 0..<4 {
                let own = lines.filter { $0.hasPrefix("\(sender):") }
                #expect(own.map(String.init) == (0..<2000).map { "\(sender):\($0)" })
            }
        }
    }

    @Test("a client that hangs up is noticed at once, without anything being sent")
    func hangUp() async throws {
        let log = StreamLog()
        try await withServer(router(log)) { port, server in
            let client = try await onThread {
                let client = try WireClient(port: port)
                _ = try client.openStream()
                return SendableBox(client)
            }
            #expect(server.statistics.streams == 1)
            client.value.hangUp()
            await eventually("the stream is told") { log.reasons.get == [.clientGone] }
            await eventually("the stream is gone") { server.statistics.streams == 0 }
            let stream = try #require(log.streams.get.first)
            #expect(stream.send(id: 1, event: "", data: []) == .closed)
        }
    }

    @Test("a slow reader is dropped because it takes nothing, a slow but steady one is not")
    func stalled() async throws {
        // The system ends connections, too, that take nothing for twice as long: on a busy machine it was sooner.
        let time = ManualTime()
        let log = StreamLog(time: time)
        try await withServer(
            router(log), time: time,
            limits: {
                $0.stream.stallTimeout = .seconds(60)
                $0.stream.socketBufferBytes = 4096
            }
        ) { port, _ in
            let (slow, steady) = try await onThread {
                let slow = try WireClient(port: port, receiveBuffer: 4096)
                let steady = try WireClient(port: port, receiveBuffer: 4096)
                _ = try slow.openStream()
                _ = try steady.openStream()
                return (SendableBox(slow), SendableBox(steady))
            }
            let streams = log.streams.get
            let data = Array(repeating: UInt8(ascii: "x"), count: 200_000)
            #expect(streams[0].send(id: 1, event: "", data: data) == .congested)
            #expect(streams[1].send(id: 1, event: "", data: data) == .congested)
            let count = try await onThread {
                var count = 0
                while count < 200_000 { count += try steady.value.readChunk().count }
                return count
            }
            time.advance(by: .seconds(60))
            await eventually("the slow one is dropped") { log.reasons.get == [.stalled] }
            #expect(!streams[0].isOpen && streams[1].isOpen)
            #expect(count >= 200_000)
            #expect(log.drained.get == 1)
            let rest = try await onThread {
                // What the kernel had is all that comes; the connection ends.
                var count = 0
                do {
                    while true { count += try slow.value.readChunk().count }
                } catch is WireError {}
                return count
            }
            #expect(rest < 200_000)
        }
    }

    @Test("more than may wait drops the stream")
    func overflow() async throws {
        let log = StreamLog()
        var limits = StreamLimits()
        limits.bufferedBytes = 50_000
        try await withServer(router(log, limits: limits), limits: { $0.stream.socketBufferBytes = 4096 }) {
            port, server in
            let client = try await onThread {
                let client = try WireClient(port: port, receiveBuffer: 4096)
                _ = try client.openStream()
                return SendableBox(client)
            }
            let stream = try #require(log.streams.get.first)
            let data = Array(repeating: UInt8(ascii: "x"), count: 10_000)
            var results: [EventStream.SendResult] = []
            while results.last != .closed && results.count < 1000 {
                results.append(stream.send(id: nil, event: "", data: data))
            }
            #expect(results.contains(.congested) && results.last == .closed)
            #expect(log.reasons.get == [.overflow])
            await eventually("the connection is gone") { server.statistics.streams == 0 }
            client.value.hangUp()
        }
    }

    @Test("quiet streams get pings, from one timer")
    func pings() async throws {
        let log = StreamLog()
        try await withServer(router(log), limits: { $0.stream.pingInterval = .milliseconds(50) }) { port, _ in
            let text = try await onThread {
                let client = try WireClient(port: port)
                _ = try client.openStream()
                return try client.readStream(until: ": ping\n\n: ping\n\n")
            }
            #expect(text.hasPrefix(": ping\n\n"))
        }
    }

    @Test("too many streams get 503, HEAD gets the headers only")
    func refusals() async throws {
        let log = StreamLog()
        try await withServer(router(log), limits: { $0.streams = 1 }) { port, _ in
            let (first, second, head) = try await onThread {
                let client = try WireClient(port: port)
                return (
                    try client.openStream(), try WireClient(port: port).call("GET", "/stream"),
                    try WireClient(port: port).call("HEAD", "/stream")
                )
            }
            #expect(first.status == 200)
            #expect(second.status == 503 && second.json["code"]?.string == "overloaded")
            #expect(head.status == 200 && head.headers["Content-Type"] == "text/event-stream")
            await eventually("all are told") { log.reasons.get.count == 3 }
            #expect(Set(log.reasons.get) == [.clientGone, .refused, .headersOnly])
        }
    }

    @Test("HTTP/1.0 gets the stream without chunks")
    func oldClient() async throws {
        let log = StreamLog()
        try await withServer(router(log)) { port, _ in
            let client = try await onThread {
                let client = try WireClient(port: port)
                client.send("GET /stream HTTP/1.0\r\n\r\n")
                _ = try client.readHead()
                return SendableBox(client)
            }
            let stream = try #require(log.streams.get.first)
            for number in 1...100 as ClosedRange<UInt64> { send(number, to: stream) }
            stream.close()
            let text = try await onThread { String(decoding: try client.value.readToEnd(), as: UTF8.self) }
            #expect(text == (1...100).map { "id: \($0)\nevent: message\ndata: {\"n\":\($0)}\n\n" }.joined())
        }
    }

    @Test("500 streams are woken and each gets its own event")
    func manyStreams() async throws {
        let log = StreamLog()
        Inbound.DescriptorLimit.raise()
        try await withServer(router(log)) { port, server in
            let clients = try await onThread {
                SendableBox(
                    try (0..<500).map { _ in
                        let client = try WireClient(port: port)
                        _ = try client.openStream()
                        return client
                    })
            }
            #expect(server.statistics.streams == 500)
            for round in 0..<3 {
                for (index, stream) in log.streams.get.enumerated() {
                    stream.send(id: nil, event: "", data: Array("\(round)/\(index)".utf8))
                }
                let texts = try await onThread {
                    try clients.value.map { try $0.readStream(until: "\n\n") }
                }
                #expect(texts == (0..<500).map { "data: \(round)/\($0)\n\n" })
            }
        }
        #expect(log.reasons.get.count == 500)
    }
}
