import Base
import GatewayTestKit
import Glibc

/// What tests do to files.
enum Files {
    static func move(_ old: String, to new: String) throws {
        guard unsafe rename(old, new) == 0 else { throw PeerError(.file, "\(old): \(FileSystem.lastError)") }
    }

    /// Lets everybody read a file, as mail servers need it.
    static func share(_ path: String) throws {
        guard unsafe chmod(path, 0o644) == 0 else { throw PeerError(.file, "\(path): \(FileSystem.lastError)") }
    }

    /// Overwrites bytes in the middle of a file.
    static func patch(_ path: String, at offset: Int, with bytes: [UInt8]) throws {
        guard var contents = FileSystem.contents(of: path, limit: 64 << 20), contents.count >= offset + bytes.count,
            !bytes.isEmpty
        else { throw PeerError(.file, path) }
        contents.replaceSubrange(offset..<offset + bytes.count, with: bytes)
        try overwrite(path, with: contents)
    }

    static func overwrite(_ path: String, with bytes: [UInt8]) throws {
        guard FileSystem.writePrivate(bytes, to: path, replacing: true) else {
            throw PeerError(.file, "\(path): \(FileSystem.lastError)")
        }
    }
}
