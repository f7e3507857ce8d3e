import Base
import Gateway
import GatewayTestKit
import Glibc
import Testing

@testable import Storage

@Suite("When the log's pages are copied, and by whom")
struct CheckpointPlanTests {
    private static let policy = CheckpointPlan.Policy(
        copyPages: 100, finishPages: 300, finishRest: 40, restartPages: 1000)

    @Test("the keeper is asked for each lot, and not twice at once")
    func lots() {
        var plan = CheckpointPlan(Self.policy)
        #expect(plan.next(isKeeperBusy: false) == .none)
        plan.committed(logged: 99)
        #expect(plan.next(isKeeperBusy: false) == .none)
        plan.committed(logged: 100)
        #expect(plan.next(isKeeperBusy: false) == .askKeeper)
        plan.committed(logged: 220)
        #expect(plan.next(isKeeperBusy: true) == .none)
        plan.note(copied: 100, generation: 0)
        #expect(plan.rest == 120 && plan.next(isKeeperBusy: false) == .askKeeper)
    }

    @Test("a long log is copied in ever smaller lots by the keeper, and its rest by the writer")
    func finish() {
        var plan = CheckpointPlan(Self.policy)
        plan.committed(logged: 310)
        #expect(plan.next(isKeeperBusy: false) == .askKeeper)
        plan.committed(logged: 360)
        plan.note(copied: 310, generation: 0)
        #expect(plan.next(isKeeperBusy: false) == .askKeeper)
        plan.committed(logged: 365)
        plan.note(copied: 360, generation: 0)
        #expect(plan.next(isKeeperBusy: false) == .none, "too little has come since the last try")
        plan.committed(logged: 371)
        #expect(plan.next(isKeeperBusy: false) == .finish)
        plan.note(copied: 371, generation: 0)
        #expect(plan.rest == 0 && plan.next(isKeeperBusy: false) == .none)
    }

    @Test("a log that starts anew has nothing copied, whatever the keeper tells of the one before")
    func anew() {
        var plan = CheckpointPlan(Self.policy)
        plan.committed(logged: 310)
        let before = plan.generation
        plan.committed(logged: 5)
        plan.note(copied: 310, generation: before)
        #expect(plan.rest == 5 && plan.generation == before + 1)
        plan.committed(logged: 120)
        #expect(plan.next(isKeeperBusy: false) == .askKeeper)
    }

    @Test("where a reader keeps the log from its start on, the keeper is not asked at each commit")
    func stuck() {
        var plan = CheckpointPlan(Self.policy)
        var asked = 0
        for pages in 1..<1000 {
            plan.committed(logged: pages)
            if plan.next(isKeeperBusy: false) == .askKeeper { asked += 1 }
        }
        #expect(asked > 10 && asked <= 25)
    }

    @Test("where a reader keeps the log the writer waits for it at last, and not at each commit")
    func restart() {
        var plan = CheckpointPlan(Self.policy)
        var actions: [CheckpointPlan.Action] = []
        for pages in 1...1100 {
            plan.committed(logged: pages)
            // Half of it is copied; a reader holds the rest.
            plan.note(copied: min(pages, 300), generation: 0)
            actions.append(plan.next(isKeeperBusy: false))
        }
        let first = actions.firstIndex(of: .restart) ?? 0
        #expect((999...1040).contains(first))
        #expect(actions.count { $0 == .restart } == 3)
        #expect(actions.count { $0 == .askKeeper } < 30 && actions.count { $0 == .finish } < 5)
        plan.committed(logged: 1200)
        #expect(plan.next(isKeeperBusy: true) == .restart, "even then")
    }
}

@Suite("The log is looked after beside the writer", .timeLimit(.minutes(2)))
struct LogKeeperTests {
    private static func message(_ seq: Int) -> StoreChange { .insertMessage(StoreSamples.message(1, Int64(seq))) }

    private static func lively() -> SQLiteStore.Options {
        var options = SQLiteStore.Options()
        options.checkpoints = .init(copyPages: 16, finishPages: 64, finishRest: 32, restartPages: 65_536)
        return options
    }

    @Test("MN-4 while pages are copied messages are accepted; the log stays bounded, and a stop empties it")
    func beside() async throws {
        let folder = try TemporaryFolder()
        let store = try await SQLiteStore.open(path: folder.database, options: Self.lively())
        for seq in 1...2000 { try await store.commit([Self.message(seq)]) }
        #expect(store.statistics.checkpoints > 20)
        var status = stat()
        try #require(unsafe stat(folder.database + "-wal", &status) == 0)
        #expect(status.st_size < 4 * LogSpace.room(for: 1024) * LogSpace.frameBytes)
        await store.close()
        #expect(unsafe stat(folder.database + "-wal", &status) != 0 || status.st_size == 0)
        let reopened = try await SQLiteStore.open(path: folder.database)
        #expect(try await reopened.openKeys().map { Int($0.seq) } == Array(1...2000))
        await reopened.close()
    }

    @Test("MN-4 nothing accepted is lost to SIGKILL while pages are copied", arguments: [100, 333, 800])
    func killed(accepted: Int) async throws {
        let folder = try TemporaryFolder()
        let database = folder.database
        await #expect(processExitsWith: .signal(SIGKILL)) {
            [database = database as String, accepted = accepted as Int] in
            var options = SQLiteStore.Options()
            options.checkpoints = .init(copyPages: 16, finishPages: 64, finishRest: 32, restartPages: 65_536)
            let store = try await SQLiteStore.open(path: database, options: options)
            for seq in 1...accepted { try await store.commit([.insertMessage(StoreSamples.message(1, Int64(seq)))]) }
            kill(getpid(), SIGKILL)
        }
        let store = try await SQLiteStore.open(path: database)
        #expect(try await store.openKeys().map { Int($0.seq) } == Array(1...accepted))
        await store.close()
    }

    @Test("a file that is lengthened keeps what the writer has written behind its end meanwhile")
    func appends() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/x"
        let frames = [UInt8](repeating: 7, count: LogHeader.bytes + 3000 * LogSpace.frameBytes)
        try #require(FileSystem.writePrivate(frames, to: path + "-wal"))
        let room = try #require(LogSpace(path: path).lengthen(for: 10))
        #expect(room == 3000, "there is room already")
        let more = try #require(LogSpace(path: path).lengthen(for: 2500))
        #expect(more == 2500 + 2048)
        let bytes = try #require(FileSystem.contents(of: path + "-wal", limit: 1 << 26))
        #expect(bytes.starts(with: frames) && bytes.dropFirst(frames.count).allSatisfy { $0 == 0 })
        #expect(bytes.count == LogHeader.bytes + more * LogSpace.frameBytes)
        #expect(LogSpace(path: "\(folder.path)/none").lengthen(for: 1) == nil)
    }

    @Test("when pages cannot be copied nothing is accepted any more, and what was is there after a start")
    func failure() async throws {
        let folder = try TemporaryFolder()
        var options = Self.lively()
        options.copyFailpoint = { () throws(StoreError) in throw StoreError(.writeFailed, "broken by the test") }
        let store = try await SQLiteStore.open(path: folder.database, options: options)
        let accepted = try await Eventually.value("the store to fail") { () -> Int? in
            for seq in 1...500 {
                if await store.failure(committing: [Self.message(seq)])?.code == .writeFailed { return seq - 1 }
            }
            return -1
        }
        #expect(accepted > 1)
        #expect(await store.failure(committing: [Self.message(999)])?.code == .writeFailed, "the failure stays")
        await store.close()
        let reopened = try await SQLiteStore.open(path: folder.database)
        #expect(try await reopened.openKeys().map { Int($0.seq) } == Array(1...accepted))
        await reopened.close()
    }

    @Test("a connection that cannot be opened is told when the store is opened")
    func unopened() throws {
        let path = try TemporaryFolder().database
        #expect(throws: StoreError.self) {
            try LogKeeper().start(
                open: { () throws(StoreError) in try Database(path: path + "/none", access: .readWrite) },
                lengtheningLogOf: nil)
        }
    }
}
