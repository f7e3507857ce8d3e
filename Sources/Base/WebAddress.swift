/// An absolute `http` or `https` URL, taken apart by rules so strict that no other reader can see a
/// different host in it: no user part, no backslash, no space, only letters, digits, dots and
/// hyphens in a host (or an IPv6 address in brackets). For URLs that users and devices gave us.
package struct WebAddress: Sendable, Hashable {
    /// Why a text is no such URL. Never shows the text.
    package enum Fault: Error, Sendable, CustomStringConvertible {
        case tooLong
        case character
        case scheme
        case insecure
        case host
        case port

        package var description: String {
            switch self {
            case .tooLong: "the URL is longer than \(WebAddress.sizeLimit) bytes"
            case .character: "the URL contains a space, a backslash, a fragment or a character that is not ASCII"
            case .scheme: "the URL does not start with https:// or http://"
            case .insecure: "the URL must begin with https://"
            case .host: "the URL has no valid host, or a user name in front of it"
            case .port: "the URL's port is not a number from 1 to 65535"
            }
        }
    }

    /// Bytes of the longest URL taken.
    package static let sizeLimit = 2048

    package let isSecure: Bool
    /// In lower case; an IPv6 address with its brackets.
    package let host: String
    /// Nil when the URL names none.
    package let port: UInt16?

    /// Scheme, host and, where it is not the scheme's own, port (RFC 6454 section 6.2).
    package var origin: String {
        let scheme = isSecure ? "https" : "http"
        guard let port, port != (isSecure ? 443 : 80) else { return "\(scheme)://\(host)" }
        return "\(scheme)://\(host):\(port)"
    }

    /// - Throws: `Fault`.
    package init(_ text: String) throws(Fault) {
        let bytes = text.utf8
        guard bytes.count <= Self.sizeLimit else { throw .tooLong }
        guard bytes.allSatisfy({ (0x21...0x7E).contains($0) && $0 != 0x5C && $0 != 0x23 }) else { throw .character }
        let lower = text.prefix(8).lowercased()
        let secure = lower.hasPrefix("https://")
        guard secure || lower.hasPrefix("http://") else { throw .scheme }
        let authority = text.dropFirst(secure ? 8 : 7).prefix { $0 != "/" && $0 != "?" }
        let (host, rest) = Self.split(authority)
        guard let host else { throw .host }
        var port: UInt16?
        if let rest {
            guard let number = UInt16(rest), number > 0, rest.utf8.allSatisfy({ $0 != 0x2B }) else { throw .port }
            port = number
        }
        (self.isSecure, self.host, self.port) = (secure, host.lowercased(), port)
    }

    /// An address that a device brought: only hosts the operator names may do without TLS.
    /// - Throws: `Fault`.
    package init(_ text: String, secureUnlessIn hosts: [String]) throws(Fault) {
        try self.init(text)
        guard isSecure || hosts.contains(host) else { throw .insecure }
    }

    /// The host, nil when it is none, and what stands behind the colon.
    private static func split(_ authority: Substring) -> (host: Substring?, port: Substring?) {
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { return (nil, nil) }
            let inner = authority[authority.index(after: authority.startIndex)..<end]
            let rest = authority[authority.index(after: end)...]
            guard !inner.isEmpty, inner.utf8.allSatisfy({ isHexadecimal($0) || $0 == 0x3A || $0 == 0x2E }),
                rest.isEmpty || rest.hasPrefix(":")
            else { return (nil, nil) }
            return (authority[...end], rest.isEmpty ? nil : rest.dropFirst())
        }
        let parts = authority.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let host = parts.first, (1...253).contains(host.utf8.count), host.first != ".",
            host.utf8.allSatisfy({ isNameByte($0) })
        else { return (nil, nil) }
        return (host, parts.count == 2 ? parts[1] : nil)
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte | 0x20)
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20) || byte == 0x2D || byte == 0x2E
    }
}

extension String {
    /// Percent-encoded for one component of a URL: everything but unreserved characters
    /// (RFC 3986 section 2.3) and those in `keeping`.
    package func percentEncoded(keeping: String = "") -> String {
        let hex = Array("0123456789ABCDEF".utf8)
        let kept = Set(keeping.utf8)
        var text: [UInt8] = []
        for byte in utf8 {
            let isUnreserved =
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || byte == 0x2D || byte == 0x2E || byte == 0x5F || byte == 0x7E
            if isUnreserved || kept.contains(byte) {
                text.append(byte)
            } else {
                text.append(contentsOf: [0x25, hex[Int(byte >> 4)], hex[Int(byte & 15)]])
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
