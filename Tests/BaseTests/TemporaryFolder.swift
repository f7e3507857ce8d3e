import Base
import Glibc

/// A folder that goes away with its owner.
final class TemporaryFolder: Sendable {
    let path: String

    init() {
        path = "/tmp/farbell-base-\(getpid())-\(UInt64.random(in: 0...UInt64.max))"
        precondition(FileSystem.createFolder(path), FileSystem.lastError)
    }

    deinit {
        for name in names { unsafe unlink(file(name)) }
        unsafe rmdir(path)
    }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    /// What the folder holds, sorted.
    var names: [String] { Self.names(in: path) }

    /// What a folder holds, sorted.
    static func names(in path: String) -> [String] {
        guard let stream = unsafe opendir(path) else { return [] }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// The names of this process's threads.
    static var threadNames: [String] {
        names(in: "/proc/self/task").compactMap { id in
            FileSystem.contents(of: "/proc/self/task/\(id)/comm", limit: 64).map {
                String(decoding: $0.dropLast(), as: UTF8.self)
            }
        }
    }

    /// Permission bits of a file, nil when there is none.
    func mode(_ name: String) -> UInt32? {
        var status = stat()
        return unsafe stat(file(name), &status) == 0 ? status.st_mode & 0o777 : nil
    }
}
