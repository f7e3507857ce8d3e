internal import Base

/// What RFC 8030, 8188, 8291 and 8292 demand of a push request.
enum WebPushRules {
    struct Refusal: Error, Equatable {
        let status: Int
        let reason: String
    }

    static let bodyLimit = 4096
    static let longestToken: Int64 = 86_400

    /// RFC 8030 sections 5.2 to 5.4, and the content coding.
    static func checkHeaders(_ headers: HTTPFields) throws(Refusal) {
        guard let lifetime = headers["TTL"], APNsRules.isNumber(lifetime) else { throw bad("TTL") }
        guard headers["Content-Encoding"] == "aes128gcm" else { throw bad("Content-Encoding") }
        if let urgency = headers["Urgency"], !["very-low", "low", "normal", "high"].contains(urgency) {
            throw bad("Urgency")
        }
        if let topic = headers["Topic"], !(1...32).contains(topic.utf8.count) || !isBase64URL(topic) {
            throw bad("Topic")
        }
    }

    /// RFC 8292: `vapid t=TOKEN, k=KEY`. Returns the sender's public key, and when the token expires.
    /// - Parameter required: the key the subscription was made for, if it was restricted.
    static func checkVAPID(
        _ authorization: String?, origin: String, required: [UInt8]?, now: Timestamp
    ) throws(Refusal) -> (sender: [UInt8], expires: Int64) {
        guard let authorization, authorization.prefix(6).lowercased() == "vapid " else {
            throw Refusal(status: 401, reason: "Authorization")
        }
        var parameters: [Substring: Substring] = [:]
        for part in authorization.dropFirst(6).split(separator: ",") {
            let trimmed = part.drop { $0 == " " }
            guard let equals = trimmed.firstIndex(of: "=") else { continue }
            parameters[trimmed[..<equals]] = trimmed[trimmed.index(after: equals)...]
        }
        guard let text = parameters["t"], let token = WebToken(String(text)), let keyText = parameters["k"],
            let point = [UInt8](base64URL: String(keyText)), let key = ECKey(publicPoint: point)
        else { throw forbidden("vapid parameters") }
        guard token.isSignedES256(by: key) else { throw forbidden("signature") }
        guard token.claims["aud"]?.string == origin else { throw forbidden("aud") }
        guard case .integer(let expiry) = token.claims["exp"]?.value, expiry > now.seconds,
            expiry - now.seconds <= longestToken
        else { throw forbidden("exp") }
        guard let contact = token.claims["sub"]?.string, contact.hasPrefix("mailto:") || contact.hasPrefix("https:")
        else { throw forbidden("sub") }
        if let required, required != point { throw forbidden("VapidPkHashMismatch") }
        return (point, expiry)
    }

    static func bad(_ reason: String) -> Refusal { Refusal(status: 400, reason: reason) }
    static func forbidden(_ reason: String) -> Refusal { Refusal(status: 403, reason: reason) }

    private static func isBase64URL(_ text: String) -> Bool {
        text.utf8.allSatisfy {
            ($0 | 0x20 >= UInt8(ascii: "a") && $0 | 0x20 <= UInt8(ascii: "z"))
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: "-")
                || $0 == UInt8(ascii: "_")
        }
    }
}
