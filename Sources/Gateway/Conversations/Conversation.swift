package import Base

/// Who talks with whom (IM-4, IM-6): two accounts, or an account and an application, whoever wrote first.
/// Devices count as their account.
package struct ConversationPair: Sendable, Hashable {
    /// The two ends in the order of their texts, so that both sides name the same conversation.
    package let low, high: QueueAddress

    /// Nil where no conversation is: an end with itself, two applications, a device.
    package init?(_ a: QueueAddress, _ b: QueueAddress) {
        switch (a, b) {
        case (.account(let first), .account(let second)): if first == second { return nil }
        case (.account, .app), (.app, .account): break
        default: return nil
        }
        (low, high) = a.description < b.description ? (a, b) : (b, a)
    }

    /// The other end.
    package func peer(of end: QueueAddress) -> QueueAddress { end == low ? high : low }
}

/// A file that a message speaks of and that lies elsewhere: Farbell never fetches it.
package struct Attachment: Sendable, Hashable {
    /// Attachments of one message.
    package static let limit = 10
    /// Bytes of the longest name and the longest content type.
    package static let nameLimit = 255

    /// `https`, of at most `WebAddress.sizeLimit` bytes.
    package let url: String
    package let contentType: String
    package let name: String?
    /// As the sender says.
    package let sizeBytes: Int64

    package init(url: String, contentType: String, name: String?, sizeBytes: Int64) {
        (self.url, self.contentType, self.name, self.sizeBytes) = (url, contentType, name, sizeBytes)
    }
}

/// One message as both sides of a conversation see it (IM-3). It outlives the message, whose text goes when it is
/// settled.
package struct HistoryEntry: Sendable, Hashable {
    /// Rises over all conversations, so also within one. Only numbers of conversations that ended with an account may
    /// be given out again, after a restart.
    package let number: Int64
    package let pair: ConversationPair
    /// The end that wrote it.
    package let sender: QueueAddress
    /// The message it was sent as.
    package let message: MessageKey
    /// The others it was sent as at the same time: one for each further device.
    package var also: [MessageKey] = []
    package let at: Timestamp
    /// When it is dropped.
    package let until: Timestamp
    package var correlation: String?
    package var header: [String: String] = [:]
    package var subject: String?
    package var body: [UInt8]
    package var attachments: [Attachment] = []
    package var edited: Timestamp?
    /// Where there is one, its text is gone.
    package var withdrawn: Timestamp?

    package init(
        number: Int64, pair: ConversationPair, sender: QueueAddress, message: MessageKey, at: Timestamp,
        until: Timestamp, body: [UInt8]
    ) {
        (self.number, self.pair, self.sender, self.message) = (number, pair, sender, message)
        (self.at, self.until, self.body) = (at, until, body)
    }

    package var recipient: QueueAddress { pair.peer(of: sender) }

    /// Takes the text away.
    package mutating func withdraw(at: Timestamp) {
        withdrawn = at
        (header, subject, body, attachments, correlation) = ([:], nil, [], [], nil)
    }
}

/// How far each end of a conversation has come, in entry numbers; 0: nowhere.
package struct ConversationMarks: Sendable, Hashable {
    /// Everything up to here has been read by this end.
    package var read: Int64 = 0
    /// Everything up to here has reached a device or consumer of this end.
    package var delivered: Int64 = 0

    package init(read: Int64 = 0, delivered: Int64 = 0) { (self.read, self.delivered) = (read, delivered) }
}

/// A conversation as one of its ends sees it.
package struct ConversationView: Sendable, Hashable {
    /// Unread entries are counted up to here.
    package static let unreadLimit = 1000

    package let owner, peer: QueueAddress
    /// The number of its newest entry, also where that was dropped since.
    package let last: Int64
    package let own: ConversationMarks
    /// As far as the owner may know.
    package let others: ConversationMarks
    /// Entries of the peer's behind the owner's read mark that are not withdrawn; at most `unreadLimit`.
    package let unread: Int
    /// The newest entry; nil where it was dropped.
    package let entry: HistoryEntry?

    package init(
        owner: QueueAddress, peer: QueueAddress, last: Int64, own: ConversationMarks, others: ConversationMarks,
        unread: Int, entry: HistoryEntry?
    ) {
        (self.owner, self.peer, self.last, self.own, self.others) = (owner, peer, last, own, others)
        (self.unread, self.entry) = (unread, entry)
    }

    /// How far an entry has come.
    package enum EntryState: String, Sendable, CaseIterable {
        case sent
        case delivered
        case read
    }

    package func state(of entry: HistoryEntry) -> EntryState {
        let marks = entry.sender == owner ? others : own
        return entry.number <= marks.read ? .read : entry.number <= marks.delivered ? .delivered : .sent
    }
}

/// What is stored of conversations.
package enum ConversationChange: Sendable, Hashable {
    /// Adds an entry, and both ends' rows of the conversation where they are missing.
    indirect case insert(HistoryEntry)
    /// An open message has got its entry after it was stored.
    case link(MessageKey, entry: Int64)
    /// Replaces an entry's text; not that of a withdrawn or unknown one.
    case edit(Int64, subject: String?, body: [UInt8], at: Timestamp)
    /// Takes an entry's text away; the first one counts.
    case withdraw(Int64, at: Timestamp)
    /// Replaces the text of a message that is not settled.
    case rewrite(MessageKey, subject: String?, body: [UInt8])
    /// Raises an end's marks, never lowers them; of a conversation that is not there: nothing. Where `isTold` is not
    /// set, the other end goes on seeing `read` as it was.
    case mark(QueueAddress, peer: QueueAddress, ConversationMarks, isTold: Bool = true)
    /// Drops entries whose time is over, and conversations that have none left.
    case purge(before: Timestamp)
}

/// What is read of conversations.
package enum ConversationQuery: Sendable, Hashable {
    /// The conversations of an end, newest first, with `last` below `before`.
    case list(QueueAddress, before: Int64, limit: Int)
    /// The conversations of an end in the order of their peers' texts, byte by byte, behind a text.
    case named(QueueAddress, after: String, limit: Int)
    /// One conversation; nothing where there is none.
    case one(QueueAddress, peer: QueueAddress)
}

/// Which part of a history.
package enum HistoryRange: Sendable, Hashable {
    /// The newest entries below a number; ascending.
    case before(Int64)
    /// The oldest entries above a number; ascending.
    case after(Int64)
}
