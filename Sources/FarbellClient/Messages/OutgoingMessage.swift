public import Foundation

/// Which message of a queue comes first.
public enum MessagePriority: String, Sendable, Hashable, Codable {
    /// After everything else.
    case low
    /// As it comes.
    case normal
    /// Before everything else.
    case high
}

/// Whom a message is for.
public enum Recipient: Sendable, Hashable {
    /// An account: all its devices see the message, and it is done when one has read it.
    case account(String)
    /// One device, by its id.
    case device(String)
    /// All devices with this tag, each with a message of its own: those of the sender's account, or of all
    /// accounts where the sender is an application.
    case tag(String)
    /// An application.
    case app(String)
}

extension Recipient: Encodable {
    private enum Key: String, CodingKey {
        case account, device, tag, app
    }

    /// Writes the recipient as the gateway reads it.
    public func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: Key.self)
        switch self {
        case .account(let name): try object.encode(name, forKey: .account)
        case .device(let id): try object.encode(id, forKey: .device)
        case .tag(let tag): try object.encode(tag, forKey: .tag)
        case .app(let id): try object.encode(id, forKey: .app)
        }
    }
}

/// A message to be sent. Each has an id of its own from the start, so that sending the same value twice sends one
/// message (within ten minutes).
public struct OutgoingMessage: Sendable, Hashable {
    /// Whom an answer to a device's message goes to.
    public enum Origin: String, Sendable, Hashable, Encodable {
        /// The sender's account.
        case account
        /// The sending device.
        case device
    }

    /// What the sender hears of a message.
    public enum Receipts: String, Sendable, Hashable, Encodable {
        /// Nothing.
        case none
        /// How it ended, and that it was read.
        case final
        /// Every step.
        case all
    }

    /// Names the message for its sender, 1 to 128 bytes.
    public var id = UUID().uuidString.lowercased()
    /// The app it is about.
    public var app: String?
    /// At most 64 entries and 16 KiB.
    public var header: [String: String] = [:]
    /// At most 1024 bytes.
    public var subject: String?
    /// The text.
    public var body: String
    /// nil for normal.
    public var priority: MessagePriority?
    /// How long the message is of use; rounded up to whole seconds, at least one.
    public var timeToLive: Duration?
    /// Hides it until then.
    public var notBefore: Date?
    /// Messages of one group are received one after the other, in their order. At most 128 bytes.
    public var group: String?
    /// The message takes the place of an older one of the same sender with the same value. At most 64 bytes.
    public var collapse: String?
    /// Comes back with receipts and answers. At most 128 bytes.
    public var correlation: String?
    /// For devices: who the sender is to the recipient. nil for what suits the recipient.
    public var from: Origin?
    /// nil for `final` from devices and `none` from applications.
    public var receipts: Receipts?
    /// At most 10 files that lie elsewhere.
    public var attachments: [Attachment] = []

    /// A message with a text.
    public init(_ body: String, subject: String? = nil) { (self.body, self.subject) = (body, subject) }
}

extension OutgoingMessage: Encodable {
    private enum Key: String, CodingKey {
        case id, app, header, subject, body, priority, ttlSeconds, notBefore, group, collapse, correlation, from
        case receipts, attachments
    }

    /// Writes the message as the gateway reads it.
    public func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: Key.self)
        try object.encode(id, forKey: .id)
        try object.encodeIfPresent(app, forKey: .app)
        if !header.isEmpty { try object.encode(header, forKey: .header) }
        try object.encodeIfPresent(subject, forKey: .subject)
        try object.encode(body, forKey: .body)
        try object.encodeIfPresent(priority, forKey: .priority)
        try object.encodeIfPresent(timeToLive?.wholeSecondsUp, forKey: .ttlSeconds)
        try object.encodeIfPresent(notBefore, forKey: .notBefore)
        try object.encodeIfPresent(group, forKey: .group)
        try object.encodeIfPresent(collapse, forKey: .collapse)
        try object.encodeIfPresent(correlation, forKey: .correlation)
        try object.encodeIfPresent(from, forKey: .from)
        try object.encodeIfPresent(receipts, forKey: .receipts)
        if !attachments.isEmpty { try object.encode(attachments, forKey: .attachments) }
    }
}

/// A message the gateway has accepted and stored.
public struct SentMessage: Sendable, Hashable, Decodable, Identifiable {
    /// Its id in the gateway: what `trace` and receipts name it by.
    public let id: String
    /// Whose queue it lies in.
    public let to: String
    /// Its number there.
    public let seq: Int64
    /// `held`, `forwarded` or `notified`; later states too where the message was sent before.
    public let state: MessageState
}
