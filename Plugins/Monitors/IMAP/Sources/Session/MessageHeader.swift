internal import Base
internal import Mail

/// What a monitor takes from a message's header fields: decoded, cleaned and cut by the Mail library.
struct MessageHeader: Sendable, Hashable {
    var messageID: String?
    /// The first Message-ID of `References`, else of `In-Reply-To`.
    var threadID: String?
    var senderName: String?
    var senderAddress: String?
    var subject: String?
    var date: Timestamp?
}

extension MessageHeader {
    /// Reads a header block, which may be cut anywhere.
    @Sendable static func read(_ block: [UInt8]) -> MessageHeader {
        let digest = MailDigest(parsing: block)
        return MessageHeader(
            messageID: digest.messageID, threadID: digest.threadRoot, senderName: digest.from?.name,
            senderAddress: digest.from?.address, subject: digest.subject.isEmpty ? nil : digest.subject,
            date: digest.date)
    }
}
