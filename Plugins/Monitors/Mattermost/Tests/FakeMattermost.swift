import Base
import GatewayTestKit

/// A Mattermost server with what a watcher needs of it. Alice is `alice`; times are milliseconds that grow with
/// everything that happens.
final class FakeMattermost: Sendable {
    struct Channel: Sendable {
        var type: String
        var name: String
        var lastPost: Int64 = 0
    }
    struct Member: Sendable {
        var viewed: Int64 = 0
        var mentions: Int64 = 0
        var updated: Int64 = 0
        var props: JSONObject = ["push": "default", "mark_unread": "all"]
    }
    struct Post: Sendable {
        var id: String
        var channel: String
        var user: String
        var text: String
        var type = ""
        var created: Int64
        var updated: Int64
        var deleted: Int64 = 0
    }
    struct State: Sendable {
        var now: Int64 = 1_795_248_000_000
        var passwords = ["alice": "correct horse"]
        var tokens: Set<String> = []
        var logins = 0
        var logouts = 0
        var level = "mention"
        var channels: [String: Channel] = [:]
        /// Alice's.
        var members: [String: Member] = [:]
        var posts: [Post] = []
        /// Memberships of a page.
        var pageSize = 60

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
            name: "fake-mattermost", identity: identity, refusals: refused,
            throttled: { seconds in
                ChatAnswer(
                    ["message": "limit exceeded"], status: 429,
                    headers: [
                        "X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "\(seconds)",
                    ])
            },
            respond: { request in
                let answer: ChatAnswer = state.withLock { Self.answer(request, &$0) }
                if answer.status >= 400, answer.status != 401 { refused.append("\(request.route) \(request.query)") }
                return answer
            })
    }

    var url: String { "https://localhost:\(peer.port)" }
    var refusals: [String] { refused.all }

    func addChannel(_ id: String, type: String = "D", name: String = "", member: Member = Member()) {
        state.withLock { state in
            state.channels[id] = Channel(type: type, name: name)
            state.members[id] = member
        }
    }

    /// Posts, and counts the mention as the server does.
    @discardableResult
    func post(
        _ text: String, in channel: String, by user: String = "anna", isMention: Bool = true, type: String = ""
    )
        -> String
    {
        state.withLock { state in
            let time = state.tick()
            let id = "post\(state.posts.count)"
            state.posts.append(
                Post(id: id, channel: channel, user: user, text: text, type: type, created: time, updated: time))
            state.channels[channel]?.lastPost = time
            if isMention, user != "alice" {
                let counted = state.tick()
                state.members[channel]?.mentions += 1
                state.members[channel]?.updated = counted
            }
            return id
        }
    }

    func delete(_ id: String) {
        state.withLock { state in
            let time = state.tick()
            guard let index = state.posts.firstIndex(where: { $0.id == id }) else { return }
            (state.posts[index].deleted, state.posts[index].updated) = (time, time)
        }
    }

    func edit(_ id: String, _ text: String) {
        state.withLock { state in
            let time = state.tick()
            guard let index = state.posts.firstIndex(where: { $0.id == id }) else { return }
            (state.posts[index].text, state.posts[index].updated) = (text, time)
        }
    }

    func view(_ channel: String) {
        state.withLock { state in
            let time = state.tick()
            state.members[channel]?.viewed = time
            state.members[channel]?.updated = time
            state.members[channel]?.mentions = 0
        }
    }

    func channel(of post: String) -> String? {
        state.withLock { state in state.posts.first { $0.id == post }?.channel }
    }

    // MARK: Answers

    private static func answer(_ request: ChatRequest, _ state: inout State) -> ChatAnswer {
        if request.route == "POST /api/v4/users/login" { return logIn(request, &state) }
        let token = request.headers["Authorization"] ?? ""
        guard token.hasPrefix("Bearer "), state.tokens.contains(String(token.dropFirst(7))) else {
            return ChatAnswer(["id": "api.context.session_expired.app_error"], status: 401)
        }
        let path = Array(request.path.dropFirst(2))
        switch (request.method, path.count) {
        case ("POST", _) where path == ["users", "logout"]:
            state.tokens.remove(String(token.dropFirst(7)))
            state.logouts += 1
            return ChatAnswer(["status": "OK"])
        case ("GET", _) where path == ["users", "me"]: return ChatAnswer(user(state))
        case ("POST", _) where path == ["users", "ids"]: return names(request)
        case ("GET", _) where path == ["users", "me", "channel_members"]: return members(request, state)
        case ("GET", _) where path == ["users", "me", "channels"]:
            return ChatAnswer(.array(state.channels.keys.sorted().map { channel($0, state) }))
        case ("GET", 2) where path[0] == "channels" && state.channels[path[1]] != nil:
            return ChatAnswer(channel(path[1], state))
        case ("GET", 3) where path[0] == "channels" && path[2] == "posts": return posts(path[1], request, state)
        default: return ChatAnswer(["message": "not found"], status: 404)
        }
    }

    private static func user(_ state: State) -> JSON {
        [
            "id": "alice", "username": "alice", "first_name": "Alice",
            "notify_props": [
                "push": .string(state.level), "channel": "true", "first_name": "true", "mention_keys": "deploy,on-call",
            ],
        ]
    }

    private static func logIn(_ request: ChatRequest, _ state: inout State) -> ChatAnswer {
        state.logins += 1
        guard let name = request.body["login_id"]?.string, let password = request.body["password"]?.string,
            state.passwords[name] == password
        else { return ChatAnswer(["id": "api.user.login.invalid_credentials_email_username"], status: 401) }
        let token = "secret-token-\(state.logins)"
        state.tokens.insert(token)
        return ChatAnswer(user(state), headers: ["Token": token])
    }

    private static func names(_ request: ChatRequest) -> ChatAnswer {
        guard let ids = request.body.array?.compactMap(\.string), !ids.isEmpty else {
            return ChatAnswer(["message": "ids"], status: 400)
        }
        return ChatAnswer(
            .array(
                ids.map { id in
                    let isAnna = id == "anna"
                    return [
                        "id": .string(id), "username": .string(id), "nickname": "",
                        "first_name": isAnna ? "Anna" : "", "last_name": isAnna ? "Example" : "",
                    ]
                }))
    }

    private static func members(_ request: ChatRequest, _ state: State) -> ChatAnswer {
        guard let page = request.query["page"].flatMap({ Int($0) }), request.query["per_page"] == "200" else {
            return ChatAnswer(["message": "page"], status: 400)
        }
        let shown = state.members.sorted { $0.key < $1.key }.dropFirst(page * state.pageSize).prefix(state.pageSize)
        return ChatAnswer(
            .array(
                shown.map { id, member in
                    [
                        "channel_id": .string(id), "user_id": "alice", "last_viewed_at": .integer(member.viewed),
                        "mention_count": .integer(member.mentions), "last_update_at": .integer(member.updated),
                        "notify_props": .object(member.props),
                    ]
                }))
    }

    private static func channel(_ id: String, _ state: State) -> JSON {
        [
            "id": .string(id), "type": .string(state.channels[id]?.type ?? "O"),
            "display_name": .string(state.channels[id]?.name ?? ""),
            "last_post_at": .integer(state.channels[id]?.lastPost ?? 0),
        ]
    }

    /// All posts changed after `since`, deleted ones among them; no paging then.
    private static func posts(_ channel: String, _ request: ChatRequest, _ state: State) -> ChatAnswer {
        guard request.query.count == 1, let since = request.query["since"].flatMap({ Int64($0) }), since > 0,
            state.channels[channel] != nil
        else { return ChatAnswer(["message": "since must not be used with others"], status: 400) }
        let found = state.posts.filter { $0.channel == channel && $0.updated > since }.suffix(1000)
        var posts = JSONObject()
        for post in found {
            posts.append(
                post.id,
                [
                    "id": .string(post.id), "channel_id": .string(channel), "user_id": .string(post.user),
                    "create_at": .integer(post.created), "update_at": .integer(post.updated),
                    "delete_at": .integer(post.deleted), "message": .string(post.text), "type": .string(post.type),
                ])
        }
        return ChatAnswer(["order": .strings(found.reversed().map(\.id)), "posts": .object(posts)])
    }
}
