import Base
import Gateway
import GatewayTestKit
import Glibc
import Testing

@testable import Storage

/// What is done about damage: at the opening the file's length, header and the ends of the large tables are looked
/// at; `openEntries`, which each start runs through, meets every page of `message`; what lies elsewhere is found by
/// the read or write that comes across it. A flipped bit within a text is seen by nobody: SQLite's pages have no
/// checksums. The log's have, but a log that ends early cannot be told from one that was never written further.
@Suite("Damaged files are refused, and what to do is said", .timeLimit(.minutes(2)))
struct DamageTests {
    private static let count: Int64 = 300

    /// What a store gives back: equal only when nothing is missing.
    private struct Content: Equatable {
        var registry: StoredRegistry
        var messages: [Message]
        var settled: [Message?]
        var entries: [StoredEntry]
    }

    private func content(of store: SQLiteStore) async throws -> Content {
        var settled: [Message?] = []
        for seq in Self.count + 1...Self.count + 50 {
            settled.append(try await store.message(MessageKey(queue: 1, seq: seq)))
        }
        return Content(
            registry: try await store.registry(), messages: try await store.messages(store.openKeys()),
            settled: settled, entries: try await store.entries(queues: [1, 2], after: 0, limit: 10_000))
    }

    /// Makes a closed database of some forty pages; returns its bytes and content.
    private func sample(_ path: String) async throws -> (bytes: [UInt8], content: Content) {
        let store = try await SQLiteStore.open(path: path)
        try await store.commit([
            .putAccount(StoreSamples.account("alice")), .putDevice(StoreSamples.device("d1", of: "alice")),
            .putQueue(StoreSamples.queue(1, account: "alice")),
        ])
        try await store.commit(
            (1...Self.count).map { .insertMessage(StoreSamples.message($0 % 2 + 1, $0)) }
                + (1...50).map { .insertMessage(StoreSamples.message(1, Self.count + $0, state: .done)) }
                + (1...20).map { .insertEvent(StoreSamples.event(1, 1000 + $0)) })
        let content = try await content(of: store)
        await store.close()
        return (try #require(FileSystem.contents(of: path, limit: 1 << 24)), content)
    }

    private enum Outcome: Equatable {
        case same
        case different
        case refused(StoreError.Code)
    }

    /// Opens a file, reads all of it, writes to it, and closes it.
    private func outcome(of bytes: [UInt8], at path: String, expected: Content) async throws -> Outcome {
        for suffix in ["-wal", "-shm"] { unsafe unlink(path + suffix) }
        try #require(FileSystem.writePrivate(bytes, to: path, replacing: true))
        do {
            let store = try await SQLiteStore.open(path: path)
            do {
                let found = try await content(of: store)
                try await store.commit([
                    .insertMessage(StoreSamples.message(1, 5000)),
                    .settleMessage(
                        MessageKey(queue: 1, seq: 2), MessageUpdate(.done, at: StoreSamples.noon)),
                ])
                await store.close()
                return found == expected ? .same : .different
            } catch {
                await store.close()
                throw error
            }
        } catch let error as StoreError {
            #expect(error.context["path"] == path, "the file is named: \(error)")
            if error.code == .corrupt {
                #expect(error.message.contains("backup") || error.message.contains("name another"), "\(error)")
            }
            return .refused(error.code)
        }
    }

    @Test("a file cut at any page or within one is damaged")
    func truncated() async throws {
        let folder = try TemporaryFolder(inMemory: true)
        let (bytes, content) = try await sample(folder.database)
        let pages = bytes.count / 4096
        try #require(pages > 20)
        for page in 0..<pages {
            for extra in [0, 1, 2048, 4095] where page + extra > 0 {
                let cut = Array(bytes[..<(page * 4096 + extra)])
                #expect(
                    try await outcome(of: cut, at: folder.database, expected: content) == .refused(.corrupt),
                    "\(cut.count) of \(bytes.count) bytes")
            }
        }
        let longer = bytes + [UInt8](repeating: 0, count: 4096)
        #expect(try await outcome(of: longer, at: folder.database, expected: content) == .refused(.corrupt), "longer")
        #expect(try await outcome(of: bytes, at: folder.database, expected: content) == .same, "the test itself")
    }

    @Test("a flipped bit of the header is harmless or refused", arguments: 0..<10)
    func header(tenth: Int) async throws {
        let folder = try TemporaryFolder(inMemory: true)
        let (bytes, content) = try await sample(folder.database)
        for offset in tenth * 10..<tenth * 10 + 10 {
            for bit in 0..<8 {
                var flipped = bytes
                flipped[offset] ^= 1 << bit
                let outcome = try await outcome(of: flipped, at: folder.database, expected: content)
                #expect(
                    outcome == .same || outcome == .refused(.corrupt) || outcome == .refused(.newerSchema),
                    "bit \(bit) of byte \(offset): \(outcome)")
            }
        }
    }

    @Test("a flipped bit in a page is refused where it is seen, and crashes nothing", arguments: 0..<4)
    func pages(seed: Int) async throws {
        let folder = try TemporaryFolder(inMemory: true)
        let (bytes, content) = try await sample(folder.database)
        var random = SplitMix(state: UInt64(seed) + 1)
        for _ in 0..<100 {
            var flipped = bytes
            let offset = Int.random(in: 100..<bytes.count, using: &random)
            flipped[offset] ^= 1 << Int.random(in: 0..<8, using: &random)
            let outcome = try await outcome(of: flipped, at: folder.database, expected: content)
            // A bit within a text or number makes another one.
            #expect([.same, .different, .refused(.corrupt)].contains(outcome), "byte \(offset): \(outcome)")
        }
    }

    @Test("a page of noise is refused by the opening or the read that meets it")
    func noise() async throws {
        let folder = try TemporaryFolder(inMemory: true)
        let (bytes, content) = try await sample(folder.database)
        for page in 1..<bytes.count / 4096 {
            for value in [UInt8(0), 0xA5, 0xFF] {
                var damaged = bytes
                damaged.replaceSubrange(
                    page * 4096..<page * 4096 + 4096, with: [UInt8](repeating: value, count: 4096))
                let outcome = try await outcome(of: damaged, at: folder.database, expected: content)
                #expect(outcome == .refused(.corrupt) || outcome == .same, "page \(page) of \(value)")
            }
        }
    }
}

@Suite("A log that was cut or damaged gives back what was accepted before", .timeLimit(.minutes(2)))
struct DamagedLogTests {
    /// A database and its log as a kill leaves them, and the log's length after each commit.
    private struct Sample {
        var (main, log): ([UInt8], [UInt8]) = ([], [])
        var ends: [Int] = []

        /// Commits whose last frame stands before this place of the log.
        func commits(before place: Int) -> Int { ends.prefix { $0 <= place }.count }
    }

    private static let frame = 24 + 4096
    private static let commits = 16

    /// Each commit puts two messages; each but the first settles the one put first in the commit before.
    private func sample(_ path: String) async throws -> Sample {
        var options = SQLiteStore.Options()
        // The file's length is the log's.
        options.reservesLog = false
        let store = try await SQLiteStore.open(path: path, options: options)
        var sample = Sample()
        for commit in 1...Self.commits {
            let seq = Int64(commit * 2 - 1)
            try await store.commit([
                .insertMessage(StoreSamples.message(1, seq)), .insertMessage(StoreSamples.message(1, seq + 1)),
                .settleMessage(MessageKey(queue: 1, seq: seq - 2), MessageUpdate(.done, at: StoreSamples.noon)),
            ])
            sample.ends.append(try #require(FileSystem.contents(of: path + "-wal", limit: 1 << 24)).count)
        }
        sample.main = try #require(FileSystem.contents(of: path, limit: 1 << 24))
        sample.log = try #require(FileSystem.contents(of: path + "-wal", limit: 1 << 24))
        await store.close()
        try #require(sample.ends == sample.ends.sorted() && sample.ends.last == sample.log.count)
        return sample
    }

    /// Open messages after so many commits.
    private func expected(_ commits: Int) -> [Int64] {
        (1...Int64(Self.commits * 2)).filter { seq in
            (seq + 1) / 2 <= commits && (seq % 2 == 0 || (seq + 1) / 2 == commits)
        }
    }

    private func open(_ main: [UInt8], _ log: [UInt8], at path: String) async throws -> [Int64] {
        for suffix in ["-wal", "-shm"] { unsafe unlink(path + suffix) }
        try #require(FileSystem.writePrivate(main, to: path, replacing: true))
        try #require(FileSystem.writePrivate(log, to: path + "-wal", replacing: true))
        let store = try await SQLiteStore.open(path: path)
        do {
            let seqs = try await store.openKeys().map(\.seq)
            try await store.commit([.insertMessage(StoreSamples.message(2, 1))])
            await store.close()
            return seqs
        } catch {
            await store.close()
            throw error
        }
    }

    @Test("MN-4 a log cut at any frame or within one holds all commits before the cut, and no part of one")
    func cut() async throws {
        let folder = try TemporaryFolder(inMemory: true)
        let sample = try await sample(folder.database)
        let frames = (sample.log.count - LogHeader.bytes) / Self.frame
        try #require(frames > Self.commits * 2)
        var places = [0, 1, 16, 31]
        for frame in 0...frames {
            let start = LogHeader.bytes + frame * Self.frame
            places += [start - 1, start, start + 1, start + 24, start + 2000]
        }
        for place in places where place <= sample.log.count {
            let found = try await open(sample.main, Array(sample.log[..<place]), at: folder.database)
            let commits = sample.commits(before: place)
            #expect(found == expected(commits), "\(place) of \(sample.log.count) bytes: \(commits) commits")
        }
    }

    @Test("MN-4 zeros behind the last frame are no part of the log")
    func reserved() async throws {
        let folder = try TemporaryFolder(inMemory: true)
        let sample = try await sample(folder.database)
        let zeros = [UInt8](repeating: 0, count: LogSpace.room(for: 1) * LogSpace.frameBytes)
        #expect(try await open(sample.main, sample.log + zeros, at: folder.database) == expected(Self.commits))
        for cut in [1, 24, Self.frame - 1, Self.frame] {
            let found = try await open(sample.main, sample.log.dropLast(cut) + zeros, at: folder.database)
            #expect(found == expected(sample.commits(before: sample.log.count - cut)), "\(cut) bytes less")
        }
    }

    @Test("the log's file is longer than the log, so that a sync need not note its length")
    func reserves() async throws {
        let folder = try TemporaryFolder(inMemory: true)
        let store = try await SQLiteStore.open(path: folder.database)
        for seq in 1...4 as ClosedRange<Int64> {
            try await store.commit([.insertMessage(StoreSamples.message(1, seq))])
        }
        // It is lengthened beside the writer, for which no commit waits.
        let log = try await Eventually.value("the log's file to be longer") {
            FileSystem.contents(of: folder.database + "-wal", limit: 1 << 25).flatMap {
                $0.count > LogSpace.room(for: 1) * LogSpace.frameBytes ? $0 : nil
            }
        }
        await store.close()
        #expect(log.suffix(LogSpace.reserve(for: 1) * LogSpace.frameBytes).allSatisfy { $0 == 0 })
    }

    @Test("a flipped bit in a frame ends the log before its commit")
    func flippedFrame() async throws {
        let folder = try TemporaryFolder(inMemory: true)
        let sample = try await sample(folder.database)
        let frames = (sample.log.count - LogHeader.bytes) / Self.frame
        for frame in 0..<frames {
            let start = LogHeader.bytes + frame * Self.frame
            for offset in [0, 7, 8, 16, 24, 24 + frame * 83 % 4096] {
                var log = sample.log
                log[start + offset] ^= 1 << (frame % 8)
                let found = try await open(sample.main, log, at: folder.database)
                #expect(found == expected(sample.commits(before: start)), "byte \(offset) of frame \(frame)")
            }
        }
    }

    @Test("a log with a damaged header is refused and left alone")
    func header() async throws {
        let folder = try TemporaryFolder(inMemory: true)
        let sample = try await sample(folder.database)
        #expect(LogHeader(sample.log).isValid)
        for offset in 0..<LogHeader.bytes {
            var log = sample.log
            log[offset] ^= 1 << (offset % 8)
            var error: StoreError?
            do { _ = try await open(sample.main, log, at: folder.database) } catch let thrown as StoreError {
                error = thrown
            }
            #expect(error?.code == .corrupt, "byte \(offset)")
            #expect(error?.message.contains("log is damaged at its head; restore both files") == true)
            #expect(FileSystem.contents(of: folder.database + "-wal", limit: 1 << 24) == log, "it was not touched")
        }
        #expect(try await open(sample.main, sample.log, at: folder.database) == expected(Self.commits))
    }
}

private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
