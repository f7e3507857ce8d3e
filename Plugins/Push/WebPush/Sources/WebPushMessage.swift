internal import Base
internal import Cryptography
internal import Gateway

/// A subscription's address, checked.
struct Subscription: Sendable, Hashable {
    let endpoint: String
    let address: WebAddress
    let p256dh: [UInt8]
    let auth: [UInt8]

    /// Why an address is no subscription we send to: what to tell the client.
    struct Fault: Error {
        let message: String
    }

    /// Does not check that the key is on the curve, which costs as much as a push: see `checkKey`.
    init(_ address: Channel.Address, allowHosts: [String]) throws(Fault) {
        guard case .subscription(let endpoint, let p256dh, let auth) = address else {
            throw Fault(message: "this push service takes a Web Push subscription")
        }
        do {
            self.address = try WebAddress(endpoint)
        } catch {
            throw Fault(message: "the endpoint is refused: \(error)")
        }
        guard self.address.isSecure || allowHosts.contains(self.address.host) else {
            throw Fault(message: "the endpoint must be an https:// URL")
        }
        guard let key = [UInt8](base64URL: p256dh), key.count == WebPushEncryption.publicKeySize, key[0] == 4 else {
            throw Fault(message: "p256dh must be an uncompressed P-256 point of 65 bytes in base64url")
        }
        guard let secret = [UInt8](base64URL: auth), secret.count == WebPushEncryption.authSize else {
            throw Fault(message: "auth must be 16 bytes in base64url")
        }
        (self.endpoint, self.p256dh, self.auth) = (endpoint, key, secret)
    }

    func checkKey() throws(Fault) {
        do {
            _ = try WebPushEncryption.encrypt([], p256dh: p256dh, auth: auth)
        } catch {
            throw Fault(message: "p256dh is not a point of the curve P-256")
        }
    }
}

/// Headers of RFC 8030 that say what a push is worth.
enum WebPushHeaders {
    /// Seconds of the longest time to live: four weeks, what push services keep at most.
    static let longestLife: Int64 = 2_419_200
    /// Characters of the longest topic (RFC 8030 section 5.4).
    static let topicLimit = 32

    /// At least a second: some services refuse 0 although the standard has it.
    static func ttl(expires: Timestamp, now: Timestamp) -> String {
        String(min(max(1, expires.seconds - now.seconds), longestLife))
    }

    static func urgency(_ priority: Message.Priority) -> String {
        switch priority {
        case .low: "low"
        case .normal: "normal"
        case .high: "high"
        }
    }

    /// A collapse value as a topic; one that is too long or of other characters is replaced by its hash.
    static func topic(_ collapse: String) -> String? {
        if collapse.isEmpty { return nil }
        if collapse.utf8.count <= topicLimit, collapse.utf8.allSatisfy(isBase64URL) { return collapse }
        return (try? SHA256.hash(Array(collapse.utf8))).map { String($0.base64URL.prefix(topicLimit)) }
    }

    private static func isBase64URL(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20) || byte == 0x2D || byte == 0x5F
    }
}
