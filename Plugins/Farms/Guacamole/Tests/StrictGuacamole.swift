import Base
import GatewayTestKit

/// What guacamole-auth-json does with a sign-in, step by step as in its source (guacamole-client, `UserDataService`,
/// `CryptoService`, `UserDataDenylist`, `UserData`); the decoding is done by the `openssl` command.
final class StrictGuacamole: Sendable {
    static let key = "4C0B569E4C96DF157EEE1B65DD0E4D41"
    /// Signatures of single-use data that was taken, with its end.
    private let used = Locked<[String: Int64]>([:])

    struct Refused: Error, Equatable { let reason: String }

    /// Runs a shell pipeline of `openssl`; its output is text.
    private func run(_ pipeline: String, _ input: String) async throws -> String {
        let output = try await ProgramRun.output(
            of: ChildProgram.Command("/bin/sh", ["-c", pipeline], environment: ["PATH": "/usr/bin:/bin"]),
            input: Array(input.utf8), within: .seconds(20), time: SystemTime())
        return output.lines.joined()
    }

    /// - Returns: the JSON.
    /// - Throws: `Refused`; Guacamole itself says only that the credentials are invalid.
    func signIn(_ data: String, at now: Timestamp) async throws -> JSON {
        // Its decoder knows no line breaks.
        guard let bytes = [UInt8](base64: data), bytes.base64 == data else { throw Refused(reason: "no base64") }
        let zero = String(repeating: "0", count: 32)
        let text = try await run(
            "openssl enc -d -aes-128-cbc -K \(Self.key) -iv \(zero) -base64 -A | openssl base64 -A", data)
        guard let plain = [UInt8](base64: text), plain.count > 32 else { throw Refused(reason: "cannot be decrypted") }
        let (signature, json) = (Array(plain.prefix(32)).hexadecimal, Array(plain.dropFirst(32)))
        let code = try await run(
            "openssl base64 -d -A | openssl dgst -sha256 -mac HMAC -macopt hexkey:\(Self.key) -r", json.base64)
        guard code.hasPrefix(signature) else { throw Refused(reason: "wrong signature") }
        guard let document = try? JSONParser.parse(json) else { throw Refused(reason: "no JSON") }
        try check(document)
        let expires = document["expires"]?.integer
        if let expires, now.milliseconds > expires { throw Refused(reason: "expired") }
        if document["singleUse"]?.bool == true {
            let isNew = used.withLock { used in
                used = used.filter { $0.value >= now.milliseconds }
                guard let expires, used[signature] == nil else { return false }
                used[signature] = expires
                return true
            }
            if !isNew { throw Refused(reason: "used, or without an end") }
        }
        return document
    }

    /// Jackson takes no member it does not know, and none of another type.
    private func check(_ document: JSON) throws {
        func members(_ json: JSON, _ known: [String]) throws {
            guard let object = json.object else { throw Refused(reason: "no object") }
            for key in object.keys where !known.contains(key) { throw Refused(reason: "unknown '\(key)'") }
        }
        try members(document, ["username", "expires", "singleUse", "connections"])
        if let expires = document["expires"], expires.integer == nil { throw Refused(reason: "expires is no number") }
        for connection in document["connections"]?.object?.members ?? [] {
            try members(connection.value, ["id", "protocol", "join", "parameters", "singleUse"])
            for parameter in connection.value["parameters"]?.object?.members ?? [] where parameter.value.string == nil {
                throw Refused(reason: "'\(parameter.key)' is no text")
            }
        }
    }

    /// What somebody who signed in sees: nothing any more once the sign-in has expired, also if it was taken before.
    func connections(of document: JSON, at now: Timestamp) -> [String] {
        if let expires = document["expires"]?.integer, now.milliseconds > expires { return [] }
        return document["connections"]?.object?.keys ?? []
    }

    /// A parameter as it reaches the remote desktop: `TokenFilter` puts values in place of tokens, by this expression.
    func filtered(_ text: String, username: String = "alice") -> String {
        var (output, end) = ("", text.startIndex)
        for match in text.matches(of: #/(.*?)(^|.)(\$\{([A-Za-z0-9_]*)(:(.*))?\})/#) {
            let (_, literal, before, token, name, _, modifier) = match.output
            output += literal
            if before == "$" {
                output += token
            } else {
                output += before
                switch (name, modifier) {
                case ("GUAC_USERNAME", "UPPER"): output += username.uppercased()
                case ("GUAC_USERNAME", _): output += username
                case (_, "OPTIONAL"): break
                default: output += token
                }
            }
            end = match.range.upperBound
        }
        return output + text[end...]
    }
}
