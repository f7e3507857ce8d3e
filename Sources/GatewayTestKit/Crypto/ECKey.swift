internal import CTLS

/// A P-256 key, private or only public, through OpenSSL itself: the fakes check what Farbell's own
/// Cryptography module made, so they must not use it.
@safe package final class ECKey: @unchecked Sendable {
    // Sendable: an EVP_PKEY is only read after `init`, which OpenSSL allows from many threads.
    let handle: OpaquePointer

    /// A new key pair.
    /// - Throws: `PeerError` when OpenSSL has no randomness.
    package init() throws {
        guard let key = unsafe ctls_new_p256_key() else { throw PeerError(.cryptography, "key generation failed") }
        unsafe handle = key
    }

    /// A public key from its uncompressed point of 65 bytes; nil when that is no point of P-256.
    package init?(publicPoint: [UInt8]) {
        guard publicPoint.count == 65, publicPoint[0] == 4,
            let key = unsafe ctls_p256_public_key(publicPoint, publicPoint.count)
        else { return nil }
        unsafe handle = key
    }

    /// A public key in PEM (SubjectPublicKeyInfo) or the public half of a private one (PKCS #8); nil for
    /// anything else.
    package init?(pem: String) {
        let bytes = Array(pem.utf8)
        let bio = unsafe BIO_new_mem_buf(bytes, Int32(bytes.count))
        defer { unsafe BIO_free(bio) }
        let isPrivate = pem.contains("PRIVATE KEY")
        let key =
            unsafe isPrivate ? PEM_read_bio_PrivateKey(bio, nil, nil, nil) : PEM_read_bio_PUBKEY(bio, nil, nil, nil)
        guard let key = unsafe key else { return nil }
        unsafe handle = key
    }

    deinit { unsafe EVP_PKEY_free(handle) }

    /// The public key as an uncompressed point, 65 bytes.
    package var publicPoint: [UInt8] {
        var start: UnsafeMutablePointer<UInt8>?
        let count = unsafe EVP_PKEY_get1_encoded_public_key(handle, &start)
        defer { unsafe CRYPTO_free(start, "", 0) }
        return unsafe Array(UnsafeBufferPointer(start: start, count: count))
    }

    /// The private key in PKCS #8 PEM: what Apple calls a `.p8` file.
    /// - Throws: `PeerError` when there is no private key.
    package func privatePEM() throws -> [UInt8] {
        try unsafe PEMText.write { unsafe PEM_write_bio_PKCS8PrivateKey($0, handle, nil, nil, 0, nil, nil) }
    }

    /// The public key in PEM.
    package func publicPEM() throws -> [UInt8] {
        try unsafe PEMText.write { unsafe PEM_write_bio_PUBKEY($0, handle) }
    }

    /// Signs with ECDSA and SHA-256; r and s of 32 bytes each (RFC 7518 section 3.4).
    /// - Throws: `PeerError` when there is no private key.
    package func signES256(_ message: [UInt8]) throws -> [UInt8] {
        let context = unsafe EVP_MD_CTX_new()
        defer { unsafe EVP_MD_CTX_free(context) }
        var der = [UInt8](repeating: 0, count: 80)
        var count = der.count
        guard unsafe EVP_DigestSignInit(context, nil, EVP_sha256(), nil, handle) == 1,
            unsafe EVP_DigestSign(context, &der, &count, message, message.count) == 1
        else { throw PeerError(.cryptography, "signing failed") }
        var start: UnsafePointer<UInt8>?
        let signature = unsafe der.withUnsafeBufferPointer { buffer in
            unsafe start = buffer.baseAddress
            return unsafe d2i_ECDSA_SIG(nil, &start, count)
        }
        defer { unsafe ECDSA_SIG_free(signature) }
        var raw = [UInt8](repeating: 0, count: 64)
        let done = unsafe raw.withUnsafeMutableBufferPointer { buffer in
            unsafe BN_bn2binpad(ECDSA_SIG_get0_r(signature), buffer.baseAddress, 32) == 32
                && BN_bn2binpad(ECDSA_SIG_get0_s(signature), buffer.baseAddress?.advanced(by: 32), 32) == 32
        }
        guard done else { throw PeerError(.cryptography, "signature does not fit") }
        return raw
    }

    /// Whether `signature` (r and s, 64 bytes) is this key's over `message`.
    package func verifiesES256(_ message: [UInt8], signature raw: [UInt8]) -> Bool {
        guard raw.count == 64 else { return false }
        let signature = unsafe ECDSA_SIG_new()
        defer { unsafe ECDSA_SIG_free(signature) }
        let (r, s) = unsafe raw.withUnsafeBufferPointer { buffer in
            unsafe (
                BN_bin2bn(buffer.baseAddress, 32, nil), BN_bin2bn(buffer.baseAddress?.advanced(by: 32), 32, nil)
            )
        }
        // The signature takes the numbers over.
        guard unsafe ECDSA_SIG_set0(signature, r, s) == 1 else { return false }
        var der: UnsafeMutablePointer<UInt8>?
        let count = unsafe i2d_ECDSA_SIG(signature, &der)
        defer { unsafe CRYPTO_free(der, "", 0) }
        guard count > 0 else { return false }
        let context = unsafe EVP_MD_CTX_new()
        defer { unsafe EVP_MD_CTX_free(context) }
        return unsafe EVP_DigestVerifyInit(context, nil, EVP_sha256(), nil, handle) == 1
            && EVP_DigestVerify(context, der, Int(count), message, message.count) == 1
    }

    /// The ECDH secret with another's public key, 32 bytes; nil when the keys do not fit together.
    package func sharedSecret(with other: ECKey) -> [UInt8]? {
        let context = unsafe EVP_PKEY_CTX_new(handle, nil)
        defer { unsafe EVP_PKEY_CTX_free(context) }
        var secret = [UInt8](repeating: 0, count: 32)
        var count = secret.count
        guard unsafe EVP_PKEY_derive_init(context) == 1,
            unsafe EVP_PKEY_derive_set_peer(context, other.handle) == 1,
            unsafe EVP_PKEY_derive(context, &secret, &count) == 1, count == 32
        else { return nil }
        return secret
    }
}

/// PEM through an OpenSSL memory buffer.
enum PEMText {
    static func write(_ body: (OpaquePointer?) -> Int32) throws -> [UInt8] {
        let bio = unsafe BIO_new(BIO_s_mem())
        defer { unsafe BIO_free(bio) }
        guard unsafe body(bio) == 1 else { throw PeerError(.cryptography, "no PEM") }
        var start: UnsafeMutablePointer<CChar>?
        let count = unsafe ctls_memory_bytes(bio, &start)
        return unsafe UnsafeRawBufferPointer(start: start, count: count).map { $0 }
    }
}
