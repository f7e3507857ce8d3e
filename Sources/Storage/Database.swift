internal import CSQLite
internal import Gateway

/// One connection to a database file. Owns SQLite's handle; belongs to one thread at a time.
@safe final class Database {
    enum Access {
        case readWrite
        case readOnly
    }

    /// Settings of the whole library, made once. Where another part of the process was earlier they are left out:
    /// they only save time.
    private static let configured = csqlite_disable_memory_statistics()

    fileprivate let handle: OpaquePointer
    /// The file, for error messages.
    let path: String

    /// Opens an existing file.
    /// - Throws: `StoreError` when SQLite cannot open it.
    init(path: String, access: Access) throws(StoreError) {
        self.path = path
        _ = Self.configured
        // NOMUTEX: no two threads ever use the same connection. NOFOLLOW is not set: links are the operator's.
        let mode = access == .readWrite ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY
        var opened: OpaquePointer?
        let status = unsafe sqlite3_open_v2(
            path, &opened, mode | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_PRIVATECACHE, nil)
        guard let handle = unsafe opened else {
            throw SQLiteFailure(code: status, message: "out of memory", path: path).error(.open)
        }
        unsafe self.handle = handle
        if status != SQLITE_OK { throw failure(status).error(.open) }
    }

    deinit {
        // With statements still alive the handle goes when the last of them does.
        unsafe sqlite3_close_v2(handle)
    }

    /// How long a statement waits for another process's lock before it fails.
    func waitForLocks(milliseconds: Int32) { unsafe sqlite3_busy_timeout(handle, milliseconds) }

    /// Runs one statement that takes no values and gives no rows, or whose rows do not matter.
    func execute(_ sql: SQL, _ activity: Activity) throws(StoreError) {
        let statement = try prepare(sql, activity)
        try statement.run()
    }

    /// Runs `body` in a write transaction that is undone when `body` throws.
    func transaction<Result>(
        _ activity: Activity, _ body: () throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        try execute("BEGIN IMMEDIATE", activity)
        do throws(StoreError) {
            let result = try body()
            try execute("COMMIT", activity)
            return result
        } catch {
            // After some errors SQLite has rolled back by itself. If this fails too, the first error says more.
            if !isOutsideTransaction { try? execute("ROLLBACK", activity) }
            throw error
        }
    }

    /// Runs several statements separated by semicolons.
    func executeScript(_ sql: SQL, _ activity: Activity) throws(StoreError) {
        let status = unsafe sqlite3_exec(handle, sql.text, nil, nil, nil)
        if status != SQLITE_OK { throw failure(status).error(activity) }
    }

    /// The first column of the first row as an integer; nil without a row.
    func integer(_ sql: SQL, _ activity: Activity = .read) throws(StoreError) -> Int64? {
        let statement = try prepare(sql, activity)
        return try statement.first { row in row.integer() }
    }

    /// The first column of the first row as text; nil without a row.
    func text(_ sql: SQL, _ activity: Activity = .read) throws(StoreError) -> String? {
        let statement = try prepare(sql, activity)
        return try statement.first { row in row.text() }
    }

    func prepare(_ sql: SQL, _ activity: Activity) throws(StoreError) -> Statement {
        try Statement(database: self, sql: sql, activity: activity)
    }

    /// Rows the last finished statement inserted, changed or deleted itself.
    var changes: Int { unsafe Int(sqlite3_changes64(handle)) }

    /// Whether SQLite refuses to write, be it for the file's rights or for what its header says.
    var isReadOnly: Bool { unsafe sqlite3_db_readonly(handle, "main") == 1 }

    /// Whether no transaction is open, because none was begun or SQLite rolled it back itself.
    var isOutsideTransaction: Bool { unsafe sqlite3_get_autocommit(handle) != 0 }

    /// How far a checkpoint got.
    struct Checkpoint {
        /// Pages in the write-ahead log.
        let logged: Int
        /// Of those, pages that stand in the database file by now.
        let copied: Int
    }

    enum CheckpointMode {
        /// Copies what it can without waiting for anyone.
        case passive
        /// Waits for readers, so that the log is written from its start again.
        case restart
        /// Waits for readers and empties the log.
        case truncate
    }

    /// Copies pages from the write-ahead log into the database file and syncs it.
    /// - Returns: nil when readers or another process kept it from starting or ending.
    func checkpoint(_ mode: CheckpointMode) throws(StoreError) -> Checkpoint? {
        let code =
            switch mode {
            case .passive: SQLITE_CHECKPOINT_PASSIVE
            case .restart: SQLITE_CHECKPOINT_RESTART
            case .truncate: SQLITE_CHECKPOINT_TRUNCATE
            }
        var (logged, copied) = (Int32(0), Int32(0))
        let status = unsafe sqlite3_wal_checkpoint_v2(handle, nil, code, &logged, &copied)
        if status & 0xFF == SQLITE_BUSY { return nil }
        if status != SQLITE_OK { throw failure(status).error(.write) }
        return Checkpoint(logged: Int(logged), copied: Int(copied))
    }

    /// Takes automatic checkpoints out and keeps `counter` at the pages in the write-ahead log after
    /// each commit. The counter must live as long as the connection.
    func countLoggedPages(in counter: LogCounter) {
        unsafe sqlite3_wal_hook(
            handle,
            { context, _, _, pages in
                guard let context = unsafe context else { return SQLITE_OK }
                unsafe Unmanaged<LogCounter>.fromOpaque(context).takeUnretainedValue().pages = Int(pages)
                return SQLITE_OK
            }, Unmanaged.passUnretained(counter).toOpaque())
    }

    fileprivate func failure(_ code: Int32) -> SQLiteFailure {
        unsafe SQLiteFailure(code: code, message: String(cString: sqlite3_errmsg(handle)), path: path)
    }
}

/// Pages in the write-ahead log, as of the last commit of one connection.
final class LogCounter {
    fileprivate(set) var pages = 0
}

/// One prepared statement. Values are bound in the order of its question marks.
@safe final class Statement {
    private let handle: OpaquePointer
    // Keeps the connection open as long as the statement lives.
    private let database: Database
    private let activity: Activity
    private var bound: Int32 = 0
    private var bindFailure = SQLITE_OK

    fileprivate init(database: Database, sql: SQL, activity: Activity) throws(StoreError) {
        (self.database, self.activity) = (database, activity)
        var prepared: OpaquePointer?
        let status = unsafe sqlite3_prepare_v3(
            database.handle, sql.text, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &prepared, nil)
        guard status == SQLITE_OK, let handle = unsafe prepared else {
            throw database.failure(status).error(activity)
        }
        unsafe self.handle = handle
    }

    deinit { unsafe sqlite3_finalize(handle) }

    /// Binds the next value. What nothing is bound to is NULL.
    func bind(_ value: Int64?) {
        bound += 1
        if let value { note(unsafe sqlite3_bind_int64(handle, bound, value)) }
    }

    func bind(_ value: String?) {
        bound += 1
        guard var value else { return }
        note(value.withUTF8 { unsafe csqlite_bind_text(handle, bound, start($0), UInt64($0.count)) })
    }

    func bind(_ value: [UInt8]?) {
        bound += 1
        guard let value else { return }
        note(
            unsafe value.withUnsafeBufferPointer {
                unsafe csqlite_bind_blob(handle, bound, start($0), UInt64($0.count))
            })
    }

    /// The start of a buffer that is never nil: SQLite takes a nil pointer for NULL, not for an empty value.
    private func start(_ buffer: UnsafeBufferPointer<UInt8>) -> UnsafeRawPointer {
        unsafe buffer.baseAddress.map { unsafe UnsafeRawPointer($0) } ?? UnsafeRawPointer(handle)
    }

    private func note(_ status: Int32) {
        if status != SQLITE_OK && bindFailure == SQLITE_OK { bindFailure = status }
    }

    /// Runs the statement to its end.
    /// - Returns: the rows it inserted, changed or deleted.
    @discardableResult
    func run() throws(StoreError) -> Int {
        defer { reset() }
        while try step() {}
        return database.changes
    }

    /// Runs the statement and hands over each row.
    func each(_ body: (inout Row) throws(StoreError) -> Void) throws(StoreError) {
        defer { reset() }
        while try step() {
            var row = Row(statement: self)
            try body(&row)
        }
    }

    /// Runs the statement for its first row; nil when there is none.
    func first<Value>(_ body: (inout Row) throws(StoreError) -> Value) throws(StoreError) -> Value? {
        defer { reset() }
        guard try step() else { return nil }
        var row = Row(statement: self)
        return try body(&row)
    }

    private func step() throws(StoreError) -> Bool {
        if bindFailure != SQLITE_OK { throw database.failure(bindFailure).error(activity) }
        let status = unsafe sqlite3_step(handle)
        if status == SQLITE_ROW { return true }
        if status == SQLITE_DONE { return false }
        throw database.failure(status).error(activity)
    }

    private func reset() {
        // Its result repeats that of the last step, which was looked at already.
        unsafe sqlite3_reset(handle)
        if bound > 0 { unsafe sqlite3_clear_bindings(handle) }
        (bound, bindFailure) = (0, SQLITE_OK)
    }

    /// The current row of a statement; columns are read from left to right.
    struct Row {
        fileprivate let statement: Statement
        private var column: Int32 = 0

        fileprivate init(statement: Statement) { self.statement = statement }

        private mutating func next() -> Int32 {
            defer { column += 1 }
            return column
        }

        /// Passes over a column.
        mutating func skip() { column += 1 }

        private func isNull(_ column: Int32) -> Bool {
            unsafe sqlite3_column_type(statement.handle, column) == SQLITE_NULL
        }

        mutating func integer() -> Int64 { unsafe sqlite3_column_int64(statement.handle, next()) }

        mutating func optionalInteger() -> Int64? {
            let column = next()
            return isNull(column) ? nil : unsafe sqlite3_column_int64(statement.handle, column)
        }

        mutating func text() -> String { optionalText() ?? "" }

        mutating func optionalText() -> String? {
            let column = next()
            // Nil is the answer for NULL (and when memory is out); the length must be asked for afterwards.
            guard let start = unsafe sqlite3_column_text(statement.handle, column) else { return nil }
            let count = unsafe Int(sqlite3_column_bytes(statement.handle, column))
            return unsafe String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
        }

        mutating func bytes() -> [UInt8] { optionalBytes() ?? [] }

        mutating func optionalBytes() -> [UInt8]? {
            let column = next()
            if isNull(column) { return nil }
            guard let start = unsafe sqlite3_column_blob(statement.handle, column) else { return [] }
            let count = unsafe Int(sqlite3_column_bytes(statement.handle, column))
            return unsafe [UInt8](UnsafeRawBufferPointer(start: start, count: count))
        }

        /// An error for a value that no version of Farbell wrote.
        func damage(_ what: String) -> StoreError {
            StoreError(
                .corrupt, SQLiteFailure.damaged, context: ["path": statement.database.path, "reason": "bad \(what)"])
        }
    }
}
