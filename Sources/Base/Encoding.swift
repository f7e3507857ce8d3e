internal import FoundationEssentials

extension Sequence<UInt8> {
    /// Lower-case hexadecimal. Public for the reason that `Locked` gives.
    @inlinable
    public var hexadecimal: String {
        var text: [UInt8] = []
        text.reserveCapacity(underestimatedCount * 2)
        for byte in self {
            text.append((byte >> 4).asHexadecimalDigit)
            text.append((byte & 15).asHexadecimalDigit)
        }
        return String(decoding: text, as: UTF8.self)
    }
}

extension UInt8 {
    /// The digit of a number below 16.
    @usableFromInline
    var asHexadecimalDigit: UInt8 { self + (self < 10 ? UInt8(ascii: "0") : UInt8(ascii: "a") - 10) }

    /// The value of a hexadecimal digit of either case; nil for any other byte.
    package var hexadecimalDigit: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

extension [UInt8] {
    /// Appends a number in base 36, lower case.
    package mutating func appendBase36(_ number: Int64) {
        var digits = InlineArray<13, UInt8>(repeating: UInt8(ascii: "0"))
        var first = digits.count
        var rest = number.magnitude
        repeat {
            first -= 1
            let digit = UInt8(truncatingIfNeeded: rest % 36)
            digits[first] = digit + (digit < 10 ? UInt8(ascii: "0") : UInt8(ascii: "a") - 10)
            rest /= 36
        } while rest > 0
        if number < 0 { append(UInt8(ascii: "-")) }
        for index in first..<digits.count { append(digits[index]) }
    }

    /// Appends two lower-case hexadecimal digits.
    package mutating func appendHexadecimal(_ byte: UInt8) {
        append((byte >> 4).asHexadecimalDigit)
        append((byte & 15).asHexadecimalDigit)
    }

    /// Base64 with padding (RFC 4648 section 4).
    package var base64: String { Data(self).base64EncodedString() }

    /// Base64 in the URL-safe alphabet without padding (RFC 4648 section 5).
    package var base64URL: String {
        Data(self).base64EncodedString(options: [.base64URLAlphabet, .omitPaddingCharacter])
    }

    /// Decodes base64 with padding; nil when the text is not base64.
    package init?(base64 text: String) {
        // Data takes more padding than there is room for.
        guard text.utf8.count % 4 == 0, let data = Data(base64Encoded: text) else { return nil }
        self = Array(data)
    }

    /// Decodes the URL-safe alphabet, without padding or with all of it; nil when the text is not
    /// base64url, also when it uses the other alphabet's `+` and `/`.
    package init?(base64URL text: String) {
        var mapped = Array(text.utf8)
        for index in mapped.indices {
            switch mapped[index] {
            case UInt8(ascii: "-"): mapped[index] = UInt8(ascii: "+")
            case UInt8(ascii: "_"): mapped[index] = UInt8(ascii: "/")
            case UInt8(ascii: "+"), UInt8(ascii: "/"): return nil
            default: break
            }
        }
        if mapped.last != UInt8(ascii: "=") {
            while mapped.count % 4 != 0 { mapped.append(UInt8(ascii: "=")) }
        }
        guard mapped.count % 4 == 0, let data = Data(base64Encoded: Data(mapped)) else { return nil }
        self = Array(data)
    }

    /// Decodes hexadecimal of either case; nil when the text is not hexadecimal.
    package init?(hexadecimal text: String) {
        guard text.utf8.count % 2 == 0 else { return nil }
        self = []
        reserveCapacity(text.utf8.count / 2)
        var high: UInt8?
        for character in text.utf8 {
            guard let digit = character.hexadecimalDigit else { return nil }
            if let first = high {
                append(first << 4 | digit)
                high = nil
            } else {
                high = digit
            }
        }
    }
}

extension String {
    /// The text for a message of one line: control characters and line breaks are written as
    /// `\u{…}`, and what goes beyond 200 characters is cut off.
    package var printable: String {
        var text = ""
        for scalar in unicodeScalars.prefix(200) {
            switch scalar.value {
            case 0..<0x20, 0x7F...0x9F, 0x2028, 0x2029: text += "\\u{\(String(scalar.value, radix: 16))}"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return unicodeScalars.dropFirst(200).isEmpty ? text : text + "…"
    }

    /// Without spaces, tabs and line ends at both ends.
    package var trimmingSpace: String {
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0x0A }
        guard let first = utf8.firstIndex(where: { !isSpace($0) }), let last = utf8.lastIndex(where: { !isSpace($0) })
        else { return "" }
        return String(self[first..<utf8.index(after: last)])
    }
}
