internal import Base
internal import Gateway

/// What of a `/sync` answer matters here
/// (https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3sync).
struct MatrixSync: Sendable {
    struct Event: Sendable {
        let id: String
        let type: String
        let sender: String
        /// Milliseconds, as the sender's server says.
        let time: Int64
        /// The text, where it can be read.
        let text: String?
    }

    struct Room: Sendable {
        let id: String
        /// What may ring: neither our own, nor edits, nor redacted.
        var events: [Event] = []
        /// The ids that redactions name.
        var redacted: [String] = []
        /// Events were left out before these.
        var isLimited = false
        /// The newest event of a timeline, whoever sent it.
        var newest: (id: String, time: Int64)?
        /// Unread notifications, by the user's push rules; nil where the server does not say.
        var unread: Int64?
        /// The user has read something, on whatever device.
        var hasOwnReceipt = false
        /// Display names of senders.
        var names: [String: String] = [:]
        /// The room's name, where it is told; empty where it has none any more.
        var name: String?
    }

    struct Invite: Sendable {
        let room: String
        let inviter: String?
        let inviterName: String?
        let roomName: String?
    }

    let next: String
    var rooms: [Room] = []
    var invites: [Invite] = []
    /// Rooms the user is no longer in.
    var left: [String] = []

    var isEmpty: Bool { rooms.isEmpty && invites.isEmpty && left.isEmpty }

    /// - Parameter user: the account's own id.
    /// - Throws: `MonitorFailure`.
    init(_ json: JSON, user: String) throws {
        guard let next = json["next_batch"]?.string, (1...MatrixCursor.tokenLimit).contains(next.utf8.count) else {
            throw MonitorFailure(.protocolViolation, "a sync answer without next_batch")
        }
        self.next = next
        rooms = (json["rooms"]?["join"]?.object?.members ?? []).map { Self.room($0.key, $0.value, user) }
        invites = (json["rooms"]?["invite"]?.object?.members ?? []).map { Self.invite($0.key, $0.value, user) }
        left = json["rooms"]?["leave"]?.object?.keys ?? []
    }

    private static func room(_ id: String, _ json: JSON, _ user: String) -> Room {
        var room = Room(id: id)
        let timeline = json["timeline"]?["events"]?.array ?? []
        for event in json["state"]?["events"]?.array ?? [] { room.takeState(event) }
        for event in timeline {
            if event["state_key"] != nil { room.takeState(event) }
            room.take(event, user)
        }
        room.isLimited = json["timeline"]?["limited"]?.bool ?? false
        room.unread = json["unread_notifications"]?["notification_count"]?.integer
        for event in json["ephemeral"]?["events"]?.array ?? [] where event["type"]?.string == "m.receipt" {
            // {event id: {"m.read" or "m.read.private": {user: …}}}
            let readers = (event["content"]?.object?.members ?? []).lazy.flatMap { $0.value.object?.members ?? [] }
            if readers.contains(where: { $0.value[user] != nil }) { room.hasOwnReceipt = true }
        }
        return room
    }

    private static func invite(_ id: String, _ json: JSON, _ user: String) -> Invite {
        let state = json["invite_state"]?["events"]?.array ?? []
        func event(_ type: String, _ key: String) -> JSON? {
            state.first { $0["type"]?.string == type && $0["state_key"]?.string == key }
        }
        let inviter = event("m.room.member", user)?["sender"]?.string
        return Invite(
            room: id, inviter: inviter,
            inviterName: inviter.flatMap { event("m.room.member", $0)?["content"]?["displayname"]?.string },
            roomName: event("m.room.name", "")?["content"]?["name"]?.string)
    }
}

extension MatrixSync.Room {
    fileprivate mutating func takeState(_ event: JSON) {
        switch event["type"]?.string {
        case "m.room.name": name = event["content"]?["name"]?.string ?? ""
        case "m.room.member":
            if let member = event["state_key"]?.string { names[member] = event["content"]?["displayname"]?.string }
        default: break
        }
    }

    fileprivate mutating func take(_ event: JSON, _ user: String) {
        guard let id = event["event_id"]?.string, let type = event["type"]?.string,
            let sender = event["sender"]?.string
        else { return }
        let time = event["origin_server_ts"]?.integer ?? 0
        newest = (id, time)
        if type == "m.room.redaction" {
            // Since room version 11 the id stands in the content.
            if let target = event["redacts"]?.string ?? event["content"]?["redacts"]?.string { redacted.append(target) }
            return
        }
        let content = event["content"]
        let isEdit = content?["m.relates_to"]?["rel_type"]?.string == "m.replace"
        let isRedacted = event["unsigned"]?["redacted_because"] != nil || (content?.object?.members ?? []).isEmpty
        guard sender != user, event["state_key"] == nil, !isEdit, !isRedacted else { return }
        events.append(
            MatrixSync.Event(
                id: id, type: type, sender: sender, time: time,
                // Nobody but the room's devices can read the text of an encrypted one.
                text: type == "m.room.encrypted" ? nil : content.flatMap(Self.text)))
    }

    /// A message's text, without the quotation that replies repeat
    /// (https://spec.matrix.org/v1.12/client-server-api/#fallbacks-for-rich-replies).
    private static func text(_ content: JSON) -> String? {
        guard let body = content["body"]?.string else { return nil }
        guard content["m.relates_to"]?["m.in_reply_to"] != nil, body.hasPrefix("> ") else { return body }
        let lines = body.split(separator: "\n", omittingEmptySubsequences: false).drop { $0.hasPrefix(">") }
        let text = lines.drop { $0.isEmpty }.joined(separator: "\n")
        return text.isEmpty ? body : text
    }
}
