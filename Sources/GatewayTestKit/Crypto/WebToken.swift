package import Base

/// A JSON Web Token taken apart (RFC 7519), with nothing believed yet.
package struct WebToken: Sendable {
    package let header: JSON
    package let claims: JSON
    private let signed: [UInt8]
    private let signature: [UInt8]

    /// nil for anything that is not three parts of unpadded base64url with JSON objects in the first two.
    package init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, let headerBytes = [UInt8](base64URL: String(parts[0])),
            let claimBytes = [UInt8](base64URL: String(parts[1])),
            let signature = [UInt8](base64URL: String(parts[2])),
            let header = try? JSONParser.parse(headerBytes), let claims = try? JSONParser.parse(claimBytes),
            header.object != nil, claims.object != nil
        else { return nil }
        (self.header, self.claims, self.signature) = (header, claims, signature)
        signed = Array("\(parts[0]).\(parts[1])".utf8)
    }

    /// Whether the algorithm is ES256 and the signature is `key`'s.
    package func isSignedES256(by key: ECKey) -> Bool {
        header["alg"]?.string == "ES256" && key.verifiesES256(signed, signature: signature)
    }

    /// Whether the algorithm is RS256 and the signature is `key`'s.
    package func isSignedRS256(by key: RSAKey) -> Bool {
        header["alg"]?.string == "RS256" && key.verifiesRS256(signed, signature: signature)
    }

    /// Makes a token signed with RS256, for tests of the fakes.
    /// - Throws: `PeerError` when `key` has no private part.
    package static func sign(header: JSON, claims: JSON, key: RSAKey) throws -> String {
        let text = "\(header.serializedBytes.base64URL).\(claims.serializedBytes.base64URL)"
        return try "\(text).\(key.signRS256(Array(text.utf8)).base64URL)"
    }

    /// Makes a token, for tests of the fakes.
    /// - Throws: `PeerError` when `key` has no private part.
    package static func sign(header: JSON, claims: JSON, key: ECKey) throws -> String {
        let text = "\(header.serializedBytes.base64URL).\(claims.serializedBytes.base64URL)"
        return try "\(text).\(key.signES256(Array(text.utf8)).base64URL)"
    }
}
