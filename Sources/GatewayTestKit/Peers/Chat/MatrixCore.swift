internal import Base

/// Answers a `FakeMatrix`'s requests.
final class MatrixCore: Sendable {
    let state: Locked<MatrixState>
    let refusals = Recorder<String>()

    init(users: [String: String]) { state = Locked(MatrixState(users: users)) }

    func respond(_ request: ChatRequest) -> ChatAnswer {
        let answer: ChatAnswer = state.withLock { self.answer(request, &$0) }
        if answer.status == 400 || answer.status == 404 || answer.status == 405, answer.body["quiet"] == nil {
            refusals.append("\(request.route) \(request.query.keys.sorted()): \(answer.body.serialized)")
        }
        return answer
    }

    private static func error(_ status: Int, _ code: String, _ text: String, isExpected: Bool = false) -> ChatAnswer {
        var body: JSONObject = ["errcode": .string(code), "error": .string(text)]
        if isExpected { body["quiet"] = true }
        return ChatAnswer(.object(body), status: status)
    }

    private func answer(_ request: ChatRequest, _ state: inout MatrixState) -> ChatAnswer {
        guard request.path.prefix(3) == ["_matrix", "client", "v3"] else {
            return Self.error(404, "M_UNRECOGNIZED", "Unrecognized request")
        }
        let rest = Array(request.path.dropFirst(3))
        if request.method == "POST", rest == ["login"] { return logIn(request, &state) }
        guard let header = request.headers["Authorization"], header.hasPrefix("Bearer ") else {
            return Self.error(401, "M_MISSING_TOKEN", "Missing access token")
        }
        let token = String(header.dropFirst(7))
        guard let user = state.tokens[token]?.user else {
            let isSoft = state.ended[token] ?? false
            return ChatAnswer(
                ["errcode": "M_UNKNOWN_TOKEN", "error": "Unknown token", "soft_logout": .bool(isSoft)], status: 401)
        }
        switch (request.method, rest.first ?? "", rest.count) {
        case ("GET", "account", 2) where rest[1] == "whoami": return ChatAnswer(["user_id": .string(user)])
        case ("POST", "user", 3) where rest[2] == "filter": return addFilter(rest[1], user, request, &state)
        case ("GET", "sync", 1): return sync(user, token, request, &state)
        case ("GET", "notifications", 1): return notifications(user, request, state)
        case ("GET", "rooms", 4) where rest[2] == "state" && rest[3] == "m.room.name":
            guard let name = state.names[rest[1]] else {
                return Self.error(404, "M_NOT_FOUND", "Event not found.", isExpected: true)
            }
            return ChatAnswer(["name": .string(name)])
        default: return Self.error(404, "M_UNRECOGNIZED", "Unrecognized request")
        }
    }

    private func logIn(_ request: ChatRequest, _ state: inout MatrixState) -> ChatAnswer {
        state.loginAttempts += 1
        let body = request.body
        guard body["type"]?.string == "m.login.password", body["identifier"]?["type"]?.string == "m.id.user",
            let name = body["identifier"]?["user"]?.string, let device = body["device_id"]?.string, !device.isEmpty
        else { return Self.error(400, "M_BAD_JSON", "not a password login") }
        guard let password = state.users[name], body["password"]?.string == password else {
            return Self.error(403, "M_FORBIDDEN", "Invalid username or password")
        }
        let user = "@\(name):\(FakeMatrix.serverName)"
        let token = state.makeToken(user: user, device: device)
        return ChatAnswer(["user_id": .string(user), "access_token": .string(token), "device_id": .string(device)])
    }

    private func addFilter(
        _ owner: String, _ user: String, _ request: ChatRequest, _ state: inout MatrixState
    ) -> ChatAnswer {
        guard owner == user else { return Self.error(403, "M_FORBIDDEN", "Cannot create filters for other users") }
        guard request.body["room"]?["timeline"]?["limit"]?.integer != nil else {
            return Self.error(400, "M_BAD_JSON", "no filter")
        }
        let id = "\(state.filters.count)"
        state.filters["\(user) \(id)"] = request.body
        return ChatAnswer(["filter_id": .string(id)])
    }

    // MARK: Sync

    private func sync(
        _ user: String, _ token: String, _ request: ChatRequest, _ state: inout MatrixState
    ) -> ChatAnswer {
        let query = request.query
        guard Set(query.keys).isSubset(of: ["since", "timeout", "filter", "set_presence"]),
            let timeout = Int64(query["timeout"] ?? "0"), query["set_presence"] == "offline"
        else { return Self.error(400, "M_INVALID_PARAM", "a parameter that is not known, or presence") }
        let text = query["filter"] ?? ""
        let filter = text.hasPrefix("{") ? try? JSONParser.parse(text) : state.filters["\(user) \(text)"]
        guard let filter else { return Self.error(400, "M_INVALID_PARAM", "No such filter") }
        var start = 0
        if let since = query["since"] {
            guard since.hasPrefix("s"), let number = Int(since.dropFirst()), number <= state.updates.count else {
                return Self.error(400, "M_UNKNOWN", "Invalid stream token", isExpected: true)
            }
            start = number
        }
        let rooms = rooms(user, from: start, filter, state)
        let isEmpty = (rooms.object?.members ?? []).allSatisfy { ($0.value.object?.members ?? []).isEmpty }
        var answer = ChatAnswer(["next_batch": .string("s\(state.updates.count)"), "rooms": rooms])
        if isEmpty, query["since"] != nil, timeout > 0 {
            let wake = PeerWake()
            (answer.delay, answer.wake) = (.milliseconds(timeout), wake)
            state.sleepers[token] = (user, wake)
        }
        return answer
    }

    private func rooms(_ user: String, from start: Int, _ filter: JSON, _ state: MatrixState) -> JSON {
        let new = state.updates[start...]
        var (join, invite, leave) = (JSONObject(), JSONObject(), JSONObject())
        for update in new where update.kind == .invite(user: user) { invite[update.room] = .object(update.event) }
        for update in new where update.kind == .leave(user: user) { leave[update.room] = [:] }
        var names: [String] = []
        for update in new where update.kind == .event || update.kind == .receipt {
            if state.concerns(update, user), !names.contains(update.room) { names.append(update.room) }
        }
        for name in names { join.append(name, room(name, user, new, filter, state)) }
        return ["join": .object(join), "invite": .object(invite), "leave": .object(leave)]
    }

    private func room(
        _ name: String, _ user: String, _ new: ArraySlice<MatrixUpdate>, _ filter: JSON, _ state: MatrixState
    ) -> JSON {
        let rule = filter["room"]?["timeline"]
        let limit = Int(rule?["limit"]?.integer ?? 10)
        let types = (rule?["types"]?.array ?? []).compactMap(\.string)
        let fitting = new.filter {
            $0.room == name && $0.kind == .event && types.contains($0.event["type"]?.string ?? "")
        }
        let shown = fitting.suffix(limit)
        let stateTypes = (filter["room"]?["state"]?["types"]?.array ?? []).compactMap(\.string)
        let senders = Set(shown.compactMap { $0.event["sender"]?.string })
        let members: [JSON] = senders.sorted().compactMap { sender in
            guard stateTypes.contains("m.room.member"), let name = state.displayNames[sender] else { return nil }
            return [
                "type": "m.room.member", "state_key": .string(sender), "sender": .string(sender),
                "event_id": .string("$member-\(sender)"),
                "content": ["membership": "join", "displayname": .string(name)],
            ]
        }
        return [
            "timeline": [
                "events": .array(shown.map { .object($0.event) }), "limited": .bool(fitting.count > limit),
                "prev_batch": "p0",
            ],
            "state": ["events": .array(members)],
            "ephemeral": [
                "events": .array(new.filter { $0.room == name && $0.kind == .receipt }.map { .object($0.event) })
            ],
            "unread_notifications": [
                "notification_count": .integer(state.unread(name, user)), "highlight_count": 0,
            ],
        ]
    }

    // MARK: Notifications

    private func notifications(_ user: String, _ request: ChatRequest, _ state: MatrixState) -> ChatAnswer {
        guard state.hasNotifications else {
            return Self.error(404, "M_UNRECOGNIZED", "Unrecognized request", isExpected: true)
        }
        let query = request.query
        guard Set(query.keys).isSubset(of: ["limit", "from"]), let limit = Int(query["limit"] ?? "50"),
            let from = Int(query["from"] ?? "\(state.updates.count)")
        else { return Self.error(400, "M_INVALID_PARAM", "limit or from") }
        let indices = state.updates.indices.reversed().filter { $0 < from && state.isNotification($0, user) }
        let shown = indices.prefix(limit)
        var body: JSONObject = [
            "notifications": .array(
                shown.map { index in
                    let update = state.updates[index]
                    var actions: [JSON] = ["notify"]
                    if update.isHighlight { actions.append(["set_tweak": "highlight"]) }
                    return [
                        "room_id": .string(update.room), "event": .object(update.event), "actions": .array(actions),
                        "read": .bool(state.isRead(index, by: user)), "ts": .integer(1_795_248_000_000 + index),
                    ]
                })
        ]
        if indices.count > limit, let last = shown.last { body["next_token"] = .string("\(last)") }
        return ChatAnswer(.object(body))
    }
}
