internal import CTLS

/// The symmetric pieces the fakes need, straight from OpenSSL.
package enum MessageCrypto {
    /// HMAC with SHA-256, 32 bytes.
    package static func hmacSHA256(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        var count: UInt32 = 0
        _ = unsafe HMAC(EVP_sha256(), key, Int32(key.count), message, message.count, &digest, &count)
        return digest
    }

    /// HKDF with SHA-256 (RFC 5869); nil when OpenSSL refuses.
    package static func hkdf(salt: [UInt8], key: [UInt8], info: [UInt8], count: Int) -> [UInt8]? {
        var output = [UInt8](repeating: 0, count: count)
        let done = unsafe ctls_hkdf_sha256(
            salt, salt.count, key, key.count, info, info.count, &output, output.count)
        return done == 1 ? output : nil
    }

    /// Opens AES-128-GCM with the tag at the end; nil when it does not verify.
    package static func openAES128GCM(_ sealed: ArraySlice<UInt8>, key: [UInt8], nonce: [UInt8]) -> [UInt8]? {
        guard sealed.count >= 16, key.count == 16, nonce.count == 12 else { return nil }
        let content = Array(sealed.dropLast(16))
        var tag = Array(sealed.suffix(16))
        let context = unsafe EVP_CIPHER_CTX_new()
        defer { unsafe EVP_CIPHER_CTX_free(context) }
        var plain = [UInt8](repeating: 0, count: content.count + 16)
        var count: Int32 = 0
        var rest: Int32 = 0
        guard unsafe EVP_DecryptInit_ex(context, EVP_aes_128_gcm(), nil, key, nonce) == 1,
            unsafe EVP_DecryptUpdate(context, &plain, &count, content, Int32(content.count)) == 1,
            unsafe ctls_set_gcm_tag(context, &tag, 16) == 1,
            unsafe EVP_DecryptFinal_ex(context, &tag, &rest) == 1
        else { return nil }
        return Array(plain.prefix(Int(count)))
    }

    /// Seals with AES-128-GCM, the tag at the end; nil when OpenSSL refuses.
    package static func sealAES128GCM(_ plain: [UInt8], key: [UInt8], nonce: [UInt8]) -> [UInt8]? {
        guard key.count == 16, nonce.count == 12 else { return nil }
        let context = unsafe EVP_CIPHER_CTX_new()
        defer { unsafe EVP_CIPHER_CTX_free(context) }
        var sealed = [UInt8](repeating: 0, count: plain.count + 16)
        var tag = [UInt8](repeating: 0, count: 16)
        var count: Int32 = 0
        var rest: Int32 = 0
        guard unsafe EVP_EncryptInit_ex(context, EVP_aes_128_gcm(), nil, key, nonce) == 1,
            unsafe EVP_EncryptUpdate(context, &sealed, &count, plain, Int32(plain.count)) == 1,
            unsafe EVP_EncryptFinal_ex(context, &tag, &rest) == 1,
            unsafe ctls_get_gcm_tag(context, &tag, 16) == 1
        else { return nil }
        return sealed.prefix(Int(count)) + tag
    }

    /// Bytes nobody can guess.
    package static func randomBytes(_ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        _ = unsafe RAND_bytes(&bytes, Int32(count))
        return bytes
    }
}
