internal import Base

/// Message encryption for Web Push (RFC 8291): the content coding `aes128gcm` (RFC 8188) with one record.
package enum WebPushEncryption {
    /// Bytes of the longest plaintext and padding together: what a body of 4096 bytes has room for.
    package static let plaintextLimit = 3993
    /// Bytes of a subscription's `auth`.
    package static let authSize = 16
    /// Bytes of a subscription's `p256dh`.
    package static let publicKeySize = P256.pointSize

    static let saltSize = 16
    /// The record size stated in the header: push services must take 4096 bytes (RFC 8030 section 7.2).
    static let recordSize: UInt32 = 4096
    /// Salt, record size, key size, key (RFC 8188 section 2.1).
    static let headerSize = saltSize + 4 + 1 + P256.pointSize

    /// The sender's one-time values; both must be fresh for every message.
    package struct Ephemeral: Sendable {
        /// The pair whose public half travels in the body.
        package let key: AgreementKey
        /// 16 bytes.
        package let salt: [UInt8]

        /// Given values; only for tests.
        package init(key: AgreementKey, salt: [UInt8]) { (self.key, self.salt) = (key, salt) }

        /// Random ones.
        /// - Throws: `CryptographyError.libraryFailure`.
        package static func random() throws(CryptographyError) -> Ephemeral {
            Ephemeral(key: try .generate(), salt: try SecureRandom.bytes(saltSize))
        }
    }

    /// Encrypts a message for one subscription; the result is the request's body, whose
    /// `Content-Encoding` is `aes128gcm`.
    /// - Parameters:
    ///   - p256dh: the subscription's public key, 65 bytes.
    ///   - auth: the subscription's secret, 16 bytes.
    ///   - padding: zero bytes added to hide the length; at most `plaintextLimit` with the plaintext.
    ///   - ephemeral: the one-time values; only tests give them.
    /// - Throws: `tooLong`, `invalidInput`, `invalidKey` when `p256dh` is not on the curve, `libraryFailure`.
    package static func encrypt(
        _ plaintext: [UInt8], p256dh: [UInt8], auth: [UInt8], padding: Int = 0, ephemeral: Ephemeral? = nil
    ) throws(CryptographyError) -> [UInt8] {
        guard padding >= 0, auth.count == authSize else {
            throw CryptographyError(
                .invalidInput, "auth is 16 bytes and padding not negative", context: ["auth_bytes": "\(auth.count)"])
        }
        guard plaintext.count <= plaintextLimit, padding <= plaintextLimit - plaintext.count else {
            throw CryptographyError(
                .tooLong, "too long for Web Push",
                context: ["limit_bytes": "\(plaintextLimit)", "bytes": "\(plaintext.count)", "padding": "\(padding)"])
        }
        let once = if let ephemeral { ephemeral } else { try Ephemeral.random() }
        guard once.salt.count == saltSize else { throw CryptographyError(.invalidInput, "a salt is 16 bytes") }
        let keys = try derive(
            shared: once.key.sharedSecret(with: p256dh), auth: auth, receiver: p256dh, sender: once.key.publicKey,
            salt: once.salt)
        // 2 marks the last record (RFC 8188 section 2).
        let record = plaintext + [2] + [UInt8](repeating: 0, count: padding)
        let sealed = try AESGCM.seal(record, key: keys.content, nonce: keys.nonce)
        var body = once.salt
        body += [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: recordSize >> $0) }
        body.append(UInt8(P256.pointSize))
        return body + once.key.publicKey + sealed
    }

    /// Decrypts a body as a browser would; for fakes and tests.
    /// - Throws: `invalidInput` for a body of another form, `notAuthentic`, `invalidKey`.
    package static func decrypt(
        _ body: [UInt8], key: AgreementKey, auth: [UInt8]
    ) throws(CryptographyError) -> [UInt8] {
        guard body.count > headerSize + AESGCM.tagSize, Int(body[saltSize + 4]) == P256.pointSize else {
            throw CryptographyError(.invalidInput, "not a Web Push body", context: ["bytes": "\(body.count)"])
        }
        let salt = Array(body[..<saltSize])
        let size = body[saltSize..<saltSize + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let sender = Array(body[saltSize + 5..<headerSize])
        let sealed = Array(body[headerSize...])
        guard size >= 18, sealed.count <= Int(size) else {
            throw CryptographyError(.invalidInput, "not exactly one record", context: ["record_size": "\(size)"])
        }
        let keys = try derive(
            shared: key.sharedSecret(with: sender), auth: auth, receiver: key.publicKey, sender: sender, salt: salt)
        let record = try AESGCM.open(sealed, key: keys.content, nonce: keys.nonce)
        guard let end = record.lastIndex(where: { $0 != 0 }), record[end] == 2 else {
            throw CryptographyError(.invalidInput, "the record has no last-record mark")
        }
        return Array(record[..<end])
    }

    /// RFC 8291 section 3.4 and RFC 8188 sections 2.2 and 2.3; the first record's sequence number is
    /// 0, so the nonce is used as derived.
    private static func derive(
        shared: [UInt8], auth: [UInt8], receiver: [UInt8], sender: [UInt8], salt: [UInt8]
    ) throws(CryptographyError) -> (content: [UInt8], nonce: [UInt8]) {
        let derivation = try HKDF()
        let keyInfo = Array("WebPush: info\0".utf8) + receiver + sender
        let input = try derivation.expand(derivation.extract(shared, salt: auth), info: keyInfo, count: 32)
        let key = try derivation.extract(input, salt: salt)
        return (
            try derivation.expand(key, info: Array("Content-Encoding: aes128gcm\0".utf8), count: 16),
            try derivation.expand(key, info: Array("Content-Encoding: nonce\0".utf8), count: AESGCM.nonceSize)
        )
    }
}
