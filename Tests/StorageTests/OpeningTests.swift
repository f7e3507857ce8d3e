import Base
import Gateway
import GatewayTestKit
import Glibc
import Testing

@testable import Storage

/// Whether a lock file cannot be locked because another one has it.
private func isRefused(_ path: String) -> Bool {
    do {
        _ = try FileLock(path: path)
        return false
    } catch {
        return error.code == .inUse
    }
}

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

    @Test("a lock that is refused closes no file of others")
    func refusedLock() async throws {
        let folder = try TemporaryFolder()
        let path = folder.database + ".lock"
        let held = try FileLock(path: path)
        async let refusals = Task.detached { (0..<20_000).count { _ in isRefused(path) } }.value
        var lost = 0
        for _ in 0..<20_000 {
            let descriptor = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
            sched_yield()
            if close(descriptor) != 0 { lost += 1 }
        }
        #expect(await refusals == 20_000)
        #expect(lost == 0)
        withExtendedLifetime(held) {}
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
        let error = try #require(await failure(opening: folder.database))
        #expect(error.code == .unavailable)
        #expect(error.message.contains("no file; name another one"))
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

    @Test("an empty file is no new database")
    func emptyFile() async throws {
        let folder = try TemporaryFolder()
        try #require(FileSystem.writePrivate([], to: folder.database))
        let error = try #require(await failure(opening: folder.database))
        #expect(error.code == .corrupt)
        #expect(error.context["path"] == folder.database)
        #expect(error.message.contains("restore it from a backup, or remove it"))
        #expect(FileSystem.contents(of: folder.database, limit: 1) == [], "it was not touched")
    }

    @Test("a log without its database, or with an empty one, is left alone", arguments: [true, false])
    func orphanedLog(isMissing: Bool) async throws {
        let folder = try TemporaryFolder()
        let store = try await SQLiteStore.open(path: folder.database)
        try await store.commit([.putAccount(StoreSamples.account("alice"))])
        let log = try #require(FileSystem.contents(of: folder.database + "-wal", limit: 1 << 24))
        await store.close()
        try #require(unsafe unlink(folder.database) == 0)
        if !isMissing { try #require(FileSystem.writePrivate([], to: folder.database)) }
        try #require(FileSystem.writePrivate(log, to: folder.database + "-wal"))
        let error = try #require(await failure(opening: folder.database))
        #expect(error.code == .corrupt)
        #expect(error.message.contains(isMissing ? "put the file back" : "restore it from a backup"))
        #expect(FileSystem.contents(of: folder.database + "-wal", limit: 1 << 24) == log, "it was not touched")
    }

    @Test("a creation that was cut off is begun anew")
    func unfinishedCreation() async throws {
        let folder = try TemporaryFolder()
        try #require(FileSystem.writePrivate([1, 2, 3], to: folder.database + ".new"))
        try #require(FileSystem.writePrivate([4, 5, 6], to: folder.database + ".new-journal"))
        #expect(await failure(opening: folder.database) == nil)
        #expect(!FileSystem.exists(folder.database + ".new"))
        #expect(!FileSystem.exists(folder.database + ".new-journal"))
    }

    @Test("a file without the right to read and write it", .enabled(if: geteuid() == 0, "another user is needed"))
    func unreadable() async throws {
        let folder = try TemporaryFolder()
        try await filled(folder.database)
        try #require(unsafe chmod(folder.path, 0o777) == 0)
        try #require(unsafe chmod(folder.database + ".lock", 0o666) == 0)
        for mode in [mode_t(0), 0o444, 0o222] {
            try #require(unsafe chmod(folder.database, mode) == 0)
            await #expect(processExitsWith: .exitCode(7)) { [path = folder.database as String] in
                try #require(setuid(65_534) == 0)
                let error = await failure(opening: path)
                if error?.code == .unavailable && error?.message.contains("give the daemon's user") == true { exit(7) }
            }
        }
        try #require(unsafe chmod(folder.database, 0o600) == 0)
        #expect(await failure(opening: folder.database) == nil)
    }
}
