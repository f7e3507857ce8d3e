import Base
import FoundationEssentials
import Gateway
import GatewayTestKit
import Glibc
import Storage
import Testing

/// Figures, not assertions: `FARBELL_BENCH=1 swift test -c release --filter BenchTests`.
@Suite(
    "Figures of the embedded store", .serialized,
    .enabled(if: ProcessInfo.processInfo.environment["FARBELL_BENCH"] != nil))
struct BenchTests {
    private static let seconds = 3.0

    /// One caller's work: a closed loop of submissions, each sent when the one before is answered.
    private final class Caller: Sendable {
        let store: SQLiteStore
        let next: @Sendable (Int) -> [StoreChange]
        let end: Moment
        let state = Locked((count: 0, latencies: [Int64]()))
        let done: @Sendable () -> Void

        init(
            store: SQLiteStore, end: Moment, done: @escaping @Sendable () -> Void,
            next: @escaping @Sendable (Int) -> [StoreChange]
        ) { (self.store, self.end, self.done, self.next) = (store, end, done, next) }

        func step() {
            let started = SystemTime().now
            if started >= end { return done() }
            store.submit(next(state.withLock { $0.count })) { result in
                guard case .success = result else { return self.done() }
                let took = (SystemTime().now - started).nanoseconds
                self.state.withLock { state in
                    state.count += 1
                    state.latencies.append(took)
                }
                self.step()
            }
        }
    }

    private func measure(
        _ what: String, _ callers: Int, changesEach: Int, prepare: (SQLiteStore) async throws -> Void = { _ in },
        next: @escaping @Sendable (_ caller: Int, _ count: Int) -> [StoreChange]
    ) async throws {
        let folder = try TemporaryFolder()
        let store = try await SQLiteStore.open(path: folder.database)
        try await prepare(store)
        let before = store.statistics
        let (started, startedWork) = (SystemTime().now, clock())
        var all: [Caller] = []
        await withCheckedContinuation { (finished: CheckedContinuation<Void, Never>) in
            let left = Locked(callers)
            for index in 0..<callers {
                let caller = Caller(
                    store: store, end: started + .seconds(Self.seconds),
                    done: {
                        if left.withLock({
                            $0 -= 1; return $0
                        }) == 0 {
                            finished.resume()
                        }
                    },
                    next: { next(index, $0) })
                all.append(caller)
            }
            for caller in all { caller.step() }
        }
        let took = (SystemTime().now - started).inSeconds
        // Processor time of the whole process: other work on the machine does not blur it as much.
        let work = Double(clock() - startedWork) * 1e6 / Double(CLOCKS_PER_SEC)
        let count = all.reduce(0) { $0 + $1.state.withLock { $0.count } }
        let latencies = all.flatMap { $0.state.withLock { $0.latencies } }.sorted()
        let commits = store.statistics.commits - before.commits
        func percentile(_ share: Double) -> Int64 {
            latencies.isEmpty ? 0 : latencies[min(latencies.count - 1, Int(Double(latencies.count) * share))] / 1000
        }
        print(
            "\(what), \(callers) callers: \(Int(Double(count) / took)) submissions/s,"
                + " \(Int(Double(count * changesEach) / took)) changes/s, \(count / max(1, commits)) a commit,"
                + " \(store.statistics.checkpoints) checkpoints, \(work / Double(max(1, count * changesEach))) us CPU a change,"
                + " p50 \(percentile(0.5)) p99 \(percentile(0.99)) p999 \(percentile(0.999)) us")
        await store.close()
    }

    private static let body = [UInt8](repeating: 0x61, count: 512)

    @Test("durable puts and settles", arguments: [1, 8, 64])
    func throughput(callers: Int) async throws {
        try await measure("put, own queue", callers, changesEach: 1) { caller, count in
            [.insertMessage(StoreSamples.message(Int64(caller + 1), Int64(count + 1), body: Self.body))]
        }
        try await measure("put, 1000 queues", callers, changesEach: 1) { caller, count in
            let queue = Int64((count &* 7919 + caller &* 31) % 1000 + 1)
            let seq = Int64(count * callers + caller + 1)
            return [.insertMessage(StoreSamples.message(queue, seq, body: Self.body))]
        }
        try await measure("put then settle", callers, changesEach: 1) { caller, count in
            let key = MessageKey(queue: Int64(caller + 1), seq: Int64(count / 2 + 1))
            return count % 2 == 0
                ? [.insertMessage(StoreSamples.message(key.queue, key.seq, body: Self.body))]
                : [.settleMessage(key, MessageUpdate(.done, at: StoreSamples.noon))]
        }
        try await measure("100 puts", callers, changesEach: 100) { caller, count in
            (0..<100).map { index in
                .insertMessage(
                    StoreSamples.message(Int64(caller + 1), Int64(count * 100 + index + 1), body: Self.body))
            }
        }
    }

    @Test("start with a million held messages")
    func start() async throws {
        let folder = try TemporaryFolder()
        for queues in [Int64(1), 20_000] {
            let path = "\(folder.path)/\(queues).db"
            var store = try await SQLiteStore.open(path: path)
            for start in stride(from: Int64(0), to: 1_000_000, by: 5000) {
                try await store.commit(
                    (start..<start + 5000).map { index in
                        let scattered = index &* 7919 % 1_000_000
                        return .insertMessage(
                            StoreSamples.message(scattered % queues + 1, scattered / queues + 1, body: Self.body))
                    })
            }
            await store.close()
            let (opening, work) = (SystemTime().now, clock())
            store = try await SQLiteStore.open(path: path)
            let opened = SystemTime().now
            var (count, position) = (0, Int64?.none)
            repeat {
                let page = try await store.openEntries(after: position, limit: 5000)
                (count, position) = (count + page.entries.count, page.next)
            } while position != nil
            print(
                "start, \(queues) queues: open \((opened - opening).inSeconds) s,"
                    + " \(count) open entries read in \((SystemTime().now - opened).inSeconds) s,"
                    + " \(Double(clock() - work) / Double(CLOCKS_PER_SEC)) s CPU")
            await store.close()
        }
    }
}
