internal import Base
internal import Gateway
internal import MonitorTools

/// The calls of Mattermost's REST API, version 4, that are needed here (https://docs.mattermost.com/api/reference).
struct MattermostClient: Sendable {
    /// Memberships that a page has at least, if there is another one. The documentation calls the parameter
    /// `pageSize`, the server reads `per_page`, and its default is 60: a page of fewer is the last one either way.
    static let leastPage = 60, pageSize = 200, pageLimit = 50

    let http: MonitorHTTP
    let time: any TimeSource

    /// - Throws: `MonitorFailure`, with `authFailed` for a refused password.
    func logIn(user: String, password: Secret) async throws -> MattermostSession {
        let call = MonitorHTTP.Call("POST", "/api/v4/users/login").carrying([
            "login_id": .string(user), "password": .string(password.exposed),
        ])
        let response = try await send(call)
        guard let token = response.headers["Token"], !token.isEmpty else {
            throw MonitorFailure(.protocolViolation, "a login without a Token header")
        }
        return try MattermostSession(token: Secret(token), try MonitorHTTP.json(response))
    }

    /// The session of a personal access token.
    func session(of token: Secret) async throws -> MattermostSession {
        let call = MonitorHTTP.Call("GET", "/api/v4/users/me").authorized(by: token)
        return try MattermostSession(token: token, try MonitorHTTP.json(try await send(call)))
    }

    /// Ends a session that a login made.
    func logOut(_ session: MattermostSession) async throws {
        var call = MonitorHTTP.Call("POST", "/api/v4/users/logout").authorized(by: session.token)
        call.timeout = .seconds(5)
        _ = try await send(call)
    }

    func members(_ session: MattermostSession) async throws -> [MattermostMember] {
        var members: [MattermostMember] = []
        for page in 0..<Self.pageLimit {
            let answer = try await ask(
                session, "/api/v4/users/me/channel_members",
                [("page", "\(page)"), ("per_page", "\(Self.pageSize)"), ("pageSize", "\(Self.pageSize)")])
            guard let items = answer.array else { throw MonitorFailure(.protocolViolation, "no list of memberships") }
            members += items.compactMap(MattermostMember.init)
            if items.count < Self.leastPage { break }
        }
        return members
    }

    /// All channels, with the time of their last posts.
    func channels(_ session: MattermostSession) async throws -> [String: MattermostChannel] {
        guard let items = try await ask(session, "/api/v4/users/me/channels").array else {
            throw MonitorFailure(.protocolViolation, "no list of channels")
        }
        return Dictionary(
            items.compactMap(MattermostChannel.init).map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
    }

    func channel(_ id: String, _ session: MattermostSession) async throws -> MattermostChannel {
        guard
            let channel = MattermostChannel(try await ask(session, "/api/v4/channels/\(id.percentEncoded())"))
        else { throw MonitorFailure(.protocolViolation, "a channel without id") }
        return channel
    }

    /// All posts of a channel that were written, changed or deleted after a time, at most the latest 1000
    /// (https://docs.mattermost.com/api/reference/get-posts-for-channel).
    func posts(_ channel: String, since: Int64, _ session: MattermostSession) async throws -> [MattermostPost] {
        let answer = try await ask(
            session, "/api/v4/channels/\(channel.percentEncoded())/posts", [("since", "\(max(1, since))")])
        guard let posts = answer["posts"]?.object else { throw MonitorFailure(.protocolViolation, "no list of posts") }
        return posts.members.compactMap { MattermostPost($0.value) }
    }

    /// Display names by id: first and last name, else nickname, else the name to log in with.
    func names(_ ids: [String], _ session: MattermostSession) async throws -> [String: String] {
        let call = MonitorHTTP.Call("POST", "/api/v4/users/ids").carrying(.strings(ids)).authorized(by: session.token)
        let users = try MonitorHTTP.json(try await send(call)).array ?? []
        return users.reduce(into: [:]) { names, user in
            let full = [user["first_name"]?.string ?? "", user["last_name"]?.string ?? ""].filter { !$0.isEmpty }
            let candidates = [
                full.joined(separator: " "), user["nickname"]?.string ?? "", user["username"]?.string ?? "",
            ]
            if let id = user["id"]?.string, let name = candidates.first(where: { !$0.isEmpty }) { names[id] = name }
        }
    }

    private func ask(
        _ session: MattermostSession, _ path: String, _ query: [(name: String, value: String)] = []
    ) async throws -> JSON {
        try MonitorHTTP.json(try await send(MonitorHTTP.Call("GET", path, query: query).authorized(by: session.token)))
    }

    private func send(_ call: MonitorHTTP.Call) async throws -> HTTPResponse {
        var open = call
        open.accepts = [401, 429]
        let response = try await http.send(open)
        switch response.status {
        case 401 where call.path == "/api/v4/users/login":
            throw MonitorFailure(.authFailed, "the server refused the login (401)")
        case 401: throw PolledChatSessionEnded()
        case 429: throw MonitorFailure(.throttled(until: time.now + pause(response)), "the server answered 429")
        default: return response
        }
    }

    /// How long the server asks us to wait: `Retry-After`, else `X-RateLimit-Reset`, which is a number of seconds, or
    /// in some versions a time (https://docs.mattermost.com/api/rate-limiting).
    private func pause(_ response: HTTPResponse) -> Duration {
        if let pause = response.retryAfter(now: time.timestamp) { return pause }
        guard let reset = response.headers["X-RateLimit-Reset"].flatMap({ Int64($0) }) else { return MonitorHTTP.pause }
        let seconds = reset > 1_000_000_000 ? reset - time.timestamp.seconds : reset
        return .seconds(min(max(1, seconds), 3_600))
    }
}
