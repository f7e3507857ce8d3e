internal import Base
internal import Gateway

/// The connection that writes, and what belongs to it: for whoever has taken the inbox, and nobody else.
final class WritingDesk: @unchecked Sendable {
    // Sendable: `WriteInbox.take` lets one thread in at a time, and its lock passes on what that thread did.
    private let policy: Writer.CheckpointPolicy
    private let time: any TimeSource
    private let counters: Locked<StoreStatistics>
    private let failpoint: (@Sendable (Writer.Failpoint) throws(StoreError) -> Void)?
    /// Nil before it is open and after it was closed.
    var connection: WriteConnection?
    /// The first failure. From then on every submission is answered with it: memory and disk disagree.
    private var failure: StoreError?
    /// A purge that has more to remove. It goes on with the next group, or at once when nobody waits.
    private var unfinishedPurge: StoreChange?
    /// What writing and syncing a group took lately; nobody knows before the first.
    private(set) var syncTime = Duration.seconds(1)

    init(
        policy: Writer.CheckpointPolicy, time: any TimeSource, counters: Locked<StoreStatistics>,
        failpoint: (@Sendable (Writer.Failpoint) throws(StoreError) -> Void)?
    ) {
        (self.policy, self.time, self.counters, self.failpoint) = (policy, time, counters, failpoint)
    }

    /// Whether a purge has to go on.
    var hasUnfinished: Bool { unfinishedPurge != nil && failure == nil }

    /// Whether something is to be done that takes long and is nobody's request.
    var needsMaintenance: Bool {
        guard failure == nil, let connection else { return false }
        return hasUnfinished || connection.wantsSpace || connection.pagesToCopy >= policy.idlePages
    }

    /// Writes a group in one transaction. A group with a refused submission is written again with each
    /// submission in a savepoint of its own, which only then is worth its price.
    /// - Returns: the outcome of each.
    func write(_ group: [Submission]) -> [Result<Void, StoreError>] {
        guard failure == nil, let connection else {
            return group.map { _ in .failure(failure ?? StoreError(.closed, "the store is closed")) }
        }
        let pages = connection.loggedPages
        var results: [Result<Void, StoreError>] = []
        do throws(StoreError) {
            try failpoint?(.write)
            try connection.begin()
            do throws(StoreError) {
                results = try apply(group, connection, eachNested: false)
            } catch  where error.code == .refused {
                try connection.rollback()
                try connection.begin()
                results = try apply(group, connection, eachNested: true)
            }
            try failpoint?(.sync)
            let start = time.now
            try connection.commit()
            // A quarter of the newest: one slow sync is an accident, four are a slow disk.
            syncTime = (syncTime * 3 + min(time.now - start, .seconds(1))) / 4
            connection.noteCommit(pagesBefore: pages)
            try failpoint?(.reply)
        } catch {
            failure = error
            // Where the disk fails undoing may fail too; the process ends now anyway.
            try? connection.rollback()
            return group.map { .failure($0.failure ?? error) }
        }
        counters.withLock { counters in
            counters.commits += 1
            counters.submissions += group.count
            counters.largestGroup = max(counters.largestGroup, group.count)
        }
        return results
    }

    private func apply(
        _ group: [Submission], _ connection: WriteConnection, eachNested: Bool
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

    /// Gives the log room, and copies pages from it when it is time to.
    /// - Parameter isBusy: whether somebody waits.
    func maintain(isBusy: Bool) {
        guard failure == nil, let connection else { return }
        connection.prepareLog()
        do throws(StoreError) {
            if connection.loggedPages >= policy.restartPages {
                try connection.checkpoint(.restart)
            } else if connection.pagesToCopy >= policy.busyPages
                || (connection.pagesToCopy >= policy.idlePages && !isBusy)
            {
                try connection.checkpoint(.passive)
            } else {
                return
            }
            counters.withLock { $0.checkpoints += 1 }
        } catch {
            failure = error
        }
    }

    /// Empties the log, at the end.
    func finish() {
        guard failure == nil, let connection else { return }
        do throws(StoreError) {
            try connection.checkpoint(.truncate)
        } catch {
            // What was accepted stands in the log, which the next start reads.
            failure = error
        }
    }
}
