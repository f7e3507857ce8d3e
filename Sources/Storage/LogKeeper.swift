internal import Base
internal import Gateway

/// Looks after the log beside the writer, on a thread and a connection of its own: copies pages into the database file,
/// and lengthens the log's file before the writer comes to its end. Both wait for the disk, and no commit for them:
/// one connection may append to the log while another copies from it (sqlite.org/wal.html, section 2.2).
final class LogKeeper: Sendable {
    /// What the writer wants to know after a commit.
    struct Report {
        /// Pages copied, and of which log.
        var copied = 0
        var generation = 0
        var isBusy = false
        /// The first failure. Nothing is written any more then: what was copied half may be on a failing disk.
        var failure: StoreError?
    }

    private struct State {
        var report = Report()
        /// The log whose pages are to be copied.
        var wanted: Int?
        /// Frames the log's file has room for; nil when nobody looks after that.
        var room: Int?
        /// The log's length the file is to be made ready for.
        var lengthen: Int?
        var copies = 0
        /// The writer waits until nothing is copied.
        var isAwaited = false
        var isStopping = false
    }

    private enum Work {
        case copy(generation: Int)
        case lengthen(logged: Int)
    }

    private let state = Locked(State())
    private let wake = Semaphore()
    private let idle = Semaphore()
    private let ended = Semaphore()
    private let failpoint: (@Sendable () throws(StoreError) -> Void)?

    /// - Parameter failpoint: called before pages are copied, for tests.
    init(failpoint: (@Sendable () throws(StoreError) -> Void)? = nil) { self.failpoint = failpoint }

    /// Copies done.
    var copies: Int { state.withLock { $0.copies } }

    /// Starts the thread and returns when its connection is open.
    /// - Parameters:
    ///   - open: opens the connection, on the thread.
    ///   - database: its path when the log's file is to be kept longer than the log, else nil.
    /// - Throws: what `open` throws.
    func start(
        open: @escaping @Sendable () throws(StoreError) -> Database, lengtheningLogOf database: String?
    ) throws(StoreError) {
        let opened = Semaphore()
        if database != nil { state.withLock { $0.room = 0 } }
        SystemThread.start(name: "store-keeper") { [self] in
            do throws(StoreError) {
                let connection = try open()
                opened.signal()
                run(connection, database.map { LogSpace(path: $0) })
            } catch {
                state.withLock { $0.report.failure = error }
                opened.signal()
            }
            ended.signal()
        }
        opened.wait()
        if let failure = state.withLock({ $0.report.failure }) { throw failure }
    }

    /// Ends the thread and returns when its connection is closed. Call once, after `start` has returned.
    func stop() {
        state.withLock { $0.isStopping = true }
        wake.signal()
        ended.wait()
    }

    /// Notes the log's length after a commit, and has its file lengthened where the end is near.
    func look(logged: Int) -> Report {
        let (report, isWoken) = state.withLock { state -> (Report, Bool) in
            guard let room = state.room, logged > 0, logged + LogSpace.reserve(for: logged) > room,
                state.lengthen == nil
            else { return (state.report, false) }
            state.lengthen = logged
            return (state.report, true)
        }
        if isWoken { wake.signal() }
        return report
    }

    /// Has the log's pages copied.
    func copy(generation: Int) {
        state.withLock { state in
            state.wanted = generation
            state.report.isBusy = true
        }
        wake.signal()
    }

    /// Returns when nothing is copied and nothing is going to be.
    func waitUntilIdle() {
        let isBusy = state.withLock { state in
            state.isAwaited = state.report.isBusy && state.report.failure == nil
            return state.isAwaited
        }
        if isBusy { idle.wait() }
    }

    private func run(_ database: Database, _ space: LogSpace?) {
        while true {
            wake.wait()
            while let work = next() {
                switch work {
                case .copy(let generation): copy(database, generation)
                case .lengthen(let logged): lengthen(space, logged)
                }
            }
            if state.withLock({ $0.isStopping }) { return }
        }
    }

    private func next() -> Work? {
        state.withLock { state in
            if state.isStopping || state.report.failure != nil { return nil }
            // The writer may be near the end of the file; copying can wait.
            if let logged = state.lengthen { return .lengthen(logged: logged) }
            return state.wanted.map { .copy(generation: $0) }
        }
    }

    private func copy(_ database: Database, _ generation: Int) {
        var (result, failure): (Database.Checkpoint?, StoreError?)
        do throws(StoreError) {
            try failpoint?()
            result = try database.checkpoint(.passive)
        } catch {
            failure = error
        }
        let isAwaited = state.withLock { state in
            if let result { (state.report.copied, state.report.generation) = (result.copied, generation) }
            state.report.failure = failure
            (state.wanted, state.report.isBusy) = (nil, false)
            state.copies += 1
            defer { state.isAwaited = false }
            return state.isAwaited
        }
        if isAwaited { idle.signal() }
    }

    private func lengthen(_ space: LogSpace?, _ logged: Int) {
        let room = space?.lengthen(for: logged)
        state.withLock { state in
            // Without room on the disk SQLite lets the log grow itself, as far as it can.
            state.room = room
            state.lengthen = nil
        }
    }
}
