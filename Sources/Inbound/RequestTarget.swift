internal import Base

/// One `name=value` of a query, decoded.
package struct QueryItem: Sendable, Hashable {
    package let name: String
    /// Empty both for `name=` and for `name`.
    package let value: String

    package init(name: String, value: String) { (self.name, self.value) = (name, value) }
}

/// A request target taken apart (RFC 9112 section 3.2, RFC 3986 sections 3.3 and 3.4).
struct RequestTarget: Sendable, Hashable {
    /// The path as it was sent, without the query.
    var rawPath: String
    /// The path between slashes, percent-decoded; empty for `/`.
    var segments: [String] = []
    /// The query's items in their order.
    var query: [QueryItem] = []

    private static let slash = UInt8(ascii: "/")

    /// - Throws: a 400 `Problem` when the percent-encoding is broken, or the text is not UTF-8 or has a NUL.
    init(_ target: [UInt8]) throws(Problem) {
        // As nearly every target is: a path with nothing to decode, and no query.
        if target.first == Self.slash, target.allSatisfy(Self.isPlain) {
            rawPath = String(decoding: target, as: UTF8.self)
            if target.count > 1 { splitPlain(target) }
            return
        }
        let relative = Self.withoutAuthority(target[...])
        let path = relative.prefix { $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
        guard let text = String(validating: path, as: UTF8.self) else {
            throw .malformed("The path is not UTF-8.")
        }
        rawPath = text
        if path.first == Self.slash {
            if path.count > 1 {
                for part in path.dropFirst().split(separator: Self.slash, omittingEmptySubsequences: false) {
                    segments.append(try Self.decode(part, plusIsSpace: false, what: "path"))
                }
            }
        } else if text != "*" {
            throw .malformed("The request target has no path.")
        }
        if path.endIndex < relative.endIndex, relative[path.endIndex] == UInt8(ascii: "?") {
            try parseQuery(relative[(path.endIndex + 1)...].prefix { $0 != UInt8(ascii: "#") })
        }
    }

    /// Printable ASCII that stands for itself in a path.
    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "%"), UInt8(ascii: "?"), UInt8(ascii: "#"): false
        default: byte > 0x20 && byte < 0x7F
        }
    }

    private mutating func splitPlain(_ target: [UInt8]) {
        var start = 1
        for index in 1...target.count where index == target.count || target[index] == Self.slash {
            segments.append(String(decoding: target[start..<index], as: UTF8.self))
            start = index + 1
        }
    }

    /// A server must accept `GET http://host/path` too (RFC 9112 section 3.2.2).
    private static func withoutAuthority(_ target: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard let first = target.first, first != slash else { return target }
        for scheme in ["http://", "https://"] {
            let prefix = target.prefix(scheme.utf8.count)
            guard prefix.elementsEqual(scheme.utf8, by: { $0 | 0x20 == $1 | 0x20 }) else { continue }
            let rest = target.dropFirst(scheme.utf8.count)
            guard let start = rest.firstIndex(where: { $0 == slash || $0 == UInt8(ascii: "?") }) else { return [slash] }
            return rest[start] == slash ? rest[start...] : [slash] + rest[start...]
        }
        return target
    }

    private mutating func parseQuery(_ text: ArraySlice<UInt8>) throws(Problem) {
        for part in text.split(separator: UInt8(ascii: "&")) {
            let name = part.prefix { $0 != UInt8(ascii: "=") }
            let value = part.dropFirst(name.count + 1)
            query.append(
                QueryItem(
                    name: try Self.decode(name, plusIsSpace: true, what: "query"),
                    value: try Self.decode(value, plusIsSpace: true, what: "query")))
        }
    }

    private static func decode(
        _ text: ArraySlice<UInt8>, plusIsSpace: Bool, what: StaticString
    ) throws(Problem) -> String {
        let percent = UInt8(ascii: "%")
        let plus = UInt8(ascii: "+")
        var bytes = text
        if text.contains(where: { $0 == percent || (plusIsSpace && $0 == plus) }) {
            var decoded: [UInt8] = []
            decoded.reserveCapacity(text.count)
            var index = text.startIndex
            while index < text.endIndex {
                let byte = text[index]
                index += 1
                if byte == percent {
                    guard index + 2 <= text.endIndex, let high = hexadecimal(text[index]),
                        let low = hexadecimal(text[index + 1])
                    else { throw .malformed("The \(what) has a '%' without two hexadecimal digits.") }
                    decoded.append(high << 4 | low)
                    index += 2
                } else {
                    decoded.append(plusIsSpace && byte == plus ? UInt8(ascii: " ") : byte)
                }
            }
            bytes = decoded[...]
        }
        guard let string = String(validating: bytes, as: UTF8.self) else {
            throw .malformed("The \(what) is not UTF-8.")
        }
        if bytes.contains(0) { throw .malformed("The \(what) contains a NUL.") }
        return string
    }

    private static func hexadecimal(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
