package import Base
package import Cryptography

/// Signed and encrypted sign-ins of the extension guacamole-auth-json (its documentation, "Encrypted JSON
/// authentication"): HMAC-SHA256 before the JSON, all of it AES-128-CBC with the same key and a zero vector.
package struct GuacamoleData: Sendable {
    private let key: Secret

    /// - Parameter key: `json-secret-key` of guacamole.properties: 32 hexadecimal digits.
    package init?(key text: Secret) {
        guard let bytes = [UInt8](hexadecimal: text.exposed), bytes.count == AESCBC.size else { return nil }
        key = Secret(bytes: bytes)
    }

    /// The value of `data`: Base64 on one line, because Guacamole's decoder knows no line breaks.
    /// - Throws: `CryptographyError`.
    package func seal(_ json: [UInt8]) throws(CryptographyError) -> String {
        let signature = try HMACSHA256.authenticate(key: key.bytes, message: json)
        return try AESCBC.encrypt(
            signature + json, key: key.bytes, vector: [UInt8](repeating: 0, count: AESCBC.size)
        ).base64
    }

    /// What a browser needs to sign in.
    /// - Parameter expires: Guacamole refuses it from then on; milliseconds count, so that no two are the same.
    package static func document(
        username: String, expires: Timestamp, connection: String, protocol name: String,
        parameters: [(name: String, value: String)]
    ) -> JSON {
        var settings = JSONObject()
        for parameter in parameters { settings.append(parameter.name, .string(parameter.value)) }
        var connections = JSONObject()
        connections.append(connection, ["protocol": .string(name), "parameters": .object(settings)])
        return [
            "username": .string(username), "expires": .integer(expires.milliseconds), "singleUse": true,
            "connections": .object(connections),
        ]
    }

    /// A text as a connection's parameter that stands for itself: Guacamole puts values in place of `${NAME}` and
    /// `${NAME:…}`, unless a further `$` stands before (guacamole-ext, `TokenFilter`).
    static func literal(_ text: String) -> String {
        var (result, rest) = ("", text[...])
        while let begin = rest.firstRange(of: "${") {
            result += rest[..<begin.lowerBound]
            rest = rest[begin.lowerBound...]
            let behind = rest.dropFirst(2).drop { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
            let line = rest.prefix { !$0.isNewline }
            let end: String.Index? =
                switch behind.first {
                case "}": behind.startIndex
                // To the last brace of the line.
                case ":": line.lastIndex(of: "}").flatMap { $0 > behind.startIndex ? $0 : nil }
                default: nil
                }
            result += end == nil ? "${" : "$" + rest[...(end ?? rest.startIndex)]
            rest = end.map { rest[rest.index(after: $0)...] } ?? rest.dropFirst(2)
        }
        return result + rest
    }

    /// The address of a connection inside Guacamole's page (since 1.4): its name, type `c` and data source, separated
    /// by NUL, in base64url without padding.
    package static func clientID(_ connection: String, source: String) -> String {
        Array("\(connection)\0c\0\(source)".utf8).base64URL
    }
}
