internal import Base
internal import Gateway
internal import MonitorTools

/// Watches one Rocket.Chat account of each registration by asking again and again.
typealias RocketChatMonitor = PolledChatMonitor<PolledRocketChat>

/// What is asked of a Rocket.Chat server at each look.
struct PolledRocketChat: PolledChat {
    static let kind = "rocketchat"

    private let client: RocketChatClient

    init(calls: MonitorHTTP, time: any TimeSource) { client = RocketChatClient(http: calls, time: time) }

    static func credentialFields(usesToken: Bool) -> [CredentialField] {
        usesToken
            ? [CredentialField("userId", isSecret: false), CredentialField("token", isSecret: true)]
            : [CredentialField("username", isSecret: false), CredentialField("password", isSecret: true)]
    }

    func logIn(user: String, password: Secret) async throws -> RocketChatSession {
        try await client.logIn(user: user, password: password)
    }

    func session(of token: Secret, _ credentials: [String: Secret]) async throws -> RocketChatSession {
        guard let user = credentials["userId"]?.exposed, !user.isEmpty else {
            throw MonitorFailure(.authFailed, "the registration has no userId")
        }
        return try await client.session(user: user, token: token)
    }

    func logOut(_ session: RocketChatSession) async throws { try await client.logOut(session) }

    func baseline(_ session: RocketChatSession) async throws -> RocketChatBook {
        let rooms = try await client.rooms(since: nil, session)
        var book = RocketChatBook(
            cursor: RocketChatCursor(user: session.user, baseline: rooms.map(\.updated).max() ?? 0))
        book.advance(rooms)
        return book
    }

    func look(
        _ book: inout RocketChatBook, turn: Int, _ session: RocketChatSession
    ) async throws -> [MonitorBatch.Change] {
        var changes: [MonitorBatch.Change] = []
        let rooms = try await client.rooms(since: book.updatedSince, session)
        for room in book.news(rooms) {
            changes += book.settle(room)
            guard book.mayRing(room, session) else { continue }
            guard let found = try await client.messages(room.id, since: book.messagesSince, session) else { continue }
            changes += book.settle(deleted: found.deleted)
            changes += book.ring(book.ringing(found.messages, room, session), room)
        }
        changes += try await deletions(&book, turn, session)
        book.advance(rooms)
        return changes
    }

    /// Looks for deleted messages in one room with followed items, another one each time: a deletion changes no
    /// subscription.
    private func deletions(
        _ book: inout RocketChatBook, _ turn: Int, _ session: RocketChatSession
    ) async throws -> [MonitorBatch.Change] {
        let rooms = book.cursor.followed.rooms
        guard !rooms.isEmpty else { return [] }
        let room = rooms[turn % rooms.count]
        let oldest = book.cursor.followed.entries.filter { $0.room == room }.map(\.order).min() ?? 0
        guard let found = try await client.messages(room, since: oldest - 1, session) else { return book.leave(room) }
        return book.settle(deleted: found.deleted)
    }
}
