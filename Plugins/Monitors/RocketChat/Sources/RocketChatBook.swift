internal import Base
internal import Gateway
internal import MonitorTools

/// Decides what subscriptions and messages mean, without network.
struct RocketChatBook: PolledChatBook {
    /// How much later than its message a subscription may change, and how much the clocks of a server's processes may
    /// differ, in milliseconds.
    static let slack: Int64 = 60_000, overlap: Int64 = 5_000
    /// Messages of one room that ring one by one; more at once become one item.
    static let burst = 20
    private static let missed = "missed/"

    var cursor: RocketChatCursor
    /// Subscriptions already taken in that the next answer repeats, with the time of their change. Not stored.
    private var repeated: [String: Int64] = [:]

    init(cursor: RocketChatCursor) { self.cursor = cursor }

    /// Since when changed subscriptions are asked for.
    var updatedSince: Int64 { cursor.since - Self.overlap }
    /// Since when the messages of a room are asked for.
    var messagesSince: Int64 { max(cursor.baseline, cursor.since - Self.slack) }

    /// The subscriptions that are news, of those that were answered.
    func news(_ rooms: [RocketChatRoom]) -> [RocketChatRoom] { rooms.filter { repeated[$0.id] != $0.updated } }

    func mayRing(_ room: RocketChatRoom, _ session: RocketChatSession) -> Bool {
        switch room.level(of: session) {
        case .nothing: false
        // The server counts only what concerns the user, and alerts for the rest.
        case .mentions: room.unread > 0 || (room.isDirect && room.isAlerted)
        case .all: room.unread > 0 || room.isAlerted
        }
    }

    /// The messages of a room that ring, the oldest first.
    func ringing(
        _ messages: [RocketChatMessage], _ room: RocketChatRoom, _ session: RocketChatSession
    ) -> [RocketChatMessage] {
        // What one item has told of is not told of one by one.
        let told = cursor.followed.entries.filter { $0.room == room.id && $0.key.hasPrefix(Self.missed) }
        let start = max(messagesSince, room.seen, told.map(\.order).max() ?? 0)
        let news = messages.filter {
            !$0.isSystem && $0.user != session.user && $0.time > start && !cursor.followed.contains($0.id)
        }.sorted { ($0.time, $0.id) < ($1.time, $1.id) }
        if room.isDirect || room.level(of: session) == .all { return news }
        return news.filter { message in
            message.mentions.contains(session.user)
                || (!room.ignoresGroupMentions && message.mentions.contains { $0 == "all" || $0 == "here" })
        }
    }

    mutating func ring(_ messages: [RocketChatMessage], _ room: RocketChatRoom) -> [MonitorBatch.Change] {
        guard let last = messages.last else { return [] }
        if messages.count > Self.burst {
            let key = Self.missed + last.id
            cursor.followed.follow(key, in: room.id, order: last.time)
            let sender = ItemText.sender(room.isDirect ? last.sender : nil, room: room.name)
            return [
                .new(
                    Item(
                        key: key, threadKey: room.id, sender: sender, title: "\(messages.count) new messages",
                        time: Timestamp(milliseconds: last.time)))
            ]
        }
        return messages.map { message in
            cursor.followed.follow(message.id, in: room.id, order: message.time)
            return .new(
                Item(
                    key: message.id, threadKey: room.id, sender: ItemText.sender(message.sender, room: room.name),
                    senderAddress: message.address, title: message.text.flatMap { ItemText.line($0) },
                    time: Timestamp(milliseconds: message.time)))
        }
    }

    /// What a subscription says was read elsewhere.
    mutating func settle(_ room: RocketChatRoom) -> [MonitorBatch.Change] {
        cursor.followed.isEmpty ? [] : cursor.followed.seen { $0.room == room.id && $0.order <= room.seen }
    }

    /// What was deleted elsewhere.
    mutating func settle(deleted ids: Set<String>) -> [MonitorBatch.Change] {
        ids.isEmpty ? [] : cursor.followed.gone { ids.contains($0.key) }
    }

    /// The user may not see a room any more.
    mutating func leave(_ room: String) -> [MonitorBatch.Change] { cursor.followed.gone { $0.room == room } }

    /// Everything up to here is taken in.
    mutating func advance(_ rooms: [RocketChatRoom]) {
        cursor.since = max(cursor.since, rooms.map(\.updated).max() ?? 0)
        for room in rooms { repeated[room.id] = room.updated }
        repeated = repeated.filter { $0.value >= updatedSince }
    }
}
