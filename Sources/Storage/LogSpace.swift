internal import Base
internal import Glibc

/// Keeps the write-ahead log's file longer than the log, filled with zeros that are on the disk.
///
/// A sync after writing where the file ended has to note the new length in the file system's journal too; one after
/// writing over what is there has not, and takes half the time (measured on ext4: 88 us and 176). SQLite takes
/// zeros behind the last frame for the end of the log: they carry no valid salt (sqlite.org/fileformat2.html, section 4.2).
final class LogSpace {
    /// A frame: its header and a page.
    static let frameBytes = 24 + 4096
    /// What is written and synced at once. A commit that comes meanwhile waits for so much at most.
    private static let pieceBytes = 512 << 10

    /// The file grows when fewer frames than this are left: what the writer may fill meanwhile (512 KiB to 4 MiB; the
    /// longer the log is, the more comes at a time).
    static func reserve(for logged: Int) -> Int { min(1024, max(128, logged / 2)) }
    /// Frames the file has room for when it has grown.
    static func room(for logged: Int) -> Int { logged + 2 * reserve(for: logged) }

    private let path: String
    private var descriptor: Int32 = -1

    /// - Parameter path: of the database.
    init(path: String) { self.path = path + "-wal" }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Makes the file ready for a log that is that long now. Never called before the log's header is on the disk, or a
    /// crash would leave a log without one.
    /// - Returns: the frames there is room for; nil when the disk has no room.
    func lengthen(for logged: Int) -> Int? {
        // The file is only ever appended to: where the writer has come to its end meanwhile, nothing of it is lost.
        // SQLite holds no locks on the log, so opening and closing it here takes none away.
        if descriptor < 0 { descriptor = unsafe open(path, O_WRONLY | O_APPEND | O_CLOEXEC) }
        guard descriptor >= 0 else { return nil }
        let end = LogHeader.bytes + Self.room(for: logged) * Self.frameBytes
        let zeros = [UInt8](repeating: 0, count: Self.pieceBytes)
        while true {
            var status = stat()
            guard unsafe fstat(descriptor, &status) == 0 else { return nil }
            let left = end - Int(status.st_size)
            if left <= 0 { return (Int(status.st_size) - LogHeader.bytes) / Self.frameBytes }
            let written = unsafe zeros.withUnsafeBytes {
                unsafe write(descriptor, $0.baseAddress, min($0.count, left))
            }
            guard written > 0, fdatasync(descriptor) == 0 else { return nil }
        }
    }
}
