package import Base
internal import Glibc

/// The key that seals stored credentials: 32 bytes, kept in the gateway's `keyFile`.
package struct SealingKey: Sendable, Hashable {
    /// Bytes of a key (AES-256).
    package static let size = 32
    /// Bytes a key file may have; a valid one has 45.
    package static let fileLimit = 256

    let bytes: Secret

    /// Reads 32 bytes in base64; white space around them is allowed.
    /// - Throws: `CryptographyError.invalidKey`.
    package init(base64 text: Secret) throws(CryptographyError) {
        let trimmed = text.bytes.split(whereSeparator: { $0 == 0x20 || (0x09...0x0D).contains($0) })
        guard trimmed.count == 1, let bytes = [UInt8](base64: String(decoding: trimmed[0], as: UTF8.self)),
            bytes.count == Self.size
        else { throw CryptographyError(.invalidKey, "a sealing key is 32 bytes in base64") }
        self.bytes = Secret(bytes: bytes)
    }

    /// A new random key.
    /// - Throws: `CryptographyError.libraryFailure`.
    package static func generate() throws(CryptographyError) -> SealingKey {
        try SealingKey(base64: Secret(try SecureRandom.bytes(size).base64))
    }

    /// The key in base64, as it stands in a key file.
    package var base64: Secret { Secret(bytes.bytes.base64) }

    /// Reads the key file; makes it, readable by its owner only, where there is none.
    /// - Throws: `CryptographyError.keyFile` when group or others may use the file, when it holds no
    ///   key, or when the system refuses.
    package static func loadOrCreate(at path: String) throws(CryptographyError) -> SealingKey {
        if FileSystem.exists(path) { return try load(from: path) }
        let key = try generate()
        if FileSystem.writePrivate(key.base64.bytes + [0x0A], to: path) { return key }
        let code = errno
        // Another process may have made it a moment earlier; that key is the one to use.
        if code == EEXIST { return try load(from: path) }
        throw CryptographyError(
            .keyFile, "the key file cannot be made",
            context: ["path": path, "reason": FileSystem.message(of: code)])
    }

    /// Reads an existing key file.
    /// - Throws: `CryptographyError.keyFile`.
    package static func load(from path: String) throws(CryptographyError) -> SealingKey {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else {
            throw CryptographyError(
                .keyFile, "the key file cannot be read", context: ["path": path, "reason": FileSystem.lastError])
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw CryptographyError(.keyFile, "the key file is not a regular file", context: ["path": path])
        }
        guard status.st_mode & 0o077 == 0 else {
            throw CryptographyError(
                .keyFile, "the key file may be used by group or others; run chmod 600 on it",
                context: ["path": path, "mode": String(status.st_mode & 0o777, radix: 8)])
        }
        guard let bytes = FileSystem.contents(of: path, limit: fileLimit) else {
            throw CryptographyError(
                .keyFile, "the key file cannot be read", context: ["path": path, "reason": FileSystem.lastError])
        }
        do {
            return try SealingKey(base64: Secret(bytes: bytes))
        } catch {
            throw CryptographyError(.keyFile, "the key file holds no key", context: ["path": path], underlying: error)
        }
    }
}

/// Encrypts credentials for the database with AES-256-GCM. The format is one version byte (1), a
/// random 12-byte nonce, the ciphertext, and a 16-byte tag.
package struct SealedBox: Sendable {
    /// The only version so far.
    package static let version: UInt8 = 1
    /// Bytes a sealed text is longer than its plaintext.
    package static let overhead = 1 + AESGCM.nonceSize + AESGCM.tagSize
    /// Bytes that may be sealed at once.
    package static let plaintextLimit = 1 << 20

    private let key: SealingKey

    /// Seals and opens with one key.
    package init(key: SealingKey) { self.key = key }

    /// Seals a secret for one context, such as a registration's id: it opens only with the same
    /// context, so a stored credential cannot be moved to another registration.
    /// - Throws: `tooLong`, `libraryFailure`.
    package func seal(_ secret: Secret, context: String) throws(CryptographyError) -> [UInt8] {
        guard secret.bytes.count <= Self.plaintextLimit else {
            throw CryptographyError(.tooLong, "too long to be sealed", context: ["limit": "\(Self.plaintextLimit)"])
        }
        let nonce = try SecureRandom.bytes(AESGCM.nonceSize)
        let ciphertext = try AESGCM.seal(
            secret.bytes, key: key.bytes.bytes, nonce: nonce, associated: Self.associated(context))
        return [Self.version] + nonce + ciphertext
    }

    /// Opens what `seal` made.
    /// - Throws: `invalidInput` for an unknown version or a cut text, `notAuthentic` for another key,
    ///   another context or altered bytes.
    package func open(_ sealed: [UInt8], context: String) throws(CryptographyError) -> Secret {
        guard sealed.count >= Self.overhead else {
            throw CryptographyError(.invalidInput, "a sealed text is too short", context: ["bytes": "\(sealed.count)"])
        }
        guard sealed[0] == Self.version else {
            throw CryptographyError(
                .invalidInput, "a sealed text of an unknown version", context: ["version": "\(sealed[0])"])
        }
        let nonce = Array(sealed[1..<1 + AESGCM.nonceSize])
        let plaintext = try AESGCM.open(
            Array(sealed.dropFirst(1 + AESGCM.nonceSize)), key: key.bytes.bytes, nonce: nonce,
            associated: Self.associated(context))
        return Secret(bytes: plaintext)
    }

    /// The version is authenticated too, so that a later format cannot be passed off as this one.
    private static func associated(_ context: String) -> [UInt8] { [version] + Array(context.utf8) }
}
