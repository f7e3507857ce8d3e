internal import CCrypto

/// AES in Galois/Counter Mode (NIST SP 800-38D) with 12-byte nonces and 16-byte tags. The key's
/// length, 16 or 32 bytes, chooses AES-128 or AES-256.
enum AESGCM {
    static let nonceSize = 12
    static let tagSize = 16

    /// Ciphertext followed by the tag. A nonce must never be used twice with a key.
    static func seal(
        _ plaintext: [UInt8], key: [UInt8], nonce: [UInt8], associated: [UInt8] = []
    ) throws(CryptographyError) -> [UInt8] {
        let context = try unsafe context(key: key, nonce: nonce, textSize: plaintext.count, encrypting: true)
        defer { unsafe EVP_CIPHER_CTX_free(context) }
        var output = [UInt8](repeating: 0, count: plaintext.count)
        var tag = [UInt8](repeating: 0, count: tagSize)
        var (written, last): (Int32, Int32) = (0, 0)
        var tail = [UInt8](repeating: 0, count: 16)
        guard try unsafe addAssociated(associated, to: context),
            unsafe EVP_EncryptUpdate(context, &output, &written, plaintext, Int32(plaintext.count)) == 1,
            unsafe EVP_EncryptFinal_ex(context, &tail, &last) == 1, Int(written) == plaintext.count, last == 0,
            unsafe ccrypto_gcm_get_tag(context, &tag, Int32(tagSize)) == 1
        else { throw .openSSL("AES-GCM encryption failed") }
        return output + tag
    }

    /// The plaintext of ciphertext and tag.
    /// - Throws: `notAuthentic` when anything was altered.
    static func open(
        _ sealed: [UInt8], key: [UInt8], nonce: [UInt8], associated: [UInt8] = []
    ) throws(CryptographyError) -> [UInt8] {
        guard sealed.count >= tagSize else { throw CryptographyError(.notAuthentic, "the ciphertext is too short") }
        let ciphertext = Array(sealed.dropLast(tagSize))
        var tag = Array(sealed.suffix(tagSize))
        let context = try unsafe context(key: key, nonce: nonce, textSize: ciphertext.count, encrypting: false)
        defer { unsafe EVP_CIPHER_CTX_free(context) }
        var output = [UInt8](repeating: 0, count: ciphertext.count)
        var tail = [UInt8](repeating: 0, count: 16)
        var (written, last): (Int32, Int32) = (0, 0)
        guard try unsafe addAssociated(associated, to: context),
            unsafe EVP_DecryptUpdate(context, &output, &written, ciphertext, Int32(ciphertext.count)) == 1,
            unsafe ccrypto_gcm_set_tag(context, &tag, Int32(tagSize)) == 1
        else { throw .openSSL("AES-GCM decryption failed") }
        guard unsafe EVP_DecryptFinal_ex(context, &tail, &last) == 1 else {
            throw .openSSL(.notAuthentic, "the ciphertext is not authentic")
        }
        return output
    }

    private static func context(
        key: [UInt8], nonce: [UInt8], textSize: Int, encrypting: Bool
    ) throws(CryptographyError) -> OpaquePointer {
        guard key.count == 16 || key.count == 32 else {
            throw CryptographyError(.invalidKey, "an AES key must have 16 or 32 bytes")
        }
        guard nonce.count == nonceSize, textSize <= Int(Int32.max) else {
            throw CryptographyError(.invalidInput, "a nonce or text of the wrong size")
        }
        guard let context = unsafe EVP_CIPHER_CTX_new() else { throw .openSSL("no memory for a cipher") }
        let cipher = unsafe key.count == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm()
        guard unsafe EVP_CipherInit_ex2(context, cipher, key, nonce, encrypting ? 1 : 0, nil) == 1 else {
            unsafe EVP_CIPHER_CTX_free(context)
            throw .openSSL("AES-GCM could not be set up")
        }
        return unsafe context
    }

    private static func addAssociated(
        _ associated: [UInt8], to context: OpaquePointer
    ) throws(CryptographyError) -> Bool {
        guard let size = Int32(exactly: associated.count) else {
            throw CryptographyError(.tooLong, "the associated data is too long")
        }
        var ignored: Int32 = 0
        return unsafe size == 0 || EVP_CipherUpdate(context, nil, &ignored, associated, size) == 1
    }
}
