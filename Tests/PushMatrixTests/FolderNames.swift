import Base
import GatewayTestKit
import Glibc

enum FolderNames {
    /// What stands in a folder, without hidden files.
    /// - Throws: `PeerError` when it cannot be read.
    static func of(_ path: String) throws -> [String] {
        guard let stream = unsafe opendir(path) else { throw PeerError(.file, "\(path): \(FileSystem.lastError)") }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) {
                unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names
    }
}
