import Base
import Testing

@testable import Inbound

/// Keeps the responders of a route, as a queue keeps its waiters.
final class Waiters: Sendable {
    private let held = Locked<[Responder]>([])
    let cancelled = Box(0)

    /// A route that waits. `watches`: whether it wants to hear of an end.
    func route(watches: Bool = false) -> Router.Route {
        { _ in
            .whenDone { responder in
                if watches { responder.onCancel { self.cancelled.change { $0 += 1 } } }
                self.add(responder)
            }
        }
    }

    var responders: [Responder] { held.withLock { $0 } }
    var count: Int { responders.count }
    func add(_ responder: Responder) { held.withLock { $0.append(responder) } }

    func takeAll() -> [Responder] {
        held.withLock { held in
            defer { held = [] }
            return held
        }
    }
}

@Suite(.timeLimit(.minutes(2))) struct ResponderTests {
    private func router(_ waiters: Waiters, watches: Bool = false) -> Router {
        var router = Router()
        router.add("GET", "/wait", waiters.route(watches: watches))
        router.add("POST", "/echo") { request in
            .whenDone { responder in
                let body = request.body
                SystemThread.start(name: "echo") { responder.answer(.json(bytes: body)) }
            }
        }
        router.add("GET", "/atonce") { _ in .whenDone { $0.answer(.text("at once")) } }
        router.add("GET", "/dropped") { _ in .whenDone { _ in } }
        router.addNow("GET", "/now") { _ in .text("now") }
        return router
    }

    /// A client that has asked for something and waits.
    private func ask(_ port: UInt16, _ target: String = "/wait") async throws -> SendableBox<TestClient> {
        try await onThread {
            let client = try TestClient(port: port)
            client.send("GET \(target) HTTP/1.1\r\nHost: test\r\n\r\n")
            return SendableBox(client)
        }
    }

    @Test("an answer from another thread, one inside start, and the connection goes on")
    func answers() async throws {
        try await withServer(router(Waiters())) { port, server in
            let replies = try await onThread {
                let client = try TestClient(port: port)
                return try (0..<200).map { number in
                    number % 2 == 0
                        ? try client.call("POST", "/echo", body: Array("\(number)".utf8))
                        : try client.call("GET", "/atonce")
                }
            }
            #expect(replies.map(\.text) == (0..<200).map { $0 % 2 == 0 ? "\($0)" : "at once" })
            #expect(replies[0].headers["Content-Type"] == "application/json")
            #expect(replies[0].headers["Farbell-Request-Id"] != nil)
            await eventually("nothing is pending") { server.statistics.pendingRequests == 0 }
        }
    }

    @Test("a stream can be the answer")
    func stream() async throws {
        let waiters = Waiters()
        try await withServer(router(waiters)) { port, _ in
            let client = try await ask(port)
            await eventually("it waits") { waiters.count == 1 }
            let stream = EventStream()
            for responder in waiters.takeAll() { responder.answer(.stream(stream)) }
            stream.send(id: 7, event: "", data: Array("x".utf8))
            let text = try await onThread {
                _ = try client.value.readHead()
                return try client.value.readStream(until: "\n\n")
            }
            #expect(text == "id: 7\ndata: x\n\n")
        }
    }

    @Test("a responder let go without an answer is 500, and the log tells", arguments: [false, true])
    func dropped(later: Bool) async throws {
        let waiters = Waiters()
        let sink = RecordingLogSink()
        try await withServer(router(waiters), log: Log(sink: sink)) { port, server in
            let client = try await ask(port, later ? "/wait" : "/dropped")
            if later {
                await eventually("it waits") { waiters.count == 1 }
                _ = waiters.takeAll()
            }
            let reply = try await onThread { try client.value.readResponse() }
            #expect(reply.status == 500 && reply.json?["code"]?.string == "internal_error")
            await eventually("nothing is pending") { server.statistics.pendingRequests == 0 }
        }
        #expect(sink.records(of: "http.failed").count == 1)
    }

    @Test("a second answer is ignored, and onAnswer hears of the first")
    func twice() async throws {
        let waiters = Waiters()
        let seen = Box<[Int]>([])
        try await withServer(router(waiters)) { port, _ in
            let client = try await ask(port)
            await eventually("it waits") { waiters.count == 1 }
            for responder in waiters.takeAll() {
                responder.onAnswer { response in seen.change { $0.append(response.status) } }
                #expect(!responder.isPeerGone)
                responder.answer(.text("first"))
                #expect(responder.isPeerGone)
                responder.answer(.text("second"))
                responder.onCancel { Issue.record("cancelled after the answer") }
                responder.cancel()
            }
            let replies = try await onThread {
                (try client.value.readResponse(), try client.value.call("GET", "/now"))
            }
            #expect(replies.0.text == "first" && replies.1.text == "now")
        }
        #expect(seen.get == [200])
    }

    @Test("waiting responders count towards the limit of pending requests")
    func limit() async throws {
        let waiters = Waiters()
        try await withServer(router(waiters), limits: { $0.pendingRequests = 2 }) { port, server in
            let clients = [try await ask(port), try await ask(port)]
            await eventually("both wait") { waiters.count == 2 && server.statistics.pendingRequests == 2 }
            let refused = try await onThread { try TestClient(port: port).call("GET", "/atonce") }
            #expect(refused.status == 503 && refused.json?["code"]?.string == "overloaded")
            #expect(refused.headers["Retry-After"] == "1")
            for responder in waiters.takeAll() { responder.answer(.empty()) }
            for client in clients { #expect(try await onThread { try client.value.readResponse() }.status == 204) }
            await eventually("nothing is pending") { server.statistics.pendingRequests == 0 }
            #expect(try await onThread { try TestClient(port: port).call("GET", "/atonce") }.status == 200)
        }
    }

    @Test(
        "a client that hangs up is noticed: isPeerGone always, onCancel where it is asked for",
        arguments: [false, true])
    func hangUp(watches: Bool) async throws {
        let waiters = Waiters()
        try await withServer(router(waiters, watches: watches)) { port, server in
            let clients = [try await ask(port), try await ask(port)]
            await eventually("both wait") { waiters.count == 2 }
            #expect(waiters.responders.allSatisfy { !$0.isPeerGone })
            // What lies unread before the end must not hide it.
            clients[0].value.send("GET /now HTTP/1.1\r\nHost: test\r\n\r\n")
            clients[0].value.hangUp()
            await eventually("one is gone") { waiters.responders.count { $0.isPeerGone } == 1 }
            if watches {
                await eventually("it is told") { waiters.cancelled.get == 1 }
            } else {
                #expect(waiters.cancelled.get == 0)
            }
            for responder in waiters.takeAll() { responder.answer(.text("late")) }
            #expect(try await onThread { try clients[1].value.readResponse() }.text == "late")
            await eventually("the connection is closed") { server.statistics.connections == 1 }
        }
        #expect(waiters.cancelled.get == (watches ? 1 : 0))
    }

    @Test("a client that hangs up over TLS is noticed")
    func hangUpTLS() async throws {
        let waiters = Waiters()
        try await withFolder { folder in
            let tests = TLSTests()
            let files = try tests.makeCertificate("one", in: folder)
            try await withServer(router(waiters, watches: true), tls: files) { port, server in
                let status = try await onThread {
                    try runProgram([
                        "curl", "-s", "-m", "1", "--cacert", "\(folder)/one-ca.pem", "https://127.0.0.1:\(port)/wait",
                    ])
                }
                // Its time was over.
                #expect(status == 28)
                await eventually("it is told") { waiters.cancelled.get == 1 }
                #expect(waiters.responders.map(\.isPeerGone) == [true])
                for responder in waiters.takeAll() { responder.answer(.empty()) }
                await eventually("the connection is closed") { server.statistics.connections == 0 }
                let page = try await onThread {
                    try tests.fetch(
                        "https://127.0.0.1:\(port)/atonce", trusting: "\(folder)/one-ca.pem", into: "\(folder)/out")
                }
                #expect(page.text == "at once")
            }
        }
    }

    @Test("under load from many connections every request gets its own answer")
    func load() async throws {
        let queue = Locked<[(Responder, [UInt8])]>([])
        var router = Router()
        router.add("POST", "/put") { request in
            let body = request.body
            return .whenDone { responder in
                // Some want to hear of an end, some answer in place, the rest goes to another thread.
                if body.count % 3 == 0 { responder.onCancel {} }
                if body.count % 5 == 0 { return responder.answer(.json(bytes: body)) }
                queue.withLock { $0.append((responder, body)) }
            }
        }
        let isOver = Box(false)
        try await withServer(router) { port, server in
            SystemThread.start(name: "writer") {
                while !isOver.get {
                    let batch = queue.withLock { queue in
                        defer { queue = [] }
                        return queue
                    }
                    for (responder, body) in batch { responder.answer(.json(bytes: body)) }
                }
            }
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for thread in 0..<6 {
                    group.addTask {
                        try await onThread {
                            let client = try TestClient(port: port)
                            return try (0..<500).allSatisfy { number in
                                let body = Array(repeating: UInt8(ascii: "a") + UInt8(thread), count: 1 + number % 50)
                                return try client.call("POST", "/put", body: body).body == body
                            }
                        }
                    }
                }
                for try await isRight in group { #expect(isRight) }
            }
            isOver.set(true)
            await eventually("nothing is pending") { server.statistics.pendingRequests == 0 }
        }
    }

    @Test("a responder for tests of handlers needs no server")
    func withoutServer() {
        let answers = Box<[Int]>([])
        let cancelled = Box(0)
        let responder = Responder { response in answers.change { $0.append(response.status) } }
        responder.onCancel { cancelled.change { $0 += 1 } }
        responder.cancel()
        responder.cancel()
        #expect(cancelled.get == 1 && !responder.isPeerGone)
        responder.answer(.empty())
        responder.answer(.text(""))
        #expect(answers.get == [204])
        _ = Responder { response in answers.change { $0.append(response.status) } }
        #expect(answers.get == [204, 500])
    }
}
