import Glibc

/// The few file operations the daemon needs, without Foundation's file manager.
package enum FileSystem {
    /// The message of the last failed call on this thread.
    package static var lastError: String { message(of: errno) }

    /// The system's message for an error number.
    package static func message(of code: Int32) -> String { unsafe String(cString: strerror(code)) }

    /// Reads a whole file; nil if it cannot be read or is larger than `limit` bytes (`EFBIG`), and
    /// `lastError` says why.
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

    /// Writes a file that only the owner may read (mode 0600). All or nothing: `path` names either the
    /// whole content, safe from a power cut, or what it named before. Without `replacing`, a file that
    /// exists is left alone, also when another process makes it at this moment (`EEXIST`).
    /// - Returns: false when that failed; `lastError` says why.
    package static func writePrivate(_ bytes: [UInt8], to path: String, replacing: Bool = false) -> Bool {
        let temporary = "\(path).\(getpid())-\(String(UInt64.random(in: 0...UInt64.max), radix: 36)).new"
        let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { return false }
        let complete = writeAll(bytes, to: descriptor) && fsync(descriptor) == 0
        let failure = errno
        close(descriptor)
        // link() refuses an existing target, which rename() would replace.
        let named = complete && (replacing ? unsafe rename(temporary, path) : unsafe link(temporary, path)) == 0
        var code = complete ? errno : failure
        if !(named && replacing) { unsafe unlink(temporary) }
        // The name is in the folder, which has to reach the disk as well.
        let synced = named && syncFolder(folder(of: path))
        if named, !synced { code = errno }
        errno = code
        return synced
    }

    private static func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = unsafe rest.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else { return false }
            rest = rest.dropFirst(written)
        }
        return true
    }

    private static func syncFolder(_ path: String) -> Bool {
        let descriptor = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        // EINVAL: a file system that cannot sync folders has nothing to sync.
        return fsync(descriptor) == 0 || errno == EINVAL
    }

    /// Creates a folder and its parents with mode 0700; true as well when it is there already, false
    /// (see `lastError`) if that failed or something else has the name.
    package static func createFolder(_ path: String) -> Bool {
        var prefix = path.hasPrefix("/") ? "" : "."
        for part in path.split(separator: "/") {
            prefix += "/\(part)"
            if unsafe mkdir(prefix, 0o700) != 0 {
                let failure = errno
                guard !isFolder(prefix) else { continue }
                errno = failure == EEXIST ? ENOTDIR : failure
                return false
            }
        }
        return true
    }

    /// Whether `path` names a folder, also through a symbolic link.
    package static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Whether we may execute a file.
    /// The names in a folder, apart from `.` and `..`; nil when it cannot be read.
    package static func names(in folder: String) -> [String]? {
        guard let handle = unsafe opendir(folder) else { return nil }
        defer { unsafe closedir(handle) }
        var names: [String] = []
        while let entry = unsafe readdir(handle) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) {
                unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    /// The name of the user who owns a file (a link itself, not what it leads to); nil when there is none.
    package static func owner(of path: String) -> String? {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return nil }
        var entry = unsafe passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 16_384)
        guard unsafe getpwuid_r(status.st_uid, &entry, &buffer, buffer.count, &found) == 0, unsafe found != nil else {
            return nil
        }
        return unsafe String(cString: entry.pw_name)
    }

    package static func isExecutable(_ path: String) -> Bool { unsafe access(path, X_OK) == 0 }

    /// Whether anything has this name.
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
