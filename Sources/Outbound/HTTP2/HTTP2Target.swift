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
        let (bytes, start) = (url.utf8.span, Self.scheme.count)
        guard bytes.count > start, Self.scheme.indices.allSatisfy({ Self.isSame(bytes[$0], Self.scheme[$0]) }),
            let end = Self.endOfAuthority(bytes, from: start), Self.isPlainPath(bytes, from: end)
        else { return nil }
        let border = url.utf8.index(url.startIndex, offsetBy: end)
        let place = url[url.utf8.index(url.startIndex, offsetBy: start)..<border].lowercased()
        // As libcurl has it: the usual port is not said.
        authority = place.hasSuffix(":443") ? String(place.dropLast(4)) : place
        path = end < bytes.count ? String(url[border...]) : "/"
    }

    private static let scheme = Array("https://".utf8)

    /// Whether a byte is a small letter, in whatever case, or just the other byte.
    private static func isSame(_ byte: UInt8, _ small: UInt8) -> Bool {
        byte == small || small >= UInt8(ascii: "a") && byte | 0x20 == small
    }

    /// Where host and port end; nil when they are not plain.
    private static func endOfAuthority(_ bytes: Span<UInt8>, from start: Int) -> Int? {
        var index = start
        if bytes[index] == UInt8(ascii: "[") {
            index = end(bytes, from: index + 1) { isHexadecimal($0) || $0 == UInt8(ascii: ":") }
            guard index < bytes.count, bytes[index] == UInt8(ascii: "]") else { return nil }
            index += 1
        } else {
            index = end(bytes, from: index, of: isNameByte)
        }
        guard index > start else { return nil }
        if index < bytes.count, bytes[index] == UInt8(ascii: ":") {
            let digits = index + 1
            index = end(bytes, from: digits) { (0x30...0x39).contains($0) }
            guard (1...5).contains(index - digits) else { return nil }
        }
        return index == bytes.count || bytes[index] == UInt8(ascii: "/") ? index : nil
    }

    /// Where bytes of a kind end.
    private static func end(_ bytes: Span<UInt8>, from start: Int, of isKind: (UInt8) -> Bool) -> Int {
        var index = start
        while index < bytes.count, isKind(bytes[index]) { index += 1 }
        return index
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
