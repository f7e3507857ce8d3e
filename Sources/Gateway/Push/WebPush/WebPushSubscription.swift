package import Base

/// A Web Push subscription's address (RFC 8030, RFC 8291), checked.
package struct WebPushSubscription: Sendable, Hashable {
    package let endpoint: String
    package let address: WebAddress
    /// The device's public key: 65 bytes. Not checked to be on the curve, which needs cryptography.
    package let p256dh: [UInt8]
    /// The device's secret: 16 bytes.
    package let auth: [UInt8]

    /// Why an address is no subscription we send to: what to tell the client.
    package struct Fault: Error {
        package let message: String
    }

    /// - Parameters:
    ///   - allowHosts: hosts that may be spoken to without TLS.
    ///   - endpointLimit: bytes of the longest endpoint taken.
    /// - Throws: `Fault`.
    package init(
        _ address: Channel.Address, allowHosts: [String], endpointLimit: Int = WebAddress.sizeLimit
    ) throws(Fault) {
        guard case .subscription(let endpoint, let p256dh, let auth) = address else {
            throw Fault(message: "this push service takes a Web Push subscription")
        }
        guard endpoint.utf8.count <= endpointLimit else {
            throw Fault(message: "the endpoint is longer than \(endpointLimit) bytes")
        }
        do {
            self.address = try WebAddress(endpoint, secureUnlessIn: allowHosts)
        } catch {
            throw Fault(message: "the endpoint is refused: \(error)")
        }
        guard let key = [UInt8](base64URL: p256dh), key.count == 65, key[0] == 4 else {
            throw Fault(message: "p256dh must be an uncompressed P-256 point of 65 bytes in base64url")
        }
        guard let secret = [UInt8](base64URL: auth), secret.count == 16 else {
            throw Fault(message: "auth must be 16 bytes in base64url")
        }
        (self.endpoint, self.p256dh, self.auth) = (endpoint, key, secret)
    }
}
