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
    package let origin: String

    /// - Throws: `Fault`.
    package init(_ text: String) throws(Fault) {
        let bytes = Array(text.utf8)
        guard bytes.count <= Self.sizeLimit else { throw .tooLong }
        guard bytes.allSatisfy({ (0x21...0x7E).contains($0) && $0 != 0x5C && $0 != 0x23 }) else { throw .character }
        let isSecure = Self.begins(bytes, with: "https://")
        guard isSecure || Self.begins(bytes, with: "http://") else { throw .scheme }
        let start = isSecure ? 8 : 7
        let end = bytes[start...].firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? bytes.endIndex
        let (name, rest) = Self.split(bytes[start..<end])
        guard let name else { throw .host }
        var port: UInt16?
        if let rest {
            port = Self.number(rest)
            guard port != nil else { throw .port }
        }
        let host = String(decoding: name.map(Self.lowered), as: UTF8.self)
        (self.isSecure, self.host, self.port) = (isSecure, host, port)
        let site = "\(isSecure ? "https" : "http")://\(host)"
        origin = if let port, port != (isSecure ? 443 : 80) { "\(site):\(port)" } else { site }
    }

    /// An address that a device brought: only hosts the operator names may do without TLS.
    /// - Throws: `Fault`.
    package init(_ text: String, secureUnlessIn hosts: [String]) throws(Fault) {
        try self.init(text)
        guard isSecure || hosts.contains(host) else { throw .insecure }
    }

    /// The host, nil when it is none, and what stands behind the colon.
    private static func split(_ authority: ArraySlice<UInt8>) -> (host: ArraySlice<UInt8>?, port: ArraySlice<UInt8>?) {
        let colon = UInt8(ascii: ":")
        if authority.first == UInt8(ascii: "[") {
            guard let end = authority.firstIndex(of: UInt8(ascii: "]")) else { return (nil, nil) }
            let (inner, rest) = (authority[..<end].dropFirst(), authority[end...].dropFirst())
            guard !inner.isEmpty, inner.allSatisfy({ isHexadecimal($0) || $0 == colon || $0 == UInt8(ascii: ".") }),
                rest.isEmpty || rest.first == colon
            else { return (nil, nil) }
            return (authority[...end], rest.isEmpty ? nil : rest.dropFirst())
        }
        let end = authority.firstIndex(of: colon)
        let host = authority[..<(end ?? authority.endIndex)]
        guard (1...253).contains(host.count), host.first != UInt8(ascii: "."), host.allSatisfy({ isNameByte($0) })
        else { return (nil, nil) }
        return (host, end.map { authority[$0...].dropFirst() })
    }

    /// A port's number; nil when it is none.
    private static func number(_ digits: ArraySlice<UInt8>) -> UInt16? {
        guard digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return UInt16(String(decoding: digits, as: UTF8.self)).flatMap { $0 > 0 ? $0 : nil }
    }

    private static func begins(_ bytes: [UInt8], with start: StaticString) -> Bool {
        unsafe bytes.prefix(start.utf8CodeUnitCount)
            .elementsEqual(UnsafeBufferPointer(start: start.utf8Start, count: start.utf8CodeUnitCount)) {
                lowered($0) == $1
            }
    }

    /// A letter of ASCII in lower case; every other byte as it is.
    private static func lowered(_ byte: UInt8) -> UInt8 { (0x41...0x5A).contains(byte) ? byte | 0x20 : byte }

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
