internal import APNsPush
internal import Base
internal import Cryptography
internal import Gateway
internal import GatewayTestKit
internal import Glibc
internal import Outbound

/// `pushes`: pushes a second through the APNs adapter and the HTTP client alone, to the fake Apple in the same
/// process, and the processor time each thread takes for one.
struct PushesBench: Sendable {
    static let options: Set<String> = ["count", "window"]

    private let count: Int
    private let window: Int

    /// - Throws: `BenchError` (usage).
    init(_ options: BenchOptions) throws {
        count = max(1000, try options.number("count", 200_000, quick: 5000))
        window = max(1, try options.number("window", 500, quick: 100))
    }

    /// - Returns: whether every push was delivered.
    func run() async throws -> Bool {
        let folder = try TemporaryFolder()
        let authority = try TestCertificateAuthority()
        let key = try ECKey()
        try folder.write(key.privatePEM(), to: "key.p8")
        var configuration = FakeAPNs.Configuration(
            keys: [.init(teamID: "TEAM123456", keyID: "KEY1234567", key: key)], topics: ["com.example.a": "TEAM123456"])
        configuration.acceptsAnyDevice = true
        let apple = try FakeAPNs(configuration, identity: authority.localhost)
        apple.pushes.keepOnly(first: 1)
        apple.requests.keepOnly(first: 1)
        defer { apple.stop() }
        let client = try HTTPClient()
        let adapter = try APNsPlugin().adapter(
            #"{"teamId":"TEAM123456","keyId":"KEY1234567","keyFile":"key.p8","topic":"com.example.a","#
                + #""url":"\#(apple.origin)","caFile":"\#(authority.caFile)"}"#,
            folder: folder.path, http: client, time: SystemTime())
        _ = await adapter.send(push(0))
        let before = try threads()
        let start = ContinuousClock.now
        let delivered = await withTaskGroup(of: Int.self) { group in
            for worker in 0..<window {
                group.addTask {
                    var delivered = 0
                    for number in stride(from: worker, to: count, by: window) {
                        if await adapter.send(push(number)).outcome == .delivered { delivered += 1 }
                    }
                    return delivered
                }
            }
            return await group.reduce(0, +)
        }
        let took = (ContinuousClock.now - start).inSeconds
        Report.begin("APNs adapter and HTTP client")
        Report.print(
            "\(Int(Double(count) / took)) pushes/s, \(window) at once, \(count - delivered) of \(count) not delivered, "
                + "\(apple.counts.connections) connections")
        let used = try threads().map { name, time in
            [name, Report.decimal((time - (before[name] ?? .zero)).inSeconds * 1e6 / Double(count), 1)]
        }
        Report.print(Report.table(["thread", "µs CPU a push"], used.sorted { $0[0] < $1[0] }))
        return delivered == count
    }

    private func push(_ number: Int) -> Push {
        let digits = String(number)
        let id = "11111111-2222-4333-8444-" + String(repeating: "0", count: 12 - digits.count) + digits
        return .sample(to: .token(String(repeating: "0af1", count: 16)), id: id)
    }

    /// Processor time of this process's threads, by name.
    private func threads() throws -> [String: Duration] {
        guard let folder = unsafe opendir("/proc/self/task") else { throw BenchError("no /proc") }
        defer { unsafe closedir(folder) }
        var times: [String: Duration] = [:]
        while let entry = unsafe readdir(folder) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) {
                unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard let task = Int32(name), let bytes = FileSystem.contents(of: "/proc/self/task/\(task)/comm", limit: 64)
            else { continue }
            let comm = String(decoding: bytes, as: UTF8.self).trimmingSpace
            times[comm, default: .zero] =
                times[comm, default: .zero] + (try ProcessMeter.processorTime(of: getpid(), thread: task))
        }
        return times
    }
}
