package import Base
package import Gateway

/// Takes what a monitor reports, as the gateway's intake does: known items are dropped, and while there is no
/// cursor, items are kept as known and ring for nothing.
package final class RecordingMonitorHost: MonitorHost {
    private struct State {
        var cursor: [UInt8]?
        var known: Set<String> = []
        var rung: [Item] = []
        var seen: [String] = []
        var gone: [String] = []
        var batches = 0
        var largestBatch = 0
        var largestCursor = 0
        var repeated = 0
        var watching = 0
        var heard = 0
        var failures: [MonitorFailure] = []
        var isClosed = false
        var crashes = 0
        var replaced: [String: Secret] = [:]
    }

    private let state: Locked<State>

    /// - Parameter cursor: what was stored earlier; nil for a first run.
    package init(cursor: [UInt8]? = nil) { state = Locked(State(cursor: cursor)) }

    package func emit(_ batch: MonitorBatch) async throws {
        while isClosed { try await Task.sleep(for: .milliseconds(2)) }
        try Task.checkCancellation()
        try state.withLock { state in
            if state.crashes > 0, batch.changes.contains(where: { if case .new = $0 { true } else { false } }) {
                state.crashes -= 1
                throw SimulatedCrash()
            }
            state.batches += 1
            state.largestBatch = max(state.largestBatch, batch.changes.count)
            state.largestCursor = max(state.largestCursor, batch.cursor.count)
            for change in batch.changes {
                switch change {
                case .new(let item):
                    if !state.known.insert(item.key).inserted {
                        state.repeated += 1
                    } else if state.cursor != nil {
                        state.rung.append(item)
                    }
                case .seen(let key): state.seen.append(key)
                case .gone(let key): state.gone.append(key)
                }
            }
            state.cursor = batch.cursor
        }
    }

    package func watching() { state.withLock { $0.watching += 1 } }
    package func heard() { state.withLock { $0.heard += 1 } }

    package func replaced(_ field: String, with value: Secret) async throws {
        state.withLock { $0.replaced[field] = value }
    }

    /// Notes a failure that `watch` threw.
    package func failed(_ failure: MonitorFailure) { state.withLock { $0.failures.append(failure) } }

    /// A closed host lets the monitor wait in `emit`.
    package var isClosed: Bool {
        get { state.withLock { $0.isClosed } }
        set { state.withLock { $0.isClosed = newValue } }
    }

    /// So many of the next batches with news are lost before they are stored, as when the process is killed.
    package var crashes: Int {
        get { state.withLock { $0.crashes } }
        set { state.withLock { $0.crashes = newValue } }
    }

    /// The cursor stored last; tests may replace it.
    package var cursor: [UInt8]? {
        get { state.withLock { $0.cursor } }
        set { state.withLock { $0.cursor = newValue } }
    }
    /// Credentials that the monitor has replaced by others; a new start gets them.
    package var replaced: [String: Secret] { state.withLock { $0.replaced } }
    /// Items that would ring, in order.
    package var rung: [Item] { state.withLock { $0.rung } }
    package var seen: [String] { state.withLock { $0.seen } }
    package var gone: [String] { state.withLock { $0.gone } }
    package var batches: Int { state.withLock { $0.batches } }
    /// The most changes of one batch, and the most bytes of one cursor.
    package var largestBatch: Int { state.withLock { $0.largestBatch } }
    package var largestCursor: Int { state.withLock { $0.largestCursor } }
    /// Items that were emitted although they were known; allowed, and dropped.
    package var repeated: Int { state.withLock { $0.repeated } }
    /// How often the monitor said that it watches.
    package var watchingCount: Int { state.withLock { $0.watching } }
    package var heardCount: Int { state.withLock { $0.heard } }
    package var failures: [MonitorFailure] { state.withLock { $0.failures } }

    /// Returns when `count` items have rung.
    /// - Throws: `DeadlineMissed`.
    @discardableResult
    package func waitForItems(_ count: Int, deadline: Duration = .seconds(30)) async throws -> [Item] {
        try await Eventually.wait("\(count) items, not \(rung.count); failures: \(failures)", for: deadline) {
            rung.count >= count
        }
        return rung
    }

    /// Returns when the monitor has said for the `count`th time that it watches.
    /// - Throws: `DeadlineMissed`.
    package func waitForWatching(_ count: Int = 1, deadline: Duration = .seconds(30)) async throws {
        try await Eventually.wait("watching \(count) times; failures: \(failures)", for: deadline) {
            watchingCount >= count
        }
    }

    /// Returns when `watch` has failed `count` times.
    /// - Throws: `DeadlineMissed`.
    @discardableResult
    package func waitForFailures(_ count: Int = 1, deadline: Duration = .seconds(30)) async throws -> [MonitorFailure] {
        try await Eventually.wait("\(count) failures", for: deadline) { failures.count >= count }
        return failures
    }
}

/// Nothing of the batch was stored, and the monitor is started anew.
package struct SimulatedCrash: Error {}

/// Runs a monitor as the gateway does, for as long as a test's body lasts.
package enum MonitorRun {
    /// Watches beside `body`, again after failures other than `authFailed` and `cursorInvalid`, with the cursor the
    /// host stored last. When `body` ends, the watch is cancelled and waited for.
    /// - Throws: what `body` throws; an error of `watch` that is neither a `MonitorFailure` nor a cancellation.
    @discardableResult
    package static func during<Result: Sendable>(
        _ monitor: any Monitor, credentials: [String: Secret], host: RecordingMonitorHost, account: AccountID = "alice",
        registration: RegistrationID = "r1", body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask {
                try await watchAgainAndAgain(monitor, credentials, host, account, registration)
                return nil
            }
            group.addTask {
                try await monitor.run()
                return nil
            }
            group.addTask { try await body() }
            defer { group.cancelAll() }
            while true {
                guard let next = try await group.next() else { throw CancellationError() }
                if let result = next { return result }
            }
        }
    }

    private static func watchAgainAndAgain(
        _ monitor: any Monitor, _ credentials: [String: Secret], _ host: RecordingMonitorHost, _ account: AccountID,
        _ registration: RegistrationID
    ) async throws {
        while !Task.isCancelled {
            let target = MonitorTarget(
                registration: registration, account: account,
                credentials: credentials.merging(host.replaced) { $1 }, cursor: host.cursor)
            do {
                try await monitor.watch(target, host: host)
            } catch let failure as MonitorFailure {
                host.failed(failure)
                if failure.code == .authFailed || failure.code == .cursorInvalid { return }
                try await Task.sleep(for: .milliseconds(20))
            } catch is SimulatedCrash {
                continue
            } catch is CancellationError {
                return
            }
        }
    }
}
