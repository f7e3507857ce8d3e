internal import Base
internal import Mail

/// Words of a feed as they may be shown. Most are HTML, whether the feed says so or not.
enum FeedText {
    /// Characters of a text that are looked at.
    private static let lookLimit = 20_000
    private static let entities = ["amp": "&", "lt": "<", "gt": ">", "quot": "\"", "apos": "'", "nbsp": " "]

    /// One line without tags; nil when nothing is left.
    static func shown(_ text: String?, _ limit: MailText.Limit, isHTML: Bool = true) -> String? {
        guard let text else { return nil }
        let plain = isHTML && text.utf8.contains(where: { $0 == 0x3C || $0 == 0x26 }) ? withoutTags(text) : text
        let shown = MailText.displayable(plain, limit: limit)
        return shown.isEmpty ? nil : shown
    }

    /// Tags become spaces, and character references their characters. No parser of HTML: what is left over of broken
    /// markup is only shown as text.
    private static func withoutTags(_ text: String) -> String {
        var result = ""
        var rest = text.prefix(lookLimit)
        while let mark = rest.firstIndex(where: { $0 == "<" || $0 == "&" }) {
            result += rest[..<mark]
            let behind = rest[rest.index(after: mark)...]
            if rest[mark] == "<", let next = behind.first, next.isLetter || next == "/" || next == "!" {
                guard let end = behind.firstIndex(of: ">") else { return result }
                result += " "
                rest = behind[behind.index(after: end)...]
            } else if rest[mark] == "&", let end = behind.prefix(12).firstIndex(of: ";"),
                let character = character(behind[..<end])
            {
                result += character
                rest = behind[behind.index(after: end)...]
            } else {
                result.append(rest[mark])
                rest = behind
            }
        }
        return result + rest
    }

    private static func character(_ name: Substring) -> String? {
        guard name.first == "#" else { return entities[String(name)] }
        let digits = name.dropFirst()
        let isHexadecimal = digits.first == "x" || digits.first == "X"
        let code = isHexadecimal ? UInt32(digits.dropFirst(), radix: 16) : UInt32(digits)
        return code.flatMap(Unicode.Scalar.init).map { String(Character($0)) }
    }
}
