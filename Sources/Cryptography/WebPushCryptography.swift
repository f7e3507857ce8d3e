package import Base

/// The cryptography of Web Push: messages are always encrypted, and signed where there is a key.
package struct WebPushCryptography: WebPushCipher {
    private let signer: VAPIDSigner?

    /// - Parameter signer: nil sends without an identity.
    package init(signer: VAPIDSigner?) { self.signer = signer }

    package var hasIdentity: Bool { signer != nil }

    package func authorization(for origin: String) throws(WebPushFault) -> String? {
        do {
            return try signer?.authorization(for: origin)
        } catch {
            throw error.code == .keyFile ? .keyUnavailable : .library
        }
    }

    package func refused(origin: String) { signer?.refused(origin: origin) }

    package func isPublicKey(_ p256dh: [UInt8]) -> Bool { AgreementKey.isPublicKey(p256dh) }

    package func seal(_ text: [UInt8], p256dh: [UInt8], auth: [UInt8]) throws(WebPushFault) -> [UInt8] {
        do {
            return try WebPushEncryption.encrypt(text, p256dh: p256dh, auth: auth)
        } catch {
            throw error.code == .invalidKey ? .receiverKey : .library
        }
    }

    package func topic(_ collapse: String) -> String? { WebPushTopic.named(collapse) }
}
