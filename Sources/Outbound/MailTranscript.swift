internal import Base

/// The last lines a mail server said while logging in, and what they mean.
struct MailTranscript: Sendable {
    static let lineLimit = 8
    static let lineBytes = 512
    static let textLimit = 300

    private(set) var lines: [String] = []

    /// Adds a line as it came, without its end.
    mutating func append(_ bytes: some Collection<UInt8>) {
        let line = String(decoding: bytes.prefix(Self.lineBytes), as: UTF8.self)
        lines.append(line.trimmingSpace)
        if lines.count > Self.lineLimit { lines.removeFirst() }
    }

    /// The last line that refuses: IMAP `A002 NO ...`, `A002 BAD ...`, `* BYE ...`; POP3 `-ERR ...`; SMTP `535 ...`.
    private var refusal: String? { lines.last { Self.refusalText($0) != nil } }

    /// Whether the server has said no to anything.
    var isRefusal: Bool { refusal != nil }

    /// Whether the server ended the talk before or instead of answering.
    var saidGoodbye: Bool { lines.contains { $0.uppercased().hasPrefix("* BYE") } }

    /// What may be shown: the refusal or the last line, bounded, without controls and without `secrets`.
    func shown(hiding secrets: [String]) -> String {
        var text = refusal ?? lines.last ?? ""
        for secret in secrets where !secret.isEmpty { text = text.replacing(secret, with: "***") }
        let scalars = text.unicodeScalars.filter {
            $0.properties.generalCategory != .control && $0.properties.generalCategory != .format
        }
        return String(String(String.UnicodeScalarView(scalars)).prefix(Self.textLimit))
    }

    /// The meaning of a failed login. A server that gives no reason means the credentials (RFC 5530 section 3,
    /// RFC 2449 section 8, RFC 3206).
    var loginFailure: MailConnectionError.Code {
        guard let refusal, let text = Self.refusalText(refusal) else {
            return lines.isEmpty ? .connectionLost : .loginUnsupported
        }
        switch Self.code(in: text) {
        case "AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED", "AUTH": return .loginRefused
        case "UNAVAILABLE", "LIMIT", "INUSE", "CONTACTADMIN", "SERVERBUG", "SYS/TEMP", "SYS/PERM", "IN-USE",
            "LOGIN-DELAY":
            return .loginTemporary
        case "PRIVACYREQUIRED": return .loginUnsupported
        default: break
        }
        // SMTP: 4yz is temporary (RFC 5321 section 4.2.1).
        if refusal.first == "4" || refusal.uppercased().hasPrefix("* BYE") { return .loginTemporary }
        // Some servers put the reason into words only.
        let words = ["too many", "try again", "temporar", "unavailable", "internal error"]
        let lowercased = text.lowercased()
        return words.contains { lowercased.contains($0) } ? .loginTemporary : .loginRefused
    }

    /// What follows the status of a refusing line; nil for other lines.
    private static func refusalText(_ line: String) -> Substring? {
        let upper = line.uppercased()
        if upper.hasPrefix("-ERR") { return line.dropFirst(4) }
        if upper.hasPrefix("* BYE") { return line.dropFirst(5) }
        let words = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: true)
        if words.count >= 2, words[0] != "*", words[0] != "+", ["NO", "BAD"].contains(words[1].uppercased()) {
            return words.count > 2 ? words[2] : ""
        }
        if let status = words.first, status.count == 3, let number = Int(status), (400..<600).contains(number) {
            return line.dropFirst(4)
        }
        return nil
    }

    /// `UNAVAILABLE` of `[UNAVAILABLE] text`.
    private static func code(in text: Substring) -> String {
        let trimmed = text.drop { $0 == " " }
        guard trimmed.first == "[", let end = trimmed.firstIndex(of: "]") else { return "" }
        let inside = trimmed[trimmed.index(after: trimmed.startIndex)..<end]
        return inside.split(separator: " ").first.map { $0.uppercased() } ?? ""
    }
}
