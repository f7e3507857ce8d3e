internal import Base
internal import Cryptography
internal import Gateway

/// The key a web application calls with: a file only its owner can read.
enum AppKey {
    /// Makes a key and writes it to the file that the configuration names.
    /// - Parameter replacing: whether a key that is there may go; whoever calls with it is refused from then on.
    /// - Throws: `DaemonError`.
    static func make(_ name: String, in apps: [App], replacing: Bool) throws -> Secret {
        guard let app = apps.first(where: { $0.id.text == name }) else {
            let known = apps.map(\.id.text)
            throw DaemonError(.noUser, "there is no app '\(name.printable)'" + Suggestion.text(for: name, among: known))
        }
        guard let file = app.keyFile else {
            throw DaemonError(
                .configuration, "apps.\(name).key names no file; give it as {\"file\": \"data/\(name).key\"}")
        }
        let key = "fbk_\(try SecureRandom.bytes(32).base64URL)"
        _ = FileSystem.createFolder(FileSystem.folder(of: file))
        if !replacing, FileSystem.exists(file) {
            throw DaemonError(.data, "there is a key in '\(file)' already; --replace makes a new one")
        }
        guard FileSystem.writePrivate(Array("\(key)\n".utf8), to: file, replacing: replacing) else {
            throw DaemonError(.io, "cannot write the key to '\(file)': \(FileSystem.lastError)")
        }
        return Secret(key)
    }
}
