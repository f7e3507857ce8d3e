internal import Base
internal import Gateway
internal import MonitorTools

/// What a user wants to be told of: `push` of the user's and `push` of a channel's notification settings
/// (https://docs.mattermost.com/api/reference/get-user).
enum MattermostLevel: String, Sendable { case all, mention, none }

/// A logged-in user.
struct MattermostSession: PolledChatSession {
    let token: Secret
    let user: String
    let level: MattermostLevel
    /// Whether `@channel`, `@all` and `@here` count as mentions.
    let wantsChannelMentions: Bool
    /// In lower case; a mention of the name among them.
    let words: [String]
    /// As it is written, or nil where it is no mention.
    let firstName: String?

    /// - Throws: `MonitorFailure`.
    init(token: Secret, _ user: JSON) throws {
        guard let id = user["id"]?.string, let name = user["username"]?.string else {
            throw MonitorFailure(.protocolViolation, "a user without id")
        }
        (self.token, self.user) = (token, id)
        let props = user["notify_props"]
        level = props?["push"]?.string.flatMap(MattermostLevel.init) ?? .mention
        wantsChannelMentions = props?["channel"]?.string != "false"
        let keys = (props?["mention_keys"]?.string ?? "").split(separator: ",").map { String($0).trimmingSpace }
        words = (keys + ["@\(name)"]).filter { !$0.isEmpty }.map { $0.lowercased() }
        let first = user["first_name"]?.string ?? ""
        firstName = props?["first_name"]?.string == "true" && !first.isEmpty ? first : nil
    }
}

/// A user's membership in a channel
/// (https://docs.mattermost.com/api/reference/get-channel-members-with-team-data-for-user).
struct MattermostMember: Sendable {
    let channel: String
    /// Posts up to here are read.
    let viewed: Int64
    /// Unread posts that concern the user, by the server's own rules: all of a direct conversation, else mentions.
    let mentions: Int64
    /// Changes with every mention and with every view.
    let updated: Int64
    /// Nil for the user's own level.
    let level: MattermostLevel?
    let isMuted: Bool
    let ignoresChannelMentions: Bool

    init?(_ json: JSON) {
        guard let channel = json["channel_id"]?.string else { return nil }
        self.channel = channel
        viewed = json["last_viewed_at"]?.integer ?? 0
        // Where threads are collapsed, replies are counted apart.
        mentions = max(json["mention_count"]?.integer ?? 0, json["mention_count_root"]?.integer ?? 0)
        updated = json["last_update_at"]?.integer ?? 0
        let props = json["notify_props"]
        level = props?["push"]?.string.flatMap(MattermostLevel.init)
        isMuted = props?["mark_unread"]?.string == "mention"
        ignoresChannelMentions = props?["ignore_channel_mentions"]?.string == "on"
    }

    func level(of session: MattermostSession) -> MattermostLevel { isMuted ? .none : level ?? session.level }
}

struct MattermostChannel: Sendable, Hashable {
    let id: String
    /// Between two people or in a group without a name: every post concerns the user.
    let isDirect: Bool
    /// Nil for direct ones.
    let name: String?
    let lastPost: Int64

    init?(_ json: JSON) {
        guard let id = json["id"]?.string, let type = json["type"]?.string else { return nil }
        (self.id, isDirect) = (id, type == "D" || type == "G")
        name = isDirect ? nil : json["display_name"]?.string.flatMap { ItemText.line($0, limit: ItemText.nameLimit) }
        lastPost = json["last_post_at"]?.integer ?? 0
    }
}

struct MattermostPost: Sendable {
    let id: String
    let channel: String
    let user: String
    let created: Int64
    let isDeleted: Bool
    /// Of somebody who joined, a changed header and the like.
    let isSystem: Bool
    let text: String
    /// The name that an integration posts under.
    let shownName: String?

    init?(_ json: JSON) {
        guard let id = json["id"]?.string, let channel = json["channel_id"]?.string,
            let user = json["user_id"]?.string, let created = json["create_at"]?.integer
        else { return nil }
        (self.id, self.channel, self.user, self.created) = (id, channel, user, created)
        isDeleted = (json["delete_at"]?.integer ?? 0) > 0
        isSystem = json["type"]?.string?.hasPrefix("system_") ?? false
        let message = json["message"]?.string ?? ""
        text = message.isEmpty ? json["props"]?["attachments"]?[0]?["fallback"]?.string ?? "" : message
        shownName = json["props"]?["override_username"]?.string
    }

    /// Whether the text names the user, by the user's own rules
    /// (https://docs.mattermost.com/end-user-guide/collaborate/mention-people.html).
    func mentions(_ session: MattermostSession, _ member: MattermostMember) -> Bool {
        let words = text.split { character in
            !(character.isLetter || character.isNumber || character == "@" || character == "_" || character == "-"
                || character == ".")
        }
        for word in words {
            // A name may be followed by the end of a sentence.
            var word = word
            while word.last == "." || word.last == "-" { word.removeLast() }
            if word == (session.firstName ?? "") { return true }
            let lower = word.lowercased()
            if session.words.contains(lower) { return true }
            if session.wantsChannelMentions, !member.ignoresChannelMentions,
                lower == "@channel" || lower == "@all" || lower == "@here"
            {
                return true
            }
        }
        return false
    }
}
