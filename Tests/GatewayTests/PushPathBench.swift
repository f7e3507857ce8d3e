import Base
import FoundationEssentials
import Gateway
import GatewayTestKit
import Testing

/// Takes everything at once, and notes when.
private final class InstantAdapter: PushAdapter {
    let concurrency = 500
    let canClear = false
    private let arrivals = Locked<[(id: String, at: Moment)]>([])

    var all: [(id: String, at: Moment)] { arrivals.withLock { $0 } }
    var count: Int { arrivals.withLock { $0.count } }
    func fault(in address: Channel.Address) -> String? { nil }
    func send(_ push: Push) async -> PushReport {
        arrivals.withLock { $0.append((push.id, SystemTime().now)) }
        return PushReport(.delivered, status: 200)
    }
}

/// Figures, not assertions: `FARBELL_BENCH=1 swift test -c release --filter PushPathBench`. The core's part only: from
/// a sender's message to the adapter, and its record. The store and the log are in memory, the lines are not formatted.
@Suite(
    "Figures of the way from the queue to the adapter", .serialized,
    .enabled(if: ProcessInfo.processInfo.environment["FARBELL_BENCH"] != nil))
struct PushPathBench {
    private static let accounts = 1000

    /// - Parameter rate: messages a second; nil: as many as go.
    private func run(_ count: Int, rate: Double?) async throws {
        let adapter = InstantAdapter()
        var parts = TestGateway.Parts()
        parts.notify.group = .zero
        parts.configure = { configuration in
            configuration.pushes = [ConfiguredPush(name: "phone", kind: "instant", adapter: adapter)]
        }
        try await TestGateway.run(parts) { test in
            for index in 0..<Self.accounts { try await test.device("user\(index)", "phone") }
            let time = SystemTime()
            let start = time.now
            var sent: [Moment] = []
            var index = 0
            while index < count {
                let due = rate.map { start + .seconds(Double(index) / $0) } ?? time.now
                if due > time.now { try await time.sleep(until: due) }
                // As a busy interface does: a few at a time, each with its own commit.
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<(rate == nil ? 16 : 1) where index < count {
                        let order = SendOrder(to: [.account(AccountID("user\(index % Self.accounts)"))])
                        sent.append(time.now)
                        index += 1
                        group.addTask {
                            let postings = try test.gateway.postmaster.prepare(order, by: .app("talk"))
                            _ = try await test.gateway.postmaster.send(postings)
                        }
                    }
                    try await group.waitForAll()
                }
            }
            try await Eventually.wait("all arrive", for: .seconds(120)) { adapter.count == count }
            try await test.waitUntilIdle()
            let took = time.now - start
            let delays = zip(sent.sorted(), adapter.all.map(\.at).sorted()).map { $1 - $0 }.sorted()
            print(
                "push path: \(count) in \(took), \(Int(Double(count) / took.inSeconds))/s,",
                "p50 \(delays[count / 2]), p99 \(delays[count * 99 / 100])")
        }
    }

    @Test func asFastAsItGoes() async throws { try await run(20_000, rate: nil) }
    @Test func twoThousandASecond() async throws { try await run(10_000, rate: 2000) }
}
