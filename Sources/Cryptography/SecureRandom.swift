package import Base
internal import CCrypto

/// The operating system's randomness, by way of OpenSSL's generator.
package enum SecureRandom {
    /// Unpredictable bytes, fit for keys.
    /// - Parameter count: how many, 0 or more.
    /// - Throws: `CryptographyError.libraryFailure` when the generator could not be seeded.
    package static func bytes(_ count: Int) throws(CryptographyError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        guard let size = Int32(exactly: count) else { throw CryptographyError(.tooLong, "too many random bytes asked") }
        guard unsafe RAND_bytes(&bytes, size) == 1 else { throw .openSSL("no random bytes") }
        return bytes
    }
}

/// Makes unguessable tokens for URLs, cookies and headers.
package struct TokenGenerator: Sendable {
    /// Bytes of randomness in a token unless asked otherwise: 192 bits.
    package static let defaultSize = 24

    private let random: @Sendable (Int) throws -> [UInt8]

    /// - Parameter random: where bytes come from; tests pass a predictable source.
    package init(random: @escaping @Sendable (Int) throws -> [UInt8] = { try SecureRandom.bytes($0) }) {
        self.random = random
    }

    /// A token in base64url without padding.
    /// - Parameter size: bytes of randomness, at least 16.
    /// - Throws: what the source of randomness throws.
    package func token(size: Int = defaultSize) throws -> String {
        precondition(size >= 16, "a token of fewer than 128 bits can be guessed")
        return try random(size).base64URL
    }

    /// The same as `token`, as a secret.
    /// - Throws: what the source of randomness throws.
    package func secret(size: Int = defaultSize) throws -> Secret { Secret(try token(size: size)) }
}
