public import Foundation

/// The state of a message. States that are added later are passed on as they are.
public struct MessageState: RawRepresentable, Sendable, Hashable, Codable, ExpressibleByStringLiteral {
    /// The word as the gateway writes it.
    public let rawValue: String

    /// Takes any word.
    public init(rawValue: String) { self.rawValue = rawValue }
    /// Takes any word.
    public init(stringLiteral value: String) { rawValue = value }
    /// Reads the word.
    public init(from decoder: any Decoder) throws { rawValue = try decoder.singleValueContainer().decode(String.self) }
    /// Writes the word.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }

    /// It waits for its time.
    public static let scheduled: MessageState = "scheduled"
    /// It can be received.
    public static let ready: MessageState = "ready"
    /// A consumer has it.
    public static let locked: MessageState = "locked"
    /// It was put aside, to be received by its id.
    public static let deferred: MessageState = "deferred"
    /// A consumer has completed it, or its device has acknowledged it.
    public static let done: MessageState = "done"
    /// It cannot be delivered and waits for somebody to look at it.
    public static let dead: MessageState = "dead"
    /// Its time to live is over.
    public static let expired: MessageState = "expired"
    /// Accepted: it waits for its recipient to connect.
    public static let held: MessageState = "held"
    /// Accepted and passed on to a connected recipient.
    public static let forwarded: MessageState = "forwarded"
    /// Accepted; the recipient was notified.
    public static let notified: MessageState = "notified"
    /// The recipient has it.
    public static let delivered: MessageState = "delivered"
    /// The recipient has read it.
    public static let read: MessageState = "read"
}

/// A message as it lies in its queue: an envelope with headers, and the body in it (PL-3, PL-10). The message
/// itself stays with the gateway.
public struct MessageView: Sendable, Hashable, Identifiable {
    /// The message's id, unique in the gateway.
    public let id: String
    /// Its number in its queue.
    public let seq: Int64
    /// The queue's address, such as `app/oa`, where the gateway tells it.
    public let queue: String?
    /// The app it is about.
    public let app: String?
    /// What the sender wrote beside the body.
    public let header: [String: String]
    /// What it is about, for people.
    public let subject: String?
    /// The text.
    public let body: String
    /// Who sent it: `account/alice`, `device/dev_…` or `app/oa`.
    public let sender: String
    /// When it was accepted.
    public let enqueued: Date
    /// What the sender wants to be found again by answers.
    public let correlation: String?
    /// Its state, in lists.
    public let state: MessageState?
    /// Its priority, in lists.
    public let priority: MessagePriority?
    /// When it ends, in lists.
    public let expires: Date?
    /// Files that lie elsewhere.
    public let attachments: [Attachment]
    /// Its number in the conversation with its sender, where that is remembered.
    public let entry: Int64?
}

extension MessageView: Decodable {
    private enum Key: String, CodingKey {
        case id, seq, queue, app, header, subject, body, sender, enqueued, correlation, state, priority, expires
        case attachments, entry
    }

    /// Reads a message.
    public init(from decoder: any Decoder) throws {
        let object = try decoder.container(keyedBy: Key.self)
        id = try object.decode(String.self, forKey: .id)
        seq = try object.decode(Int64.self, forKey: .seq)
        queue = try object.decodeIfPresent(String.self, forKey: .queue)
        app = try object.decodeIfPresent(String.self, forKey: .app)
        header = try object.decodeIfPresent([String: String].self, forKey: .header) ?? [:]
        subject = try object.decodeIfPresent(String.self, forKey: .subject)
        // A receipt in an application's queue has none.
        body = try object.decodeIfPresent(String.self, forKey: .body) ?? ""
        sender = try object.decode(String.self, forKey: .sender)
        enqueued = try object.decode(Date.self, forKey: .enqueued)
        correlation = try object.decodeIfPresent(String.self, forKey: .correlation)
        state = try object.decodeIfPresent(MessageState.self, forKey: .state)
        priority = try object.decodeIfPresent(String.self, forKey: .priority).flatMap { MessagePriority(rawValue: $0) }
        expires = try object.decodeIfPresent(Date.self, forKey: .expires)
        attachments = try object.decodeIfPresent([Attachment].self, forKey: .attachments) ?? []
        entry = try object.decodeIfPresent(Int64.self, forKey: .entry)
    }
}

/// One page of a list.
public struct Page<Item: Sendable>: Sendable {
    /// The items, in the list's order.
    public let items: [Item]
    /// What to give as `after` for the next page; nil when this is the last.
    public let next: String?
}

extension Page: Decodable where Item: Decodable {}
