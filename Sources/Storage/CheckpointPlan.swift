/// Decides when the log's pages are copied into the database file, and by which thread.
///
/// Copying syncs the database file, which takes milliseconds for which no commit should wait: the keeper does it beside
/// the writer. Only what has come meanwhile, a few pages, the writer copies itself when the log has become long: SQLite
/// writes the log from its start again once all of it is copied, and while messages come that is never so otherwise.
struct CheckpointPlan {
    struct Policy {
        /// Pages that the keeper is asked to copy (16 MB).
        var copyPages = 4096
        /// Length of the log from which the writer copies the rest itself, so that it starts anew (48 MB) …
        var finishPages = 12_288
        /// … as soon as no more pages than this are left.
        var finishRest = 1024
        /// Length of the log at which the writer copies all and readers are waited for (256 MB). Only a reader that
        /// never ends, or a disk that is too slow for what comes, lets it grow further.
        var restartPages = 65_536
    }

    enum Action: Equatable {
        case none
        /// The keeper copies what is there now.
        case askKeeper
        /// The writer copies what is left, without waiting for anyone.
        case finish
        /// The writer copies all, and waits for readers.
        case restart
    }

    private let policy: Policy
    /// The log's length in pages.
    private(set) var logged = 0
    /// Of those, pages that stand in the database file too.
    private var copied = 0
    /// How often the log was begun anew: what the keeper tells of an earlier one means nothing any more.
    private(set) var generation = 0
    /// The log's length at the last try. A reader may keep its pages where they are; then trying again helps only later.
    private var tried = 0

    init(_ policy: Policy) { self.policy = policy }

    /// Pages that wait to be copied.
    var rest: Int { max(0, logged - copied) }

    /// A commit has left the log that long. A shorter one than before is written from its start again.
    mutating func committed(logged pages: Int) {
        if pages < logged {
            generation += 1
            (copied, tried) = (0, 0)
        }
        logged = pages
    }

    /// So many pages of the log stand in the database file.
    mutating func note(copied pages: Int, generation: Int) {
        if generation == self.generation { copied = max(copied, pages) }
    }

    /// What to do after a commit.
    /// - Parameter isKeeperBusy: it copies, or is going to. Only a restart waits for it.
    mutating func next(isKeeperBusy: Bool) -> Action {
        let action = wanted(isKeeperBusy)
        if action != .none { tried = logged }
        return action
    }

    private func wanted(_ isKeeperBusy: Bool) -> Action {
        let grown = logged - tried
        if logged >= policy.restartPages, grown >= policy.finishRest { return .restart }
        if isKeeperBusy || rest == 0 { return .none }
        let isLong = logged >= policy.finishPages
        if isLong && rest <= policy.finishRest { return grown >= policy.finishRest / 4 ? .finish : .none }
        // In a long log ever less comes while the keeper copies ever less.
        return grown >= policy.finishRest && (isLong || rest >= policy.copyPages) ? .askKeeper : .none
    }
}
