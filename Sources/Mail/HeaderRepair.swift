/// Prepares damaged headers for GMime, which decodes them. Nothing here converts characters itself.
enum HeaderRepair {
    // MARK: The block

    /// A block that GMime reads to its end: no NUL, line ends as LF, a first line that is a field,
    /// and an empty line after the last field.
    static func repaired(_ block: ArraySlice<UInt8>) -> [UInt8] {
        // GMime gives up when the first line is no field, but skips other lines that are none.
        var result = Array("X-First: 1\n".utf8)
        result.reserveCapacity(block.count + 16)
        var rest = block
        if rest.starts(with: [0xEF, 0xBB, 0xBF]) { rest = rest.dropFirst(3) }
        rest = rest.drop { $0 == 0x0A || $0 == 0x0D || $0 == 0 }
        let end = rest.endIndex
        for index in rest.indices {
            switch rest[index] {
            case 0: continue
            case 0x0A where result.last == 0x0A: return result + [0x0A]  // The body begins.
            case 0x0D:
                // A carriage return alone must not start a field that nobody else sees.
                if index + 1 == end || rest[index + 1] != 0x0A { result.append(0x20) }
            default: result.append(rest[index])
            }
        }
        if result.last != 0x0A {
            cutUnfinished(&result)
            result.append(0x0A)
        }
        result.append(0x0A)
        return result
    }

    /// A value of at most so many bytes.
    static func shortened(_ value: [UInt8], to limit: Int) -> [UInt8] {
        if value.count <= limit { return value }
        var result = Array(value.prefix(limit))
        cutUnfinished(&result)
        return result
    }

    /// Takes what a cut left of a character or encoded word off the end.
    private static func cutUnfinished(_ text: inout [UInt8]) {
        cutUnfinishedCharacter(&text)
        cutUnfinishedWord(&text)
    }

    /// Takes an encoded word that misses its own end off the end.
    private static func cutUnfinishedWord(_ block: inout [UInt8]) {
        let tail = block.suffix(while: { $0 != 0x20 && $0 != 0x09 && $0 != 0x0A })
        if let start = tail.lastStart(of: "=?"), !tail[start...].isEncodedWord {
            block.removeSubrange(start...)
        } else if tail.elementsEqual("=".utf8) {
            block.removeLast()
        }
    }

    /// Takes the beginning of a UTF-8 character off the end of a cut block: with it the whole value
    /// would not count as UTF-8.
    private static func cutUnfinishedCharacter(_ block: inout [UInt8]) {
        guard let lead = block.suffix(3).lastIndex(where: { $0 >= 0xC0 }) else { return }
        let size = block[lead] >= 0xF0 ? 4 : block[lead] >= 0xE0 ? 3 : 2
        let isBegun = block.count - lead < size && block[(lead + 1)...].allSatisfy { $0 & 0xC0 == 0x80 }
        if isBegun { block.removeSubrange(lead...) }
    }

    // MARK: Character sets

    /// For text above 7 bits that names no character set, what it may be in: UTF-8; GB18030, whose
    /// characters come in pairs of high bytes, when all runs of such bytes are even and there are
    /// at least two pairs; else a Western one, which any bytes are.
    static func likelyCharsets(of value: [UInt8]) -> [String] {
        let runs = value.split { $0 < 0x80 }
        let paired = runs.allSatisfy { $0.count % 2 == 0 } && runs.reduce(0) { $0 + $1.count } >= 4
        return ["utf-8"] + (paired ? ["gb18030"] : []) + ["windows-1252", "iso-8859-1"]
    }

    /// Stand around encoded words of unknown character sets while GMime decodes them as ISO 8859-1,
    /// which keeps the bytes; `restored` then reads those as UTF-8. Both are controls, which no
    /// shown text keeps.
    private static let (opening, closing): (Unicode.Scalar, Unicode.Scalar) = ("\u{1E}", "\u{1F}")

    /// Names that senders use for a larger set than they stand for; the WHATWG Encoding Standard
    /// reads them the same way.
    private static let widened = [
        "gb2312": "gb18030", "gbk": "gb18030", "ks_c_5601-1987": "cp949", "euc-kr": "cp949", "shift_jis": "cp932",
        "big5": "big5-hkscs", "iso-8859-1": "windows-1252", "us-ascii": "windows-1252", "iso-8859-9": "windows-1254",
        "tis-620": "windows-874", "iso-8859-11": "windows-874",
    ]

    /// Names that say that the sender does not know; GMime takes some for the locale's character set.
    private static let unknown: Set<String> = ["x-unknown", "unknown", "unknown-8bit", "x-user-defined", "default"]

    /// A field's value in which every encoded word (RFC 2047) names a character set that GMime knows,
    /// and unencoded ISO-2022-JP is UTF-8.
    static func knownCharsets(_ value: [UInt8]) -> [UInt8] {
        let value = withoutEscapes(value)
        guard value[...].firstStart(of: "=?") != nil else { return value }
        var result: [UInt8] = []
        var rest = value[...]
        while let start = rest.firstStart(of: "=?") {
            result += rest[..<start]
            guard let word = EncodedWord(rest[start...]) else {
                result += rest[start..<start + 2]
                rest = rest[(start + 2)...]
                continue
            }
            if let better = widened[word.charset] {
                result += "=?\(better)?".utf8 + word.text
            } else if !unknown.contains(word.charset), GMime.knows(charset: word.charset) {
                result += "=?\(word.charset)?".utf8 + word.text
            } else {
                result += "=?us-ascii?Q?=1E?= =?iso-8859-1?".utf8 + word.text + " =?us-ascii?Q?=1F?=".utf8
            }
            rest = rest[word.end...]
        }
        return result + rest
    }

    /// Undoes what `knownCharsets` did to unknown ones: valid UTF-8 is read, other bytes become U+FFFD.
    static func restored(_ text: String) -> String {
        guard text.unicodeScalars.contains(opening) else { return text }
        var result = ""
        var marked: [UInt8]?
        for scalar in text.unicodeScalars {
            if scalar == opening {
                marked = marked ?? []
            } else if scalar == closing {
                result += String(decoding: marked ?? [], as: UTF8.self)
                marked = nil
            } else if marked != nil, let byte = UInt8(exactly: scalar.value) {
                marked?.append(byte)
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result + String(decoding: marked ?? [], as: UTF8.self)
    }

    /// Japanese senders of old put ISO-2022-JP into headers without encoding it.
    private static func withoutEscapes(_ value: [UInt8]) -> [UInt8] {
        let escapes = ["\u{1B}$B", "\u{1B}$@", "\u{1B}(J"]
        guard escapes.contains(where: { value[...].firstStart(of: $0) != nil }) else { return value }
        return GMime.utf8(value, from: "iso-2022-jp") ?? value
    }
}

/// The place and parts of `=?charset?encoding?text?=` (RFC 2047 section 2).
private struct EncodedWord {
    /// In lower case, without the language of RFC 2231 section 5.
    let charset: String
    /// From the encoding to the closing `?=`.
    let text: ArraySlice<UInt8>
    let end: Int

    /// Bytes of the longest name of a character set.
    private static let charsetLimit = 60

    /// - Parameter bytes: begin with `=?`.
    init?(_ bytes: ArraySlice<UInt8>) {
        let question = UInt8(ascii: "?")
        let name = bytes.dropFirst(2).prefix(Self.charsetLimit).prefix { $0 > 0x20 && $0 < 0x7F && $0 != question }
        let encoding = name.endIndex + 1
        guard !name.isEmpty, bytes.endIndex > encoding + 1, bytes[name.endIndex] == question,
            "bBqQ".utf8.contains(bytes[encoding]), bytes[encoding + 1] == question,
            let close = bytes[(encoding + 2)...].firstIndex(of: question), bytes[close...].starts(with: "?=".utf8)
        else { return nil }
        charset = String(decoding: name.prefix { $0 != UInt8(ascii: "*") }, as: UTF8.self).lowercased()
        end = close + 2
        text = bytes[encoding..<end]
    }
}

extension ArraySlice<UInt8> {
    fileprivate var isEncodedWord: Bool { EncodedWord(self) != nil }

    fileprivate func firstStart(of pattern: String) -> Int? {
        let wanted = Array(pattern.utf8)
        var index = startIndex
        while index + wanted.count <= endIndex {
            if self[index] == wanted[0], self[index..<index + wanted.count].elementsEqual(wanted) { return index }
            index += 1
        }
        return nil
    }

    fileprivate func lastStart(of pattern: String) -> Int? {
        let wanted = Array(pattern.utf8)
        var index = endIndex - wanted.count
        while index >= startIndex {
            if self[index] == wanted[0], self[index..<index + wanted.count].elementsEqual(wanted) { return index }
            index -= 1
        }
        return nil
    }
}

extension [UInt8] {
    /// The longest end all of whose elements satisfy the condition.
    fileprivate func suffix(while condition: (UInt8) -> Bool) -> ArraySlice<UInt8> {
        self[(lastIndex { !condition($0) }.map { $0 + 1 } ?? 0)...]
    }
}
