internal import Base
internal import Gateway
internal import MonitorTools

/// Watches one Mattermost account of each registration by asking again and again.
typealias MattermostMonitor = PolledChatMonitor<PolledMattermost>

/// What is asked of a Mattermost server at each look.
final class PolledMattermost: PolledChat {
    static let kind = "mattermost"

    /// Users' and channels' names kept for all registrations together.
    private static let nameLimit = 5_000

    private let client: MattermostClient
    private let names = Locked<[String: String]>([:])
    private let channels = Locked<[String: MattermostChannel]>([:])

    init(calls: MonitorHTTP, time: any TimeSource) { client = MattermostClient(http: calls, time: time) }

    static func credentialFields(usesToken: Bool) -> [CredentialField] {
        usesToken
            ? [CredentialField("token", isSecret: true)]
            : [CredentialField("username", isSecret: false), CredentialField("password", isSecret: true)]
    }

    func logIn(user: String, password: Secret) async throws -> MattermostSession {
        try await client.logIn(user: user, password: password)
    }

    func session(of token: Secret, _ credentials: [String: Secret]) async throws -> MattermostSession {
        try await client.session(of: token)
    }

    func logOut(_ session: MattermostSession) async throws { try await client.logOut(session) }

    func baseline(_ session: MattermostSession) async throws -> MattermostBook {
        let members = try await client.members(session)
        let channels = try await client.channels(session)
        return MattermostBook(
            cursor: MattermostCursor(
                user: session.user, baseline: MattermostBook.latest(members, channels, after: 0)))
    }

    func look(
        _ book: inout MattermostBook, turn: Int, _ session: MattermostSession
    ) async throws -> [MonitorBatch.Change] {
        let members = try await client.members(session)
        var changes = book.settle(members)
        // Only for whom every post of some channel rings, the channels are asked for: memberships tell of mentions.
        let wantsAll = members.contains { $0.level(of: session) == .all }
        let known = wantsAll ? try await client.channels(session) : [:]
        for member in members where book.mayRing(member, known[member.channel], session) {
            let posts = try await client.posts(member.channel, since: book.since, session)
            changes += book.settle(posts)
            let channel = try await channel(member.channel, known, session)
            let ringing = book.ringing(posts, member, channel, session)
            changes += book.ring(ringing, channel, names: try await names(of: ringing, session))
        }
        changes += try await deletions(&book, turn, session)
        book.advance(members, known)
        return changes
    }

    /// Looks for deleted posts in one channel with followed items, another one each time: a deletion changes no
    /// membership.
    private func deletions(
        _ book: inout MattermostBook, _ turn: Int, _ session: MattermostSession
    ) async throws -> [MonitorBatch.Change] {
        let rooms = book.cursor.followed.rooms
        guard !rooms.isEmpty else { return [] }
        let room = rooms[turn % rooms.count]
        let oldest = book.cursor.followed.entries.filter { $0.room == room }.map(\.order).min() ?? 0
        return book.settle(try await client.posts(room, since: oldest - 1, session))
    }

    private func channel(
        _ id: String, _ known: [String: MattermostChannel], _ session: MattermostSession
    ) async throws -> MattermostChannel {
        if let channel = known[id] ?? channels.withLock({ $0[id] }) { return channel }
        let channel = try await client.channel(id, session)
        channels.withLock { channels in
            if channels.count >= Self.nameLimit { channels = [:] }
            channels[id] = channel
        }
        return channel
    }

    private func names(
        of posts: [MattermostPost], _ session: MattermostSession
    ) async throws -> [String: String] {
        let users = Set(posts.map(\.user))
        var found = names.withLock { names in names.filter { users.contains($0.key) } }
        let missing = users.subtracting(found.keys).sorted()
        if missing.isEmpty { return found }
        let asked = try await client.names(missing, session)
        names.withLock { names in
            if names.count + asked.count > Self.nameLimit { names = [:] }
            names.merge(asked) { _, new in new }
        }
        found.merge(asked) { _, new in new }
        return found
    }
}
