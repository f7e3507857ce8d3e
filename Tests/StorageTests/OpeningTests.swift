import Base
import Gateway
import GatewayTestKit
import Glibc
import Testing

@testable import Storage

@Suite("Opening tells what is wrong with a file")
struct OpeningTests {
    /// A store with one account in it, closed.
    private func filled(_ path: String) async throws {
        let store = try await SQLiteStore.open(path: path)
        try await store.commit([.putAccount(StoreSamples.account("alice"))])
        await store.close()
    }

    @Test("a new file is for its owner only, and durable settings are on")
    func newFile() async throws {
        let folder = try TemporaryFolder()
        let store = try await SQLiteStore.open(path: folder.database)
        try await store.commit([.putAccount(StoreSamples.account("alice"))])
        for suffix in ["", "-wal", "-shm", ".lock"] {
            var status = stat()
            try #require(unsafe stat(folder.database + suffix, &status) == 0, "\(suffix) is missing")
            #expect(status.st_mode & 0o777 == 0o600, "mode of \(suffix)")
        }
        #expect(store.freeBytes() ?? 0 > 0)
        await store.close()
        #expect(!FileSystem.exists(folder.database + "-wal"), "closing leaves no log")
    }

    @Test("a second process is refused, and may come after the first")
    func inUse() async throws {
        let folder = try TemporaryFolder()
        let store = try await SQLiteStore.open(path: folder.database)
        let error = try #require(await failure(opening: folder.database))
        #expect(error.code == .inUse)
        #expect(error.message.contains("another Farbell process"))
        await store.close()
        #expect(await failure(opening: folder.database) == nil)
    }

    @Test("another program's lock is told apart from damage")
    func lockedByAnotherProgram() async throws {
        let folder = try TemporaryFolder()
        try await filled(folder.database)
        let other = try Database(path: folder.database, access: .readWrite)
        try other.execute("PRAGMA locking_mode = EXCLUSIVE", .open)
        try other.execute("BEGIN EXCLUSIVE", .write)
        var options = SQLiteStore.Options()
        options.lockWaitMilliseconds = 50
        let error = try #require(await failure(opening: folder.database, options: options))
        #expect(error.code == .inUse)
        try other.execute("COMMIT", .write)
    }

    @Test("folders that are missing or cannot be written", arguments: ["/proc", "/nonexistent/folder"])
    func unavailable(folder: String) async throws {
        let error = try #require(await failure(opening: "\(folder)/farbell.db"))
        #expect(error.code == .unavailable)
        #expect(error.context["path"]?.hasPrefix(folder) == true)
    }

    @Test("a folder without permission", .enabled(if: geteuid() != 0, "root may write everywhere"))
    func readOnlyFolder() async throws {
        let folder = try TemporaryFolder()
        try #require(unsafe chmod(folder.path, 0o500) == 0)
        defer { unsafe chmod(folder.path, 0o700) }
        #expect(await failure(opening: folder.database)?.code == .unavailable)
    }

    @Test("a folder in the database's place")
    func folderInPlace() async throws {
        let folder = try TemporaryFolder()
        try #require(FileSystem.createFolder(folder.database))
        #expect(await failure(opening: folder.database)?.code == .unavailable)
    }

    @Test("a newer Farbell's file is left alone")
    func newerSchema() async throws {
        let folder = try TemporaryFolder()
        try await filled(folder.database)
        do {
            let database = try Database(path: folder.database, access: .readWrite)
            try database.execute("PRAGMA user_version = 77", .write)
        }
        let error = try #require(await failure(opening: folder.database))
        #expect(error.code == .newerSchema)
        #expect(error.context["found"] == "77")
        #expect(error.context["supported"] == "\(Schema.migrations.count)")
        let database = try Database(path: folder.database, access: .readOnly)
        #expect(try database.integer("PRAGMA user_version") == 77)
    }

    @Test("a text file is no database")
    func textFile() async throws {
        let folder = try TemporaryFolder()
        let text = [UInt8](repeating: UInt8(ascii: "x"), count: 10_000)
        try #require(FileSystem.writePrivate(text, to: folder.database))
        let error = try #require(await failure(opening: folder.database))
        #expect(error.code == .corrupt)
        #expect(error.context["path"] == folder.database)
        #expect(error.message.contains("backup"))
        #expect(FileSystem.contents(of: folder.database, limit: 1 << 20) == text, "it was not touched")
    }

    @Test("another program's database is not taken over")
    func foreignDatabase() async throws {
        let folder = try TemporaryFolder()
        try #require(FileSystem.writePrivate([], to: folder.database))
        do {
            let database = try Database(path: folder.database, access: .readWrite)
            try database.executeScript("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)", .write)
        }
        let error = try #require(await failure(opening: folder.database))
        #expect(error.code == .corrupt)
        let database = try Database(path: folder.database, access: .readOnly)
        #expect(try database.integer("SELECT count(*) FROM sqlite_schema") == 1)
    }

    @Test("a truncated file is damaged", arguments: [0.5, 0.99])
    func truncated(share: Double) async throws {
        let folder = try TemporaryFolder()
        let store = try await SQLiteStore.open(path: folder.database)
        try await store.commit((1...500).map { .insertMessage(StoreSamples.message(1, Int64($0))) })
        await store.close()
        let bytes = try #require(FileSystem.contents(of: folder.database, limit: 1 << 24))
        let kept = Array(bytes.prefix(Int(Double(bytes.count) * share)))
        try #require(FileSystem.writePrivate(kept, to: folder.database, replacing: true))
        let error = try #require(await failure(opening: folder.database))
        #expect(error.code == .corrupt)
        #expect(error.message.contains(".recover"))
    }

    @Test("damage inside is found by the first look or by the read that meets it")
    func damagedPages() async throws {
        let folder = try TemporaryFolder()
        var store = try await SQLiteStore.open(path: folder.database)
        try await store.commit((1...2000).map { .insertMessage(StoreSamples.message(1, Int64($0))) })
        await store.close()
        var bytes = try #require(FileSystem.contents(of: folder.database, limit: 1 << 24))
        // The header's page stays as it is.
        for index in stride(from: 4096, to: bytes.count, by: 1) { bytes[index] = 0xA5 }
        try #require(FileSystem.writePrivate(bytes, to: folder.database, replacing: true))
        // The first look may find it; else the read that comes across it must.
        var failure = await StorageTests.failure(opening: folder.database)
        if failure == nil {
            store = try await SQLiteStore.open(path: folder.database)
            do { _ = try await store.openKeys() } catch {
                failure = error as? StoreError
            }
            await store.close()
        }
        #expect(failure?.code == .corrupt)
    }

    @Test("a log cut at any place still opens with whole submissions only", arguments: [1, 32, 5000, 9000, 20_000])
    func cutLog(length: Int) async throws {
        let folder = try TemporaryFolder()
        let store = try await SQLiteStore.open(path: folder.database)
        for pair in 0..<20 {
            let first = Int64(pair * 2 + 1)
            try await store.commit([
                .insertMessage(StoreSamples.message(1, first)), .insertMessage(StoreSamples.message(1, first + 1)),
            ])
        }
        let copy = "\(folder.path)/copy.db"
        let main = try #require(FileSystem.contents(of: folder.database, limit: 1 << 24))
        let log = try #require(FileSystem.contents(of: folder.database + "-wal", limit: 1 << 24))
        await store.close()
        try #require(log.count > 20_000)
        try #require(FileSystem.writePrivate(main, to: copy))
        try #require(FileSystem.writePrivate(Array(log.dropLast(length)), to: copy + "-wal"))
        let opened = try await SQLiteStore.open(path: copy)
        let seqs = try await opened.openKeys().map { Int($0.seq) }
        await opened.close()
        #expect(seqs == Array(1..<(seqs.count + 1)))
        #expect(seqs.count % 2 == 0 && seqs.count < 40)
    }
}
