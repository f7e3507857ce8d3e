package import Base
internal import CCrypto

/// A key that signs JSON Web Tokens.
package protocol TokenSigningKey: Sendable {
    /// The value of the header's `alg` (RFC 7518 section 3.1).
    var algorithm: String { get }
    /// The signature in the form JWS wants.
    /// - Throws: `CryptographyError`.
    func sign(_ message: [UInt8]) throws(CryptographyError) -> [UInt8]
}

/// ECDSA on P-256 with SHA-256 (`ES256`, RFC 7518 section 3.4).
package struct ES256Key: TokenSigningKey {
    /// Bytes of a signature: r and s of 32 bytes each.
    package static let signatureSize = 64

    private let handle: KeyHandle
    /// The uncompressed public point, 65 bytes.
    package let publicKey: [UInt8]
    /// `ES256`.
    package var algorithm: String { "ES256" }

    private init(_ handle: KeyHandle) throws(CryptographyError) {
        self.handle = handle
        publicKey = try P256.point(of: handle)
    }

    /// Reads an unencrypted PEM private key: PKCS#8 (as in Apple's `.p8`) or SEC1 (`EC PRIVATE KEY`).
    /// - Throws: `invalidKey` for anything else, and for another curve; `tooLong`.
    package init(pem: Secret) throws(CryptographyError) {
        let handle = try KeyHandle.privateKey(pem: pem)
        guard handle.isP256 else { throw CryptographyError(.invalidKey, "the key is not on the curve P-256") }
        try self.init(handle)
    }

    /// - Parameter scalar: the private number, 32 bytes, as VAPID tools print it in base64url.
    /// - Throws: `CryptographyError.invalidKey`.
    package init(scalar: [UInt8]) throws(CryptographyError) { try self.init(P256.privateKey(scalar)) }

    /// A new random key.
    /// - Throws: `CryptographyError.libraryFailure`.
    package static func generate() throws(CryptographyError) -> ES256Key { try ES256Key(P256.generate()) }

    /// The private key as unencrypted PKCS#8 in PEM.
    /// - Throws: `CryptographyError.libraryFailure`.
    package func pem() throws(CryptographyError) -> Secret { try handle.privatePEM() }

    /// The public key in PEM.
    /// - Throws: `CryptographyError.libraryFailure`.
    package func publicPEM() throws(CryptographyError) -> String { try handle.publicPEM() }

    /// Signs a message; 64 bytes, r followed by s.
    /// - Throws: `CryptographyError.libraryFailure`.
    package func sign(_ message: [UInt8]) throws(CryptographyError) -> [UInt8] {
        try Self.raw(fromDER: try handle.sign(message))
    }

    /// Whether a 64-byte signature is this message's.
    /// - Parameter publicKey: the uncompressed point, 65 bytes.
    /// - Throws: `invalidKey`, `libraryFailure`.
    package static func verify(
        _ signature: [UInt8], of message: [UInt8], publicKey: [UInt8]
    ) throws(CryptographyError) -> Bool {
        try verify(signature, of: message, with: P256.publicKey(publicKey))
    }

    /// Whether a 64-byte signature is this message's, with a public key in PEM.
    /// - Throws: `invalidKey`, `libraryFailure`.
    package static func verify(
        _ signature: [UInt8], of message: [UInt8], publicPEM: String
    ) throws(CryptographyError) -> Bool {
        let handle = try KeyHandle.publicKey(pem: Array(publicPEM.utf8))
        guard handle.isP256 else { throw CryptographyError(.invalidKey, "the key is not on the curve P-256") }
        return try verify(signature, of: message, with: handle)
    }

    private static func verify(
        _ signature: [UInt8], of message: [UInt8], with handle: KeyHandle
    ) throws(CryptographyError) -> Bool {
        guard signature.count == signatureSize else { return false }
        return try handle.verify(try der(fromRaw: signature), of: message)
    }

    private static func raw(fromDER der: [UInt8]) throws(CryptographyError) -> [UInt8] {
        let parsed = unsafe der.withUnsafeBufferPointer { buffer -> OpaquePointer? in
            var position = buffer.baseAddress
            return unsafe d2i_ECDSA_SIG(nil, &position, buffer.count)
        }
        guard let signature = unsafe parsed else { throw .openSSL("the signature is malformed") }
        defer { unsafe ECDSA_SIG_free(signature) }
        var r = [UInt8](repeating: 0, count: P256.scalarSize)
        var s = r
        let size = Int32(P256.scalarSize)
        guard unsafe BN_bn2binpad(ECDSA_SIG_get0_r(signature), &r, size) == size,
            unsafe BN_bn2binpad(ECDSA_SIG_get0_s(signature), &s, size) == size
        else { throw .openSSL("the signature has the wrong size") }
        return r + s
    }

    private static func der(fromRaw raw: [UInt8]) throws(CryptographyError) -> [UInt8] {
        guard let signature = unsafe ECDSA_SIG_new() else { throw .openSSL("no memory for a signature") }
        defer { unsafe ECDSA_SIG_free(signature) }
        let size = Int32(P256.scalarSize)
        let r = unsafe BN_bin2bn(Array(raw.prefix(P256.scalarSize)), size, nil)
        let s = unsafe BN_bin2bn(Array(raw.suffix(P256.scalarSize)), size, nil)
        // On success the signature owns both numbers.
        guard unsafe ECDSA_SIG_set0(signature, r, s) == 1 else {
            unsafe BN_free(r)
            unsafe BN_free(s)
            throw .openSSL("no memory for a signature")
        }
        var encoded: UnsafeMutablePointer<UInt8>?
        let count = unsafe i2d_ECDSA_SIG(signature, &encoded)
        guard count > 0, let start = unsafe encoded else { throw .openSSL("the signature was not encoded") }
        defer { unsafe CRYPTO_free(start, #file, #line) }
        return unsafe [UInt8](UnsafeBufferPointer(start: start, count: Int(count)))
    }
}

/// RSA PKCS#1 v1.5 with SHA-256 (`RS256`, RFC 7518 section 3.3).
package struct RS256Key: TokenSigningKey {
    /// Bits of the shortest modulus taken (RFC 7518 section 3.3).
    package static let minimumBits = 2048

    private let handle: KeyHandle
    /// `RS256`.
    package var algorithm: String { "RS256" }

    private init(_ handle: KeyHandle) throws(CryptographyError) {
        guard handle.isA("RSA"), handle.bits >= Self.minimumBits else {
            throw CryptographyError(
                .invalidKey, "not an RSA key of at least \(Self.minimumBits) bits", context: ["bits": "\(handle.bits)"])
        }
        self.handle = handle
    }

    /// Reads an unencrypted PEM private key, PKCS#8 or PKCS#1.
    /// - Throws: `invalidKey`, `tooLong`.
    package init(pem: Secret) throws(CryptographyError) { try self.init(KeyHandle.privateKey(pem: pem)) }

    /// A new random key; takes up to a second.
    /// - Throws: `CryptographyError`.
    package static func generate(bits: Int = minimumBits) throws(CryptographyError) -> RS256Key {
        guard let key = unsafe ccrypto_rsa_generate(bits) else { throw .openSSL("no key pair was made") }
        return try unsafe RS256Key(KeyHandle(takingOwnership: key))
    }

    /// The private key as unencrypted PKCS#8 in PEM.
    /// - Throws: `CryptographyError.libraryFailure`.
    package func pem() throws(CryptographyError) -> Secret { try handle.privatePEM() }

    /// The public key in PEM.
    /// - Throws: `CryptographyError.libraryFailure`.
    package func publicPEM() throws(CryptographyError) -> String { try handle.publicPEM() }

    /// Signs a message; as many bytes as the modulus has.
    /// - Throws: `CryptographyError.libraryFailure`.
    package func sign(_ message: [UInt8]) throws(CryptographyError) -> [UInt8] { try handle.sign(message) }

    /// Whether a signature is this message's, with a public key in PEM.
    /// - Throws: `invalidKey`, `libraryFailure`.
    package static func verify(
        _ signature: [UInt8], of message: [UInt8], publicPEM: String
    ) throws(CryptographyError) -> Bool {
        let key = try RS256Key(KeyHandle.publicKey(pem: Array(publicPEM.utf8)))
        return try key.handle.verify(signature, of: message)
    }
}
