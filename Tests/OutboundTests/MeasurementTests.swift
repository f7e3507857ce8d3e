import Base
import FoundationEssentials
import Glibc
import Outbound
import Testing

/// Figures to read, not to pass: run with `FARBELL_MEASURE=1`, or `=system` for the system's trusted roots.
@Suite(.serialized, .enabled(if: ProcessInfo.processInfo.environment["FARBELL_MEASURE"] != nil))
struct MeasurementTests {
    /// Resident memory of this process in kB.
    private func resident() throws -> Int {
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
        return try #require(line.split(separator: " ").dropFirst().first.flatMap { Int($0) })
    }

    /// Processor time of this process in seconds.
    private func processorTime() -> Double { Double(clock()) / Double(CLOCKS_PER_SEC) }

    @Test("memory of an idle mail connection with TLS; `FARBELL_MEASURE_COUNT` of them")
    func idleMail() async throws {
        let environment = ProcessInfo.processInfo.environment
        let count = environment["FARBELL_MEASURE_COUNT"].flatMap(Int.init) ?? 1000
        let systemRoots = environment["FARBELL_MEASURE"] == "system"
        let authority = try await TestAuthority()
        var roots = authority.ca
        if systemRoots {
            // The system's bundle and ours in one file: the cost of many roots.
            roots = authority.folder + "/bundle.pem"
            let text =
                try String(contentsOfFile: "/etc/ssl/certs/ca-certificates.crt", encoding: .utf8)
                + String(contentsOfFile: authority.ca, encoding: .utf8)
            try text.write(toFile: roots, atomically: true, encoding: .utf8)
        }
        let peer = try await Peer("mail_peer.py", authority.serverArguments + ["--implicit"])
        let client = try HTTPClient()
        var request = MailConnectionRequest(
            .imap, host: "localhost", port: peer.port, security: .implicitTLS,
            login: .password(user: "ann", Secret("secret-pw")))
        request.caFile = roots
        let (before, start, processor) = (try resident(), ContinuousClock.now, processorTime())
        let connections = try await withThrowingTaskGroup(of: MailConnection.self) { [request] group in
            for _ in 0..<count { group.addTask { try await client.connectMail(request) } }
            return try await group.reduce(into: [MailConnection]()) { $0.append($1) }
        }
        let (took, used) = (ContinuousClock.now - start, processorTime() - processor)
        let waiting = connections.map { connection in Task { try await connection.receive() } }
        try await Task.sleep(for: .seconds(1))
        let after = try resident()
        print(
            "MEASURE roots=\(systemRoots ? "system" : "one") kB/connection=\(Double(after - before) / Double(count))",
            "logins=\(took.inSeconds)s processor=\(used)s")
        let idleStart = processorTime()
        try await Task.sleep(for: .seconds(5))
        print("MEASURE idle processor seconds in 5 s: \(processorTime() - idleStart)")
        for task in waiting { task.cancel() }
    }

    @Test("requests a second over one HTTP/2 connection")
    func throughput() async throws {
        let tests = try await MultiplexingTests()
        let (process, port) = try await tests.start(1000)
        let client = try HTTPClient()
        var request = tests.request(port)
        request.method = "POST"
        request.body = [UInt8](repeating: 65, count: 300)
        let (start, processor) = (ContinuousClock.now, processorTime())
        try await withThrowingTaskGroup(of: Void.self) { [request] group in
            for _ in 0..<200 {
                group.addTask { for _ in 0..<200 { _ = try await client.send(request) } }
            }
            try await group.waitForAll()
        }
        let seconds = (ContinuousClock.now - start).inSeconds
        print(
            "MEASURE http2 \(Int(40_000 / seconds))/s, processor \((processorTime() - processor) / 40_000 * 1e6) us each"
        )
        _ = process
    }
}
