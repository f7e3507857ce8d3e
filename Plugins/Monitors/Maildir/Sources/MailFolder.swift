internal import Base
internal import Glibc

/// The two folders of a Maildir that hold complete messages.
enum MaildirPart: String, Sendable, CaseIterable {
    /// Delivered, not looked at by any mail program.
    case new
    /// Looked at by a mail program.
    case cur
}

/// A message's file name, taken apart (the Maildir specification, "unique name" and "info").
struct MaildirName: Sendable, Hashable {
    /// What stays the same when a message moves or changes its flags.
    let unique: String
    /// The letters after `:2,`.
    let flags: Substring

    init(_ name: String) {
        // Some systems write another separator, because ':' is not allowed there; Debian's programs do not.
        let end = name.firstIndex(of: ":") ?? name.endIndex
        unique = String(name[..<end])
        flags = name[end...].hasPrefix(":2,") ? name[end...].dropFirst(3) : ""
    }

    var isSeen: Bool { flags.contains("S") }
    var isTrashed: Bool { flags.contains("T") }

    /// Seconds since 1970 when the delivery began: the digits the name begins with; nil when there are none.
    var delivered: Int64? {
        let digits = unique.prefix { $0.isASCII && $0.isNumber }
        return (9...11).contains(digits.count) ? Int64(digits) : nil
    }
}

/// A Maildir could not be read.
struct MaildirError: Error, Sendable {
    /// Whether the folder is not there.
    let isMissing: Bool
    let message: String
}

/// Reads a Maildir. Every call blocks: on a thread of ours only.
protocol MaildirFolder: Sendable {
    /// The names in one part.
    /// - Throws: `MaildirError`.
    func names(in part: MaildirPart) throws -> [String]
    /// When the part's list of names last changed, in nanoseconds; nil when it cannot be told.
    func changed(_ part: MaildirPart) -> Int64?
    /// When a file came to where it is, in seconds since 1970; nil when it is gone.
    func arrival(of name: String, in part: MaildirPart) -> Int64?
    /// The first bytes of a file; nil when it is gone or cannot be read.
    func beginning(of name: String, in part: MaildirPart, limit: Int) -> [UInt8]?
}

/// A Maildir on disk.
struct DiskMaildir: MaildirFolder {
    let path: String
    /// More names than this in one part are not looked at.
    static let nameLimit = 1_000_000

    func names(in part: MaildirPart) throws -> [String] {
        guard let folder = unsafe opendir("\(path)/\(part.rawValue)") else {
            let code = errno
            throw MaildirError(
                isMissing: code == ENOENT || code == ENOTDIR,
                message: "\(part.rawValue): \(FileSystem.message(of: code))")
        }
        defer { unsafe closedir(folder) }
        var names: [String] = []
        while let entry = unsafe readdir(folder), names.count < Self.nameLimit {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) {
                unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            // Names with a leading dot are no messages (the Maildir specification).
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names
    }

    func changed(_ part: MaildirPart) -> Int64? {
        var status = stat()
        guard unsafe stat("\(path)/\(part.rawValue)", &status) == 0 else { return nil }
        return Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
    }

    func arrival(of name: String, in part: MaildirPart) -> Int64? {
        var status = stat()
        // A rename into `new` sets the change time; the modification time is the writing's.
        guard unsafe lstat("\(path)/\(part.rawValue)/\(name)", &status) == 0 else { return nil }
        return Int64(status.st_ctim.tv_sec)
    }

    func beginning(of name: String, in part: MaildirPart, limit: Int) -> [UInt8]? {
        // Not blocking and no links: what lies in a mailbox may be a pipe, or point elsewhere.
        let flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
        let descriptor = unsafe open("\(path)/\(part.rawValue)/\(name)", flags)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        var bytes = [UInt8](repeating: 0, count: limit)
        var filled = 0
        while filled < limit {
            let count = unsafe bytes.withUnsafeMutableBytes { buffer in
                unsafe read(descriptor, buffer.baseAddress?.advanced(by: filled), limit - filled)
            }
            if count < 0 && errno == EINTR { continue }
            if count < 0 { return nil }
            if count == 0 { break }
            filled += count
        }
        return Array(bytes[..<filled])
    }
}
