internal import Base
internal import CCrypto

/// The sole owner of an `EVP_PKEY`.
@safe final class KeyHandle: @unchecked Sendable {
    // Sendable: an EVP_PKEY is never changed after it is made, and OpenSSL lets several threads use one
    // at a time through contexts of their own. The exception, `P256.withPublicKey`, lends to one thread at a time.
    let pointer: OpaquePointer

    /// Bytes of the longest PEM text that is read.
    static let pemLimit = 65_536

    init(takingOwnership pointer: OpaquePointer) { unsafe self.pointer = pointer }

    deinit { unsafe EVP_PKEY_free(pointer) }

    /// Whether the key is of a family, `EC` or `RSA`.
    func isA(_ family: String) -> Bool { unsafe EVP_PKEY_is_a(pointer, family) == 1 }

    var bits: Int { Int(unsafe EVP_PKEY_get_bits(pointer)) }

    var isP256: Bool {
        var name = [CChar](repeating: 0, count: 64)
        var size = 0
        guard isA("EC"), unsafe EVP_PKEY_get_group_name(pointer, &name, name.count, &size) == 1 else {
            ERR_clear_error()
            return false
        }
        return name.prefix(size).elementsEqual("prime256v1".utf8.map { CChar($0) })
    }

    // MARK: PEM

    /// An unencrypted private key: PKCS#8, or the older forms of EC (SEC1) and RSA (PKCS#1).
    static func privateKey(pem: Secret) throws(CryptographyError) -> KeyHandle {
        try unsafe read(pem.bytes, what: "private") { bio in
            unsafe PEM_read_bio_PrivateKey(bio, nil, ccrypto_refuse_passphrase, nil)
        }
    }

    /// A public key (`BEGIN PUBLIC KEY`).
    static func publicKey(pem: [UInt8]) throws(CryptographyError) -> KeyHandle {
        try unsafe read(pem, what: "public") { bio in
            unsafe PEM_read_bio_PUBKEY(bio, nil, ccrypto_refuse_passphrase, nil)
        }
    }

    private static func read(
        _ pem: [UInt8], what: String, with reader: (OpaquePointer) -> OpaquePointer?
    ) throws(CryptographyError) -> KeyHandle {
        guard pem.count <= pemLimit else {
            throw CryptographyError(.tooLong, "a PEM text is too long", context: ["limit_bytes": "\(pemLimit)"])
        }
        let key = unsafe pem.withUnsafeBytes { buffer -> OpaquePointer? in
            guard let bio = unsafe BIO_new_mem_buf(buffer.baseAddress, Int32(buffer.count)) else { return nil }
            defer { unsafe BIO_free(bio) }
            return unsafe reader(bio)
        }
        guard let key = unsafe key else { throw .openSSL(.invalidKey, "no \(what) key in this PEM text") }
        return unsafe KeyHandle(takingOwnership: key)
    }

    /// The private key as unencrypted PKCS#8.
    func privatePEM() throws(CryptographyError) -> Secret {
        unsafe Secret(
            bytes: try MemoryFile.written("the private key was not written") { bio in
                unsafe PEM_write_bio_PKCS8PrivateKey(bio, pointer, nil, nil, 0, nil, nil) == 1
            })
    }

    /// The public key as SubjectPublicKeyInfo.
    func publicPEM() throws(CryptographyError) -> String {
        unsafe String(
            decoding: try MemoryFile.written("the public key was not written") { bio in
                unsafe PEM_write_bio_PUBKEY(bio, pointer) == 1
            }, as: UTF8.self)
    }

    // MARK: Signatures over SHA-256

    /// The library's form of a signature: DER for ECDSA, PKCS#1 v1.5 for RSA.
    func sign(_ message: [UInt8]) throws(CryptographyError) -> [UInt8] {
        guard let context = unsafe EVP_MD_CTX_new() else { throw .openSSL("no memory for a signature") }
        defer { unsafe EVP_MD_CTX_free(context) }
        var size = 0
        guard unsafe EVP_DigestSignInit(context, nil, EVP_sha256(), nil, pointer) == 1,
            unsafe EVP_DigestSign(context, nil, &size, message, message.count) == 1
        else { throw .openSSL("the signature could not be set up") }
        var signature = [UInt8](repeating: 0, count: size)
        guard unsafe EVP_DigestSign(context, &signature, &size, message, message.count) == 1 else {
            throw .openSSL("signing failed")
        }
        return Array(signature.prefix(size))
    }

    func verify(_ signature: [UInt8], of message: [UInt8]) throws(CryptographyError) -> Bool {
        guard let context = unsafe EVP_MD_CTX_new() else { throw .openSSL("no memory for a signature") }
        defer { unsafe EVP_MD_CTX_free(context) }
        guard unsafe EVP_DigestVerifyInit(context, nil, EVP_sha256(), nil, pointer) == 1 else {
            throw .openSSL("the verification could not be set up")
        }
        // Below 0 is a malformed signature, which is no more valid than a wrong one.
        let status = unsafe EVP_DigestVerify(context, signature, signature.count, message, message.count)
        if status != 1 { ERR_clear_error() }
        return status == 1
    }
}

/// Output of OpenSSL's writers.
enum MemoryFile {
    /// The bytes that `body` writes into a memory BIO; the BIO wipes them when it is freed.
    static func written(_ failure: String, by body: (OpaquePointer) -> Bool) throws(CryptographyError) -> [UInt8] {
        guard let bio = unsafe BIO_new(BIO_s_mem()) else { throw .openSSL("no memory for a text") }
        defer { unsafe BIO_free(bio) }
        guard unsafe body(bio) else { throw .openSSL(failure) }
        var data: UnsafeMutablePointer<CChar>?
        let size = unsafe ccrypto_bio_data(bio, &data)
        guard let start = unsafe data, size > 0 else { return [] }
        return unsafe [UInt8](UnsafeRawBufferPointer(start: start, count: size))
    }
}
