internal import Base
internal import Gateway
internal import MonitorTools

/// A message with the user's own flags (https://zulip.com/api/get-messages).
struct ZulipMessage: Sendable {
    let id: Int64
    let senderID: Int64
    let sender: String?
    let address: String?
    /// Nil for a direct message.
    let channel: Int64?
    /// What is read together: a topic of a channel, or the people of a direct conversation.
    let conversation: String
    /// A channel and its topic, for display.
    let place: String?
    let text: String
    /// Seconds since 1970.
    let time: Int64
    let isRead: Bool
    /// The user is named, by name, with everybody, or by an alert word.
    let isMention: Bool

    /// - Parameter flags: of the event that brought the message; a fetched one has them itself.
    init?(_ json: JSON, flags: JSON?) {
        guard let id = json["id"]?.integer, let senderID = json["sender_id"]?.integer else { return nil }
        (self.id, self.senderID) = (id, senderID)
        sender = json["sender_full_name"]?.string
        address = json["sender_email"]?.string.flatMap { ItemText.line($0, limit: ItemText.nameLimit) }
        channel = json["stream_id"]?.integer
        if let channel {
            let topic = json["subject"]?.string ?? ""
            conversation = "c\(channel)/\(topic)"
            let name = json["display_recipient"]?.string ?? ""
            place = topic.isEmpty ? name : "\(name) > \(topic)"
        } else {
            let people = (json["display_recipient"]?.array ?? []).compactMap { $0["id"]?.integer }.sorted()
            conversation = "d" + people.map(String.init).joined(separator: ",")
            place = nil
        }
        text = json["content"]?.string ?? ""
        time = json["timestamp"]?.integer ?? 0
        let flags = Set(((flags ?? json["flags"])?.array ?? []).compactMap(\.string))
        isRead = flags.contains("read")
        isMention = !flags.isDisjoint(with: Self.mentions)
    }

    /// `wildcard_mentioned` is what older servers have in place of the two after it.
    private static let mentions: Set<String> = [
        "mentioned", "wildcard_mentioned", "stream_wildcard_mentioned", "topic_wildcard_mentioned", "has_alert_word",
    ]
}

/// The channels whose every message rings, by the user's own settings
/// (https://zulip.com/api/get-subscriptions: `push_notifications`; null follows `enable_stream_push_notifications`).
struct ZulipChannels: Sendable {
    /// Channels kept; those beyond ring for mentions only.
    private static let limit = 1_000

    private var ringing: Set<Int64> = []
    private var isDefault = false

    init() {}

    init(_ json: JSON) {
        isDefault = json["user_settings"]?["enable_stream_push_notifications"]?.bool ?? false
        for subscription in json["subscriptions"]?.array ?? [] { take(subscription) }
    }

    func rings(_ channel: Int64) -> Bool { ringing.contains(channel) }

    private mutating func take(_ subscription: JSON) {
        guard let id = subscription["stream_id"]?.integer else { return }
        let isMuted = subscription["is_muted"]?.bool ?? false
        set(id, !isMuted && (subscription["push_notifications"]?.bool ?? isDefault))
    }

    private mutating func set(_ id: Int64, _ rings: Bool) {
        if !rings {
            ringing.remove(id)
        } else if ringing.count < Self.limit {
            ringing.insert(id)
        }
    }

    /// Takes a `subscription` event (https://zulip.com/api/get-events#subscription-add and those after it).
    mutating func take(event: JSON) {
        switch (event["op"]?.string, event["property"]?.string) {
        case ("add", _): for subscription in event["subscriptions"]?.array ?? [] { take(subscription) }
        case ("remove", _):
            for subscription in event["subscriptions"]?.array ?? [] {
                if let id = subscription["stream_id"]?.integer { set(id, false) }
            }
        case ("update", "push_notifications"):
            if let id = event["stream_id"]?.integer { set(id, event["value"]?.bool ?? isDefault) }
        case ("update", "is_muted"):
            if let id = event["stream_id"]?.integer, event["value"]?.bool == true { set(id, false) }
        default: break
        }
    }
}

/// A registered event queue.
struct ZulipQueue: Sendable {
    let id: String
    /// Whose queue this is.
    let user: Int64
    /// The last event taken in.
    var last: Int64
    var channels: ZulipChannels
}
