internal import Base

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
