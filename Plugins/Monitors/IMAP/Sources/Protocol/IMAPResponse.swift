/// One response of an IMAP server (RFC 3501 section 7), reduced to what a monitor reads.
enum IMAPResponse: Sendable, Hashable {
    /// `+ …`: the server waits for us, after `IDLE` for news.
    case continuation
    case status(IMAPStatus)
    case capability(Set<String>)
    /// How many messages the mailbox holds now. May come with any other response.
    case exists(Int)
    /// A message went, named by sequence number; which one is found out by UID.
    case expunge
    /// Messages went, named by UID (RFC 7162 section 3.2.10).
    case vanished([ClosedRange<UInt32>])
    /// A folder of the mailbox.
    case folder(IMAPFolder)
    case fetch(IMAPFetch)
    case search([UInt32])
    /// Something a monitor needs not know, such as `FLAGS` or `RECENT`.
    case other
    /// Too large or not IMAP; it was skipped, what follows is read as usual.
    case unreadable
}

/// One answer to `LIST` (RFC 3501 section 7.2.2), with the attributes of RFC 6154.
struct IMAPFolder: Sendable, Hashable {
    /// In lower case, such as `\noselect` or `\junk`.
    var attributes: Set<String>
    /// Between the levels of a name; nil for a flat list.
    var separator: Character?
    /// As people read it.
    var name: String
}

/// An `OK`, `NO`, `BAD`, `BYE` or `PREAUTH`.
struct IMAPStatus: Sendable, Hashable {
    enum Kind: String, Sendable { case ok = "OK", no = "NO", bad = "BAD", bye = "BYE", preauth = "PREAUTH" }

    /// Nil: untagged.
    var tag: String?
    var kind: Kind
    /// The response code in brackets without its arguments, in upper case, such as `UIDVALIDITY`.
    var code: String?
    /// The code's arguments as sent.
    var argument: String = ""
    /// The server's words, not cleaned.
    var text: String = ""
}

/// The attributes of one message in a `FETCH` response.
struct IMAPFetch: Sendable, Hashable {
    /// What was sent for `BODY[…]`.
    enum Header: Sendable, Hashable {
        case absent
        /// `NIL`: the message went while we asked.
        case null
        case bytes([UInt8])
        /// Larger than we read.
        case oversized
    }

    var uid: UInt32?
    /// In lower case, such as `\seen`; nil when flags were not sent.
    var flags: Set<String>?
    var internalDate: String?
    var header = Header.absent

    var isSeen: Bool { flags?.contains("\\seen") ?? false }
    var isDeleted: Bool { flags?.contains("\\deleted") ?? false }
}

/// The server does not speak IMAP, or sends more than we ever read.
struct IMAPSyntaxError: Error, Sendable, Hashable {
    /// Names the limit or rule; holds nothing the server sent.
    let message: String
}
