extension JSON {
    /// The value as compact text on one line.
    package var serialized: String { String(decoding: serializedBytes, as: UTF8.self) }

    /// The value as compact UTF-8.
    package var serializedBytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(256)
        write(to: &bytes)
        return bytes
    }

    /// Appends the value as compact UTF-8.
    package func write(to bytes: inout [UInt8]) {
        switch value {
        case .null: bytes.append(contentsOf: "null".utf8)
        case .bool(let flag): bytes.append(contentsOf: (flag ? "true" : "false").utf8)
        case .integer(let number):
            if number >= 0 { bytes.appendDecimal(number) } else { bytes.append(contentsOf: String(number).utf8) }
        case .number(let number):
            // JSON has no infinity and no NaN; null is what every other serializer of note writes.
            bytes.append(contentsOf: (number.isFinite ? "\(number)" : "null").utf8)
        case .string(let text): JSON.write(text, to: &bytes)
        case .array(let items):
            bytes.append(UInt8(ascii: "["))
            for (index, item) in items.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                item.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let object):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in object.members.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                JSON.write(member.key, to: &bytes)
                bytes.append(UInt8(ascii: ":"))
                member.value.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }

    /// Appends a quoted string. Beyond what RFC 8259 asks for, DEL, the C1 controls, U+2028 and U+2029
    /// are escaped, so that no terminal obeys a logged text and no line-based reader sees a break in it.
    fileprivate static func write(_ text: String, to bytes: inout [UInt8]) {
        var text = text
        text.withUTF8 { utf8 in unsafe write(utf8, to: &bytes) }
    }

    fileprivate static func write(_ utf8: UnsafeBufferPointer<UInt8>, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        unsafe writeCharacters(utf8, to: &bytes)
        bytes.append(UInt8(ascii: "\""))
    }

    /// What stands between the quotes.
    fileprivate static func writeCharacters(_ utf8: UnsafeBufferPointer<UInt8>, to bytes: inout [UInt8]) {
        // What needs no escape is copied in runs.
        var runStart = 0
        var index = unsafe ByteScan.beyondPlain(in: utf8.span, from: 0)
        while index < utf8.count {
            let byte = unsafe utf8[index]
            let second = index + 1 < utf8.count ? unsafe utf8[index + 1] : 0
            let third = index + 2 < utf8.count ? unsafe utf8[index + 2] : 0
            if let code = escaped(byte, second, third) {
                unsafe bytes.append(contentsOf: UnsafeBufferPointer(rebasing: utf8[runStart..<index]))
                appendEscape(code, to: &bytes)
                index += byte == 0xE2 ? 3 : byte == 0xC2 ? 2 : 1
                runStart = index
            } else {
                index += 1
            }
            index = unsafe ByteScan.beyondPlain(in: utf8.span, from: index)
        }
        unsafe bytes.append(contentsOf: UnsafeBufferPointer(rebasing: utf8[runStart...]))
    }

    /// The code point to escape that starts with these bytes of UTF-8; nil if it may stand as it is.
    private static func escaped(_ first: UInt8, _ second: UInt8, _ third: UInt8) -> UInt16? {
        switch (first, second, third) {
        case (0..<0x20, _, _), (0x22, _, _), (0x5C, _, _), (0x7F, _, _): UInt16(first)
        case (0xC2, 0x80...0x9F, _): UInt16(second)
        case (0xE2, 0x80, 0xA8): 0x2028
        case (0xE2, 0x80, 0xA9): 0x2029
        default: nil
        }
    }

    private static func appendEscape(_ code: UInt16, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\\"))
        switch code {
        case 0x22, 0x5C: bytes.append(UInt8(code))
        case 0x0A: bytes.append(UInt8(ascii: "n"))
        case 0x0D: bytes.append(UInt8(ascii: "r"))
        case 0x09: bytes.append(UInt8(ascii: "t"))
        default:
            bytes.append(UInt8(ascii: "u"))
            bytes.append(contentsOf: [UInt8(code >> 8), UInt8(code & 255)].hexadecimal.utf8)
        }
    }
}

extension [UInt8] {
    /// Appends a text as a JSON string, in quotes.
    package mutating func appendJSON(_ text: String) { JSON.write(text, to: &self) }

    /// Appends two texts as one JSON string, without joining them first.
    /// - Parameter start: needs no escape.
    package mutating func appendJSON(_ start: String, _ text: String) {
        append(UInt8(ascii: "\""))
        append(contentsOf: start.utf8)
        var text = text
        text.withUTF8 { utf8 in unsafe JSON.writeCharacters(utf8, to: &self) }
        append(UInt8(ascii: "\""))
    }

    /// Appends UTF-8 as a JSON string; what is none is replaced by U+FFFD.
    package mutating func appendJSON(utf8 text: [UInt8]) {
        do throws(UTF8.ValidationError) {
            _ = try UTF8Span(validating: text.span)
        } catch {
            return appendJSON(String(decoding: text, as: UTF8.self))
        }
        unsafe text.withUnsafeBufferPointer { utf8 in unsafe JSON.write(utf8, to: &self) }
    }

    /// The same of a text of the program's.
    mutating func appendJSON(_ text: StaticString) {
        text.withUTF8Buffer { utf8 in unsafe JSON.write(utf8, to: &self) }
    }
}
