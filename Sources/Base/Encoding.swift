internal import FoundationEssentials

extension Sequence<UInt8> {
    /// Lower-case hexadecimal.
    package var hexadecimal: String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for byte in self {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}

extension [UInt8] {
    /// Base64 with padding (RFC 4648 section 4).
    package var base64: String { Data(self).base64EncodedString() }

    /// Base64 in the URL-safe alphabet without padding (RFC 4648 section 5).
    package var base64URL: String {
        let mapped = Data(self).base64EncodedString().utf8.compactMap { byte -> UInt8? in
            switch byte {
            case UInt8(ascii: "+"): UInt8(ascii: "-")
            case UInt8(ascii: "/"): UInt8(ascii: "_")
            case UInt8(ascii: "="): nil
            default: byte
            }
        }
        return String(decoding: mapped, as: UTF8.self)
    }

    /// Decodes base64 with padding; nil when the text is not base64.
    package init?(base64 text: String) {
        guard let data = Data(base64Encoded: text) else { return nil }
        self = Array(data)
    }

    /// Decodes the URL-safe alphabet, with or without padding; nil when the text is not base64url.
    package init?(base64URL text: String) {
        var mapped = text.utf8.map { byte -> UInt8 in
            switch byte {
            case UInt8(ascii: "-"): UInt8(ascii: "+")
            case UInt8(ascii: "_"): UInt8(ascii: "/")
            default: byte
            }
        }
        while mapped.last == UInt8(ascii: "=") { mapped.removeLast() }
        guard mapped.count % 4 != 1 else { return nil }
        while mapped.count % 4 != 0 { mapped.append(UInt8(ascii: "=")) }
        guard let data = Data(base64Encoded: String(decoding: mapped, as: UTF8.self)) else { return nil }
        self = Array(data)
    }

    /// Decodes hexadecimal of either case; nil when the text is not hexadecimal.
    package init?(hexadecimal text: String) {
        guard text.utf8.count % 2 == 0 else { return nil }
        self = []
        reserveCapacity(text.utf8.count / 2)
        var high: UInt8?
        for character in text.utf8 {
            guard let digit = Character(UnicodeScalar(character)).hexDigitValue, character < 128 else { return nil }
            if let first = high {
                append(first << 4 | UInt8(digit))
                high = nil
            } else {
                high = UInt8(digit)
            }
        }
    }
}
