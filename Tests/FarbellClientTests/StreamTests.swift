import Base
import GatewayTestKit
import Testing

@testable import FarbellClient

@Suite(.timeLimit(.minutes(1))) struct StreamTests {
    private static func hello(_ epoch: Int, cursor: Int = 0) -> String {
        "event: hello\ndata: {\"device\":\"dev_1\",\"epoch\":\(epoch),\"cursor\":\(cursor)}\n\n"
    }
    private static func event(_ id: Int) -> String {
        "id: \(id)\nevent: presence\ndata: {\"account\":\"li\",\"status\":\"s\(id)\"}\n\n"
    }

    @Test("MN-9 all kinds of events are read; unknown and unreadable ones are passed on")
    func kinds() async throws {
        let message = World.message("m1")
        let text = """
            \(Self.hello(1))id: 1\nevent: message\ndata: \(message)\n
            id: 2\nevent: notify\ndata: {"notification":"n","message":"m1","app":"mail","title":"T","badge":2,"tap":"t"}\n
            id: 3\nevent: clear\ndata: {"notifications":["n"],"message":"m1"}\n
            id: 4\nevent: receipt\ndata: {"message":"m1","state":"delivered","at":"2026-11-21T08:00:00Z"}\n
            id: 5\nevent: launch\ndata: {"launch":"l","app":"mail"}\n
            id: 6\nevent: novelty\ndata: 1\n
            id: 7\nevent: notify\ndata: {}\n
            \(Self.event(8))
            """
        let world = World { _ in .events(text) }
        var events = world.client.stream().makeAsyncIterator()
        var names: [String] = []
        for _ in 0..<9 {
            guard let event = try await events.next() else { break }
            switch event.content {
            case .hello(let hello): names.append("hello \(hello.epoch) \(event.id == nil)")
            case .message(let view): names.append("message \(view.body)")
            case .notify(let notification): names.append("notify \(notification.title) \(notification.body == nil)")
            case .clear(let clear): names.append("clear \(clear.notifications)")
            case .receipt(let receipt): names.append("receipt \(receipt.state == .delivered)")
            case .presence(let presence): names.append("presence \(presence.status)")
            case .contact(let contact): names.append("contact \(contact.account) \(contact.state)")
            case .conversation(let news): names.append("conversation \(news.peer)")
            case .launch(let launch): names.append("launch \(launch.app)")
            case .unknown(let name, let data): names.append("unknown \(name) \(data)")
            }
        }
        #expect(
            names == [
                "hello 1 true", "message text of m1", "notify T true", #"clear ["n"]"#, "receipt true", "launch mail",
                "unknown novelty 1", "unknown notify {}", "presence s8",
            ])
    }

    @Test("MN-9 over broken, silent and ended connections no event is lost or repeated")
    func resume() async throws {
        let world = World { request in
            switch request.number {
            case 1:
                let answer = ScriptedAnswer.events("retry: 2000\n\n" + Self.hello(1) + Self.event(1) + Self.event(2))
                answer.end(FarbellError.broken)
                return answer
            case 2:
                // A server that repeats what was handed out, and stops within an event.
                return .events(Self.hello(2) + Self.event(2) + Self.event(3) + "id: 4\ndata: cut", isOpen: false)
            case 3: throw FarbellError(.timedOut, "silent")
            case 4: return .problem(503, "overloaded", headers: ["retry-after": "9"])
            case 5: return .events(Self.hello(3) + Self.event(4))
            default: return .problem(401, "invalid_token")
            }
        }
        let reader = Task {
            var ids: [Int64] = []
            for try await event in world.client.stream() {
                if let id = event.id { ids.append(id) }
                if ids.last == 4 { break }
            }
            return ids
        }
        var pauses: [Duration] = []
        for count in 1...4 {
            try await world.wait(for: "GET /v1/stream", count)
            let before = world.time.now
            try await world.pass()
            pauses.append(world.time.now - before)
        }
        #expect(try await reader.value == [1, 2, 3, 4])
        #expect(pauses == [.seconds(2), .seconds(2), .seconds(2), .seconds(9)])
        let resumed = world.transport.requests.map { $0.headers["Last-Event-ID"] }
        #expect(resumed == [nil, "2", "3", "3", "3"])
        #expect(world.transport.requests.allSatisfy { $0.silence == .seconds(45) })
    }

    @Test("MN-9 a refused token ends the loop; the stream closes when the loop is left or cancelled")
    func ends() async throws {
        let refused = World { _ in .problem(401, "invalid_token") }
        var events = refused.client.stream().makeAsyncIterator()
        let error = await #expect(throws: FarbellError.self) { _ = try await events.next() }
        #expect(error?.status == 401)

        let answer = ScriptedAnswer.events(Self.hello(1))
        let world = World { _ in answer }
        let reader = Task { for try await _ in world.client.stream() {} }
        try await world.wait(for: "GET /v1/stream")
        reader.cancel()
        await #expect(throws: CancellationError.self) { try await reader.value }
        #expect(answer.isClosed)
    }

    @Test("MN-9 acknowledging tells the gateway; what is no stream is an error")
    func acknowledge() async throws {
        let world = World { request in
            request.line == "GET /v1/stream"
                ? ScriptedAnswer(200, "<html>", headers: ["content-type": "text/html"]) : ScriptedAnswer(204)
        }
        let stream = world.client.stream(after: 41)
        try await stream.acknowledge(upTo: 42)
        #expect(world.transport.requests("POST /v1/stream/ack").first?.json == ["upTo": 42])
        var events = stream.makeAsyncIterator()
        let error = await #expect(throws: FarbellError.self) { _ = try await events.next() }
        #expect(error?.code == .invalidAnswer)
        #expect(world.transport.requests("GET /v1/stream").first?.headers["Last-Event-ID"] == "41")
    }
}
