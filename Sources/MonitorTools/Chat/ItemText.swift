internal import Gateway

/// Texts of items as people may see them: one line, bounded, without what could forge or break a display.
package enum ItemText {
    /// Bytes of the longest title and of the longest name of a sender or a room.
    package static let titleLimit = 4_096, nameLimit = 256

    /// The text on one line: control characters, line ends and runs of spaces become one space; marks that turn the
    /// direction of writing are left out; what is longer than `limit` bytes is cut, with an ellipsis. Nil when nothing
    /// is left.
    package static func line(_ text: String, limit: Int = titleLimit) -> String? {
        var line = String.UnicodeScalarView()
        var size = 0
        var owesSpace = false
        for scalar in text.unicodeScalars {
            if isBlank(scalar) {
                owesSpace = size > 0
                continue
            }
            if turnsDirection(scalar) { continue }
            let more = UTF8.width(scalar) + (owesSpace ? 1 : 0)
            // Three bytes are kept for the ellipsis.
            if size + more > limit - 3 {
                line.append("…")
                break
            }
            if owesSpace { line.append(" ") }
            line.append(scalar)
            (size, owesSpace) = (size + more, false)
        }
        return line.isEmpty ? nil : String(line)
    }

    /// Who wrote, with the room where it has a name of its own.
    package static func sender(_ name: String?, room: String?) -> String? {
        let name = name.flatMap { line($0, limit: nameLimit) }
        guard let room = room.flatMap({ line($0, limit: nameLimit) }) else { return name }
        return name.map { "\($0) (\(room))" } ?? room
    }

    private static func isBlank(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0...0x20, 0x7F...0xA0, 0x2028, 0x2029: true
        default: false
        }
    }

    /// The embeddings, overrides and isolates of Unicode's bidirectional algorithm (UAX 9).
    private static func turnsDirection(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x200E, 0x200F, 0x061C, 0x202A...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}

extension UTF8 {
    fileprivate static func width(_ scalar: Unicode.Scalar) -> Int {
        switch scalar.value {
        case ..<0x80: 1
        case ..<0x800: 2
        case ..<0x1_0000: 3
        default: 4
        }
    }
}
