internal import Base
internal import Gateway
internal import MonitorTools

/// Decides what messages and events mean, without network.
struct ZulipBook: Sendable, Hashable {
    /// Messages of one conversation that ring one by one after an absence; more become one item.
    static let burst = 20

    var cursor: ZulipCursor
    /// What a queue was preceded by: its events of these messages are no news. Events may come in another order than
    /// their ids, so the newest of a queue is no such bound.
    private var floor: Int64 = 0

    /// - Parameter isBaseline: everything up to the cursor is known.
    init(cursor: ZulipCursor, isBaseline: Bool = false) {
        self.cursor = cursor
        if isBaseline { floor = cursor.newest }
    }

    private func rings(_ message: ZulipMessage, _ channels: ZulipChannels, after floor: Int64) -> Bool {
        guard message.id > floor, message.senderID != cursor.user, !message.isRead else { return false }
        return message.isMention || message.channel.map { channels.rings($0) } ?? true
    }

    /// Takes the events of a queue in (https://zulip.com/api/get-events).
    mutating func take(_ events: [JSON], _ channels: inout ZulipChannels) -> [MonitorBatch.Change] {
        var changes: [MonitorBatch.Change] = []
        for event in events {
            switch event["type"]?.string {
            case "message":
                guard let json = event["message"], let message = ZulipMessage(json, flags: event["flags"]) else {
                    break
                }
                if rings(message, channels, after: floor) { changes.append(ring(message)) }
                cursor.newest = max(cursor.newest, message.id)
            case "update_message_flags":
                // Before version 4, "operation" stood for "op".
                let operation = event["op"]?.string ?? event["operation"]?.string
                guard event["flag"]?.string == "read", operation == "add" else { break }
                let isAll = event["all"]?.bool ?? false
                let ids = Self.ids(event["messages"])
                changes += cursor.followed.seen { isAll || ids.contains($0.order) }
            case "delete_message":
                let ids = Self.ids(event["message_ids"]).union([event["message_id"]?.integer].compactMap(\.self))
                changes += cursor.followed.gone { ids.contains($0.order) }
            case "subscription": channels.take(event: event)
            default: break
            }
        }
        return changes
    }

    private static func ids(_ json: JSON?) -> Set<Int64> { Set((json?.array ?? []).compactMap(\.integer)) }

    // MARK: After an absence

    /// From which message on the unread ones are asked for: those that were announced, too, whether they still are.
    var anchor: Int64 { min(cursor.newest, cursor.followed.entries.map(\.order).min() ?? .max) }

    /// Takes in what is unread since `anchor`.
    /// - Parameters:
    ///   - isComplete: there are no more unread messages than these.
    ///   - newest: the newest message there was when the queue was registered.
    mutating func catchUp(
        _ unread: [ZulipMessage], isComplete: Bool, newest: Int64, _ channels: ZulipChannels
    ) -> [MonitorBatch.Change] {
        let ids = Set(unread.map(\.id))
        let end = isComplete ? Int64.max : unread.last?.id ?? 0
        // Read or deleted while nobody looked: both end the notification.
        var changes = cursor.followed.seen { $0.order <= end && !ids.contains($0.order) }
        let ringing = unread.filter { rings($0, channels, after: cursor.newest) }
        let groups = Dictionary(grouping: ringing, by: \.conversation)
        for message in ringing {
            let group = groups[message.conversation] ?? []
            if group.count <= Self.burst {
                changes.append(ring(message))
            } else if message.id == group.last?.id {
                changes.append(summary(group, message))
            }
        }
        cursor.newest = max(cursor.newest, newest, unread.last?.id ?? 0)
        floor = cursor.newest
        return changes
    }

    // MARK: Items

    private mutating func ring(_ message: ZulipMessage) -> MonitorBatch.Change {
        let key = String(message.id)
        cursor.followed.follow(key, in: message.conversation, order: message.id)
        return .new(
            Item(
                key: key, threadKey: message.conversation,
                sender: ItemText.sender(message.sender, room: message.place), senderAddress: message.address,
                title: ItemText.line(message.text), time: Timestamp(seconds: message.time)))
    }

    private mutating func summary(_ group: [ZulipMessage], _ last: ZulipMessage) -> MonitorBatch.Change {
        let key = "missed/\(last.id)"
        cursor.followed.follow(key, in: last.conversation, order: last.id)
        return .new(
            Item(
                key: key, threadKey: last.conversation, sender: ItemText.sender(nil, room: last.place) ?? last.sender,
                title: "\(group.count) new messages", time: Timestamp(seconds: last.time)))
    }
}
