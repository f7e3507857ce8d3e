internal import Base
internal import Gateway
internal import Glibc

/// Holds a lock file as long as it lives, so that one process only uses a database. SQLite's own locks
/// cannot say that: they are free between transactions.
final class FileLock: Sendable {
    private let descriptor: Int32

    /// - Throws: `StoreError.inUse` when another store holds it, `unavailable` when the file cannot be made.
    init(path: String) throws(StoreError) {
        descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw StoreError(
                .unavailable, "the lock file beside the database cannot be opened",
                context: ["path": path, "reason": FileSystem.lastError])
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            // `deinit` runs also after this and closes the descriptor.
            let (code, reason) = (errno, FileSystem.lastError)
            if code == EWOULDBLOCK {
                throw StoreError(
                    .inUse, "another Farbell process uses this database; stop it first", context: ["path": path])
            }
            throw StoreError(
                .unavailable, "the lock file beside the database cannot be locked",
                context: ["path": path, "reason": reason])
        }
    }

    // The file stays: removing it would let a third process lock a new file of the same name.
    deinit { if descriptor >= 0 { close(descriptor) } }
}
