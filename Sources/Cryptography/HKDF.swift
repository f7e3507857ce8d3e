internal import CCrypto

/// HKDF with SHA-256 (RFC 5869): what derives keys from a secret. Its memory of secrets is cleared when it goes.
@safe struct HKDF: ~Copyable {
    /// Bytes of the key between the two steps.
    static let keySize = SHA256.size

    /// Looked up once. Never freed.
    private nonisolated(unsafe) static let algorithm = unsafe EVP_KDF_fetch(nil, "HKDF", nil)
    private let context: OpaquePointer

    /// - Throws: `CryptographyError.libraryFailure`.
    init() throws(CryptographyError) {
        guard let algorithm = unsafe Self.algorithm, let context = unsafe EVP_KDF_CTX_new(algorithm) else {
            throw .openSSL("HKDF failed")
        }
        unsafe self.context = context
    }

    deinit { unsafe EVP_KDF_CTX_free(context) }

    /// The first step: a key of even quality from a secret.
    /// - Throws: `CryptographyError.libraryFailure`.
    func extract(_ secret: [UInt8], salt: [UInt8]) throws(CryptographyError) -> [UInt8] {
        // No salt is one of zeros (RFC 5869 section 2.2).
        let salt = salt.isEmpty ? [UInt8](repeating: 0, count: Self.keySize) : salt
        var key = [UInt8](repeating: 0, count: Self.keySize)
        guard unsafe ccrypto_hkdf_extract(context, secret, secret.count, salt, salt.count, &key) == 1 else {
            throw .openSSL("HKDF failed")
        }
        return key
    }

    /// The second step: so many bytes for one use.
    /// - Throws: `CryptographyError.libraryFailure`, also for more than 8,160 bytes.
    func expand(_ key: [UInt8], info: [UInt8], count: Int) throws(CryptographyError) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: count)
        guard unsafe ccrypto_hkdf_expand(context, key, key.count, info, info.count, &result, count) == 1 else {
            throw .openSSL("HKDF failed")
        }
        return result
    }
}
