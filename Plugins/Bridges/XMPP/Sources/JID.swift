/// An XMPP address (RFC 7622), as far as a component needs to understand it: its server has checked it before.
struct JID: Sendable, Hashable {
    /// The longest of each part, in bytes (RFC 7622 section 3).
    static let partLimit = 1023

    /// Still escaped; nil for a server or component itself.
    let local: String?
    let domain: String
    let resource: String?

    init(local: String?, domain: String, resource: String? = nil) {
        (self.local, self.domain, self.resource) = (local, domain, resource)
    }

    /// Nil for what is no address.
    init?(_ text: String) {
        var rest = text[...]
        var resource: String?
        if let slash = rest.firstIndex(of: "/") {
            resource = String(rest[rest.index(after: slash)...])
            rest = rest[..<slash]
        }
        var local: String?
        if let at = rest.firstIndex(of: "@") {
            local = String(rest[..<at])
            rest = rest[rest.index(after: at)...]
        }
        let parts = [local, String(rest), resource].compactMap { $0 }
        guard parts.allSatisfy({ (1...Self.partLimit).contains($0.utf8.count) }) else { return nil }
        self.init(local: local, domain: rest.lowercased(), resource: resource)
    }

    /// Without the resource.
    var bare: JID { JID(local: local, domain: domain) }

    var text: String { (local.map { $0 + "@" } ?? "") + domain + (resource.map { "/" + $0 } ?? "") }
}

/// Names in the local part of an address (XEP-0106): what may not stand there is written as `\` and two digits.
enum JIDEscaping {
    private static let escapes: [(character: Character, code: String)] = [
        (" ", "20"), ("\"", "22"), ("&", "26"), ("'", "27"), ("/", "2f"), (":", "3a"), ("<", "3c"), (">", "3e"),
        ("@", "40"), ("\\", "5c"),
    ]
    private static let codes = Dictionary(uniqueKeysWithValues: escapes.map { ($0.code, $0.character) })
    private static let characters = Dictionary(uniqueKeysWithValues: escapes.map { ($0.character, $0.code) })

    static func escape(_ name: String) -> String {
        var text = ""
        var rest = name[...]
        while let next = rest.popFirst() {
            switch next {
            // Only where it would be read as an escape.
            case "\\": text += codes[String(rest.prefix(2))] == nil ? "\\" : "\\5c"
            default: text += characters[next].map { "\\" + $0 } ?? String(next)
            }
        }
        return text
    }

    static func unescape(_ local: String) -> String {
        var text = ""
        var rest = local[...]
        while let next = rest.popFirst() {
            if next == "\\", let character = codes[String(rest.prefix(2))] {
                text.append(character)
                rest = rest.dropFirst(2)
            } else {
                text.append(next)
            }
        }
        return text
    }
}
