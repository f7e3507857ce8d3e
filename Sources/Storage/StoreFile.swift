internal import Base
internal import Gateway
internal import Glibc

/// Makes, checks and opens the database file.
struct StoreFile {
    let path: String
    let options: SQLiteStore.Options

    /// The connection that writes, with the newest schema.
    func open() throws(StoreError) -> WriteConnection {
        let folder = FileSystem.folder(of: path)
        guard FileSystem.exists(folder) else {
            throw StoreError(.unavailable, "the database's folder does not exist", context: ["path": folder])
        }
        let lock = try FileLock(path: path + ".lock")
        try createIfMissing()
        let isCut = endsWithinPage
        let database = try Database(path: path, access: .readWrite)
        database.waitForLocks(milliseconds: options.lockWaitMilliseconds)
        try checkIdentity(of: database)
        if isCut { throw StoreError(.corrupt, SQLiteFailure.damaged, context: ["path": path, "reason": "cut short"]) }
        try configure(database)
        try Schema.migrate(database, options.migrations)
        try touch(database)
        return try WriteConnection(database: database, lock: lock)
    }

    /// Makes the file ourselves, so that nobody else may read it from the first moment. SQLite gives its
    /// log the same mode.
    private func createIfMissing() throws(StoreError) {
        // Never open an existing file here: closing it would drop SQLite's own locks of this process.
        let descriptor = unsafe Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        if descriptor >= 0 {
            close(descriptor)
            try syncFolder()
        } else if errno != EEXIST {
            throw StoreError(
                .unavailable, "the database file cannot be made",
                context: ["path": path, "reason": FileSystem.lastError])
        } else if unsafe access(path, R_OK | W_OK) != 0 {
            throw StoreError(
                .unavailable, "the database file cannot be read and written",
                context: ["path": path, "reason": FileSystem.lastError])
        }
    }

    /// Whether the file ends amid a page, which SQLite itself lets pass. After a crash that is no fault: the log
    /// has the rest.
    private var endsWithinPage: Bool {
        var (file, log) = (stat(), stat())
        guard unsafe stat(path, &file) == 0 else { return false }
        let hasLog = unsafe stat(path + "-wal", &log) == 0 && log.st_size > 0
        return !hasLog && file.st_size % 4096 != 0
    }

    /// Without this a power cut could take the new file's name away.
    private func syncFolder() throws(StoreError) {
        let folder = FileSystem.folder(of: path)
        let descriptor = unsafe Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { if descriptor >= 0 { close(descriptor) } }
        guard descriptor >= 0, fsync(descriptor) == 0 else {
            throw StoreError(
                .unavailable, "the database's folder cannot be synced",
                context: ["path": folder, "reason": FileSystem.lastError])
        }
    }

    /// Refuses files that are not ours before anything is changed in them.
    private func checkIdentity(of database: Database) throws(StoreError) {
        let identity = try database.integer("PRAGMA application_id", .open) ?? 0
        if identity == Schema.applicationID { return }
        let version = try database.integer("PRAGMA user_version", .open) ?? 0
        let objects = try database.integer("SELECT count(*) FROM sqlite_schema", .open) ?? 0
        guard identity == 0, version == 0, objects == 0 else {
            throw StoreError(
                .corrupt, "the file is a database, but not one of Farbell's; name another one",
                context: ["path": path, "application_id": "\(identity)"])
        }
    }

    /// Sets what durability and speed depend on, and reads back what durability depends on.
    private func configure(_ database: Database) throws(StoreError) {
        // Has effect before the first table only.
        try database.execute("PRAGMA page_size = 4096", .open)
        guard try database.text("PRAGMA journal_mode = WAL", .open) == "wal" else {
            throw StoreError(.unavailable, "the file system allows no write-ahead log", context: ["path": path])
        }
        try database.execute("PRAGMA synchronous = FULL", .open)
        guard try database.integer("PRAGMA synchronous", .open) == 2 else {
            throw StoreError(.unavailable, "SQLite does not sync each commit", context: ["path": path])
        }
        try database.execute("PRAGMA wal_autocheckpoint = 0", .open)
        try database.execute("PRAGMA cache_size = -65536", .open)
        try database.execute("PRAGMA temp_store = MEMORY", .open)
        try database.execute("PRAGMA trusted_schema = OFF", .open)
        for pragma in options.pragmas { try database.execute(pragma, .open) }
    }

    /// Reads the ends of the large tables: a cheap look for damage. Reading all of a large file would keep
    /// the gateway from starting for minutes; what lies deeper shows when it is read.
    private func touch(_ database: Database) throws(StoreError) {
        for query: SQL in [
            "SELECT count(*) FROM (SELECT * FROM message ORDER BY rowid DESC LIMIT 1)",
            "SELECT count(*) FROM (SELECT * FROM message ORDER BY queue, seq LIMIT 1)",
            "SELECT count(*) FROM (SELECT * FROM settled ORDER BY at DESC LIMIT 1)",
            "SELECT count(*) FROM (SELECT * FROM account LIMIT 1)",
        ] {
            try database.execute(query, .open)
        }
    }
}
