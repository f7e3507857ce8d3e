package import Base
internal import Cryptography

/// The token that opens the admin interface: a file only its owner can read.
package enum AdminToken {
    /// Reads the token, making one where the file is missing.
    /// - Throws: `DaemonError`.
    package static func loadOrCreate(at path: String) throws -> Secret {
        if !FileSystem.exists(path) {
            let token = "fba_\(try SecureRandom.bytes(32).base64URL)"
            _ = FileSystem.createFolder(FileSystem.folder(of: path))
            // Another process may have been faster; what is in the file then counts.
            if !FileSystem.writePrivate(Array("\(token)\n".utf8), to: path), !FileSystem.exists(path) {
                throw DaemonError(.io, "cannot write the admin token to '\(path)': \(FileSystem.lastError)")
            }
        }
        return try load(from: path)
    }

    /// - Throws: `DaemonError`.
    package static func load(from path: String) throws -> Secret {
        guard let bytes = FileSystem.contents(of: path, limit: 4096) else {
            throw DaemonError(.io, "cannot read the admin token from '\(path)': \(FileSystem.lastError)")
        }
        let text = String(decoding: bytes, as: UTF8.self).trimmingSpace
        guard text.utf8.count >= 16 else {
            throw DaemonError(.io, "the admin token in '\(path)' has fewer than 16 bytes")
        }
        return Secret(text)
    }
}
