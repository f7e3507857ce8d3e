import Base
import GatewayTestKit
import Testing

@testable import Inbound

@Suite(.timeLimit(.minutes(2))) struct ResponderShutdownTests {
    private func waiting(_ port: UInt16, _ count: Int) async throws -> SendableBox<[WireClient]> {
        try await onThread {
            SendableBox(
                try (0..<count).map { _ in
                    let client = try WireClient(port: port)
                    client.send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\n")
                    return client
                })
        }
    }

    @Test("a shutdown tells who waits, and their answers go out before it ends")
    func drain() async throws {
        let waiters = Waiters()
        let slow = Waiters()
        var router = Router()
        router.add("GET", "/wait") { _ in
            .whenDone { responder in
                // A long poll, which ends early with nothing.
                responder.onCancel { for responder in waiters.takeAll() { responder.answer(.json([])) } }
                waiters.add(responder)
            }
        }
        router.add("GET", "/slow", slow.route())
        try await withServer(router, limits: { $0.drainTimeout = .seconds(60) }) { port, server in
            let clients = try await waiting(port, 3)
            let other = try await onThread {
                let client = try WireClient(port: port)
                client.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n")
                return SendableBox(client)
            }
            await eventually("all wait") { waiters.count == 3 && slow.count == 1 }
            server.beginShutdown()
            let replies = try await onThread { try clients.value.map { try $0.readResponse() } }
            #expect(replies.map(\.text) == ["[]", "[]", "[]"])
            #expect(replies[0].headers["Connection"]?.lowercased() == "close")
            // The one that does not care is waited for.
            #expect(server.statistics.pendingRequests == 1)
            for responder in slow.takeAll() { responder.answer(.text("slow")) }
            #expect(try await onThread { try other.value.readResponse() }.text == "slow")
        }
    }

    @Test("what is not answered when the time to stop is over gets 503, and a later answer harms nobody")
    func overdue() async throws {
        let waiters = Waiters()
        var router = Router()
        router.add("GET", "/wait", waiters.route(watches: true))
        let seen = Box<[Int]>([])
        try await withServer(router, limits: { $0.drainTimeout = .milliseconds(100) }) { port, server in
            let clients = try await waiting(port, 2)
            await eventually("both wait") { waiters.count == 2 }
            for responder in waiters.responders {
                responder.onAnswer { response in seen.change { $0.append(response.status) } }
            }
            server.beginShutdown()
            // The connection ends with the answer or, when the server is quicker, without it.
            for text in try await onThread({
                try clients.value.map { String(decoding: try $0.readToEnd(), as: UTF8.self) }
            }) {
                #expect(text.isEmpty || text.hasPrefix("HTTP/1.1 503"))
            }
        }
        #expect(seen.get == [503, 503])
        #expect(waiters.cancelled.get == 2)
        for responder in waiters.takeAll() { responder.answer(.text("too late")) }
        #expect(seen.get == [503, 503])
    }

    @Test("a request that comes during a shutdown is told at once")
    func late() async throws {
        let waiters = Waiters()
        var router = Router()
        router.add("GET", "/wait", waiters.route(watches: true))
        router.add("GET", "/hold", waiters.route(watches: true))
        router.addNow("GET", "/now") { _ in .empty() }
        try await withServer(router) { port, server in
            let (holding, client) = try await onThread {
                let holding = try WireClient(port: port)
                holding.send("GET /hold HTTP/1.1\r\nHost: test\r\n\r\n")
                let client = try WireClient(port: port)
                _ = try client.call("GET", "/now")
                return (SendableBox(holding), SendableBox(client))
            }
            await eventually("one waits") { waiters.count == 1 }
            server.beginShutdown()
            await eventually("who waits is told") { waiters.cancelled.get == 1 }
            let late = try await onThread { try client.value.call("GET", "/wait") }
            #expect(late.status == 503 && late.json["code"]?.string == "stopping")
            for responder in waiters.takeAll() { responder.answer(.text("bye")) }
            let text = try await onThread { try holding.value.readResponse().text }
            #expect(text == "bye")
        }
    }

    @Test("cancelling run() ends it with responders held")
    func cancelled() async throws {
        let waiters = Waiters()
        var router = Router()
        router.add("GET", "/wait", waiters.route(watches: true))
        let server = try Server(ServerConfiguration(), handler: router, log: Log(sink: NullLogSink()))
        try server.listen()
        let port = try #require(server.port)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            let clients = try await waiting(port, 5)
            await eventually("all wait") { waiters.count == 5 }
            group.cancelAll()
            try await group.waitForAll()
            #expect(clients.value.count == 5)
        }
        #expect(waiters.cancelled.get == 5)
        #expect(server.statistics.connections == 0 && server.statistics.pendingRequests == 0)
    }

    @Test("start and stop while answers come from another thread, again and again")
    func underLoad() async throws {
        for _ in 0..<5 {
            let waiters = Waiters()
            var router = Router()
            router.add("GET", "/wait", waiters.route(watches: true))
            let answered = Box(0)
            let ended = Box(0)
            try await withServer(router, limits: { $0.drainTimeout = .milliseconds(50) }) { port, server in
                for _ in 0..<4 {
                    SystemThread.start(name: "load") {
                        // Fails when the server has gone, which is the end of the loop.
                        do {
                            let client = try WireClient(port: port)
                            while try client.call("GET", "/wait").status == 200 { answered.change { $0 += 1 } }
                        } catch {}
                        ended.change { $0 += 1 }
                    }
                }
                SystemThread.start(name: "writer") {
                    while ended.get < 4 { for responder in waiters.takeAll() { responder.answer(.text("x")) } }
                }
                await eventually("requests flow") { answered.get > 200 }
                server.beginShutdown()
            }
            await eventually("the clients ended") { ended.get == 4 }
        }
    }
}
