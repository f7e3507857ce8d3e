/// Scheme and host of addresses, as a content security policy names them.
package enum WebOrigin {
    /// `wss://farm.example:6080` of `wss://farm.example:6080/websockify`; nil of what is no such address.
    package static func of(_ url: String) -> String? {
        let parts = url.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count >= 3, parts[0].hasSuffix(":"), parts[1].isEmpty, !parts[2].isEmpty else { return nil }
        return "\(parts[0])//\(parts[2])"
    }

    /// Whether a text is scheme, host and perhaps port, and nothing that would end a source or begin another; a host's
    /// first label and the port may be `*`.
    package static func isSource(_ text: String, schemes: [String]) -> Bool {
        guard of(text) == text, let colon = text.firstIndex(of: ":"), schemes.contains(String(text[..<colon])) else {
            return false
        }
        return text[text.index(after: colon)...].dropFirst(2).utf8.allSatisfy {
            (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20)
                || [0x2A, 0x2D, 0x2E, 0x3A, 0x5B, 0x5D].contains($0)
        }
    }
}
