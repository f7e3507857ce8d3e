package import Base

/// A message to be sent, of plain text. GMime makes the bytes: encoded words, transfer encoding, line ends.
package struct MailDraft: Sendable {
    /// Name and address of a person.
    package struct Person: Sendable, Hashable {
        package var name: String?
        /// As `MailDraft.isAddress` takes it.
        package var address: String

        package init(name: String? = nil, address: String) { (self.name, self.address) = (name, address) }
    }

    package var from: Person
    package var to: Person
    /// One line; control characters are taken out.
    package var subject: String
    /// Any text; controls but tabs and line ends are taken out.
    package var text: String
    package var date: Timestamp
    /// `left@right`, without angle brackets.
    package var messageID: String
    /// The message ids this one belongs to, the last one its parent; without angle brackets.
    package var references: [String] = []
    /// Further fields, in their order. Names and values are ASCII without controls.
    package var fields: [(name: String, value: String)] = []

    package init(
        from: Person, to: Person, subject: String, text: String, date: Timestamp, messageID: String
    ) {
        (self.from, self.to, self.subject, self.text) = (from, to, subject, text)
        (self.date, self.messageID) = (date, messageID)
    }

    /// The whole message: ASCII, with CRLF line ends, no line above 998 bytes. Nil when one of its parts could
    /// break a header field.
    package var bytes: [UInt8]? {
        let isClean =
            Self.isAddress(from.address) && Self.isAddress(to.address)
            && ([messageID] + references).allSatisfy { Self.isMessageID($0) }
            && fields.allSatisfy { Self.isFieldName($0.name) && Self.isPrintable($0.value) }
        return isClean ? GMime.message(cleaned) : nil
    }

    /// Without what a header or a text may not hold.
    private var cleaned: MailDraft {
        var draft = self
        draft.from.name = from.name.map { MailText.displayable($0, limit: .name) }
        draft.to.name = to.name.map { MailText.displayable($0, limit: .name) }
        draft.subject = MailText.displayable(subject, limit: .subject)
        var scalars = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            // GMime makes CRLF of LF.
            if scalar.value == 0x0A || scalar.value == 0x09 || scalar.properties.generalCategory != .control {
                scalars.append(scalar)
            }
        }
        draft.text = String(scalars) + (scalars.last == "\n" ? "" : "\n")
        return draft
    }

    /// Whether a text is an address we send to: `local@domain` as RFC 5321 writes it without quotes, in ASCII;
    /// at most 64 and 255 bytes. What could end a header field or a command is not among it.
    package static func isAddress(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard let at = bytes.lastIndex(of: 0x40), bytes.count <= 254 else { return false }
        let (local, domain) = (bytes[..<at], bytes[(at + 1)...])
        let isLocal =
            (1...64).contains(local.count) && local.first != 0x2E && local.last != 0x2E
            && local.allSatisfy { isLetterOrDigit($0) || Array("!#$%&'*+-/=?^_`{|}~.".utf8).contains($0) }
            && !zip(local, local.dropFirst()).contains { $0 == 0x2E && $1 == 0x2E }
        return isLocal && isDomain(domain)
    }

    /// Labels of letters, digits and hyphens with dots between; one label alone is for private networks.
    private static func isDomain(_ domain: ArraySlice<UInt8>) -> Bool {
        (1...253).contains(domain.count)
            && domain.split(separator: 0x2E, omittingEmptySubsequences: false).allSatisfy { label in
                (1...63).contains(label.count) && label.first != 0x2D && label.last != 0x2D
                    && label.allSatisfy { isLetterOrDigit($0) || $0 == 0x2D }
            }
    }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20)
    }

    private static func isPrintable(_ text: String) -> Bool { text.utf8.allSatisfy { (0x20...0x7E).contains($0) } }

    private static func isFieldName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != 0x3A }
    }

    private static func isMessageID(_ text: String) -> Bool {
        text.contains("@") && text.utf8.count <= 250
            && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != 0x3C && $0 != 0x3E }
    }
}
