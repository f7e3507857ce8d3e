internal import Base
internal import Gateway
internal import MonitorTools

/// Decides what posts and memberships mean, without network.
struct MattermostBook: PolledChatBook {
    /// How much later than its own time a post may be counted, in milliseconds: the server counts mentions after it
    /// has stored the post.
    static let slack: Int64 = 60_000
    /// Posts of one channel that ring one by one; more at once become one item.
    static let burst = 20
    private static let missed = "missed/"

    var cursor: MattermostCursor

    /// Since when the posts of a channel are asked for.
    var since: Int64 { max(cursor.baseline, cursor.handled - Self.slack) }

    /// Whether a channel may have posts that ring.
    /// - Parameter channel: nil where it is not known, because it need not be.
    func mayRing(
        _ member: MattermostMember, _ channel: MattermostChannel?, _ session: MattermostSession
    ) -> Bool {
        switch member.level(of: session) {
        case .none: false
        case .mention: member.mentions > 0 && member.updated > cursor.handled
        case .all:
            (member.mentions > 0 && member.updated > cursor.handled)
                || (channel.map { $0.lastPost > max(cursor.handled, member.viewed) } ?? false)
        }
    }

    /// The posts of a channel that ring, the oldest first.
    func ringing(
        _ posts: [MattermostPost], _ member: MattermostMember, _ channel: MattermostChannel,
        _ session: MattermostSession
    ) -> [MattermostPost] {
        let level = member.level(of: session)
        guard level != .none else { return [] }
        // What one item has told of is not told of one by one.
        let told = cursor.followed.entries.filter { $0.room == channel.id && $0.key.hasPrefix(Self.missed) }
        let start = max(since, member.viewed, told.map(\.order).max() ?? 0)
        let unread = posts.filter {
            !$0.isDeleted && !$0.isSystem && $0.user != session.user && $0.created > start
        }
        let news = unread.filter { !cursor.followed.contains($0.id) }
            .sorted { ($0.created, $0.id) < ($1.created, $1.id) }
        if channel.isDirect || level == .all { return news }
        // The server counts what we cannot see, such as mentions of a user group: where all count, all ring.
        if start == member.viewed, member.mentions >= unread.count { return news }
        return news.filter { $0.mentions(session, member) }
    }

    /// Items for posts that ring.
    /// - Parameter names: display names of users, by id.
    mutating func ring(
        _ posts: [MattermostPost], _ channel: MattermostChannel, names: [String: String]
    ) -> [MonitorBatch.Change] {
        guard let last = posts.last else { return [] }
        if posts.count > Self.burst {
            let key = Self.missed + last.id
            cursor.followed.follow(key, in: channel.id, order: last.created)
            return [
                .new(
                    Item(
                        key: key, threadKey: channel.id, sender: ItemText.sender(nil, room: channel.name),
                        title: "\(posts.count) new messages", time: Timestamp(milliseconds: last.created)))
            ]
        }
        return posts.map { post in
            cursor.followed.follow(post.id, in: channel.id, order: post.created)
            return .new(
                Item(
                    key: post.id, threadKey: channel.id,
                    sender: ItemText.sender(post.shownName ?? names[post.user], room: channel.name),
                    title: ItemText.line(post.text), time: Timestamp(milliseconds: post.created)))
        }
    }

    /// What the memberships say was read elsewhere, or left.
    mutating func settle(_ members: [MattermostMember]) -> [MonitorBatch.Change] {
        if cursor.followed.isEmpty { return [] }
        let viewed = Dictionary(members.map { ($0.channel, $0.viewed) }, uniquingKeysWith: max)
        let gone = cursor.followed.gone { viewed[$0.room] == nil }
        return gone + cursor.followed.seen { $0.order <= viewed[$0.room] ?? 0 }
    }

    /// What was deleted elsewhere.
    mutating func settle(_ posts: [MattermostPost]) -> [MonitorBatch.Change] {
        let deleted = Set(posts.filter(\.isDeleted).map(\.id))
        return deleted.isEmpty ? [] : cursor.followed.gone { deleted.contains($0.key) }
    }

    /// Everything up to here is taken in.
    mutating func advance(_ members: [MattermostMember], _ channels: [String: MattermostChannel]) {
        cursor.handled = Self.latest(members, channels, after: cursor.handled)
    }

    /// The latest time that memberships and channels tell of.
    static func latest(
        _ members: [MattermostMember], _ channels: [String: MattermostChannel], after start: Int64
    ) -> Int64 {
        max(start, members.map(\.updated).max() ?? 0, channels.values.map(\.lastPost).max() ?? 0)
    }
}
