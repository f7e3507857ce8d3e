import Base
import Gateway
import GatewayTestKit
import Glibc
import Testing

@testable import Storage

/// Holds the writer's thread before its first group until it is released.
private final class HeldGroup: Sendable {
    let entered = Gate()
    private let go = Semaphore()
    private let isFirst = Locked(true)

    var failpoint: @Sendable (Writer.Failpoint) throws(StoreError) -> Void {
        { [self] _ throws(StoreError) in
            let isFirst = isFirst.withLock { first in
                defer { first = false }
                return first
            }
            guard isFirst else { return }
            entered.open()
            go.wait()
        }
    }

    func release() { go.signal() }
}

@Suite("What was accepted is on disk, or the store says that it failed", .timeLimit(.minutes(2)))
struct DurabilityTests {
    private static func message(_ seq: Int) -> StoreChange { .insertMessage(StoreSamples.message(1, Int64(seq))) }

    /// Submits messages 1...count and waits for all answers.
    private func submit(_ count: Int, to store: any Store) async -> [Result<Void, StoreError>] {
        let answers = Locked<[Result<Void, StoreError>]>([])
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            for seq in 1...count {
                store.submit([Self.message(seq)]) { result in
                    let answered = answers.withLock { answers in
                        answers.append(result)
                        return answers.count
                    }
                    if answered == count { done.resume() }
                }
            }
        }
        return answers.withLock { $0 }
    }

    @Test("all that wait share one sync; a caller alone gets its own")
    func groupCommit() async throws {
        let folder = try TemporaryFolder()
        let hold = HeldGroup()
        var options = SQLiteStore.Options()
        options.failpoint = hold.failpoint
        let store = try await SQLiteStore.open(path: folder.database, options: options)
        // The first one is under way until the others have come.
        async let first: Void = store.commit([.putAccount(StoreSamples.account("alice"))])
        await hold.entered.wait()
        async let others = submit(500, to: store)
        while store.waiting < 500 { await Task.yield() }
        hold.release()
        try await first
        #expect(await others.count == 500)
        #expect(store.statistics.commits == 2)
        #expect(store.statistics.largestGroup == 500)
        for seq in 501...510 { try await store.commit([Self.message(seq)]) }
        #expect(store.statistics.commits == 12)
        await store.close()
    }

    /// Copies the files when the fifth commit is at a place, as a kill there would leave them.
    private static func copying(
        _ source: String, to copy: String, at point: Writer.Failpoint
    ) -> SQLiteStore.Options {
        let reached = Locked(0)
        var options = SQLiteStore.Options()
        options.failpoint = { at throws(StoreError) in
            let count = reached.withLock { reached in
                if at == point { reached += 1 }
                return reached
            }
            guard at == point, count == 5 else { return }
            for suffix in ["", "-wal"] {
                guard let bytes = FileSystem.contents(of: source + suffix, limit: 1 << 26),
                    FileSystem.writePrivate(bytes, to: copy + suffix)
                else { throw StoreError(.unavailable, "the copy failed: \(FileSystem.lastError)") }
            }
        }
        return options
    }

    @Test(
        "MN-4 what is on disk when the answer is given holds everything answered", arguments: Writer.Failpoint.allCases)
    func copyAtFailpoint(point: Writer.Failpoint) async throws {
        let folder = try TemporaryFolder()
        let (source, copy) = (folder.database, "\(folder.path)/copy.db")
        let store = try await SQLiteStore.open(path: source, options: Self.copying(source, to: copy, at: point))
        for seq in 1...5 { try await store.commit([Self.message(seq * 2), Self.message(seq * 2 + 1)]) }
        await store.close()
        let opened = try await SQLiteStore.open(path: copy)
        let seqs = try await opened.openKeys().map { Int($0.seq) }
        await opened.close()
        #expect(seqs == Array(2...(point == .reply ? 11 : 9)))
    }

    @Test("IM-3 a kill leaves a message with its entry, or neither", arguments: Writer.Failpoint.allCases)
    func messageAndEntry(point: Writer.Failpoint) async throws {
        let folder = try TemporaryFolder()
        let (source, copy) = (folder.database, "\(folder.path)/copy.db")
        let store = try await SQLiteStore.open(path: source, options: Self.copying(source, to: copy, at: point))
        for seq in Int64(1)...5 {
            var message = StoreSamples.message(1, seq)
            message.entry = seq
            let entry = StoreSamples.entry(seq, from: .account("bob"), to: .account("alice"), message: message.key)
            try await store.commit([.conversation(.insert(entry)), .insertMessage(message)])
        }
        await store.close()
        let opened = try await SQLiteStore.open(path: copy)
        let open = try await opened.openEntries(after: nil, limit: 99).entries
        #expect(open.count == (point == .reply ? 5 : 4))
        #expect(open.allSatisfy { $0.talk == OpenEntry.Talk(entry: $0.key.seq, peer: .account("bob")) })
        #expect(try await opened.registry().lastEntry == Int64(open.count))
        await opened.close()
    }

    @Test("MN-4 nothing accepted is lost to SIGKILL", arguments: Writer.Failpoint.allCases)
    func killed(point: Writer.Failpoint) async throws {
        let folder = try TemporaryFolder()
        let (database, log) = (folder.database, "\(folder.path)/accepted")
        await #expect(processExitsWith: .signal(SIGKILL)) {
            [database = database as String, log = log as String, place = "\(point)" as String] in
            let descriptor = unsafe open(log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
            let commits = Locked(0)
            var options = SQLiteStore.Options()
            options.failpoint = { at throws(StoreError) in
                guard "\(at)" == place else { return }
                let count = commits.withLock { commits in
                    commits += 1
                    return commits
                }
                if count == 40 { kill(getpid(), SIGKILL) }
            }
            let store = try await SQLiteStore.open(path: database, options: options)
            // Four callers, so that groups form. A byte stands for each accepted message.
            @Sendable func next(_ queue: Int64, _ seq: Int64) {
                store.submit([.insertMessage(StoreSamples.message(queue, seq))]) { result in
                    guard case .success = result else { return }
                    let byte = [UInt8(ascii: "0") + UInt8(queue)]
                    _ = unsafe byte.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, 1) }
                    next(queue, seq + 1)
                }
            }
            for queue in Int64(1)...4 { next(queue, 1) }
            while true { try await Task.sleep(for: .seconds(1)) }
        }
        let accepted = try #require(FileSystem.contents(of: log, limit: 1 << 20))
        #expect(accepted.count >= 39)
        let store = try await SQLiteStore.open(path: database)
        for queue in Int64(1)...4 {
            let count = accepted.count { $0 == UInt8(ascii: "0") + UInt8(queue) }
            let found = try await store.entries(queues: [queue], after: 0, limit: 10_000).map(\.number)
            #expect(found.starts(with: (0..<count).map { Int64($0 + 1) }), "queue \(queue)")
            #expect(found.count <= count + 1, "one at most was under way")
        }
        await store.close()
    }

    @Test("after a failed sync nothing is accepted, and nothing of the group is kept")
    func failedSync() async throws {
        let folder = try TemporaryFolder()
        let isBroken = Locked(false)
        var options = SQLiteStore.Options()
        options.failpoint = { point throws(StoreError) in
            if point == .sync && isBroken.withLock({ $0 }) { throw StoreError(.writeFailed, "broken by the test") }
        }
        let store = try await SQLiteStore.open(path: folder.database, options: options)
        try await store.commit([Self.message(100)])
        isBroken.withLock { $0 = true }
        for answer in await submit(20, to: store) {
            #expect(throws: StoreError.self, "a message was accepted") { try answer.get() }
        }
        isBroken.withLock { $0 = false }
        #expect(await store.failure(committing: [Self.message(101)])?.code == .writeFailed, "the failure stays")
        await store.close()
        let reopened = try await SQLiteStore.open(path: folder.database)
        #expect(try await reopened.openKeys().map(\.seq) == [100])
        await reopened.close()
    }

    @Test("a full inbox refuses in turn and goes on")
    func overloaded() async throws {
        let folder = try TemporaryFolder()
        let hold = HeldGroup()
        var options = SQLiteStore.Options()
        options.inboxLimits.submissions = 10
        options.failpoint = hold.failpoint
        let store = try await SQLiteStore.open(path: folder.database, options: options)
        async let first: Void = store.commit([.putAccount(StoreSamples.account("alice"))])
        await hold.entered.wait()
        async let answers = submit(50, to: store)
        while store.waiting < 50 { await Task.yield() }
        hold.release()
        try await first
        let refused = await answers.enumerated().filter { (try? $0.element.get()) == nil }
        #expect(refused.map(\.offset) == Array(10..<50), "the later ones, in their turn")
        for case .failure(let error) in refused.map(\.element) { #expect(error.code == .overloaded) }
        try await store.commit([Self.message(51)])
        await store.close()
    }

    @Test("a full database fails for good and keeps what was accepted")
    func full() async throws {
        let folder = try TemporaryFolder()
        var options = SQLiteStore.Options()
        options.pragmas = ["PRAGMA max_page_count = 100"]
        let store = try await SQLiteStore.open(path: folder.database, options: options)
        try await fillUp(store)
        await store.close()
        try await expectAccepted(in: folder.database)
    }

    @Test(
        "G1 a full disk fails for good and keeps what was accepted", .enabled(if: geteuid() == 0, "mounting needs root")
    )
    func fullDisk() async throws {
        let folder = try TemporaryFolder()
        let disk = "\(folder.path)/disk"
        try #require(FileSystem.createFolder(disk))
        guard unsafe mount("farbell", disk, "tmpfs", 0, "size=1m") == 0 else {
            // In most containers even root may not.
            return print("skipped: no file system can be mounted here (\(FileSystem.lastError))")
        }
        defer { unsafe umount2(disk, Int32(MNT_DETACH)) }
        let store = try await SQLiteStore.open(path: "\(disk)/farbell.db")
        try await fillUp(store)
        await store.close()
        try await expectAccepted(in: "\(disk)/farbell.db")
    }

    /// Puts messages until there is no room; each body names how many were accepted before it.
    private func fillUp(_ store: SQLiteStore) async throws {
        for seq in 1...10_000 {
            let body = [UInt8](repeating: 1, count: 1000)
            guard
                let error = await store.failure(committing: [
                    .insertMessage(StoreSamples.message(1, Int64(seq), body: body))
                ])
            else {
                try await store.commit([.setDeviceCursor("d1", Int64(seq))])
                continue
            }
            #expect(error.code == .full)
            #expect(await store.failure(committing: [.deleteDevice("d1")])?.code == .full, "the failure stays")
            #expect(try await store.openKeys().count == seq - 1, "reading goes on")
            #expect(seq > 10)
            return
        }
        Issue.record("it never got full")
    }

    private func expectAccepted(in path: String) async throws {
        let store = try await SQLiteStore.open(path: path)
        let seqs = try await store.openKeys().map { Int($0.seq) }
        #expect(!seqs.isEmpty && seqs == Array(1...seqs.count))
        await store.close()
    }

    @Test("the log stays bounded and readers do not stop it")
    func checkpoints() async throws {
        let folder = try TemporaryFolder()
        var options = SQLiteStore.Options()
        options.checkpoints = .init(copyPages: 20, finishPages: 40, finishRest: 16, restartPages: 150)
        options.reservesLog = false
        let store = try await SQLiteStore.open(path: folder.database, options: options)
        for seq in 1...400 {
            try await store.commit([Self.message(seq)])
            if seq % 10 == 0 { _ = try await store.entries(queues: [1], after: 0, limit: 5) }
        }
        #expect(store.statistics.checkpoints > 5)
        var status = stat()
        try #require(unsafe stat(folder.database + "-wal", &status) == 0)
        #expect(status.st_size < 200 * 4096)
        await store.close()
    }
}
