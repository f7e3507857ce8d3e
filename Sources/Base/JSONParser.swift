/// Why a text is not JSON, and where.
package struct JSONError: Error, Sendable, Hashable, CustomStringConvertible {
    package let message: String
    /// Byte offset at which reading stopped.
    package let offset: Int

    package init(message: String, offset: Int) { (self.message, self.offset) = (message, offset) }

    package var description: String { "\(message) at byte \(offset)" }
}

/// A line and a column, both counted from 1; columns count bytes, as compilers do.
package struct TextPosition: Sendable, Hashable, CustomStringConvertible {
    package let line: Int
    package let column: Int

    package init(line: Int, column: Int) { (self.line, self.column) = (line, column) }

    /// The position of a byte offset in a text.
    package init(of offset: Int, in text: [UInt8]) {
        let before = text.prefix(max(0, offset))
        // A byte order mark has no column in any editor.
        let textStart = text.starts(with: JSONParser.byteOrderMark) ? min(3, before.count) : 0
        let lineStart = before.lastIndex(of: 0x0A).map { $0 + 1 } ?? textStart
        line = 1 + before.count { $0 == 0x0A }
        column = 1 + before.count - lineStart
    }

    package var description: String { "\(line):\(column)" }
}

/// A strict parser of RFC 8259: UTF-8 only, no comments, no trailing commas, no duplicate keys, and
/// every value knows the place it stood at.
package struct JSONParser {
    /// Arrays and objects inside one another, beyond which a document is refused.
    package static let depthLimit = 64

    fileprivate static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    private let text: [UInt8]
    private let isASCII: Bool
    private var index = 0

    /// Parses one document.
    /// - Throws: `JSONError` with the place of the first fault.
    package static func parse(_ text: [UInt8]) throws(JSONError) -> JSON {
        // Checked once and for all, so that the place is exact; strings are then cut out as they are.
        let isASCII: Bool
        do throws(UTF8.ValidationError) {
            isASCII = try UTF8Span(validating: text.span).isKnownASCII
        } catch {
            throw JSONError(message: "bytes that are not UTF-8", offset: error.byteOffsets.lowerBound)
        }
        var parser = JSONParser(text: text, isASCII: isASCII)
        // A byte order mark is not JSON, but Windows editors write one.
        if text.starts(with: byteOrderMark) { parser.index = 3 }
        let value = try parser.value(depth: 0)
        parser.skipSpace()
        guard parser.index == text.count else { throw parser.error("unexpected text after the document") }
        return value
    }

    package static func parse(_ text: String) throws(JSONError) -> JSON { try parse(Array(text.utf8)) }

    private init(text: [UInt8], isASCII: Bool) { (self.text, self.isASCII) = (text, isASCII) }

    private func error(_ message: String) -> JSONError { JSONError(message: message, offset: index) }

    private var next: UInt8? { index < text.count ? text[index] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { index += 1 }
    }

    private mutating func value(depth: Int) throws(JSONError) -> JSON {
        skipSpace()
        let start = index
        guard let byte = next else { throw error("unexpected end of the document") }
        if byte == UInt8(ascii: "{") || byte == UInt8(ascii: "["), depth >= Self.depthLimit {
            throw error("nested deeper than \(Self.depthLimit) levels")
        }
        switch byte {
        case UInt8(ascii: "{"): return JSON(.object(try object(depth: depth)), offset: start)
        case UInt8(ascii: "["): return JSON(.array(try array(depth: depth)), offset: start)
        case UInt8(ascii: "\""): return JSON(.string(try string()), offset: start)
        case UInt8(ascii: "t"):
            try word("true")
            return JSON(.bool(true), offset: start)
        case UInt8(ascii: "f"):
            try word("false")
            return JSON(.bool(false), offset: start)
        case UInt8(ascii: "n"):
            try word("null")
            return JSON(.null, offset: start)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            return JSON(try number(), offset: start)
        default: throw error("expected a value")
        }
    }

    private mutating func word(_ word: String) throws(JSONError) {
        guard text[index...].starts(with: word.utf8) else { throw error("expected a value") }
        index += word.utf8.count
    }

    private mutating func array(depth: Int) throws(JSONError) -> [JSON] {
        index += 1
        var items: [JSON] = []
        skipSpace()
        if next == UInt8(ascii: "]") {
            index += 1
            return items
        }
        while true {
            items.append(try value(depth: depth + 1))
            skipSpace()
            switch next {
            case UInt8(ascii: ","):
                index += 1
                skipSpace()
                if next == UInt8(ascii: "]") { throw error("a comma before the end of an array") }
            case UInt8(ascii: "]"):
                index += 1
                return items
            default: throw error("expected ',' or ']'")
            }
        }
    }

    private mutating func object(depth: Int) throws(JSONError) -> JSONObject {
        index += 1
        var members: [JSONObject.Member] = []
        // Small objects are scanned; a hash set only pays for large ones.
        var seen: Set<String> = []
        skipSpace()
        if next == UInt8(ascii: "}") {
            index += 1
            return JSONObject()
        }
        while true {
            skipSpace()
            let start = index
            guard next == UInt8(ascii: "\"") else {
                throw error(
                    next == UInt8(ascii: "}") ? "a comma before the end of an object" : "expected a key in quotes")
            }
            let key = try string()
            let duplicate =
                members.count < 16 ? members.contains { $0.key == key } : seen.contains(key)
            if duplicate { throw duplicateKey(key, of: members, at: start) }
            skipSpace()
            guard next == UInt8(ascii: ":") else { throw error("expected ':' after a key") }
            index += 1
            members.append(.init(key: key, value: try value(depth: depth + 1), keyOffset: start))
            if members.count == 16 { seen = Set(members.map(\.key)) } else if members.count > 16 { seen.insert(key) }
            skipSpace()
            switch next {
            case UInt8(ascii: ","): index += 1
            case UInt8(ascii: "}"):
                index += 1
                return JSONObject(members: members)
            default: throw error("expected ',' or '}'")
            }
        }
    }

    private func duplicateKey(_ key: String, of members: [JSONObject.Member], at offset: Int) -> JSONError {
        let first = members.first { $0.key == key }.map { TextPosition(of: $0.keyOffset, in: text) }
        let place = first.map { ", after line \($0.line), column \($0.column)" } ?? ""
        return JSONError(message: "the key '\(key.printable)' stands here a second time\(place)", offset: offset)
    }

    private mutating func number() throws(JSONError) -> JSON.Content {
        let start = index
        var whole = true
        if next == UInt8(ascii: "-") { index += 1 }
        let firstDigit = index
        try digits()
        if text[firstDigit] == UInt8(ascii: "0"), index > firstDigit + 1 {
            index = firstDigit
            throw error("a number must not start with 0")
        }
        if next == UInt8(ascii: ".") {
            whole = false
            index += 1
            try digits()
        }
        if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
            whole = false
            index += 1
            if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { index += 1 }
            try digits()
        }
        let literal = String(decoding: text[start..<index], as: UTF8.self)
        if whole, let integer = Int64(literal) { return .integer(integer) }
        guard let number = Double(literal), number.isFinite else {
            throw JSONError(message: "a number out of range", offset: start)
        }
        return .number(number)
    }

    private mutating func digits() throws(JSONError) {
        let start = index
        while let byte = next, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { index += 1 }
        if index == start { throw error("expected a digit") }
    }

    private mutating func string() throws(JSONError) -> String {
        index += 1
        // The common case, no escape, is cut out of the text in one piece.
        let start = index
        skipPlain()
        if next == UInt8(ascii: "\"") {
            defer { index += 1 }
            // It was checked with the document, and begins and ends between characters.
            return unsafe String(
                copying: UTF8Span(unchecked: text.span.extracting(start..<index), isKnownASCII: isASCII))
        }
        var bytes = Array(text[start..<index])
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\""):
                index += 1
                return String(decoding: bytes, as: UTF8.self)
            case UInt8(ascii: "\\"):
                index += 1
                try escape(into: &bytes)
            case 0..<0x20: throw error("a control character inside a string")
            default:
                let start = index
                skipPlain()
                bytes.append(contentsOf: text[start..<index])
            }
        }
        throw error("a string without its closing quote")
    }

    /// Moves to the next quote, backslash or control character, or to the end.
    private mutating func skipPlain() {
        index = ByteScan.special(in: text.span, from: index)
    }

    private mutating func escape(into bytes: inout [UInt8]) throws(JSONError) {
        guard let byte = next else { throw error("a string without its closing quote") }
        index += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): bytes.append(byte)
        case UInt8(ascii: "b"): bytes.append(0x08)
        case UInt8(ascii: "f"): bytes.append(0x0C)
        case UInt8(ascii: "n"): bytes.append(0x0A)
        case UInt8(ascii: "r"): bytes.append(0x0D)
        case UInt8(ascii: "t"): bytes.append(0x09)
        case UInt8(ascii: "u"): try unicodeEscape(into: &bytes)
        default:
            index -= 1
            throw error("an unknown escape")
        }
    }

    /// Reads what follows `\u`; characters beyond U+FFFF are written as two of them (RFC 8259 section 7).
    private mutating func unicodeEscape(into bytes: inout [UInt8]) throws(JSONError) {
        let start = index - 2
        var code = try fourHexDigits()
        if (0xD800...0xDBFF).contains(code), text[index...].starts(with: "\\u".utf8) {
            index += 2
            let low = try fourHexDigits()
            if (0xDC00...0xDFFF).contains(low) { code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00) }
        }
        guard let scalar = UnicodeScalar(code), let encoded = UTF8.encode(scalar) else {
            throw JSONError(message: "half of a surrogate pair", offset: start)
        }
        bytes.append(contentsOf: encoded)
    }

    private mutating func fourHexDigits() throws(JSONError) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = byte.hexadecimalDigit else {
                throw error("expected four hexadecimal digits")
            }
            code = code << 4 | UInt32(digit)
            index += 1
        }
        return code
    }
}
