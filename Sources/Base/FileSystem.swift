import Glibc

/// The few file operations the daemon needs, without Foundation's file manager.
package enum FileSystem {
    /// The message of the last failed call on this thread.
    package static var lastError: String { message(of: errno) }

    /// The system's message for an error number.
    package static func message(of code: Int32) -> String { unsafe String(cString: strerror(code)) }

    /// Reads a whole file, nil if it cannot be read or is larger than `limit` bytes (`EFBIG`).
    package static func contents(of path: String, limit: Int) -> [UInt8]? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = unsafe chunk.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
            if count == 0 { return bytes }
            if count < 0 {
                if errno == EINTR { continue }
                return nil
            }
            bytes.append(contentsOf: chunk[0..<count])
            if bytes.count > limit {
                errno = EFBIG
                return nil
            }
        }
    }

    /// Writes a new file that only the owner may read, synced before it is named `path`; false (see
    /// `lastError`) if that failed or, without `replacing`, the file exists.
    package static func writePrivate(_ bytes: [UInt8], to path: String, replacing: Bool = false) -> Bool {
        let temporary = "\(path).new"
        unsafe unlink(temporary)
        let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return false }
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = unsafe rest.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
            if written < 0 && errno != EINTR { break }
            rest = rest.dropFirst(max(0, written))
        }
        let complete = rest.isEmpty && fsync(descriptor) == 0
        let failure = errno
        close(descriptor)
        // link() refuses an existing target, which rename() would replace.
        let named = complete && (replacing ? unsafe rename(temporary, path) : unsafe link(temporary, path)) == 0
        let code = complete ? errno : failure
        unsafe unlink(temporary)
        errno = code
        return named
    }

    /// Creates a folder and its parents with mode 0700; false if that failed.
    package static func createFolder(_ path: String) -> Bool {
        var prefix = path.hasPrefix("/") ? "" : "."
        for part in path.split(separator: "/") {
            prefix += "/\(part)"
            if unsafe mkdir(prefix, 0o700) != 0 && errno != EEXIST { return false }
        }
        return true
    }

    package static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

    /// Bytes an unprivileged process may still write to the file system that holds `path`.
    package static func freeBytes(at path: String) -> Int64? {
        var status = statvfs()
        guard unsafe statvfs(path, &status) == 0 else { return nil }
        return Int64(status.f_bavail) * Int64(status.f_frsize)
    }

    /// The folder part of a path, `.` when there is none.
    package static func folder(of path: String) -> String {
        path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    }
}
