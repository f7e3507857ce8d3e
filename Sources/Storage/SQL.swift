internal import CSQLite
internal import Gateway

/// A piece of SQL that stands in the source: it can be made from literals and other pieces only, so
/// no value ever becomes part of a statement's text.
struct SQL: ExpressibleByStringLiteral, Sendable {
    let text: String

    private init(text: String) { self.text = text }
    init(stringLiteral text: StaticString) { self.init(text: text.description) }

    static func + (a: SQL, b: SQL) -> SQL { SQL(text: a.text + b.text) }
}

/// What was being done when SQLite reported a result; it decides what a general failure is called.
enum Activity: String {
    case open
    case read
    case write
}

/// The one place where SQLite's result codes become errors.
struct SQLiteFailure {
    /// The extended result code.
    let code: Int32
    /// SQLite's own message. It names tables and columns, never values.
    let message: String
    let path: String

    /// The primary result code (the low byte of the extended one).
    private var primary: Int32 { code & 0xFF }

    func error(_ activity: Activity) -> StoreError {
        let context = ["path": path, "sqlite": "\(code)", "reason": message]
        switch primary {
        case SQLITE_NOTADB:
            return StoreError(.corrupt, "the file is no database; restore it from a backup", context: context)
        case SQLITE_CORRUPT:
            return StoreError(.corrupt, SQLiteFailure.damaged, context: context)
        // Looking at a sound file fails with codes of their own only.
        case SQLITE_ERROR where activity == .open:
            return StoreError(.corrupt, SQLiteFailure.damaged, context: context)
        case SQLITE_FULL:
            return StoreError(.full, "no room is left for the database", context: context)
        case SQLITE_BUSY, SQLITE_LOCKED:
            return StoreError(.inUse, "another program holds the database locked", context: context)
        case SQLITE_CONSTRAINT, SQLITE_MISMATCH, SQLITE_TOOBIG, SQLITE_RANGE:
            return StoreError(.refused, "a change contradicts what is stored", context: context)
        default: break
        }
        return switch activity {
        case .open: StoreError(.unavailable, "the database cannot be opened", context: context)
        case .read: StoreError(.readFailed, "the database cannot be read", context: context)
        case .write: StoreError(.writeFailed, "the database cannot be written", context: context)
        }
    }

    /// What to do with a damaged file.
    static let damaged =
        "the database is damaged; keep a copy of it and restore it from a backup. Without one, 'sqlite3 FILE .recover'"
        + " saves what can be read (sqlite.org's build; Debian's lacks it)"
}
