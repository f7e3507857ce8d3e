/// What Web Push needs of a cryptographic library. The core sends without knowing the library, the library encrypts
/// without knowing the core, and a plugin brings them together.
package protocol WebPushCipher: Sendable {
    /// Whether pushes carry an identity of ours (RFC 8292).
    var hasIdentity: Bool { get }
    /// The value of the header `Authorization` for an origin; nil without an identity.
    func authorization(for origin: String) throws(WebPushFault) -> String?
    /// The origin refused our identity: the next push to it signs anew.
    func refused(origin: String)
    /// Whether bytes are a subscription's public key: 65 bytes, a point of the curve P-256.
    func isPublicKey(_ p256dh: [UInt8]) -> Bool
    /// Encrypts for a subscription (RFC 8291): the request's body, 103 bytes longer than the text.
    func seal(_ text: [UInt8], p256dh: [UInt8], auth: [UInt8]) throws(WebPushFault) -> [UInt8]
    /// The header `Topic` of a collapse value; nil for none.
    func topic(_ collapse: String) -> String?
}

/// Why a push could not be made ready.
package enum WebPushFault: Error {
    /// The subscription's key is not on the curve.
    case receiverKey
    /// Our own key can be neither read nor made.
    case keyUnavailable
    /// The library failed.
    case library
}
