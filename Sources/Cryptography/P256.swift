internal import CCrypto

/// What signing and agreement keys on the curve P-256 share.
enum P256 {
    /// Bytes of an uncompressed point: 0x04, x, y (SEC 1 section 2.3.3).
    static let pointSize = 65
    /// Bytes of a coordinate, of a private number and of half a raw signature.
    static let scalarSize = 32

    /// What every key on the curve is made from; nil when the library does not know the curve.
    private static let curve = unsafe ccrypto_p256_parameters().map { unsafe KeyHandle(takingOwnership: $0) }

    /// What makes key pairs. To set it up takes a fifth of the time of making one.
    @safe private final class Generator: @unchecked Sendable {
        // Sendable: one thread has it at a time.
        let context: OpaquePointer
        init(_ context: OpaquePointer) { unsafe self.context = context }
        deinit { unsafe EVP_PKEY_CTX_free(context) }
    }

    private static let generators = Spares<Generator>()
    /// Others' keys, which take another point for each use.
    private static let peers = Spares<KeyHandle>()

    static func generate() throws(CryptographyError) -> KeyHandle {
        try generators.using { () throws(CryptographyError) in
            guard let curve, let context = unsafe ccrypto_generator(curve.pointer) else {
                throw .openSSL("no key pair was made")
            }
            return unsafe Generator(context)
        } _: { (generator) throws(CryptographyError) in
            var key: OpaquePointer?
            guard unsafe EVP_PKEY_generate(generator.context, &key) == 1, let key = unsafe key else {
                throw .openSSL("no key pair was made")
            }
            return unsafe KeyHandle(takingOwnership: key)
        }
    }

    /// A public key. The library checks that the point is on the curve.
    static func publicKey(_ point: [UInt8]) throws(CryptographyError) -> KeyHandle {
        let key = try blankKey()
        try set(point, on: key)
        return key
    }

    /// What `body` makes of a public key, which it may not keep: the next user changes it. Cheaper than a key of one's
    /// own by what copying the curve's parameters costs.
    static func withPublicKey<Result>(
        _ point: [UInt8], _ body: (KeyHandle) throws(CryptographyError) -> Result
    ) throws(CryptographyError) -> Result {
        try peers.using(make: blankKey) { (key) throws(CryptographyError) in
            try set(point, on: key)
            return try body(key)
        }
    }

    private static func blankKey() throws(CryptographyError) -> KeyHandle {
        guard let curve, let key = unsafe ccrypto_blank_public_key(curve.pointer) else {
            throw .openSSL("no memory for a key")
        }
        return unsafe KeyHandle(takingOwnership: key)
    }

    private static func set(_ point: [UInt8], on key: KeyHandle) throws(CryptographyError) {
        guard point.count == pointSize, point[0] == 4 else {
            throw CryptographyError(
                .invalidKey, "a P-256 public key is 65 bytes that begin with 4", context: ["bytes": "\(point.count)"])
        }
        guard unsafe EVP_PKEY_set1_encoded_public_key(key.pointer, point, point.count) == 1 else {
            throw .openSSL(.invalidKey, "the point is not on P-256")
        }
    }

    /// A key pair of its private number alone.
    static func privateKey(_ scalar: [UInt8]) throws(CryptographyError) -> KeyHandle {
        guard scalar.count == scalarSize else {
            throw CryptographyError(
                .invalidKey, "a private P-256 number is 32 bytes", context: ["bytes": "\(scalar.count)"])
        }
        var point = [UInt8](repeating: 0, count: pointSize)
        guard unsafe ccrypto_p256_point(scalar, &point) == 1,
            let key = unsafe ccrypto_p256_key(point, point.count, scalar, scalar.count)
        else { throw .openSSL(.invalidKey, "not a private P-256 number") }
        let handle = unsafe KeyHandle(takingOwnership: key)
        // Numbers not below the group's order give a point too, but are no keys.
        guard let context = unsafe EVP_PKEY_CTX_new(handle.pointer, nil) else { throw .openSSL("no memory for a key") }
        defer { unsafe EVP_PKEY_CTX_free(context) }
        guard unsafe EVP_PKEY_check(context) == 1 else { throw .openSSL(.invalidKey, "not a private P-256 number") }
        return handle
    }

    /// The uncompressed point, also of a key that was read with a compressed one.
    static func point(of key: KeyHandle) throws(CryptographyError) -> [UInt8] {
        var point = [UInt8](repeating: 0, count: pointSize)
        var size = 0
        // One question instead of two and a half the time, where the key keeps its point uncompressed.
        if unsafe EVP_PKEY_get_octet_string_param(key.pointer, "pub", &point, point.count, &size) == 1,
            size == pointSize, point[0] == 4
        {
            return point
        }
        ERR_clear_error()
        let x = try coordinate("qx", of: key)
        let y = try coordinate("qy", of: key)
        return [4] + x + y
    }

    private static func coordinate(_ name: String, of key: KeyHandle) throws(CryptographyError) -> [UInt8] {
        var number: OpaquePointer?
        guard unsafe EVP_PKEY_get_bn_param(key.pointer, name, &number) == 1 else {
            throw .openSSL(.invalidKey, "the key has no public point")
        }
        defer { unsafe BN_free(number) }
        var bytes = [UInt8](repeating: 0, count: scalarSize)
        guard unsafe BN_bn2binpad(number, &bytes, Int32(scalarSize)) == Int32(scalarSize) else {
            throw .openSSL(.invalidKey, "the key's point has the wrong size")
        }
        return bytes
    }
}

/// A P-256 key pair for Diffie-Hellman (NIST SP 800-56A), as Web Push uses it.
package struct AgreementKey: Sendable {
    let handle: KeyHandle
    /// The uncompressed public point, 65 bytes.
    package let publicKey: [UInt8]

    private init(_ handle: KeyHandle) throws(CryptographyError) {
        self.handle = handle
        publicKey = try P256.point(of: handle)
    }

    /// A new random pair.
    /// - Throws: `CryptographyError.libraryFailure`.
    package static func generate() throws(CryptographyError) -> AgreementKey { try AgreementKey(P256.generate()) }

    /// - Parameter scalar: the private number, 32 bytes, big-endian.
    /// - Throws: `CryptographyError.invalidKey`.
    package init(scalar: [UInt8]) throws(CryptographyError) { try self.init(P256.privateKey(scalar)) }

    /// Whether bytes are another party's uncompressed point, 65 bytes, on the curve.
    package static func isPublicKey(_ point: [UInt8]) -> Bool {
        do {
            _ = try P256.publicKey(point)
            return true
        } catch {
            return false
        }
    }

    /// The 32-byte shared secret with another party.
    /// - Parameter peer: the other's uncompressed point, 65 bytes.
    /// - Throws: `invalidKey` when the point is not on the curve, `libraryFailure`.
    func sharedSecret(with peer: [UInt8]) throws(CryptographyError) -> [UInt8] {
        try P256.withPublicKey(peer) { (other) throws(CryptographyError) in
            guard let context = unsafe EVP_PKEY_CTX_new(handle.pointer, nil) else {
                throw .openSSL("no memory for a key")
            }
            defer { unsafe EVP_PKEY_CTX_free(context) }
            var secret = [UInt8](repeating: 0, count: P256.scalarSize)
            var size = secret.count
            guard unsafe EVP_PKEY_derive_init(context) == 1,
                // Without the slow second check: on a curve of prime order a point of the curve is in the group.
                unsafe EVP_PKEY_derive_set_peer_ex(context, other.pointer, 0) == 1
            else { throw .openSSL(.invalidKey, "the other key cannot be used") }
            guard unsafe EVP_PKEY_derive(context, &secret, &size) == 1, size == secret.count else {
                throw .openSSL("no shared secret")
            }
            return secret
        }
    }
}
