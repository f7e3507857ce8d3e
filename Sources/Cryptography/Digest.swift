internal import CCrypto

/// SHA-256 (FIPS 180-4).
package enum SHA256 {
    /// Bytes of a hash.
    package static let size = 32

    /// The sole owner of an `EVP_MD_CTX`.
    @safe private final class Context: @unchecked Sendable {
        // Sendable: one thread has it at a time.
        let pointer: OpaquePointer
        init(_ pointer: OpaquePointer) { unsafe self.pointer = pointer }
        deinit { unsafe EVP_MD_CTX_free(pointer) }
    }

    /// Looked up once: where the algorithm is named by `EVP_sha256()` the library looks for it at each hash. Never freed.
    private nonisolated(unsafe) static let algorithm = unsafe EVP_MD_fetch(nil, "SHA256", nil)
    /// To make one takes as long as a short hash.
    private static let contexts = Spares<Context>()

    /// The 32-byte hash of a message.
    /// - Throws: `CryptographyError.libraryFailure`.
    package static func hash(_ message: [UInt8]) throws(CryptographyError) -> [UInt8] {
        try contexts.using { () throws(CryptographyError) in
            guard let context = unsafe EVP_MD_CTX_new() else { throw .openSSL("no memory for a hash") }
            return unsafe Context(context)
        } _: { (context) throws(CryptographyError) in
            var result = [UInt8](repeating: 0, count: size)
            var count: UInt32 = 0
            guard unsafe EVP_DigestInit_ex2(context.pointer, algorithm, nil) == 1,
                unsafe EVP_DigestUpdate(context.pointer, message, message.count) == 1,
                unsafe EVP_DigestFinal_ex(context.pointer, &result, &count) == 1, count == 32
            else { throw .openSSL("SHA-256 failed") }
            return result
        }
    }
}

/// SHA-1 (FIPS 180-4), for protocols that ask for it and for nothing else: it does not withstand collisions.
package enum SHA1 {
    /// Bytes of a hash.
    package static let size = 20

    /// The 20-byte hash of a message.
    /// - Throws: `CryptographyError.libraryFailure`.
    package static func hash(_ message: [UInt8]) throws(CryptographyError) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: size)
        var count: UInt32 = 0
        guard unsafe EVP_Digest(message, message.count, &result, &count, EVP_sha1(), nil) == 1, count == 20 else {
            throw .openSSL("SHA-1 failed")
        }
        return result
    }
}

/// HMAC with SHA-256 (RFC 2104, RFC 4231) under one key, which is worked in once.
package final class HMACSHA256: Sendable {
    /// The sole owner of an `EVP_MAC_CTX`.
    @safe private final class Context: @unchecked Sendable {
        // Sendable: one thread has it at a time, or it is only copied from, which several may at a time.
        let pointer: OpaquePointer
        init(_ pointer: OpaquePointer) { unsafe self.pointer = pointer }
        deinit { unsafe EVP_MAC_CTX_free(pointer) }
    }

    private let original: Context
    private let copies = Spares<Context>()

    /// - Throws: `CryptographyError.libraryFailure`.
    package init(key: [UInt8]) throws(CryptographyError) {
        guard let context = unsafe ccrypto_hmac_sha256(key, key.count) else { throw .openSSL("HMAC failed") }
        original = unsafe Context(context)
    }

    /// The 32-byte code of a message.
    /// - Throws: `CryptographyError.libraryFailure`.
    package func authenticate(_ message: [UInt8]) throws(CryptographyError) -> [UInt8] {
        try copies.using { () throws(CryptographyError) in
            guard let copy = unsafe EVP_MAC_CTX_dup(original.pointer) else { throw .openSSL("HMAC failed") }
            return unsafe Context(copy)
        } _: { (copy) throws(CryptographyError) in
            var result = [UInt8](repeating: 0, count: SHA256.size)
            guard unsafe ccrypto_hmac(copy.pointer, message, message.count, &result) == 1 else {
                throw .openSSL("HMAC failed")
            }
            return result
        }
    }

    /// The 32-byte code of a message, where the key is used once.
    /// - Throws: `CryptographyError.libraryFailure`.
    package static func authenticate(key: [UInt8], message: [UInt8]) throws(CryptographyError) -> [UInt8] {
        try HMACSHA256(key: key).authenticate(message)
    }
}

/// Comparisons whose time does not tell where two values differ.
package enum ConstantTime {
    /// Whether two byte strings are equal. Their lengths are not protected.
    package static func equal(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        unsafe a.count == b.count && CRYPTO_memcmp(a, b, a.count) == 0
    }

    /// Whether two texts are equal, byte by byte (Unicode equivalence is not applied).
    package static func equal(_ a: String, _ b: String) -> Bool { equal(Array(a.utf8), Array(b.utf8)) }
}
