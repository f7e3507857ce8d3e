internal import Base
internal import Gateway
internal import MonitorTools

/// A notification as the server evaluated it by the user's push rules
/// (https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3notifications).
struct MatrixNotification: Sendable, Hashable {
    let event: String
    let room: String
    /// Milliseconds, as the user's own server received the event.
    let time: Int64
    let isRead: Bool
    let isHighlight: Bool
}

/// Decides what a sync means, without network: what rings, what was read and what is gone.
struct MatrixBook: Sendable {
    var cursor: MatrixCursor

    /// Whether the evaluated notifications are needed to judge a sync.
    func needsNotifications(_ sync: MatrixSync) -> Bool {
        sync.rooms.contains { mayRing($0) || isPartlyRead($0) }
    }

    /// The events whose notifications are looked for.
    func candidates(_ sync: MatrixSync) -> Set<String> {
        Set(sync.rooms.filter { mayRing($0) && !$0.isLimited }.flatMap { $0.events.map(\.id) })
    }

    /// Without unread notifications nothing can ring: most events of most rooms end here.
    private func mayRing(_ room: MatrixSync.Room) -> Bool {
        (room.unread ?? 1) > 0 && (!room.events.isEmpty || room.isLimited)
    }

    private func isPartlyRead(_ room: MatrixSync.Room) -> Bool {
        room.hasOwnReceipt && (room.unread ?? 1) > 0 && cursor.followed.entries.contains { $0.room == room.id }
    }

    /// Takes a sync in and says what changed.
    /// - Parameters:
    ///   - notifications: what the server says of unread events; empty where it was not needed, nil where it does not
    ///     tell: then its counts have to do.
    ///   - isComplete: there are no more of them that could matter.
    ///   - names: of the rooms that ring; those without one are missing.
    mutating func take(
        _ sync: MatrixSync, _ notifications: [MatrixNotification]?, isComplete: Bool = true, names: [String: String]
    ) -> [MonitorBatch.Change] {
        var changes: [MonitorBatch.Change] = []
        let isTold = notifications != nil
        let notifications = notifications ?? []
        let byEvent = Dictionary(notifications.map { ($0.event, $0) }, uniquingKeysWith: { first, _ in first })
        for room in sync.rooms {
            // First: a redaction may take the last unread notification away.
            for id in room.redacted { changes += cursor.followed.gone { $0.key == id } }
            if room.unread == 0 { changes += cursor.followed.seen { $0.room == room.id } }
            if isPartlyRead(room) {
                changes += cursor.followed.seen { $0.room == room.id && byEvent[$0.key]?.isRead == true }
            }
            changes += cursor.followed.seen { $0.key.hasPrefix(Self.invitePrefix(room.id)) }
            guard mayRing(room) else { continue }
            if !isTold {
                changes += guess(room, names[room.id])
            } else if room.isLimited {
                let missed = notifications.filter { $0.room == room.id && !$0.isRead && $0.time > cursor.handled }
                changes += summary(room, missed.count, names[room.id])
            } else if !isComplete, !room.events.contains(where: { byEvent[$0.id] != nil }) {
                changes += summary(room, Int(clamping: room.unread ?? 1), names[room.id])
            } else {
                changes += room.events.compactMap { event in
                    guard let found = byEvent[event.id], !found.isRead else { return nil }
                    return ring(event, room, isHighlight: found.isHighlight, names[room.id])
                }
            }
        }
        changes += sync.invites.map { ring($0) }
        for room in sync.left { changes += cursor.followed.gone { $0.room == room } }
        cursor.handled = max(cursor.handled, notifications.map(\.time).max() ?? 0)
        cursor.since = sync.next
        return changes
    }

    /// Without the server's word the latest ring, as many as it counts.
    private mutating func guess(_ room: MatrixSync.Room, _ name: String?) -> [MonitorBatch.Change] {
        let count = Int(clamping: room.unread ?? Int64(room.events.count))
        if room.isLimited { return summary(room, count, name) }
        return room.events.suffix(count).map { ring($0, room, isHighlight: false, name) }
    }

    /// The rooms whose names a sync's items will show.
    func ringing(_ sync: MatrixSync, _ notifications: [MatrixNotification]?) -> [MatrixSync.Room] {
        guard let notifications else { return sync.rooms.filter { mayRing($0) } }
        let rooms = Set(notifications.filter { !$0.isRead }.map(\.room))
        return sync.rooms.filter { mayRing($0) && rooms.contains($0.id) }
    }

    private mutating func ring(
        _ event: MatrixSync.Event, _ room: MatrixSync.Room, isHighlight: Bool, _ name: String?
    ) -> MonitorBatch.Change {
        cursor.followed.follow(event.id, in: room.id, order: event.time)
        var item = Item(
            key: event.id, threadKey: room.id,
            sender: ItemText.sender(room.names[event.sender] ?? Self.localpart(event.sender), room: name),
            senderAddress: ItemText.line(event.sender, limit: ItemText.nameLimit),
            title: event.text.flatMap { ItemText.line($0) }, time: Timestamp(milliseconds: event.time))
        if isHighlight { item.priority = .high }
        return .new(item)
    }

    /// One item for all that was missed in a room: nobody wants the whole night again.
    private mutating func summary(
        _ room: MatrixSync.Room, _ count: Int, _ name: String?
    ) -> [MonitorBatch.Change] {
        guard count > 0, let newest = room.newest else { return [] }
        let key = "missed/\(newest.id)"
        cursor.followed.follow(key, in: room.id, order: newest.time)
        let item = Item(
            key: key, threadKey: room.id, sender: name.flatMap { ItemText.line($0, limit: ItemText.nameLimit) },
            title: count == 1 ? "1 new message" : "\(count) new messages",
            time: Timestamp(milliseconds: newest.time))
        return [.new(item)]
    }

    private mutating func ring(_ invite: MatrixSync.Invite) -> MonitorBatch.Change {
        // The sync's token tells a second invitation to the same room from the first one.
        let key = Self.invitePrefix(invite.room) + String(Hash.of(cursor.since), radix: 36)
        cursor.followed.follow(key, in: invite.room, order: 0)
        let room = invite.roomName.flatMap { ItemText.line($0, limit: ItemText.nameLimit) }
        return .new(
            Item(
                key: key, threadKey: invite.room,
                sender: ItemText.sender(invite.inviterName ?? invite.inviter.map(Self.localpart), room: nil),
                senderAddress: invite.inviter.flatMap { ItemText.line($0, limit: ItemText.nameLimit) },
                title: room.map { "Invitation to \($0)" } ?? "Invitation"))
    }

    private static func invitePrefix(_ room: String) -> String { "invite/\(room)/" }

    /// `anna` of `@anna:example.org`.
    private static func localpart(_ user: String) -> String {
        String(user.drop { $0 == "@" }.prefix { $0 != ":" })
    }
}

/// FNV-1a, 64 bits: stable from run to run, unlike `Hasher`.
enum Hash {
    static func of(_ text: String) -> UInt64 {
        text.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}
