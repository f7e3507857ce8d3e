package import Base
internal import Mail

/// What a monitor takes from a message's header fields: decoded, cleaned and cut by the Mail library.
package struct MessageHeader: Sendable, Hashable {
    package var messageID: String?
    /// The first Message-ID of `References`, else of `In-Reply-To`.
    package var threadID: String?
    package var senderName: String?
    package var senderAddress: String?
    package var subject: String?
    package var date: Timestamp?

    package init(
        messageID: String? = nil, threadID: String? = nil, senderName: String? = nil, senderAddress: String? = nil,
        subject: String? = nil, date: Timestamp? = nil
    ) {
        (self.messageID, self.threadID) = (messageID, threadID)
        (self.senderName, self.senderAddress) = (senderName, senderAddress)
        (self.subject, self.date) = (subject, date)
    }
}

extension MessageHeader {
    /// Reads a header block, which may be cut anywhere.
    @Sendable package static func read(_ block: [UInt8]) -> MessageHeader {
        let digest = MailDigest(parsing: block)
        return MessageHeader(
            messageID: digest.messageID, threadID: digest.threadRoot, senderName: digest.from?.name,
            senderAddress: digest.from?.address, subject: digest.subject.isEmpty ? nil : digest.subject,
            date: digest.date)
    }
}
