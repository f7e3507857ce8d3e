internal import Base

/// Where a request over HTTP/2 goes, as its URL says.
struct HTTP2Target: Equatable {
    /// Host and port, the host in lower case: what is connected to, and what `:authority` says (RFC 9113 section 8.3.1).
    let authority: String
    /// Path and query.
    let path: String

    /// nil for a URL that is not plainly `https://host[:port]/path?query`. libcurl, which is asked then, understands
    /// more: names in other scripts, users, dot segments, what needs escaping.
    init?(_ url: String) {
        let bytes = url.utf8
        guard bytes.count > Self.scheme.count, zip(bytes, Self.scheme).allSatisfy(Self.isSame) else {
            return nil
        }
        let start = bytes.index(bytes.startIndex, offsetBy: Self.scheme.count)
        guard let end = Self.endOfAuthority(bytes[start...]) else { return nil }
        let place = url[start..<end].lowercased()
        // As libcurl has it: the usual port is not said.
        authority = place.hasSuffix(":443") ? String(place.dropLast(4)) : place
        guard end < bytes.endIndex else {
            path = "/"
            return
        }
        let offset = bytes.distance(from: bytes.startIndex, to: end)
        guard Self.isPlainPath(bytes.span, from: offset) else { return nil }
        path = String(url[end...])
    }

    private static let scheme = Array("https://".utf8)

    /// Whether a byte is a small letter, in whatever case, or just the other byte.
    private static func isSame(_ byte: UInt8, _ small: UInt8) -> Bool {
        byte == small || small >= UInt8(ascii: "a") && byte | 0x20 == small
    }

    /// Where host and port end; nil when they are not plain.
    private static func endOfAuthority(_ bytes: Substring.UTF8View) -> String.Index? {
        var index = bytes.startIndex
        if bytes.first == UInt8(ascii: "[") {
            guard let close = bytes.firstIndex(of: UInt8(ascii: "]")),
                bytes[index..<close].dropFirst().allSatisfy({ isHexadecimal($0) || $0 == UInt8(ascii: ":") })
            else { return nil }
            index = bytes.index(after: close)
        } else {
            index = bytes.firstIndex { !isNameByte($0) } ?? bytes.endIndex
        }
        guard index > bytes.startIndex else { return nil }
        if index < bytes.endIndex, bytes[index] == UInt8(ascii: ":") {
            let digits = bytes[bytes.index(after: index)...].prefix { (0x30...0x39).contains($0) }
            guard (1...5).contains(digits.count) else { return nil }
            index = digits.endIndex
        }
        return index == bytes.endIndex || bytes[index] == UInt8(ascii: "/") ? index : nil
    }

    /// Visible ASCII without a fragment and without segments that begin with a dot.
    private static func isPlainPath(_ bytes: Span<UInt8>, from start: Int) -> Bool {
        var (index, last) = (start, UInt8(0))
        while index < bytes.count {
            let byte = bytes[index]
            guard byte > 0x20, byte < 0x7F, byte != UInt8(ascii: "#") else { return false }
            if byte == UInt8(ascii: "."), last == UInt8(ascii: "/") { return false }
            (index, last) = (index + 1, byte)
        }
        return true
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        (0x61...0x7A).contains(byte | 0x20) || (0x30...0x39).contains(byte) || byte == UInt8(ascii: ".")
            || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte | 0x20) || byte == UInt8(ascii: ".")
    }
}
