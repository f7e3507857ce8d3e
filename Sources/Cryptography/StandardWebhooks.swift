package import Base

/// Signs webhook requests as the Standard Webhooks specification says (symmetric signatures, `v1`).
package struct StandardWebhooks: Sendable {
    /// Bytes of the shortest and longest secret taken (the specification's "24 to 64 bytes").
    package static let secretSizes = 24...64
    private static let prefix = "whsec_"

    private let key: Secret

    /// - Parameter secret: raw bytes, or text of `whsec_` and base64.
    /// - Throws: `invalidKey` when the part after `whsec_` is no base64, or the key has not 24 to 64 bytes.
    package init(secret: Secret) throws(CryptographyError) {
        var bytes = secret.bytes
        if bytes.starts(with: Self.prefix.utf8) {
            let rest = bytes.dropFirst(Self.prefix.utf8.count)
            guard let decoded = [UInt8](base64: String(decoding: rest, as: UTF8.self)) else {
                throw CryptographyError(.invalidKey, "the webhook secret is not base64")
            }
            bytes = decoded
        }
        guard Self.secretSizes.contains(bytes.count) else {
            throw CryptographyError(
                .invalidKey, "a webhook secret has 24 to 64 bytes", context: ["bytes": "\(bytes.count)"])
        }
        key = Secret(bytes: bytes)
    }

    /// The value of the header `webhook-signature` of one request.
    /// - Parameters:
    ///   - id: the header `webhook-id`; must not hold a full stop, which separates the signed parts.
    ///   - timestamp: the header `webhook-timestamp`, in whole seconds.
    ///   - body: the body as sent.
    /// - Throws: `invalidInput`, `libraryFailure`.
    package func signature(id: String, timestamp: Timestamp, body: [UInt8]) throws(CryptographyError) -> String {
        guard !id.isEmpty, !id.utf8.contains(UInt8(ascii: ".")) else {
            throw CryptographyError(.invalidInput, "a webhook id is not empty and holds no full stop")
        }
        let signed = Array("\(id).\(timestamp.seconds).".utf8) + body
        return "v1," + (try HMACSHA256.authenticate(key: key.bytes, message: signed)).base64
    }

    /// Whether one of the signatures in a header (separated by spaces) is this request's; for
    /// receivers and tests.
    /// - Throws: `invalidInput`, `libraryFailure`.
    package func verify(
        _ header: String, id: String, timestamp: Timestamp, body: [UInt8]
    ) throws(CryptographyError) -> Bool {
        let expected = try signature(id: id, timestamp: timestamp, body: body)
        return header.split(separator: " ").contains { ConstantTime.equal(String($0), expected) }
    }
}
