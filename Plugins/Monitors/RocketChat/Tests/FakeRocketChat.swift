import Base
import GatewayTestKit

/// A Rocket.Chat server with what a watcher needs of it. Alice is `alice`; times are milliseconds that grow with
/// everything that happens.
final class FakeRocketChat: Sendable {
    struct Room: Sendable {
        var type: String
        var name: String
        var unread: Int64 = 0
        var isAlerted = false
        var seen: Int64 = 0
        var updated: Int64 = 0
        var settings: JSONObject = [:]
        /// Alice may see it.
        var isOpen = true
    }
    struct Message: Sendable {
        var id: String
        var room: String
        var user: String
        var text: String
        var type: String?
        var mentions: [String]
        var time: Int64
        var updated: Int64
    }
    struct State: Sendable {
        var now: Int64 = 1_795_248_000_000
        var passwords = ["alice": "correct horse"]
        var tokens: Set<String> = []
        var logins = 0
        var logouts = 0
        var level: String?
        var rooms: [String: Room] = [:]
        var messages: [Message] = []
        var deleted: [(id: String, room: String, time: Int64)] = []

        mutating func tick() -> Int64 {
            now += 10
            return now
        }
    }

    let state = Locked(State())
    private let refused = Recorder<String>()
    let peer: ChatPeer

    init(identity: TestIdentity) throws {
        let (state, refused) = (state, refused)
        peer = try ChatPeer(
            name: "fake-rocketchat", identity: identity, refusals: refused,
            throttled: { seconds in
                let reset = SystemTime().timestamp.milliseconds + Int64(seconds) * 1000
                return ChatAnswer(
                    ["success": false, "error": "Error, too many requests. [error-too-many-requests]"], status: 429,
                    headers: ["X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "\(reset)"])
            },
            respond: { request in
                let answer: ChatAnswer = state.withLock { Self.answer(request, &$0) }
                if answer.status >= 400, answer.status != 401, answer.status != 403 {
                    refused.append("\(request.route) \(request.query)")
                }
                return answer
            })
    }

    var url: String { "https://localhost:\(peer.port)" }
    var refusals: [String] { refused.all }

    func addRoom(_ id: String, type: String = "d", name: String = "anna", settings: JSONObject = [:]) {
        state.withLock { state in
            let time = state.tick()
            state.rooms[id] = Room(type: type, name: name, updated: time, settings: settings)
        }
    }

    /// Sends a message, and counts it as the server does: direct ones and mentions.
    @discardableResult
    func send(
        _ text: String, to room: String, by user: String = "anna", type: String? = nil, mentions: [String] = []
    ) -> String {
        state.withLock { state in
            let time = state.tick()
            let id = "message\(state.messages.count)"
            state.messages.append(
                Message(
                    id: id, room: room, user: user, text: text, type: type, mentions: mentions, time: time,
                    updated: time))
            guard var changed = state.rooms[room], user != "alice" else { return id }
            if changed.type == "d" || !mentions.isEmpty { changed.unread += 1 }
            changed.isAlerted = true
            changed.updated = state.tick()
            state.rooms[room] = changed
            return id
        }
    }

    func edit(_ id: String, _ text: String) {
        state.withLock { state in
            let time = state.tick()
            guard let index = state.messages.firstIndex(where: { $0.id == id }) else { return }
            (state.messages[index].text, state.messages[index].updated) = (text, time)
        }
    }

    func delete(_ id: String) {
        state.withLock { state in
            let time = state.tick()
            guard let index = state.messages.firstIndex(where: { $0.id == id }) else { return }
            state.deleted.append((id, state.messages[index].room, time))
            state.messages.remove(at: index)
        }
    }

    func read(_ room: String) {
        state.withLock { state in
            let time = state.tick()
            guard var changed = state.rooms[room] else { return }
            (changed.unread, changed.isAlerted, changed.seen, changed.updated) = (0, false, time, time)
            state.rooms[room] = changed
        }
    }

    func room(of message: String) -> String? {
        state.withLock { state in state.messages.first { $0.id == message }?.room }
    }

    // MARK: Answers

    private static func answer(_ request: ChatRequest, _ state: inout State) -> ChatAnswer {
        if request.route == "POST /api/v1/login" { return logIn(request, &state) }
        guard let token = request.headers["X-Auth-Token"], state.tokens.contains(token),
            request.headers["X-User-Id"] == "alice"
        else {
            return ChatAnswer(["status": "error", "message": "You must be logged in to do this."], status: 401)
        }
        switch request.route {
        case "POST /api/v1/logout":
            state.tokens.remove(token)
            state.logouts += 1
            return ChatAnswer(["status": "success"])
        case "GET /api/v1/me": return ChatAnswer(me(state))
        case "GET /api/v1/subscriptions.get": return subscriptions(request, state)
        case "GET /api/v1/chat.syncMessages": return messages(request, state)
        default: return ChatAnswer(["success": false], status: 404)
        }
    }

    private static func me(_ state: State) -> JSON {
        var preferences = JSONObject()
        if let level = state.level { preferences["pushNotifications"] = .string(level) }
        return ["_id": "alice", "username": "alice", "settings": ["preferences": .object(preferences)]]
    }

    private static func logIn(_ request: ChatRequest, _ state: inout State) -> ChatAnswer {
        state.logins += 1
        guard let name = request.body["user"]?.string, let password = request.body["password"]?.string,
            state.passwords[name] == password
        else { return ChatAnswer(["status": "error", "error": 401, "message": "Unauthorized"], status: 401) }
        let token = "secret-token-\(state.logins)"
        state.tokens.insert(token)
        return ChatAnswer([
            "status": "success", "data": ["userId": "alice", "authToken": .string(token), "me": me(state)],
        ])
    }

    private static func text(_ time: Int64) -> JSON { .timestamp(Timestamp(milliseconds: time)) }

    private static func subscriptions(_ request: ChatRequest, _ state: State) -> ChatAnswer {
        var since = Int64.min
        if let text = request.query["updatedSince"] {
            guard let time = Timestamp(text) else { return ChatAnswer(["success": false], status: 400) }
            since = time.milliseconds
        }
        let rooms = state.rooms.filter { $0.value.isOpen && $0.value.updated > since }.sorted { $0.key < $1.key }
        return ChatAnswer([
            "success": true, "remove": [],
            "update": .array(
                rooms.map { id, room in
                    var json: JSONObject = [
                        "_id": .string("sub-\(id)"), "rid": .string(id), "t": .string(room.type),
                        "name": .string(room.name), "fname": .string(room.name), "unread": .integer(room.unread),
                        "alert": .bool(room.isAlerted), "ls": text(room.seen), "_updatedAt": text(room.updated),
                    ]
                    json.members += room.settings.members
                    return .object(json)
                }),
        ])
    }

    private static func messages(_ request: ChatRequest, _ state: State) -> ChatAnswer {
        guard let room = request.query["roomId"], let since = request.query["lastUpdate"].flatMap({ Timestamp($0) }),
            request.query.count == 2
        else { return ChatAnswer(["success": false], status: 400) }
        guard state.rooms[room]?.isOpen == true else {
            return ChatAnswer(["success": false, "errorType": "error-not-allowed"], status: 403)
        }
        let found = state.messages.filter { $0.room == room && $0.updated > since.milliseconds }
        let deleted = state.deleted.filter { $0.room == room && $0.time > since.milliseconds }
        return ChatAnswer([
            "success": true,
            "result": [
                "updated": .array(
                    found.map { message in
                        var json: JSONObject = [
                            "_id": .string(message.id), "rid": .string(room), "msg": .string(message.text),
                            "ts": text(message.time), "_updatedAt": text(message.updated),
                            "u": [
                                "_id": .string(message.user), "username": .string(message.user),
                                "name": message.user == "anna" ? "Anna Example" : .string(message.user),
                            ],
                            "mentions": .array(message.mentions.map { ["_id": .string($0), "username": .string($0)] }),
                        ]
                        if let type = message.type { json["t"] = .string(type) }
                        return .object(json)
                    }),
                "deleted": .array(deleted.map { ["_id": .string($0.id), "_deletedAt": text($0.time)] }),
            ],
        ])
    }
}
