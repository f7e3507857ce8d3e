internal import Base

/// The header `Topic` of Web Push (RFC 8030 section 5.4): a push replaces one of the same topic that still waits
/// at the push service.
package enum WebPushTopic {
    /// Characters of the longest topic.
    package static let sizeLimit = 32

    /// A collapse value as a topic; one that is too long or has other characters than base64url is replaced by its
    /// hash. Nil for none.
    package static func named(_ collapse: String) -> String? {
        if collapse.isEmpty { return nil }
        if collapse.utf8.count <= sizeLimit, collapse.utf8.allSatisfy(isBase64URL) { return collapse }
        return (try? SHA256.hash(Array(collapse.utf8))).map { String($0.base64URL.prefix(sizeLimit)) }
    }

    private static func isBase64URL(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20) || byte == 0x2D || byte == 0x5F
    }
}
