public import Foundation

/// Whom a conversation is with.
public enum ConversationPeer: Sendable, Hashable, CustomStringConvertible {
    /// An account, by its name.
    case account(String)
    /// An application, by its id.
    case app(String)

    /// As the gateway writes it: `account/alice`, `app/oa`.
    public var description: String {
        switch self {
        case .account(let name): "account/\(name)"
        case .app(let id): "app/\(id)"
        }
    }
}

extension ConversationPeer: Decodable {
    /// Reads a peer.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        let parts = text.split(separator: "/", maxSplits: 1)
        switch parts.first {
        case "account" where parts.count == 2: self = .account(String(parts[1]))
        case "app" where parts.count == 2: self = .app(String(parts[1]))
        default: throw DecodingError.dataCorruptedError(in: container, debugDescription: "not an account or app")
        }
    }
}

/// A file that a message speaks of; the gateway never fetches it.
public struct Attachment: Sendable, Hashable, Codable {
    /// Where it is, `https` only.
    public var url: String
    /// Its media type, such as `image/png`.
    public var contentType: String
    /// What people call it.
    public var name: String?
    /// Its size.
    public var sizeBytes: Int64

    /// An attachment.
    public init(url: String, contentType: String, name: String? = nil, sizeBytes: Int64) {
        (self.url, self.contentType, self.name, self.sizeBytes) = (url, contentType, name, sizeBytes)
    }
}

/// One message of a conversation, as both sides see it.
public struct HistoryEntry: Sendable, Hashable, Decodable, Identifiable {
    /// The message's id, for editing and withdrawing it.
    public let id: String
    /// Rises within the conversation; what `read` and paging speak of.
    public let number: Int64
    /// Who wrote it.
    public let from: ConversationPeer
    /// When it was accepted.
    public let at: Date
    /// What programs say of it.
    public let header: [String: String]
    /// What it is about, for people.
    public let subject: String?
    /// The text; empty when it was withdrawn.
    public let body: String
    /// What the sender wants to be found again by answers.
    public let correlation: String?
    /// Files that lie elsewhere.
    public let attachments: [Attachment]?
    /// `sent`, `delivered` or `read`, in lists.
    public let state: String?
    /// When it was given its present text.
    public let edited: Date?
    /// When it was taken back.
    public let withdrawn: Date?
}

/// A conversation as it stands in the list.
public struct ConversationSummary: Sendable, Hashable, Decodable {
    /// Whom it is with.
    public let peer: ConversationPeer
    /// What people call the peer.
    public let name: String
    /// The newest entry; nil where it is kept no longer.
    public let last: HistoryEntry?
    /// How much of the peer's is not read, up to 1000.
    public let unread: Int
    /// Up to which number the own side has read.
    public let read: Int64
    /// Up to which number the peer has read.
    public let peerRead: Int64
    /// Up to which number something of the peer's has received it.
    public let peerDelivered: Int64
}

/// A part of a conversation's history, oldest first.
public struct ConversationHistory: Sendable, Hashable, Decodable {
    /// Whom it is with.
    public let peer: ConversationPeer
    /// The entries.
    public let items: [HistoryEntry]
    /// The number to go on with, the same way; nil at the end.
    public let next: String?
    /// How much of the peer's is not read, up to 1000.
    public let unread: Int
    /// Up to which number the own side has read.
    public let read: Int64
    /// Up to which number the peer has read.
    public let peerRead: Int64
    /// Up to which number something of the peer's has received it.
    public let peerDelivered: Int64
}

/// What somebody does at the keyboard.
public enum TypingState: String, Sendable, Hashable, Codable {
    /// Writes something.
    case composing
    /// Has stopped.
    case paused
}

/// What happened in a conversation besides messages for this side.
public struct ConversationEvent: Sendable, Hashable, Decodable {
    /// Whom the conversation is with.
    public let peer: ConversationPeer
    /// An own message from any device, or an entry that was edited or withdrawn: as it is now.
    public let entry: HistoryEntry?
    /// One side has read further.
    public let mark: Mark?
    /// The peer is writing, or has stopped.
    public let typing: Typing?

    /// How far one side has read.
    public struct Mark: Sendable, Hashable, Decodable {
        /// Which side.
        public let by: ConversationPeer
        /// Everything up to this number.
        public let read: Int64
        /// When.
        public let at: Date
    }

    /// What the peer does.
    public struct Typing: Sendable, Hashable, Decodable {
        /// What it is.
        public let state: TypingState
        /// After so many seconds without news it is over.
        public let seconds: Int
    }
}
