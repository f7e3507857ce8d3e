internal import Base

/// A place in a JSON document (RFC 6901).
struct JSONPointer: Sendable, Hashable {
    /// The whole document.
    static let whole = JSONPointer(tokens: [])

    private let tokens: [String]

    private init(tokens: [String]) { self.tokens = tokens }

    /// - Parameter text: empty for the whole document, else tokens that each begin with `/`; nil for anything else.
    init?(_ text: String) {
        guard text.isEmpty || text.hasPrefix("/") else { return nil }
        var tokens: [String] = []
        for part in text.split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
            var token = ""
            var rest = part[...]
            while let character = rest.popFirst() {
                guard character == "~" else {
                    token.append(character)
                    continue
                }
                switch rest.popFirst() {
                case "0": token.append("~")
                case "1": token.append("/")
                default: return nil
                }
            }
            tokens.append(token)
        }
        self.tokens = tokens
    }

    /// The value at this place; nil when there is none.
    func value(in document: JSON) -> JSON? {
        var value = document
        for token in tokens {
            let next = value.array == nil ? value[token] : Self.index(token).flatMap { value[$0] }
            guard let next else { return nil }
            value = next
        }
        return value
    }

    /// `0`, or digits that do not begin with `0` (section 4).
    private static func index(_ token: String) -> Int? {
        guard token.utf8.allSatisfy({ (0x30...0x39).contains($0) }), token == "0" || token.first != "0" else {
            return nil
        }
        return Int(token)
    }
}
