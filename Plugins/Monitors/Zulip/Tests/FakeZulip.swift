import Base
import GatewayTestKit

/// A Zulip server with what a watcher needs of it. The account is number 10. A call for events that hangs is answered
/// with a heartbeat at its end, whatever comes in between.
final class FakeZulip: Sendable {
    struct Message: Sendable {
        var id: Int64
        var sender: Int64
        /// Nil for a direct message.
        var channel: Int64?
        var topic = ""
        var text: String
        var flags: Set<String>
        var time: Int64
    }
    struct Queue: Sendable {
        var next: Int64 = 0
        var pruned: Int64 = -1
        var events: [JSONObject] = []
    }
    struct State: Sendable {
        var keys = ["alice@example.org": "correct-horse"]
        var refusedLogins = 0
        var messages: [Message] = []
        var nextMessage: Int64 = 100
        var queues: [String: Queue] = [:]
        var registrations = 0
        /// Settings of channels: null, true or false.
        var subscriptions: [Int64: JSON] = [:]
        var channelDefault = false
    }

    static let heartbeat = Duration.milliseconds(40)

    let state = Locked(State())
    private let refused = Recorder<String>()
    let peer: ChatPeer

    init(identity: TestIdentity) throws {
        let (state, refused) = (state, refused)
        peer = try ChatPeer(
            name: "fake-zulip", identity: identity, refusals: refused,
            throttled: { seconds in
                ChatAnswer(
                    ["result": "error", "code": "RATE_LIMIT_HIT", "retry-after": .number(Double(seconds) - 0.5)],
                    status: 429)
            },
            respond: { request in
                let answer: ChatAnswer = state.withLock { Self.answer(request, &$0) }
                if answer.status >= 400, answer.status != 401, answer.body["code"]?.string != "BAD_EVENT_QUEUE_ID" {
                    refused.append("\(request.route) \(request.query) \(request.form)")
                }
                return answer
            })
    }

    var url: String { "https://localhost:\(peer.port)" }
    var refusals: [String] { refused.all }

    @discardableResult
    func send(
        _ text: String, channel: Int64? = nil, topic: String = "", from sender: Int64 = 11, flags: Set<String> = [],
        time: Int64 = 1_795_248_000
    ) -> Int64 {
        state.withLock { state in
            state.nextMessage += 1
            let message = Message(
                id: state.nextMessage, sender: sender, channel: channel, topic: topic, text: text, flags: flags,
                time: time)
            state.messages.append(message)
            Self.tell(
                ["type": "message", "flags": .strings(flags.sorted()), "message": Self.json(message, hasFlags: false)],
                &state)
            return message.id
        }
    }

    func read(_ ids: [Int64], all: Bool = false) {
        state.withLock { state in
            for index in state.messages.indices where all || ids.contains(state.messages[index].id) {
                state.messages[index].flags.insert("read")
            }
            Self.tell(
                [
                    "type": "update_message_flags", "op": "add", "operation": "add", "flag": "read",
                    "messages": .array(ids.map { .integer($0) }), "all": .bool(all),
                ], &state)
        }
    }

    func delete(_ ids: [Int64]) {
        state.withLock { state in
            state.messages.removeAll { ids.contains($0.id) }
            Self.tell(["type": "delete_message", "message_ids": .array(ids.map { .integer($0) })], &state)
        }
    }

    /// The queues are forgotten, as after ten minutes without a call.
    func forgetQueues() { state.withLock { $0.queues = [:] } }

    func tell(_ event: JSONObject) { state.withLock { Self.tell(event, &$0) } }

    private static func tell(_ event: JSONObject, _ state: inout State) {
        for id in state.queues.keys {
            var event = event
            event["id"] = .integer(state.queues[id]?.next ?? 0)
            state.queues[id]?.next += 1
            state.queues[id]?.events.append(event)
        }
    }

    // MARK: Answers

    private static func error(_ code: String, status: Int = 400) -> ChatAnswer {
        ChatAnswer(["result": "error", "msg": "no", "code": .string(code)], status: status)
    }

    private static func answer(_ request: ChatRequest, _ state: inout State) -> ChatAnswer {
        let header = request.headers["Authorization"] ?? ""
        let pair = header.hasPrefix("Basic ") ? [UInt8](base64: String(header.dropFirst(6))) ?? [] : []
        let parts = String(decoding: pair, as: UTF8.self).split(separator: ":", maxSplits: 1).map(String.init)
        guard parts.count == 2, state.keys[parts[0]] == parts[1] else {
            state.refusedLogins += 1
            return error("UNAUTHORIZED", status: 401)
        }
        switch request.route {
        case "GET /api/v1/users/me": return ChatAnswer(["result": "success", "user_id": 10])
        case "POST /api/v1/register": return register(request, &state)
        case "GET /api/v1/events": return events(request, &state)
        case "DELETE /api/v1/events":
            guard let id = request.query["queue_id"], state.queues.removeValue(forKey: id) != nil else {
                return error("BAD_EVENT_QUEUE_ID")
            }
            return ChatAnswer(["result": "success"])
        case "GET /api/v1/messages": return messages(request, state)
        default: return error("BAD_REQUEST", status: 404)
        }
    }

    private static func register(_ request: ChatRequest, _ state: inout State) -> ChatAnswer {
        let types = request.form["event_types"].flatMap { try? JSONParser.parse($0) }?.array ?? []
        guard types.count == 4, request.form["apply_markdown"] == "false", request.query.isEmpty else {
            return error("BAD_REQUEST")
        }
        state.registrations += 1
        let id = "queue-\(state.registrations)"
        state.queues[id] = Queue()
        return ChatAnswer([
            "result": "success", "queue_id": .string(id), "last_event_id": -1,
            "max_message_id": .integer(state.messages.last?.id ?? -1), "event_queue_longpoll_timeout_seconds": 90,
            "user_settings": ["enable_stream_push_notifications": .bool(state.channelDefault)],
            "subscriptions": .array(
                state.subscriptions.sorted { $0.key < $1.key }.map { id, push in
                    ["stream_id": .integer(id), "name": "general", "is_muted": false, "push_notifications": push]
                }),
        ])
    }

    private static func events(_ request: ChatRequest, _ state: inout State) -> ChatAnswer {
        guard let id = request.query["queue_id"], let last = request.query["last_event_id"].flatMap({ Int64($0) }),
            var queue = state.queues[id]
        else { return error("BAD_EVENT_QUEUE_ID") }
        guard last >= queue.pruned else { return error("BAD_REQUEST") }
        queue.pruned = last
        queue.events.removeAll { ($0["id"]?.integer ?? 0) <= last }
        var delay = Duration.zero
        var events = queue.events
        if events.isEmpty, request.query["dont_block"] != "true" {
            events = [["type": "heartbeat", "id": .integer(queue.next)]]
            queue.next += 1
            delay = heartbeat
        }
        state.queues[id] = queue
        return ChatAnswer(["result": "success", "events": .array(events.map { .object($0) })], delay: delay)
    }

    private static func messages(_ request: ChatRequest, _ state: State) -> ChatAnswer {
        let query = request.query
        guard let anchor = query["anchor"].flatMap({ Int64($0) }), query["num_before"] == "0",
            let count = query["num_after"].flatMap({ Int($0) }), count <= 5000,
            query["narrow"] == #"[{"operator":"is","operand":"unread"}]"#
        else { return error("BAD_REQUEST") }
        let found = state.messages.filter { message in
            !message.flags.contains("read") && message.sender != 10
                && (query["include_anchor"] == "false" ? message.id > anchor : message.id >= anchor)
        }
        return ChatAnswer([
            "result": "success", "found_newest": .bool(found.count <= count),
            "messages": .array(found.prefix(count).map { json($0, hasFlags: true) }),
        ])
    }

    private static func json(_ message: Message, hasFlags: Bool) -> JSON {
        let isAnna = message.sender == 11
        var json: JSONObject = [
            "id": .integer(message.id), "sender_id": .integer(message.sender), "content": .string(message.text),
            "sender_full_name": isAnna ? "Anna Example" : "Bob",
            "sender_email": isAnna ? "anna@example.org" : "bob@example.org", "timestamp": .integer(message.time),
            "type": message.channel == nil ? "private" : "stream", "subject": .string(message.topic),
            "display_recipient": message.channel == nil
                ? [["id": 10], ["id": .integer(message.sender)]] : "general",
        ]
        if let channel = message.channel { json["stream_id"] = .integer(channel) }
        if hasFlags { json["flags"] = .strings(message.flags.sorted()) }
        return .object(json)
    }
}
