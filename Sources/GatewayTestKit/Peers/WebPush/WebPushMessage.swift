internal import Base

/// Web Push message encryption (RFC 8291 on RFC 8188), the receiving side and, for tests, the sending one.
package enum WebPushMessage {
    /// Salt, record size, key id length and the sender's public key.
    private static let headerSize = 16 + 4 + 1 + 65

    /// Opens a message; nil when anything is not as the RFCs want it.
    package static func open(_ body: [UInt8], receiver: ECKey, authentication: [UInt8]) -> [UInt8]? {
        guard body.count >= headerSize + 17, body[20] == 65 else { return nil }
        let recordSize = body[16..<20].reduce(0) { $0 << 8 | Int($1) }
        // RFC 8291 section 4: a single record; its size counts padding and tag.
        guard recordSize >= body.count - headerSize, recordSize >= 18,
            let sender = ECKey(publicPoint: Array(body[21..<headerSize])),
            let keys = keys(
                salt: Array(body[..<16]), secret: receiver.sharedSecret(with: sender), authentication,
                receiver: receiver.publicPoint, sender: Array(body[21..<headerSize])),
            let padded = MessageCrypto.openAES128GCM(body[headerSize...], key: keys.content, nonce: keys.nonce),
            let delimiter = padded.lastIndex(where: { $0 != 0 }), padded[delimiter] == 2
        else { return nil }
        return Array(padded[..<delimiter])
    }

    /// Encrypts a message, for tests of the fake; nil when the keys are bad.
    package static func seal(_ plain: [UInt8], receiver: [UInt8], authentication: [UInt8]) -> [UInt8]? {
        guard let sender = try? ECKey(), let other = ECKey(publicPoint: receiver) else { return nil }
        let salt = MessageCrypto.randomBytes(16)
        guard
            let keys = keys(
                salt: salt, secret: sender.sharedSecret(with: other), authentication, receiver: receiver,
                sender: sender.publicPoint),
            let sealed = MessageCrypto.sealAES128GCM(plain + [2], key: keys.content, nonce: keys.nonce)
        else { return nil }
        return salt + [0, 0, 16, 0, 65] + sender.publicPoint + sealed
    }

    private static func keys(
        salt: [UInt8], secret: [UInt8]?, _ authentication: [UInt8], receiver: [UInt8], sender: [UInt8]
    ) -> (content: [UInt8], nonce: [UInt8])? {
        let info = Array("WebPush: info\u{0}".utf8) + receiver + sender
        guard let secret,
            let material = MessageCrypto.hkdf(salt: authentication, key: secret, info: info, count: 32),
            let content = MessageCrypto.hkdf(
                salt: salt, key: material, info: Array("Content-Encoding: aes128gcm\u{0}".utf8), count: 16),
            let nonce = MessageCrypto.hkdf(
                salt: salt, key: material, info: Array("Content-Encoding: nonce\u{0}".utf8), count: 12)
        else { return nil }
        return (content, nonce)
    }
}
