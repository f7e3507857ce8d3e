internal import Base
internal import Gateway

/// The writer: one thread that takes all submissions that wait, writes them in one transaction, and
/// answers them when the sync has returned. While it syncs the next ones gather, so that a group grows
/// with the load and nobody waits for company.
final class Writer: Sendable {
    /// Where a test may step in; a thrown error takes the place of the disk's.
    enum Failpoint: Sendable, CaseIterable {
        /// Before the first statement of a group.
        case write
        /// All is written, nothing synced.
        case sync
        /// Synced, nobody answered.
        case reply
    }

    private let inbox: Locked<WriteInbox>
    private let wake = Semaphore()
    private let counters = Locked(StoreStatistics())
    private let failpoint: (@Sendable (Failpoint) throws(StoreError) -> Void)?
    private let policy: CheckpointPlan.Policy
    fileprivate let keeper: LogKeeper

    init(
        limits: WriteInbox.Limits, groupLimits: WriteInbox.GroupLimits, policy: CheckpointPlan.Policy,
        keeper: LogKeeper,
        failpoint: (@Sendable (Failpoint) throws(StoreError) -> Void)?
    ) {
        inbox = Locked(WriteInbox(limits: limits, groupLimits: groupLimits))
        (self.policy, self.keeper, self.failpoint) = (policy, keeper, failpoint)
    }

    var waiting: Int { inbox.withLock { $0.count } }
    var statistics: StoreStatistics {
        var statistics = counters.withLock { $0 }
        statistics.checkpoints += keeper.copies
        return statistics
    }

    func submit(
        _ changes: [StoreChange], completion: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        switch inbox.withLock({ $0.add(Submission(changes: changes, completion: completion)) }) {
        case .wake: wake.signal()
        case .queued: break
        case .closed: completion(.failure(StoreError(.closed, "the store is closed")))
        }
    }

    /// Takes nothing more; the thread ends when it has written what waits.
    func stop() {
        inbox.withLock { $0.close() }
        wake.signal()
    }

    /// Starts the thread.
    /// - Parameters:
    ///   - open: opens the connection, on the thread.
    ///   - opened: called with its outcome.
    ///   - closed: called when the thread has ended and the connection is closed.
    func start(
        open: @escaping @Sendable () throws(StoreError) -> WriteConnection,
        opened: @escaping @Sendable (Result<Void, StoreError>) -> Void, closed: @escaping @Sendable () -> Void
    ) {
        SystemThread.start(name: "store-writer") {
            do throws(StoreError) {
                var run = WriterRun(writer: self, connection: try open(), plan: CheckpointPlan(self.policy))
                opened(.success(()))
                run.loop()
            } catch {
                opened(.failure(error))
            }
            closed()
        }
    }

    fileprivate func waitForWork() { wake.wait() }
    fileprivate func take() -> (group: [Submission], isClosed: Bool) {
        inbox.withLock { ($0.takeGroup(), $0.isClosed) }
    }
    fileprivate var hasWork: Bool { inbox.withLock { !$0.isEmpty } }
    fileprivate func count(_ body: (inout StoreStatistics) -> Void) { counters.withLock { body(&$0) } }
    fileprivate func reach(_ point: Failpoint) throws(StoreError) { try failpoint?(point) }
}

/// The thread's own state; it never leaves the thread.
private struct WriterRun {
    let writer: Writer
    let connection: WriteConnection
    var plan: CheckpointPlan
    /// The first failure. From then on every submission is answered with it: memory and disk disagree.
    var failure: StoreError?
    /// A purge that has more to remove. It goes on with the next group, or at once when nobody waits.
    var unfinishedPurge: StoreChange?

    init(writer: Writer, connection: WriteConnection, plan: CheckpointPlan) {
        (self.writer, self.connection, self.plan) = (writer, connection, plan)
    }

    mutating func loop() {
        while true {
            writer.waitForWork()
            while true {
                let (group, isClosed) = writer.take()
                if group.isEmpty && (unfinishedPurge == nil || failure != nil || isClosed) {
                    if isClosed { return finish() }
                    break
                }
                process(group)
            }
        }
    }

    private mutating func process(_ group: [Submission]) {
        let results = failure.map { error in group.map { _ in .failure(error) } } ?? write(group)
        if !group.isEmpty {
            writer.count { counters in
                counters.submissions += group.count
                counters.largestGroup = max(counters.largestGroup, group.count)
            }
        }
        Batch.run {
            for (submission, result) in zip(group, results) { submission.completion(result) }
        }
        if failure == nil { checkpoint() }
    }

    /// Writes a group in one transaction. A group with a refused submission is written again with each
    /// submission in a savepoint of its own, which only then is worth its price.
    private mutating func write(_ group: [Submission]) -> [Result<Void, StoreError>] {
        var results: [Result<Void, StoreError>] = []
        do throws(StoreError) {
            try writer.reach(.write)
            try connection.begin()
            do throws(StoreError) {
                results = try apply(group, eachNested: false)
            } catch  where error.code == .refused {
                try connection.rollback()
                try connection.begin()
                results = try apply(group, eachNested: true)
            }
            try writer.reach(.sync)
            try connection.commit()
            plan.committed(logged: connection.loggedPages)
            try writer.reach(.reply)
        } catch {
            failure = error
            // Where the disk fails undoing may fail too; the process ends now anyway.
            try? connection.rollback()
            return group.map { .failure($0.failure ?? error) }
        }
        writer.count { $0.commits += 1 }
        return results
    }

    private mutating func apply(
        _ group: [Submission], eachNested: Bool
    ) throws(StoreError) -> [Result<Void, StoreError>] {
        var results: [Result<Void, StoreError>] = []
        results.reserveCapacity(group.count)
        var unfinished: StoreChange?
        if let purge = unfinishedPurge, try connection.apply(purge) { unfinished = purge }
        for submission in group {
            if let failure = submission.failure {
                results.append(.failure(failure))
                continue
            }
            let connection = connection
            func applyAll() throws(StoreError) {
                for purge in try connection.apply(submission.changes) { unfinished = later(unfinished, purge) }
            }
            do throws(StoreError) {
                if eachNested { try connection.nested(applyAll) } else { try applyAll() }
                results.append(.success(()))
            } catch  where eachNested && error.code == .refused {
                results.append(.failure(error))
            }
        }
        unfinishedPurge = unfinished
        return results
    }

    /// Of two purges the one that removes more.
    private func later(_ first: StoreChange?, _ second: StoreChange) -> StoreChange {
        guard case .purge(let a)? = first, case .purge(let b) = second else { return second }
        return .purge(before: max(a, b))
    }

    /// Has pages of the log copied when it is time to.
    private mutating func checkpoint() {
        let report = writer.keeper.look(logged: plan.logged)
        if let failed = report.failure {
            failure = failed
            return
        }
        plan.note(copied: report.copied, generation: report.generation)
        switch plan.next(isKeeperBusy: report.isBusy) {
        case .none: break
        case .askKeeper: writer.keeper.copy(generation: plan.generation)
        case .finish: copy(.passive)
        case .restart:
            writer.keeper.waitUntilIdle()
            copy(.restart)
        }
    }

    private mutating func copy(_ mode: Database.CheckpointMode) {
        do throws(StoreError) {
            guard let result = try connection.checkpoint(mode) else { return }
            plan.note(copied: result.copied, generation: plan.generation)
            writer.count { $0.checkpoints += 1 }
        } catch {
            failure = error
        }
    }

    private mutating func finish() {
        // With its connection open the log could not be emptied.
        writer.keeper.stop()
        // What was accepted stands in the log, which the next start reads.
        if failure == nil { copy(.truncate) }
    }
}

/// What a store has done since it was opened.
package struct StoreStatistics: Sendable, Hashable {
    package internal(set) var submissions = 0
    /// Transactions, each with one sync.
    package internal(set) var commits = 0
    /// The most submissions that shared a sync.
    package internal(set) var largestGroup = 0
    package internal(set) var checkpoints = 0
}
