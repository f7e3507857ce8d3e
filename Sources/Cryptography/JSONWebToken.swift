package import Base

/// JSON Web Tokens (RFC 7519) as compact JWS (RFC 7515).
package enum JSONWebToken {
    /// Bytes of the longest token that is read.
    package static let sizeLimit = 16_384

    /// A token that was checked.
    package struct Verified: Sendable, Hashable {
        /// All members, `alg` among them.
        package let header: JSONObject
        /// The payload; its times are not judged.
        package let claims: JSONObject
    }

    /// Signs a token. Members keep their order; `alg` comes first and is the key's.
    /// - Parameters:
    ///   - header: further members such as `kid` and `typ`; must not hold `alg`.
    ///   - claims: the payload.
    /// - Throws: `invalidInput` when the header holds `alg`, `libraryFailure`.
    package static func sign(
        header: JSONObject = [:], claims: JSONObject, with key: some TokenSigningKey
    ) throws(CryptographyError) -> String {
        guard header["alg"] == nil else {
            throw CryptographyError(.invalidInput, "the key chooses the token's algorithm")
        }
        var complete: JSONObject = ["alg": .string(key.algorithm)]
        complete.members += header.members
        let input =
            JSON.object(complete).serializedBytes.base64URL + "." + JSON.object(claims).serializedBytes.base64URL
        return input + "." + (try key.sign(Array(input.utf8))).base64URL
    }

    /// Checks form, algorithm and signature of an ES256 token; the times in the claims are the
    /// caller's to judge.
    /// - Parameter es256PublicKey: the uncompressed point, 65 bytes.
    /// - Throws: `invalidInput` for what is no such token, `notAuthentic` for a wrong signature,
    ///   `invalidKey`.
    package static func verify(_ token: String, es256PublicKey: [UInt8]) throws(CryptographyError) -> Verified {
        try verify(token, algorithm: "ES256") { message, signature throws(CryptographyError) in
            try ES256Key.verify(signature, of: message, publicKey: es256PublicKey)
        }
    }

    /// Checks form, algorithm and signature of an RS256 token.
    /// - Throws: as `verify(_:es256PublicKey:)`.
    package static func verify(_ token: String, rs256PublicPEM: String) throws(CryptographyError) -> Verified {
        try verify(token, algorithm: "RS256") { message, signature throws(CryptographyError) in
            try RS256Key.verify(signature, of: message, publicPEM: rs256PublicPEM)
        }
    }

    private static func verify(
        _ token: String, algorithm: String, by check: ([UInt8], [UInt8]) throws(CryptographyError) -> Bool
    ) throws(CryptographyError) -> Verified {
        guard token.utf8.count <= sizeLimit else { throw CryptographyError(.tooLong, "the token is too long") }
        let parts = token.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3 else { throw CryptographyError(.invalidInput, "a token has three parts") }
        let header = try object(parts[0], named: "header")
        guard header["alg"]?.string == algorithm else {
            throw CryptographyError(.invalidInput, "the token's algorithm is not \(algorithm)")
        }
        guard header["crit"] == nil else {
            throw CryptographyError(.invalidInput, "the token demands an extension")
        }
        let signature = try decode(parts[2], named: "signature")
        guard try check(Array("\(parts[0]).\(parts[1])".utf8), signature) else {
            throw CryptographyError(.notAuthentic, "the token's signature is wrong")
        }
        return Verified(header: header, claims: try object(parts[1], named: "claims"))
    }

    private static func object(_ part: String, named name: String) throws(CryptographyError) -> JSONObject {
        let bytes = try decode(part, named: name)
        do {
            guard let object = try JSONParser.parse(bytes).object else {
                throw CryptographyError(.invalidInput, "the token's \(name) is no object")
            }
            return object
        } catch let error as CryptographyError {
            throw error
        } catch {
            throw CryptographyError(.invalidInput, "the token's \(name) is not JSON")
        }
    }

    /// Base64url without padding, and in its only canonical form, as RFC 7515 section 2 demands.
    private static func decode(_ part: String, named name: String) throws(CryptographyError) -> [UInt8] {
        guard let bytes = [UInt8](base64URL: part), bytes.base64URL == part else {
            throw CryptographyError(.invalidInput, "the token's \(name) is not base64url")
        }
        return bytes
    }
}

/// Voluntary application server identification (RFC 8292).
package enum VAPID {
    /// How far ahead `exp` may lie (RFC 8292 section 2).
    package static let longestLife: Duration = .seconds(86_400)

    /// The value of the `Authorization` header of Web Push requests to one origin. It may be reused
    /// until it expires.
    /// - Parameters:
    ///   - origin: scheme, host and port of the endpoint, such as `https://push.example`; no path.
    ///   - expires: at most `longestLife` ahead.
    ///   - subject: a `mailto:` or `https:` address of the operator.
    /// - Throws: `invalidInput` for an origin or subject of another form, `libraryFailure`.
    package static func authorization(
        origin: String, expires: Timestamp, subject: String, key: ES256Key
    ) throws(CryptographyError) -> String {
        let rest = origin.split(separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
        guard rest.count == 2, rest[0] == "https" || rest[0] == "http", !rest[1].isEmpty, !rest[1].contains("/") else {
            throw CryptographyError(.invalidInput, "an origin is scheme://host[:port]")
        }
        guard subject.hasPrefix("mailto:") || subject.hasPrefix("https:") else {
            throw CryptographyError(.invalidInput, "the subject must be a mailto: or https: address")
        }
        let token = try JSONWebToken.sign(
            header: ["typ": "JWT"],
            claims: ["aud": .string(origin), "exp": .integer(expires.seconds), "sub": .string(subject)], with: key)
        return "vapid t=\(token), k=\(key.publicKey.base64URL)"
    }
}
