internal import Base
internal import Gateway
internal import MonitorTools

/// The calls of Rocket.Chat's REST API that are needed here (https://developer.rocket.chat/apidocs).
struct RocketChatClient: Sendable {
    let http: MonitorHTTP
    let time: any TimeSource

    /// - Throws: `MonitorFailure`, with `authFailed` for a refused password.
    func logIn(user: String, password: Secret) async throws -> RocketChatSession {
        let call = MonitorHTTP.Call("POST", "/api/v1/login").carrying([
            "user": .string(user), "password": .string(password.exposed),
        ])
        let answer = try MonitorHTTP.json(try await send(call))
        guard let token = answer["data"]?["authToken"]?.string, let id = answer["data"]?["userId"]?.string else {
            throw MonitorFailure(.protocolViolation, "a login without authToken")
        }
        return RocketChatSession(token: Secret(token), user: id, me: answer["data"]?["me"])
    }

    /// The session of a personal access token.
    func session(user: String, token: Secret) async throws -> RocketChatSession {
        let plain = RocketChatSession(token: token, user: user, me: nil)
        return RocketChatSession(token: token, user: user, me: try await ask(plain, "/api/v1/me"))
    }

    /// Ends a session that a login made.
    func logOut(_ session: RocketChatSession) async throws {
        var call = signed(MonitorHTTP.Call("POST", "/api/v1/logout"), session)
        call.timeout = .seconds(5)
        _ = try await send(call)
    }

    /// The subscriptions that have changed after a time, or all.
    func rooms(since: Int64?, _ session: RocketChatSession) async throws -> [RocketChatRoom] {
        let query = since.map { [(name: "updatedSince", value: Self.text($0))] } ?? []
        guard let items = try await ask(session, "/api/v1/subscriptions.get", query)["update"]?.array else {
            throw MonitorFailure(.protocolViolation, "no list of subscriptions")
        }
        return items.compactMap(RocketChatRoom.init)
    }

    /// The messages of a room that were written or changed after a time, and the ids of those deleted; nil where the
    /// user may not see the room.
    func messages(
        _ room: String, since: Int64, _ session: RocketChatSession
    ) async throws -> (messages: [RocketChatMessage], deleted: Set<String>)? {
        var call = MonitorHTTP.Call(
            "GET", "/api/v1/chat.syncMessages",
            query: [("roomId", room), ("lastUpdate", Self.text(since))])
        call.accepts = [400, 403, 404]
        let response = try await send(signed(call, session))
        guard response.status == 200 else { return nil }
        guard let result = try MonitorHTTP.json(response)["result"], let updated = result["updated"]?.array else {
            throw MonitorFailure(.protocolViolation, "no list of messages")
        }
        let deleted = (result["deleted"]?.array ?? []).compactMap { $0["_id"]?.string }
        return (updated.compactMap(RocketChatMessage.init), Set(deleted))
    }

    private static func text(_ milliseconds: Int64) -> String {
        Timestamp(milliseconds: max(0, milliseconds)).description
    }

    private func ask(
        _ session: RocketChatSession, _ path: String, _ query: [(name: String, value: String)] = []
    ) async throws -> JSON {
        try MonitorHTTP.json(try await send(signed(MonitorHTTP.Call("GET", path, query: query), session)))
    }

    /// Every request but the login carries both headers.
    private func signed(_ call: MonitorHTTP.Call, _ session: RocketChatSession) -> MonitorHTTP.Call {
        var call = call
        call.headers["X-Auth-Token"] = session.token.exposed
        call.headers["X-User-Id"] = session.user
        return call
    }

    private func send(_ call: MonitorHTTP.Call) async throws -> HTTPResponse {
        var open = call
        open.accepts.formUnion([401, 429])
        let response = try await http.send(open)
        switch response.status {
        case 401 where call.path == "/api/v1/login":
            throw MonitorFailure(.authFailed, "the server refused the login (401)")
        case 401: throw PolledChatSessionEnded()
        case 429:
            throw MonitorFailure(
                .throttled(until: time.now + pause(response)), "the server answered 429: its rate limit is too low")
        default: return response
        }
    }

    /// How long the server asks us to wait: `X-RateLimit-Reset` is a time in milliseconds since 1970.
    private func pause(_ response: HTTPResponse) -> Duration {
        if let pause = response.retryAfter(now: time.timestamp) { return pause }
        guard let reset = response.headers["X-RateLimit-Reset"].flatMap({ Int64($0) }) else { return MonitorHTTP.pause }
        return .milliseconds(min(max(1_000, reset - time.timestamp.milliseconds), 3_600_000))
    }
}
