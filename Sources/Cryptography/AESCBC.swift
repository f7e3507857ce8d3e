internal import CCrypto

/// AES-128 in cipher block chaining mode with PKCS #7 padding (NIST SP 800-38A, RFC 5652 section 6.3). It hides and
/// does not authenticate: only for formats of others that bring an authentication of their own.
package enum AESCBC {
    /// Bytes of a key, and of the initial vector.
    package static let size = 16

    /// The padded ciphertext.
    /// - Throws: `CryptographyError.invalidKey` and `.invalidInput` for sizes that do not fit, `.libraryFailure`.
    package static func encrypt(
        _ plaintext: [UInt8], key: [UInt8], vector: [UInt8]
    ) throws(CryptographyError) -> [UInt8] {
        guard key.count == size else { throw CryptographyError(.invalidKey, "an AES-128 key has 16 bytes") }
        guard vector.count == size, plaintext.count <= Int(Int32.max) - size else {
            throw CryptographyError(.invalidInput, "an initial vector or text of the wrong size")
        }
        guard let context = unsafe EVP_CIPHER_CTX_new() else { throw .openSSL("no memory for a cipher") }
        defer { unsafe EVP_CIPHER_CTX_free(context) }
        var output = [UInt8](repeating: 0, count: plaintext.count + size)
        var tail = [UInt8](repeating: 0, count: size)
        var (written, last): (Int32, Int32) = (0, 0)
        guard unsafe EVP_EncryptInit_ex(context, EVP_aes_128_cbc(), nil, key, vector) == 1,
            unsafe EVP_EncryptUpdate(context, &output, &written, plaintext, Int32(plaintext.count)) == 1,
            unsafe EVP_EncryptFinal_ex(context, &tail, &last) == 1
        else { throw .openSSL("AES-CBC encryption failed") }
        return Array(output.prefix(Int(written))) + tail.prefix(Int(last))
    }
}
