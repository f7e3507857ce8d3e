internal import CTLS

/// An RSA key pair through OpenSSL itself, like `ECKey`.
@safe package final class RSAKey: @unchecked Sendable {
    // Sendable: an EVP_PKEY is only read after `init`, which OpenSSL allows from many threads.
    private let handle: OpaquePointer

    /// A new key pair; takes up to a second.
    /// - Throws: `PeerError` when OpenSSL has no randomness.
    package init(bits: UInt32 = 2048) throws {
        guard let key = unsafe ctls_new_rsa_key(bits) else {
            throw PeerError(.cryptography, "key generation failed")
        }
        unsafe handle = key
    }

    deinit { unsafe EVP_PKEY_free(handle) }

    /// The private key in PKCS #8 PEM, as Google writes it into the file of a service account.
    /// - Throws: `PeerError`.
    package func privatePEM() throws -> [UInt8] {
        try unsafe PEMText.write { unsafe PEM_write_bio_PKCS8PrivateKey($0, handle, nil, nil, 0, nil, nil) }
    }

    /// Signs with PKCS #1 v1.5 and SHA-256 (RFC 7518 section 3.3).
    /// - Throws: `PeerError`.
    package func signRS256(_ message: [UInt8]) throws -> [UInt8] {
        let context = unsafe EVP_MD_CTX_new()
        defer { unsafe EVP_MD_CTX_free(context) }
        var count = Int(unsafe EVP_PKEY_get_size(handle))
        var signature = [UInt8](repeating: 0, count: count)
        guard unsafe EVP_DigestSignInit(context, nil, EVP_sha256(), nil, handle) == 1,
            unsafe EVP_DigestSign(context, &signature, &count, message, message.count) == 1
        else { throw PeerError(.cryptography, "signing failed") }
        return Array(signature.prefix(count))
    }

    /// Whether `signature` is this key's over `message`.
    package func verifiesRS256(_ message: [UInt8], signature: [UInt8]) -> Bool {
        let context = unsafe EVP_MD_CTX_new()
        defer { unsafe EVP_MD_CTX_free(context) }
        return unsafe EVP_DigestVerifyInit(context, nil, EVP_sha256(), nil, handle) == 1
            && EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
    }
}
