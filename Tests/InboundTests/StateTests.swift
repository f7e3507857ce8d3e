import Base
import Testing

@testable import Inbound

/// The decisions, without sockets.
@Suite struct StateTests {
    private func at(_ seconds: Int64) -> Moment { Moment(nanoseconds: seconds * 1_000_000_000) }
    private let limits = StreamLimits()
    private let ping = EventText.comment("ping")

    /// `#expect` cannot call what mutates.
    private func check<A: Equatable>(_ value: A, _ expected: A, at location: SourceLocation = #_sourceLocation) {
        #expect(value == expected, sourceLocation: location)
    }
    private func check<A: Equatable, B: Equatable>(
        _ value: (A, B), _ expected: (A, B), at location: SourceLocation = #_sourceLocation
    ) {
        #expect(value.0 == expected.0, sourceLocation: location)
        #expect(value.1 == expected.1, sourceLocation: location)
    }

    @Test("a sleeping connection is woken exactly once")
    func wakeOnce() {
        var state = EventStreamState(limit: 100, now: at(0))
        check(state.take(10, now: at(0)), (.sleep, []))
        check(state.send([1], now: at(0)), (.sent, [.wake]))
        check(state.send([2], now: at(0)), (.sent, []))
        check(state.take(10, now: at(0)), (.bytes([1, 2]), []))
        check(state.take(10, now: at(0)), (.sleep, []))
        check(state.end(.ended, now: at(0)), [.report(.ended), .wake])
        check(state.take(10, now: at(0)), (.end, []))
        check(state.connectionLost(), [.cut])
        check(state.connectionLost(), [])
    }

    @Test("what is sent comes out in pieces, in order, and congestion is told when it ends")
    func pieces() {
        var state = EventStreamState(limit: 100, now: at(0))
        let bytes = (0..<90).map { UInt8($0) }
        check(state.send(Array(bytes[..<40]), now: at(0)), (.sent, []))
        check(state.send(Array(bytes[40...]), now: at(0)), (.congested, []))
        var out: [UInt8] = []
        var drained = 0
        while case (.bytes(let piece), let actions) = state.take(7, now: at(0)) {
            out += piece
            drained += actions.count { $0 == .drained }
        }
        #expect(out == bytes)
        #expect(drained == 1)
        #expect(state.bufferedBytes == 0)
    }

    @Test("one event beyond the limit goes to a client that keeps up")
    func large() {
        var state = EventStreamState(limit: 10, now: at(0))
        check(state.send(Array(repeating: 0, count: 5), now: at(0)), (.sent, []))
        check(state.send(Array(repeating: 0, count: 100), now: at(0)), (.congested, []))
        #expect(state.bufferedBytes == 105 && state.isOpen)
        check(state.send([1], now: at(0)), (.closed, [.report(.overflow), .cut]))
    }

    @Test("more than the limit drops the stream and frees the buffer")
    func overflow() {
        var state = EventStreamState(limit: 10, now: at(0))
        check(state.send(Array(repeating: 0, count: 10), now: at(0)), (.congested, []))
        check(state.send([1], now: at(0)), (.closed, [.report(.overflow), .cut]))
        #expect(state.bufferedBytes == 0 && !state.isOpen)
        check(state.take(10, now: at(0)), (.abort, []))
        check(state.send([1], now: at(0)), (.closed, []))
    }

    @Test("only a lack of progress drops a slow reader, counted from when data began to wait")
    func stall() {
        var state = EventStreamState(limit: 1000, now: at(0))
        check(state.take(10, now: at(0)), (.sleep, []))
        check(state.tick(now: at(14), limits: limits, ping: ping), [])
        check(state.tick(now: at(15), limits: limits, ping: ping), [.wake])
        check(state.take(100, now: at(15)), (.bytes(ping), []))
        _ = state.send(Array(repeating: 0, count: 100), now: at(100))
        check(state.tick(now: at(119), limits: limits, ping: ping), [])
        check(state.take(10, now: at(119)).0, .bytes(Array(repeating: 0, count: 10)))
        check(state.tick(now: at(138), limits: limits, ping: ping), [])
        check(state.tick(now: at(139), limits: limits, ping: ping), [.report(.stalled), .cut])
        // An ending stream that nobody reads is given up too, without a second report.
        var ending = EventStreamState(limit: 1000, now: at(0))
        check(ending.end(.shutdown, last: [1], now: at(0)), [.report(.shutdown)])
        check(ending.tick(now: at(20), limits: limits, ping: ping), [.cut])
    }

    @Test(
        "every line of the data gets its field",
        arguments: [
            ("", "data: \n"), ("a", "data: a\n"), ("a\nb", "data: a\ndata: b\n"), ("a\r\nb", "data: a\ndata: b\n"),
            ("a\rb", "data: a\ndata: b\n"), ("a\n", "data: a\ndata: \n"), ("\n\n", "data: \ndata: \ndata: \n"),
            ("a\r\r\nb", "data: a\ndata: \ndata: b\n"),
        ])
    func lines(data: String, lines: String) {
        let text = EventText.event(id: 7, event: "no\ntice\r", data: Array(data.utf8))
        #expect(String(decoding: text, as: UTF8.self) == "id: 7\nevent: notice\n\(lines)\n")
    }

    @Test("an upload is kept, discarded, or given up")
    func upload() {
        var upload = Upload(limit: 10, discardLimit: 20)
        check(upload.refuses(contentLength: 10, expectsContinue: true), false)
        #expect(!upload.isTooLarge)
        check(upload.receive(10), .keep)
        check(upload.receive(1), .discard)
        #expect(upload.isTooLarge)
        check(upload.receive(19), .discard)
        check(upload.receive(1), .giveUp)
        var waiting = Upload(limit: 10, discardLimit: 20)
        check(waiting.refuses(contentLength: 11, expectsContinue: true), true)
        var sending = Upload(limit: 10, discardLimit: 20)
        check(sending.refuses(contentLength: 30, expectsContinue: false), false)
        #expect(sending.isTooLarge)
        var huge = Upload(limit: 10, discardLimit: 20)
        check(huge.refuses(contentLength: 31, expectsContinue: false), true)
    }

    @Test("the gate opens when the last request of a shutdown ends")
    func gate() {
        var gate = Gate()
        gate.begin()
        gate.beginStream()
        check(gate.drain(), false)
        check(gate.end(), false)
        check(gate.end(), true)
        #expect(gate.total == 1)
    }

    private func routed(_ router: Router, _ method: String, _ target: String) throws -> String {
        guard case .now(let response) = try router.answer(try InboundRequest(method, target)),
            case .bytes(let bytes) = response.body
        else { return "?" }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test("literals go before names, and the way back is found")
    func routing() throws {
        var router = Router()
        for pattern in ["/", "/a/b", "/a/{x}", "/a/{x}/c", "/a/b/d", "/{y}/{z}/e"] {
            router.addNow("GET", pattern) { request in
                .text("\(pattern) \(request.parameters["x"] ?? "-")\(request.parameters["z"] ?? "-")")
            }
        }
        router.addNow("PUT", "/a/b") { _ in .text("put") }
        #expect(try routed(router, "GET", "/") == "/ --")
        #expect(try routed(router, "GET", "/a/b") == "/a/b --")
        #expect(try routed(router, "PUT", "/a/b") == "put")
        #expect(try routed(router, "GET", "/a/q") == "/a/{x} q-")
        #expect(try routed(router, "GET", "/a/b/c") == "/a/{x}/c b-")
        #expect(try routed(router, "GET", "/a/b/d") == "/a/b/d --")
        #expect(try routed(router, "GET", "/a/b/e") == "/{y}/{z}/e -b")
        #expect(try routed(router, "HEAD", "/a/b/e") == "/{y}/{z}/e -b")
        for target in ["/a", "/a/", "/a/b/", "/a//c", "/a/b/c/d", "/A/b"] {
            #expect(throws: Problem(404, "not_found", "There is nothing at this path.")) {
                try routed(router, "GET", target)
            }
        }
        let error = #expect(throws: Problem.self) { try routed(router, "POST", "/a/b") }
        #expect(error?.status == 405 && error?.headers["Allow"] == "GET, HEAD, PUT")
    }

    @Test("headers compare without case and keep their order")
    func headers() throws {
        var fields = HTTPFields()
        for (name, value) in [("X-One", "1"), ("x-two", "2"), ("X-ONE", "3"), ("X@", "at")] {
            fields.append(name, value)
        }
        let request = try InboundRequest("GET", "/", headers: fields)
        #expect(request.headers["x-one"] == "1" && request.headers["X-TWO"] == "2")
        #expect(request.headers.values(of: "X-One") == ["1", "3"])
        // 0x40 and 0x60 differ by the bit that tells letters' cases apart, and are no letters.
        #expect(request.headers["x`"] == nil && request.headers["x@"] == "at")
        #expect(request.headers.count == 4)
    }

    @Test("ids differ, the same seed gives the same ids")
    func ids() {
        let make = RequestIDs(seed: 1).makeGenerator()
        let ids = (0..<10_000).map { _ in make() }
        #expect(Set(ids).count == ids.count)
        #expect(ids.allSatisfy { $0.utf8.count == 13 })
        let again = RequestIDs(seed: 1).makeGenerator()
        #expect(again() == ids[0])
    }

    @Test("the date of a stream's head")
    func date() {
        #expect(DateField.text(Timestamp(seconds: 784_111_777)) == "Sun, 06 Nov 1994 08:49:37 GMT")
        #expect(DateField.text(Timestamp(seconds: 951_782_400)) == "Tue, 29 Feb 2000 00:00:00 GMT")
    }
}
