internal import Base
internal import Gateway

/// Writes submissions: all that wait in one transaction, answered when the sync has returned. While it syncs the
/// next ones gather, so that a group grows with the load and nobody waits for company.
///
/// One at a time writes. That is a thread of the writer's own, or, for a few submissions and a quick disk, the
/// thread that brought them, at the end of its turn (`Batch`): to wake another one, and to be woken by it, takes
/// longer than the sync.
final class Writer: Sendable {
    /// When pages of the log are copied into the database file.
    struct CheckpointPolicy: Sendable {
        /// Pages that are copied as soon as nobody waits (4 MB).
        var idlePages = 1000
        /// Pages at which the copying is done although submissions wait (64 MB).
        var busyPages = 16_384
        /// Length of the log at which readers are waited for, so that it starts anew (256 MB). Only a reader
        /// that never ends lets it grow further.
        var restartPages = 65_536
    }

    /// When those who submit write themselves.
    struct InlinePolicy: Sendable {
        /// Submissions in a group; above it a thread of its own can do something meanwhile.
        var submissions = 2
        /// What a sync took lately; a slower disk must not hold up a thread that has other work.
        var sync = Duration.milliseconds(1)
    }

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
    private let counters: Locked<StoreStatistics>
    private let policy: InlinePolicy
    private let desk: WritingDesk

    init(
        limits: WriteInbox.Limits, groupLimits: WriteInbox.GroupLimits, policy: CheckpointPolicy,
        inline: InlinePolicy, time: any TimeSource, failpoint: (@Sendable (Failpoint) throws(StoreError) -> Void)?
    ) {
        inbox = Locked(WriteInbox(limits: limits, groupLimits: groupLimits))
        let counters = Locked(StoreStatistics())
        (self.policy, self.counters) = (inline, counters)
        desk = WritingDesk(policy: policy, time: time, counters: counters, failpoint: failpoint)
    }

    var waiting: Int { inbox.withLock { $0.count } }
    var statistics: StoreStatistics { counters.withLock { $0 } }

    func submit(
        _ changes: [StoreChange], completion: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        switch inbox.withLock({ $0.add(Submission(changes: changes, completion: completion)) }) {
        case .queued: break
        case .closed: completion(.failure(StoreError(.closed, "the store is closed")))
        case .idle(let waiting):
            if !Batch.isRunning {
                wake.signal()
            } else if waiting == 1 {
                Batch.afterwards { self.write() }
            } else if waiting == policy.submissions + 1 {
                // Too many already: the thread begins while the turn goes on.
                wake.signal()
            }
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
        // Nobody else writes before it is open.
        _ = inbox.withLock { $0.take() }
        SystemThread.start(name: "store-writer") { [self] in
            do throws(StoreError) {
                desk.connection = try open()
                release()
                opened(.success(()))
                loop()
            } catch {
                opened(.failure(error))
            }
            desk.connection = nil
            closed()
        }
    }

    /// The thread's work.
    private func loop() {
        while true {
            wake.wait()
            // Else somebody writes, and signals if he leaves something.
            guard inbox.withLock({ $0.take() }) else { continue }
            while true {
                let (group, isClosed) = inbox.withLock { ($0.takeGroup(), $0.isClosed) }
                if !group.isEmpty || desk.hasUnfinished && !isClosed { process(group) }
                desk.maintain(isBusy: inbox.withLock { !$0.isEmpty })
                guard group.isEmpty, !desk.hasUnfinished || isClosed else { continue }
                if isClosed { return desk.finish() }
                break
            }
            release()
        }
    }

    /// Writes what the calling thread brought, if that is little and nobody else writes.
    private func write() {
        let group = inbox.withLock { inbox -> [Submission]? in
            guard inbox.isQuick, inbox.count <= policy.submissions, !inbox.isClosed, inbox.take() else { return nil }
            return inbox.takeGroup()
        }
        guard let group else { return wake.signal() }
        if !group.isEmpty { process(group) }
        release()
    }

    /// Lets others write. What came meanwhile, and what takes long, is for the thread.
    private func release() {
        let (isQuick, needsThread) = (desk.syncTime <= policy.sync, desk.needsMaintenance)
        let isLeft = inbox.withLock { inbox in
            inbox.release(isQuick: isQuick)
            return !inbox.isEmpty || inbox.isClosed
        }
        if isLeft || needsThread { wake.signal() }
    }

    private func process(_ group: [Submission]) {
        let results = desk.write(group)
        Batch.run {
            for (submission, result) in zip(group, results) { submission.completion(result) }
        }
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
