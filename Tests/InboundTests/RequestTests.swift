import Base
import GatewayTestKit
import Testing

@testable import Inbound

@Suite(.timeLimit(.minutes(2))) struct RequestTests {
    private struct Unexpected: Error {}

    private var router: Router {
        var router = Router()
        router.addNow("GET", "/now") { _ in .text("in place") }
        router.addLater("GET", "/later") { _ in
            await Task.yield()
            return .text("in a task")
        }
        router.addNow("POST", "/echo") { request in
            InboundResponse(
                status: 201, contentType: "application/octet-stream",
                headers: ["X-Custom": request.headers["x-custom"] ?? "none"], body: request.body)
        }
        router.addLater("POST", "/echo-later") { request in
            await Task.yield()
            return InboundResponse(status: 200, body: request.body)
        }
        router.addNow("GET", "/things/{thing}/parts/{part}") { request in
            let query = request.query.map { "\($0.name)=\($0.value)" }.joined(separator: "|")
            let thing = request.parameters["thing"] ?? "?"
            return .text("\(thing)/\(request.parameters["part"] ?? "?")?\(query) from \(request.peerAddress)")
        }
        router.addNow("GET", "/problem") { _ in
            throw Problem(409, "lock_lost", "Too late.", field: "token", headers: ["Retry-After": "7"])
        }
        router.addLater("GET", "/problem-later") { _ in throw Problem(410, "launch_expired", "Gone.") }
        router.addNow("GET", "/fault") { _ in throw Unexpected() }
        router.addLater("GET", "/fault-later") { _ in throw Unexpected() }
        router.addNow("GET", "/bad-header") { _ in
            InboundResponse(status: 200, headers: ["X-Bad": "a\r\nSet-Cookie: b"])
        }
        return router
    }

    @Test("answers in place and from a task, with an id each")
    func answers() async throws {
        try await withServer(router) { port, _ in
            let (now, later) = try await onThread {
                let client = try WireClient(port: port)
                return (try client.call("GET", "/now"), try client.call("GET", "/later"))
            }
            #expect(now.status == 200 && now.text == "in place")
            #expect(later.status == 200 && later.text == "in a task")
            #expect(now.headers["Content-Type"] == "text/plain; charset=utf-8")
            let first = try #require(now.headers["Farbell-Request-Id"])
            #expect(first.utf8.count == 13)
            #expect(first != later.headers["Farbell-Request-Id"])
        }
    }

    @Test("decodes path and query and tells the peer's address")
    func decodes() async throws {
        try await withServer(router) { port, _ in
            let response = try await onThread {
                try WireClient(port: port).call("GET", "/things/a%2Fb%C3%A4/parts/x+y?q=1+2&q=%26&flag&e=")
            }
            #expect(response.text == "a/bä/x+y?q=1 2|q=&|flag=|e= from 127.0.0.1")
        }
    }

    @Test("refuses broken encodings", arguments: ["/%", "/%4", "/%zz", "/%ff", "/%00", "/now?a=%f", "/now?%c3=1"])
    func refusesEncodings(target: String) async throws {
        try await withServer(router) { port, _ in
            let (response, next) = try await onThread {
                let client = try WireClient(port: port)
                return (try client.call("GET", target), try client.call("GET", "/now"))
            }
            #expect(response.status == 400)
            #expect(response.headers["Content-Type"] == "application/problem+json")
            #expect(response.json["code"]?.string == "malformed_request")
            #expect(next.status == 200)
        }
    }

    @Test("a body goes in and out, also chunked, also through a task", arguments: ["/echo", "/echo-later"])
    func bodies(target: String) async throws {
        try await withServer(router) { port, _ in
            let body = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            let (plain, chunked) = try await onThread {
                let client = try WireClient(port: port)
                let plain = try client.call("POST", target, headers: ["X-CUSTOM: yes"], body: body)
                client.send("POST \(target) HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
                for start in stride(from: 0, to: body.count, by: 10_000) {
                    client.send("2710\r\n")
                    client.send(Array(body[start..<start + 10_000]))
                    client.send("\r\n")
                }
                client.send("0\r\n\r\n")
                return (plain, try client.readResponse())
            }
            #expect(plain.body == body)
            #expect(chunked.body == body)
            if target == "/echo" { #expect(plain.headers["X-Custom"] == "yes" && plain.status == 201) }
        }
    }

    @Test("what a handler throws is a problem document")
    func problems() async throws {
        let sink = RecordingLogSink()
        try await withServer(router, log: Log(sink: sink)) { port, _ in
            let responses = try await onThread {
                let client = try WireClient(port: port)
                return try ["/problem", "/problem-later", "/fault", "/fault-later", "/bad-header", "/none"].map {
                    try client.call("GET", $0)
                }
            }
            #expect(responses.map(\.status) == [409, 410, 500, 500, 500, 404])
            let codes = responses.map { $0.json["code"]?.string }
            #expect(
                codes == [
                    "lock_lost", "launch_expired", "internal_error", "internal_error", "internal_error", "not_found",
                ])
            #expect(responses.allSatisfy { $0.headers["Content-Type"] == "application/problem+json" })
            #expect(responses.allSatisfy { $0.headers["Farbell-Request-Id"] != nil })
            #expect(responses[0].headers["Retry-After"] == "7")
            #expect(
                responses[0].json.object?.keys == ["type", "title", "status", "detail", "code", "field"])
            #expect(responses[0].json["title"]?.string == "Conflict")
            #expect(!responses[2].text.contains("Unexpected"))
            let logged = sink.records(of: "http.failed").map { $0.fields["requestId"] }
            #expect(
                logged == responses[2...4].map { $0.headers["Farbell-Request-Id"].map { LogValue.string($0) } })
        }
    }

    @Test("405 names the methods, HEAD is GET without the body")
    func methods() async throws {
        try await withServer(router) { port, _ in
            let (wrong, head, next, unknown) = try await onThread {
                let client = try WireClient(port: port)
                return (
                    try client.call("DELETE", "/now"), try client.call("HEAD", "/now"), try client.call("GET", "/now"),
                    try client.call("BREW", "/later")
                )
            }
            #expect(wrong.status == 405 && wrong.headers["Allow"] == "GET, HEAD")
            #expect(wrong.json["code"]?.string == "method_not_allowed")
            #expect(head.status == 200 && head.headers["Content-Length"] == "8")
            #expect(next.text == "in place")
            #expect(unknown.status == 405)
        }
    }

    @Test("requests sent at once are answered in their order")
    func pipelining() async throws {
        try await withServer(router) { port, server in
            let texts = try await onThread {
                let client = try WireClient(port: port)
                let targets = (0..<60).map { $0 % 3 == 1 ? "/later" : "/now" }
                client.send(targets.map { "GET \($0) HTTP/1.1\r\nHost: test\r\n\r\n" }.joined())
                return try targets.map { _ in try client.readResponse().text }
            }
            #expect(texts == (0..<60).map { $0 % 3 == 1 ? "in a task" : "in place" })
            #expect(server.statistics.requests == 60)
        }
    }

    @Test("an absolute target and IPv6 work")
    func absoluteTarget() async throws {
        try await withServer(router, address: "::1") { port, _ in
            let (absolute, peer) = try await onThread {
                let client = try WireClient(port: port, address: "::1")
                return (try client.call("GET", "http://test/now"), try client.call("GET", "/things/1/parts/2"))
            }
            #expect(absolute.text == "in place")
            #expect(peer.text == "1/2? from ::1")
        }
    }

    @Test("a full channel answers 503 at once and frees its places")
    func fullChannel() async throws {
        var router = router
        let gate = TestGate()
        router.addLater("GET", "/wait") { _ in
            await gate.pass()
            return .empty()
        }
        try await withServer(router, limits: { $0.pendingRequests = 2 }) { port, server in
            let waiting = try await onThread {
                let clients = try (0..<2).map { _ in try WireClient(port: port) }
                for client in clients { client.send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\n") }
                return SendableBox(clients)
            }
            await eventually("two requests wait") { gate.arrivals.get == 2 }
            let refused = try await onThread { try WireClient(port: port).call("GET", "/wait") }
            #expect(refused.status == 503 && refused.headers["Retry-After"] == "1")
            #expect(refused.json["code"]?.string == "overloaded")
            gate.open()
            let statuses = try await onThread { try waiting.value.map { try $0.readResponse().status } }
            #expect(statuses == [204, 204])
            await eventually("the places are free") { server.statistics.pendingRequests == 0 }
            let next = try await onThread { try WireClient(port: port).call("GET", "/wait") }
            #expect(next.status == 204)
        }
    }

    @Test("a waiting handler can ask whether the client is still there")
    func clientGone() async throws {
        var router = Router()
        let gate = TestGate()
        let answers = Box<[Bool]>([])
        router.addLater("GET", "/wait") { request in
            let before = request.isClientGone
            await gate.pass()
            await eventually("the client is gone") { request.isClientGone }
            let after = request.isClientGone
            answers.change { $0 += [before, after] }
            return .empty()
        }
        try await withServer(router) { port, _ in
            let client = try await onThread {
                let client = try WireClient(port: port)
                client.send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\n")
                return SendableBox(client)
            }
            await eventually("the handler runs") { gate.arrivals.get == 1 }
            client.value.hangUp()
            gate.open()
            await eventually("the handler ended") { answers.get.count == 2 }
            #expect(answers.get == [false, true])
        }
    }
}

/// Carries a value that only one thread at a time uses from one thread to the next.
struct SendableBox<Value>: @unchecked Sendable {
    // Sendable: see above; the tests await the end of one use before the next.
    let value: Value
    init(_ value: Value) { self.value = value }
}
