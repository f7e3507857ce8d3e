internal import Base
internal import Gateway
internal import MonitorTools

/// The server has ended our access token.
struct MatrixTokenRefused: Error {
    /// The session can be had back by a new login
    /// (https://spec.matrix.org/latest/client-server-api/#soft-logout).
    let isSoft: Bool
}

/// The calls of Matrix's client-server API that are needed here.
struct MatrixClient: Sendable {
    /// A logged-in device.
    struct Session: Sendable {
        let token: Secret
        let user: String
    }

    /// Notifications of one page, and pages of one look.
    static let pageSize = 200, pageLimit = 8

    let calls: MonitorHTTP
    /// Of a pool of its own: a hanging sync must not be in the way of other calls.
    let polls: MonitorHTTP
    let time: any TimeSource
    let timelineLimit: Int

    // MARK: Session

    /// Logs in. The device's id stays the same, so that a login takes the place of the one before
    /// (https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3login).
    /// - Throws: `MonitorFailure`.
    func logIn(user: String, password: Secret, device: String, name: String) async throws -> Session {
        let call = MonitorHTTP.Call("POST", "/_matrix/client/v3/login").carrying([
            "type": "m.login.password", "identifier": ["type": "m.id.user", "user": .string(user)],
            "password": .string(password.exposed), "device_id": .string(device),
            "initial_device_display_name": .string(name),
        ])
        let answer = try await ask(call)
        guard let token = answer["access_token"]?.string, let id = answer["user_id"]?.string else {
            throw MonitorFailure(.protocolViolation, "a login without access_token")
        }
        return Session(token: Secret(token), user: id)
    }

    /// Whose token this is.
    func session(of token: Secret) async throws -> Session {
        let answer = try await ask(MonitorHTTP.Call("GET", "/_matrix/client/v3/account/whoami").authorized(by: token))
        guard let id = answer["user_id"]?.string else {
            throw MonitorFailure(.protocolViolation, "an account without user_id")
        }
        return Session(token: token, user: id)
    }

    // MARK: Sync

    /// What syncs bring: messages, and of the state only names; of senders only those that wrote.
    private func filter(timeline: Int) -> JSON {
        let types = [
            "m.room.message", "m.room.encrypted", "m.sticker", "m.room.redaction", "m.call.invite", "m.poll.start",
            "org.matrix.msc3381.poll.start", "m.room.name",
        ]
        return [
            "presence": ["types": []], "account_data": ["types": []],
            "room": [
                "account_data": ["types": []], "ephemeral": ["types": ["m.receipt"]],
                "state": [
                    "types": timeline > 1 ? ["m.room.name", "m.room.member"] : [], "lazy_load_members": true,
                    "include_redundant_members": true,
                ],
                "timeline": ["limit": .integer(timeline), "types": .strings(types)],
            ],
        ]
    }

    func registerFilter(_ session: Session) async throws -> String {
        let path = "/_matrix/client/v3/user/\(session.user.percentEncoded())/filter"
        let call = MonitorHTTP.Call("POST", path).carrying(filter(timeline: max(2, timelineLimit)))
        let answer = try await ask(call.authorized(by: session.token))
        guard let id = answer["filter_id"]?.string, id.utf8.count <= MatrixCursor.tokenLimit else {
            throw MonitorFailure(.protocolViolation, "a filter without filter_id")
        }
        return id
    }

    /// The first sync of all, which is only asked where we are.
    func initialSync(_ session: Session) async throws -> MatrixSync {
        let call = MonitorHTTP.Call(
            "GET", "/_matrix/client/v3/sync",
            query: [("timeout", "0"), ("set_presence", "offline"), ("filter", filter(timeline: 1).serialized)])
        return try MatrixSync(try await ask(call.authorized(by: session.token)), user: session.user)
    }

    /// The next sync: hangs until there is news, or for `wait`.
    /// - Throws: `MonitorFailure`, with `cursorInvalid` where the server does not know the token `since`.
    func sync(_ session: Session, _ cursor: MatrixCursor, wait: Duration) async throws -> MatrixSync {
        var call = MonitorHTTP.Call(
            "GET", "/_matrix/client/v3/sync",
            query: [
                ("since", cursor.since), ("filter", cursor.filter), ("set_presence", "offline"),
                ("timeout", "\(wait / .milliseconds(1))".prefix { $0 != "." }.description),
            ])
        call.timeout = wait + polls.timeout
        call.accepts = [400]
        let response = try await send(call.authorized(by: session.token), over: polls)
        if response.status == 400 {
            throw MonitorFailure(.cursorInvalid, "the server does not know the sync token or the filter any more")
        }
        return try MatrixSync(try MonitorHTTP.json(response), user: session.user)
    }

    // MARK: Notifications

    /// The user's latest notifications, the newest first: until all `wanted` are found, or older ones than `since`
    /// begin, a minute of slack for a server of several processes.
    /// - Returns: the notifications, nil from a server that does not tell of them, and whether the look ended there and
    ///   not for its own limit.
    func notifications(
        _ session: Session, wanted: Set<String>, since: Int64
    ) async throws -> (items: [MatrixNotification]?, isComplete: Bool) {
        var found: [MatrixNotification] = []
        var missing = wanted
        var from: String?
        for _ in 0..<Self.pageLimit {
            guard let page = try await notifications(session, limit: Self.pageSize, from: from) else {
                return (nil, true)
            }
            found += page.items
            missing.subtract(page.items.map(\.event))
            let isOld = (page.items.last?.time ?? 0) < since - 60_000
            if isOld || page.next == nil || page.items.isEmpty || (missing.isEmpty && !wanted.isEmpty) {
                return (found, true)
            }
            from = page.next
        }
        return (found, false)
    }

    /// One page of notifications; nil where the server has no such call.
    func notifications(
        _ session: Session, limit: Int, from: String? = nil
    ) async throws -> (items: [MatrixNotification], next: String?)? {
        var call = MonitorHTTP.Call("GET", "/_matrix/client/v3/notifications", query: [("limit", "\(limit)")])
        if let from { call.query.append(("from", from)) }
        call.accepts = [404]
        let response = try await send(call.authorized(by: session.token), over: calls)
        if response.status == 404 { return nil }
        let answer = try MonitorHTTP.json(response)
        let items = (answer["notifications"]?.array ?? []).compactMap { item -> MatrixNotification? in
            guard let event = item["event"]?["event_id"]?.string, let room = item["room_id"]?.string else { return nil }
            let actions = item["actions"]?.array ?? []
            // Before version 1.7 of the protocol, "coalesce" asked for the same, and "dont_notify" for nothing.
            guard actions.contains(where: { $0.string == "notify" || $0.string == "coalesce" }) else { return nil }
            let isHighlight = actions.contains {
                $0["set_tweak"]?.string == "highlight" && ($0["value"]?.bool ?? true)
            }
            return MatrixNotification(
                event: event, room: room, time: item["ts"]?.integer ?? 0, isRead: item["read"]?.bool ?? false,
                isHighlight: isHighlight)
        }
        return (items, answer["next_token"]?.string)
    }

    /// A room's name; nil where it has none, or we may not see it.
    func name(ofRoom room: String, _ session: Session) async throws -> String? {
        var call = MonitorHTTP.Call(
            "GET", "/_matrix/client/v3/rooms/\(room.percentEncoded())/state/m.room.name/"
        ).authorized(by: session.token)
        call.accepts = [403, 404]
        let response = try await send(call, over: calls)
        guard response.status == 200 else { return nil }
        return try MonitorHTTP.json(response)["name"]?.string
    }

    // MARK: Answers

    private func ask(_ call: MonitorHTTP.Call) async throws -> JSON {
        try MonitorHTTP.json(try await send(call, over: calls))
    }

    /// Sends a call and reads Matrix's errors
    /// (https://spec.matrix.org/latest/client-server-api/#standard-error-response).
    private func send(_ call: MonitorHTTP.Call, over http: MonitorHTTP) async throws -> HTTPResponse {
        var open = call
        open.accepts.formUnion(400...499)
        let response = try await http.send(open)
        guard !(200...299).contains(response.status), !call.accepts.contains(response.status) else { return response }
        let error = try? JSONParser.parse(response.body)
        // Only what is surely a code reaches a log.
        let code = error?["errcode"]?.string.flatMap { text in
            text.utf8.count <= 64 && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "_.".contains($0)) }
                ? text : nil
        }
        let text = "the server answered \(response.status)\(code.map { " \($0)" } ?? "")"
        switch (response.status, code) {
        case (429, _), (_, "M_LIMIT_EXCEEDED"):
            // Newer servers send Retry-After, which comes first; retry_after_ms is on its way out.
            let told = error?["retry_after_ms"]?.integer.map { Duration.milliseconds(min(max(0, $0), 86_400_000)) }
            let pause = response.retryAfter(now: time.timestamp) ?? told ?? MonitorHTTP.pause
            throw MonitorFailure(.throttled(until: time.now + pause), text)
        case (401, "M_UNKNOWN_TOKEN"): throw MatrixTokenRefused(isSoft: error?["soft_logout"]?.bool ?? false)
        case (401, _), (403, _): throw MonitorFailure(.authFailed, text)
        case (404, _): throw MonitorFailure(.protocolViolation, "\(text): is this a Matrix homeserver?")
        default: throw MonitorFailure(.protocolViolation, text)
        }
    }
}
