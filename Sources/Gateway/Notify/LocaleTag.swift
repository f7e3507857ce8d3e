/// Language tags (BCP 47), as far as choosing words needs them.
package enum LocaleTag {
    /// Longest tag taken, in bytes.
    package static let limit = 35

    /// Whether a text has the form of a language tag: parts of 1 to 8 letters and digits with hyphens between
    /// (RFC 5646 section 2.1).
    package static func isTag(_ text: String) -> Bool {
        guard text.utf8.count <= limit else { return false }
        let parts = text.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
        return (parts.first?.count ?? 0) >= 2
            && parts.allSatisfy { part in
                (1...8).contains(part.count)
                    && part.allSatisfy { byte in
                        switch byte {
                        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                            UInt8(ascii: "0")...UInt8(ascii: "9"):
                            true
                        default: false
                        }
                    }
            }
    }

    /// The tag and what it is a kind of, the closest first: `zh-hant-tw`, `zh-hant`, `zh` (RFC 4647 section 3.4).
    package static func chain(_ tag: String) -> [String] {
        var parts = tag.lowercased().split(separator: "-")
        var chain: [String] = []
        while !parts.isEmpty {
            chain.append(parts.joined(separator: "-"))
            parts.removeLast()
            // A single letter introduces what follows it and means nothing alone.
            if parts.last?.count == 1 { parts.removeLast() }
        }
        return chain
    }
}
