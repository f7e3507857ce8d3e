package import Base

/// What a notification needs to know of a message.
package struct MailDigest: Sendable, Hashable {
    /// The first author.
    package let from: MailAddress?
    /// Empty when there is none.
    package let subject: String
    /// Without angle brackets.
    package let messageID: String?
    /// When the author says it was written.
    package let date: Timestamp?
    /// The identifier in `List-Id`'s angle brackets (RFC 2919), lower case.
    package let listID: String?
    /// The keyword of `Auto-Submitted` (RFC 3834 section 5), lower case: `no`, `auto-generated`, `auto-replied`, ….
    package let autoSubmitted: String?
    /// The keyword of `Precedence`, lower case: `bulk`, `list`, `junk`, ….
    package let precedence: String?
    /// The message this one answers.
    package let inReplyTo: String?
    /// The first message of the thread, this one if it starts it; nil if nothing has an id.
    package let threadRoot: String?

    /// Takes the fields of a digest from decoded headers.
    package init(_ headers: MailHeaders) {
        from = headers.addresses("From").first ?? headers.addresses("Sender").first
        subject = headers.text("Subject") ?? ""
        messageID = headers.messageIDs("Message-ID").first
        date = headers.date("Date")
        listID = headers.text("List-Id", limit: .identifier).flatMap(Self.listIdentifier)
        autoSubmitted = headers.text("Auto-Submitted", limit: .identifier).flatMap(Self.keyword)
        precedence = headers.text("Precedence", limit: .identifier).flatMap(Self.keyword)
        inReplyTo = headers.messageIDs("In-Reply-To").first
        threadRoot = headers.messageIDs("References").first ?? inReplyTo ?? messageID
    }

    /// Reads a header block; see `MailHeaders.init(parsing:)`.
    package init(parsing block: [UInt8]) { self.init(MailHeaders(parsing: block)) }

    /// Whether a program sent the message by itself (RFC 3834) or to a list.
    package var isAutomatic: Bool {
        if let autoSubmitted, autoSubmitted != "no" { return true }
        return listID != nil || ["bulk", "list", "junk"].contains(precedence)
    }

    /// The first word, without a parameter or comment behind it.
    private static func keyword(_ text: String) -> String? {
        text.split { " ;(".contains($0) }.first.map { $0.lowercased() }
    }

    private static func listIdentifier(_ text: String) -> String? {
        let inner = text.split(separator: "<").last.map { $0.prefix { $0 != ">" } } ?? ""
        let identifier = inner.filter { $0 != " " }.lowercased()
        return identifier.isEmpty ? nil : identifier
    }
}
