import Base
import Testing

@testable import GatewayTestKit

/// What a scripted fault looks like to Debian's curl and nghttp, over both versions of HTTP.
@Suite("Scripted HTTP faults", .timeLimit(.minutes(1))) struct HTTPFaultTests {
    private static let versions = ["--http2", "--http1.1"]
    private let authority: TestCertificateAuthority
    private let script = Locked(FaultScript())
    private let taken = Recorder<String>()
    private let peer: HTTPPeer

    init() throws {
        authority = try TestCertificateAuthority()
        peer = try HTTPPeer(name: "faults", identity: authority.localhost) { [script, taken] request in
            let fault = script.withLock { $0.next(for: request.path) }
            if fault.accepts { taken.append(request.path) }
            return fault.reply(.answer(201, body: Array("taken".utf8)))
        }
    }

    private func ask(_ version: String, path: String = "/", options: [String] = []) async throws -> CurlAnswer {
        try await CurlAnswer.send(
            "https://localhost:\(peer.port)\(path)", ca: authority.caFile, headers: [], body: [1],
            options: [version] + options)
    }

    @Test("statuses, Retry-After and redirects are answers", arguments: versions)
    func answers(version: String) async throws {
        script.withLock {
            $0.add(
                [.status(429, retryAfter: "17", body: "slow"), .redirect(307, location: "/b"), .garbageBody(500)],
                for: nil)
        }
        let busy = try await ask(version)
        #expect(busy.status == 429)
        #expect(busy.headers["retry-after"] == "17")
        #expect(busy.body == "slow")
        #expect(try await ask(version).headers["location"] == "/b")
        #expect(try await ask(version).status == 500)
        #expect(taken.count == 0)
        #expect(try await ask(version).body == "taken")
        #expect(taken.count == 1)
    }

    @Test("a request of a lost connection or stream is counted only where it was accepted", arguments: versions)
    func lost(version: String) async throws {
        let rows: [(HTTPFault, Int)] = [
            (.reset, 0), (.acceptThenReset, 1), (.dropConnection, 0), (.acceptThenDrop, 1), (.garbage, 0),
        ]
        for (fault, count) in rows {
            taken.clear()
            script.withLock { $0.add([fault], for: nil) }
            await #expect(throws: PeerError.self, "\(fault)") { try await ask(version) }
            #expect(taken.count == count, "\(fault)")
        }
    }

    @Test("a request that hangs takes all of the client's time", arguments: versions)
    func hang(version: String) async throws {
        script.withLock { $0.add([.hang], for: nil) }
        await #expect(throws: PeerError.self) { try await ask(version, options: ["--max-time", "0.3"]) }
        #expect(taken.count == 0)
        #expect(try await ask(version).status == 201)
    }

    @Test("curl sends again what was refused or is above GOAWAY's last stream; it counts once")
    func notProcessed() async throws {
        script.withLock { $0.add([.refuseStream], for: nil) }
        #expect(try await ask("--http2").status == 201)
        #expect(taken.count == 1)
        script.withLock { $0.standing = .refuseStream }
        await #expect(throws: PeerError.self) { try await ask("--http2") }
        script.withLock { $0.standing = nil }
        script.withLock { $0.add([.goAway(afterStreams: 0)], for: nil) }
        // curl 7.88 gives some of these up instead.
        _ = try? await ask("--http2")
        script.withLock { $0.add([.goAway(afterStreams: 1)], for: nil) }
        taken.clear()
        #expect(try await ask("--http2").status == 201)
        #expect(taken.count == 1)
    }

    @Test(
        "an empty DATA frame comes before the real one, and before the end of an answer without a body",
        .enabled(if: FileSystem.exists("/usr/bin/nghttp"), "needs nghttp2-client"))
    func emptyData() async throws {
        for (fault, sizes) in [(HTTPFault.emptyDataFrame, ["0", "5"]), (.afterEmptyData(.status(503)), ["0", "0"])] {
            script.withLock { $0.add([fault], for: nil) }
            let result = try await ChildProcess.run("/usr/bin/nghttp", ["-nv", "https://localhost:\(peer.port)/"])
            let frames = result.output.filter { $0.contains("recv DATA") }
            #expect(frames.map { $0.split(separator: "length=").last?.prefix { $0 != "," } } == sizes.map { $0[...] })
            #expect(frames.map { $0.contains("flags=0x01") } == [false, true])
        }
        script.withLock { $0.add([.emptyDataFrame], for: nil) }
        #expect(try await ask("--http2").body == "taken")
    }

    @Test("a stream limit is announced", .enabled(if: FileSystem.exists("/usr/bin/nghttp"), "needs nghttp2-client"))
    func streamLimit() async throws {
        script.withLock { $0.add([.streamLimit(1)], for: nil) }
        let result = try await ChildProcess.run("/usr/bin/nghttp", ["-nv", "https://localhost:\(peer.port)/"])
        #expect(result.output.contains { $0.contains("SETTINGS_MAX_CONCURRENT_STREAMS(0x03):1]") })
        #expect(taken.count == 1)
    }

    @Test("an address has its own queue and its own standing fault")
    func queues() {
        var script = FaultScript()
        script.add([.status(500), .status(501)], for: "a")
        script.add([.status(502)], for: nil)
        script.setStanding(.status(503), for: "b")
        script.standing = .status(504)
        func next(_ address: String) -> Int? {
            guard case .status(let status, _, _) = script.next(for: address) else { return nil }
            return status
        }
        #expect([next("a"), next("b"), next("b"), next("c"), next("c"), next("a")] == [500, 503, 503, 502, 504, 501])
        #expect(next("a") == 504)
        script.setStanding(nil, for: "b")
        script.standing = nil
        #expect(next("b") == nil)
    }
}
