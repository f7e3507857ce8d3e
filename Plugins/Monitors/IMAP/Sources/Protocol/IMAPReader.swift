/// Reads one complete response: its lines with the literals between them. Depth and size are bounded,
/// the input never makes it fail other than by `IMAPResponse.unreadable`.
struct IMAPReader {
    /// A value in a response (RFC 3501 section 4).
    enum Value: Sendable, Hashable {
        case atom(String)
        case string([UInt8])
        case list([Value])
        case null
        case oversized
    }

    private struct Unreadable: Error {}

    /// Lists may nest this deep; the attributes we ask for nest once.
    static let depthLimit = 16
    /// Ranges of one `VANISHED` that are read.
    static let rangeLimit = 10_000

    private let bytes: [UInt8]
    private let holes: [Int]
    private var position = 0

    private init(_ bytes: [UInt8], holes: [Int]) { (self.bytes, self.holes) = (bytes, holes) }

    /// Reads a response.
    /// - Parameter holes: the places behind a literal mark where the literal's bytes were left out.
    static func response(_ bytes: [UInt8], holes: [Int] = []) -> IMAPResponse {
        var reader = IMAPReader(bytes, holes: holes)
        do throws(Unreadable) {
            return try reader.response()
        } catch {
            return .unreadable
        }
    }

    /// Whether the response ends in free text, where `{5}` means nothing.
    static func isText(_ bytes: [UInt8]) -> Bool {
        if bytes.first == UInt8(ascii: "+") { return true }
        let words = bytes.prefix(128).split(separator: 0x20, maxSplits: 2, omittingEmptySubsequences: false)
        guard words.count > 1 else { return false }
        return IMAPStatus.Kind(rawValue: upper(words[1])) != nil
    }

    private static func upper(_ bytes: ArraySlice<UInt8>) -> String {
        String(
            decoding: bytes.map { (0x61...0x7A).contains($0) ? $0 - 0x20 : $0 }.filter { $0 != 0x0D && $0 != 0x0A },
            as: UTF8.self)
    }

    // MARK: Responses

    private mutating func response() throws(Unreadable) -> IMAPResponse {
        if peek == UInt8(ascii: "+") { return .continuation }
        let tag = word()
        try space()
        let name = word()
        if tag != "*" {
            guard let kind = IMAPStatus.Kind(rawValue: name.uppercased()), !tag.isEmpty else { throw Unreadable() }
            return .status(status(tag: tag, kind))
        }
        if let number = Int(name) {
            try space()
            switch word().uppercased() {
            case "EXISTS": return .exists(number)
            case "EXPUNGE": return .expunge
            case "FETCH": return .fetch(try fetch())
            default: return .other
            }
        }
        switch name.uppercased() {
        case "CAPABILITY": return .capability(Self.capabilities(restOfLine()))
        case "VANISHED": return .vanished(Self.ranges(restOfLine()))
        case "LIST": return .folder(try folder())
        case "SEARCH":
            return .search(
                restOfLine().split(separator: " ").compactMap { UInt32($0) })
        case let name:
            guard let kind = IMAPStatus.Kind(rawValue: name) else { return .other }
            return .status(status(tag: nil, kind))
        }
    }

    /// The UIDs of `(EARLIER) 3:5,9`; ranges beyond the limit are left out.
    private static func ranges(_ text: String) -> [ClosedRange<UInt32>] {
        let set = text.split(separator: " ").last ?? ""
        return set.split(separator: ",").prefix(rangeLimit).compactMap { part in
            let ends = part.split(separator: ":").compactMap { UInt32($0) }
            guard let first = ends.first, let last = ends.last, ends.count <= 2 else { return nil }
            return min(first, last)...max(first, last)
        }
    }

    private mutating func folder() throws(Unreadable) -> IMAPFolder {
        try space()
        guard case .list(let attributes) = try value(depth: 0) else { throw Unreadable() }
        try space()
        let separator = Self.text(try value(depth: 0))
        try space()
        guard let name = Self.text(try value(depth: 0)) else { throw Unreadable() }
        return IMAPFolder(
            attributes: Set(attributes.prefix(64).compactMap { Self.text($0)?.lowercased() }),
            separator: separator?.first, name: IMAPSyntax.mailbox(name))
    }

    private static func text(_ value: Value) -> String? {
        switch value {
        case .atom(let text): text
        case .string(let bytes): String(decoding: bytes, as: UTF8.self)
        case .list, .null, .oversized: nil
        }
    }

    /// The names in a capability list, in upper case.
    static func capabilities(_ text: String) -> Set<String> {
        Set(text.uppercased().split(separator: " ").prefix(256).map(String.init))
    }

    private mutating func status(tag: String?, _ kind: IMAPStatus.Kind) -> IMAPStatus {
        var text = restOfLine()
        var status = IMAPStatus(tag: tag, kind: kind)
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            let code = text[text.index(after: text.startIndex)..<end].split(separator: " ", maxSplits: 1)
            status.code = code.first?.uppercased()
            status.argument = code.count > 1 ? String(code[1]) : ""
            text = String(text[text.index(after: end)...].drop { $0 == " " })
        }
        status.text = text
        return status
    }

    private mutating func fetch() throws(Unreadable) -> IMAPFetch {
        try space()
        guard next() == UInt8(ascii: "(") else { throw Unreadable() }
        var fetch = IMAPFetch()
        while true {
            skipSpaces()
            guard let byte = peek else { throw Unreadable() }
            if byte == UInt8(ascii: ")") { return fetch }
            let name = try attributeName()
            skipSpaces()
            let value = try value(depth: 0)
            switch name {
            case "UID": fetch.uid = Self.uid(value)
            case "FLAGS": fetch.flags = Self.flags(value)
            case "INTERNALDATE":
                if case .string(let bytes) = value { fetch.internalDate = String(decoding: bytes, as: UTF8.self) }
            case _ where name.hasPrefix("BODY["): fetch.header = Self.header(value)
            default: break
            }
        }
    }

    private static func uid(_ value: Value) -> UInt32? {
        guard case .atom(let text) = value, let uid = UInt32(text), uid > 0 else { return nil }
        return uid
    }

    private static func flags(_ value: Value) -> Set<String>? {
        guard case .list(let values) = value else { return nil }
        return Set(
            values.prefix(256).compactMap { value in
                if case .atom(let text) = value { text.lowercased() } else { nil }
            })
    }

    private static func header(_ value: Value) -> IMAPFetch.Header {
        switch value {
        case .string(let bytes): .bytes(bytes)
        case .oversized: .oversized
        case .null, .atom, .list: .null
        }
    }

    // MARK: Values

    /// `BODY[HEADER.FIELDS (FROM)]<0>` is one name: spaces between brackets belong to it.
    private mutating func attributeName() throws(Unreadable) -> String {
        let start = position
        var brackets = 0
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "["): brackets += 1
            case UInt8(ascii: "]"): brackets -= 1
            case 0x0D, 0x0A: throw Unreadable()
            case 0x20 where brackets == 0: return Self.upper(bytes[start..<position])
            case UInt8(ascii: "(") where brackets == 0, UInt8(ascii: ")") where brackets == 0: throw Unreadable()
            default: break
            }
            position += 1
        }
        throw Unreadable()
    }

    private mutating func value(depth: Int) throws(Unreadable) -> Value {
        guard depth < Self.depthLimit, let byte = peek else { throw Unreadable() }
        switch byte {
        case UInt8(ascii: "("):
            position += 1
            var values: [Value] = []
            while true {
                skipSpaces()
                guard let byte = peek else { throw Unreadable() }
                if byte == UInt8(ascii: ")") {
                    position += 1
                    return .list(values)
                }
                values.append(try value(depth: depth + 1))
            }
        case UInt8(ascii: "\""): return .string(try quoted())
        case UInt8(ascii: "{"): return try literal()
        case UInt8(ascii: "~"):
            position += 1
            return try literal()
        default:
            let text = word()
            guard !text.isEmpty else { throw Unreadable() }
            return text.uppercased() == "NIL" ? .null : .atom(text)
        }
    }

    private mutating func quoted() throws(Unreadable) -> [UInt8] {
        position += 1
        var text: [UInt8] = []
        while let byte = next() {
            switch byte {
            case UInt8(ascii: "\""): return text
            case UInt8(ascii: "\\"):
                guard let escaped = next() else { throw Unreadable() }
                text.append(escaped)
            case 0x0D, 0x0A: throw Unreadable()
            default: text.append(byte)
            }
        }
        throw Unreadable()
    }

    private mutating func literal() throws(Unreadable) -> Value {
        guard next() == UInt8(ascii: "{") else { throw Unreadable() }
        var size = 0
        while let byte = next(), byte != UInt8(ascii: "}") {
            if byte == UInt8(ascii: "+") { continue }
            guard (0x30...0x39).contains(byte), size < 1 << 32 else { throw Unreadable() }
            size = size * 10 + Int(byte - 0x30)
        }
        if peek == 0x0D { position += 1 }
        guard next() == 0x0A else { throw Unreadable() }
        if holes.contains(position) { return .oversized }
        guard size <= bytes.count - position else { throw Unreadable() }
        defer { position += size }
        return .string(Array(bytes[position..<position + size]))
    }

    // MARK: Bytes

    private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func next() -> UInt8? {
        guard let byte = peek else { return nil }
        position += 1
        return byte
    }

    private mutating func skipSpaces() { while peek == 0x20 { position += 1 } }

    private mutating func space() throws(Unreadable) {
        guard peek == 0x20 else { throw Unreadable() }
        skipSpaces()
    }

    /// Up to a space, parenthesis or the line's end.
    private mutating func word() -> String {
        let start = position
        while let byte = peek, byte > 0x20, byte != UInt8(ascii: "("), byte != UInt8(ascii: ")") { position += 1 }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private mutating func restOfLine() -> String {
        skipSpaces()
        let start = position
        while let byte = peek, byte != 0x0D, byte != 0x0A { position += 1 }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }
}
