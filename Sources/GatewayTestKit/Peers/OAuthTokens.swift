internal import Base

/// The bearer tokens a fake has given out, and what it says of those it gets (RFC 6750).
struct OAuthTokens: Sendable {
    enum Verdict: Sendable, Hashable {
        case good(owner: String)
        case missing
        case unknown
        case expired
    }

    private var tokens: [String: (owner: String, end: Timestamp)] = [:]
    private(set) var given = 0

    /// Gives out a new token, valid from now on for so many seconds.
    mutating func give(_ prefix: String, owner: String, life: Int64, now: Timestamp) -> String {
        given += 1
        let token = prefix + MessageCrypto.randomBytes(48).base64URL
        tokens[token] = (owner, now + .seconds(life))
        return token
    }

    /// Makes all that were given out invalid.
    mutating func revokeAll() { tokens = [:] }

    func judge(_ authorization: String?, now: Timestamp) -> Verdict {
        guard let authorization else { return .missing }
        // The scheme's name compares without case (RFC 9110 section 11.1).
        guard authorization.prefix(7).lowercased() == "bearer " else { return .missing }
        guard let token = tokens[String(authorization.dropFirst(7))] else { return .unknown }
        return now < token.end ? .good(owner: token.owner) : .expired
    }
}

/// A form as browsers post it (application/x-www-form-urlencoded).
enum WebForm {
    /// The fields; nil when one is there twice or badly encoded.
    static func parse(_ body: [UInt8]) -> [String: String]? {
        var fields: [String: String] = [:]
        for pair in String(decoding: body, as: UTF8.self).split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, let name = decode(parts[0]), let value = decode(parts[1]), fields[name] == nil
            else { return nil }
            fields[name] = value
        }
        return fields
    }

    private static func decode(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+"): bytes.append(0x20)
            case UInt8(ascii: "%"):
                guard let high = rest.popFirst()?.hexadecimalDigit, let low = rest.popFirst()?.hexadecimalDigit else {
                    return nil
                }
                bytes.append(high << 4 | low)
            // Whatever a URL may not hold must be encoded.
            case 0..<0x21, 0x7F..., UInt8(ascii: "\""), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "#"):
                return nil
            default: bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    /// Whether a request says that its body is a form.
    static func isForm(_ request: PeerRequest) -> Bool {
        request.headers["Content-Type"]?.split(separator: ";").first?.lowercased()
            == "application/x-www-form-urlencoded"
    }
}
