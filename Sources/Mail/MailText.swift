/// Making foreign text safe to show, and short.
package enum MailText {
    /// How much of a text is kept: whichever is reached first.
    package struct Limit: Sendable, Hashable {
        /// User-perceived characters.
        package let graphemes: Int
        /// Bytes of UTF-8; a single grapheme may have thousands.
        package let bytes: Int

        /// Both are upper bounds.
        package init(graphemes: Int, bytes: Int) { (self.graphemes, self.bytes) = (graphemes, bytes) }

        /// For a line of text.
        package static let subject = Limit(graphemes: 250, bytes: 1000)
        /// For the name of a person or list.
        package static let name = Limit(graphemes: 100, bytes: 400)
        /// For the beginning of a text.
        package static let preview = Limit(graphemes: 500, bytes: 1024)
        /// Message ids and addresses (RFC 5322 section 2.1.1 bounds a line to 998 bytes).
        package static let identifier = Limit(graphemes: 998, bytes: 998)
    }

    /// One line without control characters and without characters that reorder text; white space is
    /// folded to single spaces and taken off both ends; cut after a whole grapheme.
    package static func displayable(_ text: String, limit: Limit) -> String {
        var scalars = String.UnicodeScalarView()
        var spaceIsDue = false
        for scalar in text.unicodeScalars {
            if scalar.properties.isWhitespace {
                spaceIsDue = true
            } else if !isUnsafe(scalar) {
                if spaceIsDue && !scalars.isEmpty { scalars.append(" ") }
                spaceIsDue = false
                scalars.append(scalar)
            }
        }
        var result = ""
        var bytes = 0
        for (count, grapheme) in String(scalars).enumerated() {
            bytes += grapheme.utf8.count
            if count >= limit.graphemes || bytes > limit.bytes { break }
            result.append(grapheme)
        }
        while result.last == " " { result.removeLast() }
        return result
    }

    /// Controls, and the marks, embeddings, overrides and isolates of the bidirectional algorithm
    /// (UAX #9 section 2), with which a text could show itself as another.
    private static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x202A...0x202E, 0x2066...0x2069, 0x200E, 0x200F, 0x061C, 0xFEFF, 0xFFF9...0xFFFB: true
        default: scalar.properties.generalCategory == .control
        }
    }

    /// A text of at most so many bytes of UTF-8, cut between graphemes; a cut text ends in `…` if
    /// that fits.
    package static func truncated(_ text: String, bytes limit: Int) -> String {
        if text.utf8.count <= limit { return text }
        let ellipsis = "…"
        let mark = limit >= ellipsis.utf8.count ? ellipsis : ""
        var result = ""
        var bytes = mark.utf8.count
        for grapheme in text {
            bytes += grapheme.utf8.count
            if bytes > limit { break }
            result.append(grapheme)
        }
        while result.last == " " { result.removeLast() }
        return result + mark
    }

    /// `Sender: Subject` in at most so many bytes. A long sender leaves half of the room to the subject.
    package static func digestLine(_ digest: MailDigest, bytes limit: Int) -> String {
        let sender = digest.from?.shown ?? ""
        if sender.isEmpty { return truncated(digest.subject, bytes: limit) }
        if digest.subject.isEmpty { return truncated(sender, bytes: limit) }
        let room = max(limit / 2, limit - digest.subject.utf8.count - 2)
        return truncated("\(truncated(sender, bytes: room)): \(digest.subject)", bytes: limit)
    }
}
