internal import Base
internal import GatewayTestKit
internal import Inbound

/// `answers`: requests a second that are answered in place, out of a task, and by another thread.
struct AnswersBench: Sendable {
    static let options: Set<String> = ["seconds", "connections", "threads", "routes"]
    private static let routes = ["now", "later", "when-done"]

    private let seconds: Int
    private let connections: Int
    private let threads: Int
    private let routes: Set<String>

    /// - Throws: `BenchError` (usage).
    init(_ options: BenchOptions) throws {
        seconds = max(1, try options.number("seconds", 5, quick: 1))
        connections = max(1, try options.number("connections", 64, quick: 8))
        // The server's threads; 0 for what it takes by itself.
        threads = try options.number("threads", 0, quick: 0)
        routes = try options.words("routes", Self.routes, quick: Self.routes)
    }

    /// - Returns: whether all requests were answered.
    func run() async throws -> Bool {
        guard BenchPaths.has("wrk") else { throw BenchError("wrk is missing: Scripts/install --bench") }
        Report.begin("Farbell answers")
        let peer = try await PeerProcess(threads: threads)
        var rows: [[String]] = []
        for route in Self.routes where routes.contains(route) { rows.append(try await measure(route, peer)) }
        try await peer.stop()
        Report.print("")
        Report.print(
            Report.table(
                [
                    "POST answered", "per second", "p50 ms", "p95 ms", "p99 ms", "max ms", "failed", "server cores",
                    "µs CPU each",
                ], rows))
        return rows.allSatisfy { $0[6] == "0" }
    }

    private func measure(_ route: String, _ peer: PeerProcess) async throws -> [String] {
        let before = try ProcessMeter.processorTime(of: peer.processID)
        let result = try await ChildProcess.run(
            "wrk",
            [
                "--threads", "1", "--connections", "\(connections)", "--duration", "\(seconds)s",
                "--script", BenchPaths.script("answers.lua"), "http://127.0.0.1:\(peer.port)/\(route)",
            ], deadline: .seconds(seconds + 60))
        let used = try (ProcessMeter.processorTime(of: peer.processID) - before).inSeconds
        guard result.exit == .code(0), let line = result.output.first(where: { $0.hasPrefix("RESULT ") }) else {
            throw BenchError("wrk failed: \((result.errors + result.output).joined(separator: " "))")
        }
        let json = try JSONParser.parse(String(line.dropFirst(7)))
        func number(_ name: String) -> Double { json[name]?.number ?? .nan }
        let time = number("microseconds") / 1_000_000
        let latencies = ["p50", "p95", "p99", "max"].map { Report.decimal(number($0) / 1000, 2) }
        return [route, Report.decimal(number("requests") / time, 0)] + latencies
            + [
                Report.decimal(number("failed"), 0), Report.decimal(used / time, 2),
                Report.decimal(used * 1_000_000 / number("requests"), 1),
            ]
    }
}

/// `inbound-peer` as a process.
final class PeerProcess: Sendable {
    let port: UInt16
    let processID: Int32
    private let child: ChildProcess

    /// - Parameter threads: 0 for what the server takes by itself.
    /// - Throws: `BenchError`, `PeerError`, `DeadlineMissed`.
    init(threads: Int = 0) async throws {
        child = try await ChildProcess(BenchPaths.program, ["inbound-peer", "--threads", "\(threads)"])
        processID = child.processID
        let line = try await child.waitForLine("its port") { $0.hasPrefix("port ") }
        guard let port = UInt16(line.dropFirst(5)) else { throw BenchError("what is '\(line)'?") }
        self.port = port
    }

    func stop() async throws {
        child.closeInput()
        _ = try await child.waitForExit(deadline: .seconds(30))
    }
}
