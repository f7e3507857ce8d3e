internal import Base
internal import GatewayTestKit
internal import Outbound

/// `presence`: how many beats a second go through HTTP.
struct PresenceBench: Sendable {
    static let options: Set<String> = ["sessions", "seconds", "connections", "threads"]
    private static let bar = 30_000.0

    private let sessions: Int
    private let seconds: Int
    private let connections: Int
    private let threads: Int

    /// - Throws: `BenchError` (usage).
    init(_ options: BenchOptions) throws {
        sessions = max(1, try options.number("sessions", 1000, quick: 20))
        seconds = max(1, try options.number("seconds", 20, quick: 2))
        connections = max(1, try options.number("connections", 64, quick: 8))
        threads = max(1, try options.number("threads", 1, quick: 1))
    }

    /// - Returns: whether all beats were taken and, with `--seconds` above 2, the bar was met.
    func run() async throws -> Bool {
        guard BenchPaths.has("wrk") else { throw BenchError("wrk is missing: Scripts/install --bench") }
        Report.begin("Farbell presence")
        let setup = try RingSetup()
        defer { setup.apns.stop() }
        let gateway = try await setup.unwatchedGateway(accounts: sessions)
        Report.progress("presence: opening \(sessions) sessions")
        let folder = try TemporaryFolder()
        let list = try folder.write(try await open(gateway.port).joined(separator: "\n"), to: "sessions")
        Report.progress("presence: wrk with \(threads) threads and \(connections) connections for \(seconds) s")
        let before = try ProcessMeter.processorTime(of: gateway.processID)
        let begin = setup.time.now
        let result = try await ChildProcess.run(
            "wrk",
            [
                "--threads", "\(threads)", "--connections", "\(max(threads, connections))", "--duration", "\(seconds)s",
                "--script", BenchPaths.script("presence.lua"), "http://127.0.0.1:\(gateway.port)", list,
                "\(threads)",
            ], deadline: .seconds(seconds + 60))
        let used = try ProcessMeter.processorTime(of: gateway.processID) - before
        let share = used.inSeconds / (setup.time.now - begin).inSeconds
        let memory = try ProcessMeter.memory(of: gateway.processID)
        await gateway.stop()
        guard result.exit == .code(0), let line = result.output.first(where: { $0.hasPrefix("RESULT ") }) else {
            throw BenchError("wrk failed: \((result.errors + result.output).joined(separator: " "))")
        }
        return try report(String(line.dropFirst(7)), share, memory)
    }

    private func report(_ line: String, _ share: Double, _ memory: ProcessMeter.Memory) throws -> Bool {
        let json = try JSONParser.parse(line)
        func number(_ name: String) -> Double { json[name]?.number ?? .nan }
        func milliseconds(_ name: String) -> String { Report.decimal(number(name) / 1000, 2) }
        let perSecond = number("requests") / (number("microseconds") / 1_000_000)
        let failed = number("failed")
        let isMet = perSecond >= Self.bar
        Report.print("")
        Report.print(
            Report.table(
                [
                    "beats", "per second", "p50 ms", "p95 ms", "p99 ms", "max ms", "refused or failed", "bar", "ratio",
                    "verdict",
                ],
                [
                    [
                        Report.decimal(number("requests"), 0), Report.decimal(perSecond, 0), milliseconds("p50"),
                        milliseconds("p95"), milliseconds("p99"), milliseconds("max"), Report.decimal(failed, 0),
                        "30000",
                        Report.decimal(perSecond / Self.bar, 2), Report.verdict(isMet),
                    ]
                ]))
        Report.print(
            "\(sessions) sessions, \(connections) connections kept alive, wrk with \(threads) threads on the same machine;"
                + " the gateway used \(Report.decimal(share * 100, 0)) % of a core and \(memory.resident) KiB")
        return failed == 0 && number("requests") > 0 && (isMet || seconds <= 2)
    }

    /// Logs each device in to the app.
    /// - Returns: a line for each session: its id and the device's token.
    private func open(_ port: Int) async throws -> [String] {
        let http = try HTTPClient()
        return try await withThrowingTaskGroup(of: String.self) { group in
            var lines: [String] = []
            for number in 0..<sessions {
                if number >= 16, let line = try await group.next() { lines.append(line) }
                group.addTask {
                    let token = Seed.token(number)
                    let body: JSON = ["app": "mail", "instance": "bench"]
                    let response = try await http.send(
                        HTTPRequest(
                            "POST", "http://127.0.0.1:\(port)/v1/sessions",
                            headers: ["Authorization": "Bearer \(token)", "Content-Type": "application/json"],
                            body: body.serializedBytes))
                    guard response.status == 201, let id = try JSONParser.parse(response.body)["id"]?.string else {
                        throw BenchError(
                            "no session: \(response.status) \(String(decoding: response.body, as: UTF8.self))")
                    }
                    return "\(id) \(token)"
                }
            }
            for try await line in group { lines.append(line) }
            return lines
        }
    }
}

extension RingSetup {
    /// A gateway whose accounts are registered for an app that nothing watches.
    func unwatchedGateway(accounts: Int) async throws -> GatewayProcess {
        try await gateway(mailboxes: accounts, port: nil)
    }
}
