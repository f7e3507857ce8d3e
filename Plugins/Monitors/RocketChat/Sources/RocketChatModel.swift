internal import Base
internal import Gateway
internal import MonitorTools

/// What a user wants to be told of on mobile devices, of all rooms or of one.
enum RocketChatLevel: String, Sendable { case all, mentions, nothing }

/// A logged-in user.
struct RocketChatSession: PolledChatSession {
    let token: Secret
    let user: String
    let level: RocketChatLevel

    /// - Parameter me: the user, as a login or `/api/v1/me` shows it.
    init(token: Secret, user: String, me: JSON?) {
        (self.token, self.user) = (token, user)
        let preferences = me?["settings"]?["preferences"]
        level = preferences?["pushNotifications"]?.string.flatMap(RocketChatLevel.init) ?? .mentions
    }
}

extension JSON {
    /// A time as Rocket.Chat's REST API writes it, in milliseconds.
    var milliseconds: Int64? { string.flatMap { Timestamp($0)?.milliseconds } }
}

/// A user's subscription to a room
/// (https://developer.rocket.chat/docs/subscriptions: the fields of the subscription object).
struct RocketChatRoom: Sendable {
    let id: String
    let isDirect: Bool
    /// Nil for direct ones.
    let name: String?
    let unread: Int64
    /// There is something unread, counted or not.
    let isAlerted: Bool
    /// Messages up to here are read.
    let seen: Int64
    let updated: Int64
    /// Nil for the user's own level.
    let level: RocketChatLevel?
    let isMuted: Bool
    let ignoresGroupMentions: Bool

    init?(_ json: JSON) {
        guard let id = json["rid"]?.string, let type = json["t"]?.string, let updated = json["_updatedAt"]?.milliseconds
        else { return nil }
        (self.id, self.updated, isDirect) = (id, updated, type == "d")
        let shown = json["fname"]?.string ?? json["name"]?.string
        name = isDirect ? nil : shown.flatMap { ItemText.line($0, limit: ItemText.nameLimit) }
        unread = json["unread"]?.integer ?? 0
        isAlerted = json["alert"]?.bool ?? false
        seen = json["ls"]?.milliseconds ?? 0
        level = json["mobilePushNotifications"]?.string.flatMap(RocketChatLevel.init)
        isMuted = (json["disableNotifications"]?.bool ?? false) || (json["archived"]?.bool ?? false)
        ignoresGroupMentions = json["muteGroupMentions"]?.bool ?? false
    }

    func level(of session: RocketChatSession) -> RocketChatLevel { isMuted ? .nothing : level ?? session.level }
}

struct RocketChatMessage: Sendable {
    let id: String
    let user: String
    let sender: String?
    let address: String?
    let time: Int64
    /// Of somebody who joined, a changed topic and the like.
    let isSystem: Bool
    /// Nil for an encrypted one.
    let text: String?
    /// The ids of those who are named, `all` and `here` among them.
    let mentions: [String]

    init?(_ json: JSON) {
        guard let id = json["_id"]?.string, let user = json["u"]?["_id"]?.string, let time = json["ts"]?.milliseconds
        else { return nil }
        (self.id, self.user, self.time) = (id, user, time)
        address = json["u"]?["username"]?.string.flatMap { ItemText.line($0, limit: ItemText.nameLimit) }
        sender = json["alias"]?.string ?? json["u"]?["name"]?.string ?? json["u"]?["username"]?.string
        // The type of encrypted messages is no event of a room.
        let type = json["t"]?.string
        isSystem = type != nil && type != "e2e"
        let attachment = json["attachments"]?[0]
        let words = [json["msg"], attachment?["description"], attachment?["text"], attachment?["title"]]
        text = type == "e2e" ? nil : words.compactMap { $0?.string }.first { !$0.isEmpty }
        mentions = (json["mentions"]?.array ?? []).compactMap { $0["_id"]?.string }
    }
}
