internal import Base
internal import Glibc

/// A folder that is removed, with all it holds, when this object goes.
package final class TemporaryFolder: Sendable {
    package let path: String

    /// Where files are in memory, and a sync costs nothing.
    private static let memory = "/dev/shm"

    /// - Parameter inMemory: where the system has such a place. For tests of what files hold, which write hundreds of
    ///   them: on a disk that others keep busy their syncs take minutes.
    /// - Throws: `PeerError` when the folder cannot be made.
    package init(inMemory: Bool = false) throws {
        let usual = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
        let parent = unsafe inMemory && access(Self.memory, W_OK | X_OK) == 0 ? Self.memory : usual
        var template = Array("\(parent)/farbell-XXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else { throw PeerError(.file, FileSystem.lastError) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { Self.remove(path) }

    /// The path of something in the folder.
    package func file(_ name: String) -> String { "\(path)/\(name)" }

    /// Writes a file that only the owner may read.
    /// - Returns: its path.
    /// - Throws: `PeerError` when that fails.
    @discardableResult
    package func write(_ bytes: [UInt8], to name: String) throws -> String {
        guard FileSystem.writePrivate(bytes, to: file(name), replacing: true) else {
            throw PeerError(.file, "\(name): \(FileSystem.lastError)")
        }
        return file(name)
    }

    @discardableResult
    package func write(_ text: String, to name: String) throws -> String { try write(Array(text.utf8), to: name) }

    private static func remove(_ path: String) {
        if let folder = unsafe opendir(path) {
            while let entry = unsafe readdir(folder) {
                let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) {
                    unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
                }
                if name == "." || name == ".." { continue }
                let child = "\(path)/\(name)"
                // Unlinking first never follows a symbolic link into a foreign folder.
                if unsafe unlink(child) != 0 { remove(child) }
            }
            unsafe closedir(folder)
        }
        unsafe rmdir(path)
    }
}
