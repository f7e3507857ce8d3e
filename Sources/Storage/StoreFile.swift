internal import Base
internal import Gateway
internal import Glibc

/// Makes, checks and opens the database file.
struct StoreFile {
    let path: String
    let options: SQLiteStore.Options

    /// The connection that writes, with the newest schema. It is the last thing that can fail to start the keeper.
    func open(_ keeper: LogKeeper) throws(StoreError) -> WriteConnection {
        let folder = FileSystem.folder(of: path)
        guard FileSystem.exists(folder) else {
            throw StoreError(.unavailable, "the database's folder does not exist", context: ["path": folder])
        }
        let lock = try FileLock(path: path + ".lock")
        let found = try look()
        if found == nil { try create() }
        let database = try Database(path: path, access: .readWrite)
        database.waitForLocks(milliseconds: options.lockWaitMilliseconds)
        try checkIdentity(of: database)
        if let found, !found.hasLog { try checkShape(of: database, bytes: found.bytes) }
        try configure(database)
        if database.isReadOnly { throw damaged("its header says that it must not be written") }
        try Schema.migrate(database, options.migrations)
        try touch(database)
        do throws(StoreError) {
            let connection = try WriteConnection(database: database, lock: lock)
            try keeper.start(
                open: { () throws(StoreError) in try openBeside() },
                lengtheningLogOf: options.reservesLog ? path : nil)
            return connection
        } catch  where error.code == .writeFailed {
            // Its statements do not fit the tables.
            throw damaged(error.context["reason"] ?? "")
        }
    }

    /// The keeper's connection: it syncs what it copies as the writer's syncs what it writes.
    private func openBeside() throws(StoreError) -> Database {
        let database = try Database(path: path, access: .readWrite)
        try configure(database)
        return database
    }

    private func damaged(_ reason: String) -> StoreError {
        StoreError(.corrupt, SQLiteFailure.damaged, context: ["path": path, "reason": reason])
    }

    /// What stands at the path before SQLite touches it; nil when nothing does.
    /// - Throws: `corrupt` for what no crash of ours leaves behind and SQLite would take for a new database; it
    ///   would remove a log that holds accepted messages.
    private func look() throws(StoreError) -> (bytes: Int, hasLog: Bool)? {
        var (file, log) = (stat(), stat())
        let hasLog = unsafe stat(path + "-wal", &log) == 0 && log.st_size > 0
        guard unsafe stat(path, &file) == 0 else {
            if errno == ENOENT && !hasLog { return nil }
            if errno == ENOENT {
                throw StoreError(
                    .corrupt,
                    "the database file is gone, but its log is there: put the file back, or move the log away",
                    context: ["path": path, "log": path + "-wal"])
            }
            throw StoreError(
                .unavailable, "the database file cannot be looked at",
                context: ["path": path, "reason": FileSystem.lastError])
        }
        guard file.st_mode & S_IFMT == S_IFREG else {
            throw StoreError(.unavailable, "the database's path is no file; name another one", context: ["path": path])
        }
        guard unsafe access(path, R_OK | W_OK) == 0 else {
            throw StoreError(
                .unavailable, "the database file cannot be read and written; give the daemon's user both rights",
                context: ["path": path, "reason": FileSystem.lastError])
        }
        guard file.st_size > 0 else {
            throw StoreError(
                .corrupt, "the database file is empty; restore it from a backup, or remove it to start without data",
                context: ["path": path])
        }
        if hasLog, log.st_size >= LogHeader.least { try checkLog() }
        return (Int(file.st_size), hasLog)
    }

    private func checkLog() throws(StoreError) {
        guard let start = LogHeader.start(of: path + "-wal") else {
            throw StoreError(
                .unavailable, "the database's log cannot be read",
                context: ["path": path, "log": path + "-wal", "reason": FileSystem.lastError])
        }
        guard start.count == LogHeader.bytes, LogHeader(start).isValid else {
            throw StoreError(
                .corrupt,
                "the database's log is damaged at its head; restore both files from a backup, or move the log away to"
                    + " go on without what was accepted last",
                context: ["path": path, "log": path + "-wal"])
        }
    }

    /// Makes a database of one page, under a name of its own until it is whole: a file without content is never
    /// ours. It is for its owner only from the first moment; SQLite gives its log the same mode.
    private func create() throws(StoreError) {
        let temporary = path + ".new"
        for suffix in ["", "-journal"] { unsafe unlink(temporary + suffix) }
        let descriptor = unsafe Glibc.open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw cannotMake() }
        close(descriptor)
        try Self.fill(temporary)
        guard unsafe rename(temporary, path) == 0 else { throw cannotMake() }
        try syncFolder()
    }

    private static func fill(_ path: String) throws(StoreError) {
        let database = try Database(path: path, access: .readWrite)
        try database.execute("PRAGMA page_size = 4096", .open)
        try database.execute("PRAGMA application_id = 1180791362", .open)
    }

    private func cannotMake() -> StoreError {
        StoreError(
            .unavailable, "the database file cannot be made", context: ["path": path, "reason": FileSystem.lastError])
    }

    /// Compares the header with the file and with what Farbell sets. Not for a file with a log: after a crash the
    /// log has what the file lacks.
    private func checkShape(of database: Database, bytes: Int) throws(StoreError) {
        let pages = try database.integer("PRAGMA page_count", .open) ?? 0
        let size = try database.integer("PRAGMA page_size", .open) ?? 0
        // A file that is longer would be overwritten at its end.
        if pages * size != Int64(bytes) { throw damaged("\(bytes) bytes for \(pages) pages of \(size)") }
        let encoding = try database.text("PRAGMA encoding", .open) ?? ""
        if encoding != "UTF-8" { throw damaged("text is kept as \(encoding)") }
        if try database.integer("PRAGMA auto_vacuum", .open) != 0 { throw damaged("a flag nobody set") }
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
        let version = try database.integer("PRAGMA user_version", .open) ?? 0
        let objects = try database.integer("SELECT count(*) FROM sqlite_schema", .open) ?? 0
        if identity == Schema.applicationID {
            if version < 0 || (version == 0) != (objects == 0) { throw damaged("version \(version)") }
            return
        }
        guard identity == 0, version == 0, objects == 0 else {
            throw StoreError(
                .corrupt, "the file is a database, but not one of Farbell's; name another one",
                context: ["path": path, "application_id": "\(identity)"])
        }
    }

    /// Sets what durability and speed depend on, and reads back what durability depends on.
    private func configure(_ database: Database) throws(StoreError) {
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
