/// Looks for the few bytes that JSON and header fields treat in a way of their own, eight bytes at a time: nearly all
/// text has none.
package enum ByteScan {
    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let high: UInt64 = 0x8080_8080_8080_8080

    /// The first control character, quote or backslash at or behind `start`; the end when there is none.
    static func special(in text: Span<UInt8>, from start: Int) -> Int {
        let bytes = unsafe text.bytes
        var index = start
        while index + 8 <= bytes.byteCount {
            let found = special(word(bytes, index))
            if found != 0 { return index + found.trailingZeroBitCount / 8 }
            index += 8
        }
        while index < bytes.byteCount {
            let byte = byte(bytes, index)
            if byte < 0x20 || byte == 0x22 || byte == 0x5C { break }
            index += 1
        }
        return index
    }

    /// The first byte at or behind `start` that is none of those and also no DEL and not beyond ASCII; the end when
    /// there is none.
    static func beyondPlain(in text: Span<UInt8>, from start: Int) -> Int {
        let bytes = unsafe text.bytes
        var index = start
        while index + 8 <= bytes.byteCount {
            let word = word(bytes, index)
            // DEL is the one byte below 0x80 whose successor is not.
            let found = special(word) | (((word & ~high) &+ ones) | word) & high
            if found != 0 { return index + found.trailingZeroBitCount / 8 }
            index += 8
        }
        while index < bytes.byteCount {
            let byte = byte(bytes, index)
            if byte < 0x20 || byte == 0x22 || byte == 0x5C || byte >= 0x7F { break }
            index += 1
        }
        return index
    }

    /// The first control character, DEL among them, from `start` to before `end`; `end` when there is none.
    package static func control(in text: Span<UInt8>, from start: Int, to end: Int) -> Int {
        precondition(start >= 0 && end <= text.count)
        let bytes = unsafe text.bytes
        var index = start
        while index + 8 <= end {
            let word = word(bytes, index)
            let delete = word ^ (ones &* 0x7F)
            let found = ((word &- ones &* 0x20) & ~word | (delete &- ones) & ~delete) & high
            if found != 0 { return index + found.trailingZeroBitCount / 8 }
            index += 8
        }
        while index < end {
            let byte = byte(bytes, index)
            if byte < 0x20 || byte == 0x7F { break }
            index += 1
        }
        return index
    }

    /// The lowest bit that is set stands in the first of eight bytes that is special. Higher ones may be wrong: a
    /// borrow goes upwards only.
    private static func special(_ word: UInt64) -> UInt64 {
        let quote = word ^ (ones &* 0x22)
        let backslash = word ^ (ones &* 0x5C)
        return ((word &- ones &* 0x20) & ~word | (quote &- ones) & ~quote | (backslash &- ones) & ~backslash) & high
    }

    private static func word(_ bytes: RawSpan, _ index: Int) -> UInt64 {
        // Within bounds: both callers have compared.
        UInt64(littleEndian: unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt64.self))
    }

    private static func byte(_ bytes: RawSpan, _ index: Int) -> UInt8 {
        unsafe bytes.unsafeLoad(fromUncheckedByteOffset: index, as: UInt8.self)
    }
}
