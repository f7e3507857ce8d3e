package import Base
package import Gateway
internal import Glibc

/// The embedded store: one SQLite file in write-ahead mode, one thread that writes, a few that read.
///
/// A submission is answered after the sync that covers it. One process at a time uses the file; a lock
/// file beside it (`NAME.lock`) sees to that.
package final class SQLiteStore: Store {
    /// How a store is opened. The defaults are for production.
    package struct Options: Sendable {
        /// Connections for reading, each with its own thread.
        package var readers = 2
        /// How long a write waits for another program's lock, such as an operator's `sqlite3`.
        var lockWaitMilliseconds: Int32 = 5000
        var inboxLimits = WriteInbox.Limits()
        var groupLimits = WriteInbox.GroupLimits()
        var checkpoints = CheckpointPlan.Policy()
        /// Whether the log's file is kept longer than the log (`LogSpace`).
        var reservesLog = true
        /// Further settings of the writing connection, for tests.
        var pragmas: [SQL] = []
        var migrations = Schema.migrations
        /// Called on the keeper's thread before pages are copied; a thrown error takes the place of the disk's.
        var copyFailpoint: (@Sendable () throws(StoreError) -> Void)?
        /// Called on the writer's thread.
        var failpoint: (@Sendable (Writer.Failpoint) throws(StoreError) -> Void)?

        package init() {}
    }

    /// The database file.
    package let path: String
    private let writer: Writer
    let readers: ReaderPool
    private let ended: Gate

    private init(path: String, writer: Writer, readers: ReaderPool, ended: Gate) {
        (self.path, self.writer, self.readers, self.ended) = (path, writer, readers, ended)
    }

    deinit { writer.stop() }

    /// Opens the file, makes it if there is none, and brings it to the newest schema.
    /// - Throws: `StoreError`: `unavailable`, `inUse`, `corrupt`, `newerSchema` or `full`.
    package static func open(path: String, options: Options = Options()) async throws -> SQLiteStore {
        #if DEBUG
            let options = try KillPoint.applied(to: options)
        #endif
        let keeper = LogKeeper(failpoint: options.copyFailpoint)
        let writer = Writer(
            limits: options.inboxLimits, groupLimits: options.groupLimits, policy: options.checkpoints,
            keeper: keeper, failpoint: options.failpoint)
        let ended = Gate()
        let file = StoreFile(path: path, options: options)
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            writer.start(
                open: { () throws(StoreError) in try file.open(keeper) },
                opened: { result in continuation.resume(with: result.mapError { $0 as any Error }) },
                closed: { ended.open() })
        }
        return SQLiteStore(
            path: path, writer: writer, readers: ReaderPool(path: path, count: options.readers), ended: ended)
    }

    /// What the store has done since it was opened.
    package var statistics: StoreStatistics { writer.statistics }

    /// Submissions that wait to be written.
    var waiting: Int { writer.waiting }

    package func submit(
        _ changes: [StoreChange], completion: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        writer.submit(changes, completion: completion)
    }

    package func registry() async throws -> StoredRegistry {
        try await readers.read { connection throws(StoreError) in try connection.registry() }
    }

    package func entries(queues: [Int64], after: Int64, limit: Int) async throws -> [StoredEntry] {
        try await readers.read { connection throws(StoreError) in
            try connection.entries(queues: queues, after: after, limit: limit)
        }
    }

    package func openEntries(
        after position: Int64?, limit: Int
    ) async throws -> (entries: [OpenEntry], next: Int64?) {
        try await readers.read { connection throws(StoreError) in
            try connection.openEntries(after: position, limit: limit)
        }
    }

    package func messages(
        _ keys: [MessageKey], completion: @escaping @Sendable (Result<[Message], StoreError>) -> Void
    ) {
        readers.read({ connection throws(StoreError) in try connection.messages(keys) }, completion: completion)
    }

    package func messages(
        queue: Int64, state: Message.State?, after: Int64, limit: Int
    ) async throws -> [Message] {
        try await readers.read { connection throws(StoreError) in
            try connection.messages(queue: queue, state: state, after: after, limit: limit)
        }
    }

    package func settledSends(since: Timestamp) async throws -> [SettledSend] {
        try await readers.read { connection throws(StoreError) in try connection.settledSends(since: since) }
    }

    package func message(_ key: MessageKey) async throws -> Message? {
        try await readers.read { connection throws(StoreError) in try connection.message(key) }
    }

    package func deliveries(of messages: [MessageKey]) async throws -> [DeliveryRecord] {
        try await readers.read { connection throws(StoreError) in try connection.deliveries(of: messages) }
    }

    package func items(registration: RegistrationID, keys: [String]) async throws -> [String: StoredItem] {
        try await readers.read { connection throws(StoreError) in
            try connection.items(registration: registration, keys: keys)
        }
    }

    package func openItems(registration: RegistrationID) async throws -> [String: MessageKey] {
        try await readers.read { connection throws(StoreError) in
            try connection.openItems(registration: registration)
        }
    }

    package func freeBytes() -> Int64? { FileSystem.freeBytes(at: FileSystem.folder(of: path)) }

    package func close() async {
        // The readers go first: with them open the log could not be emptied.
        await readers.close()
        writer.stop()
        await ended.wait()
    }
}

/// Opens when something has happened once; waiting for it takes no thread.
final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Locked(State())

    func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    func wait() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }
}
