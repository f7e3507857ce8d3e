internal import Base
internal import Gateway
internal import MonitorTools

/// Watches one Rocket.Chat account of each registration by asking again and again.
final class RocketChatMonitor: Monitor {
    struct Settings: Sendable {
        var address: ServiceAddress
        var usesToken = false
        var poll = Duration.seconds(30)
        /// The longest time that the stored cursor lags behind where nothing rings.
        var cursorAge = Duration.seconds(300)
    }

    private let settings: Settings
    private let time: any TimeSource
    private let client: RocketChatClient
    private let sessions = SessionCache<RocketChatSession>()

    init(_ settings: Settings, app: AppID, transport: any HTTPTransport, time: any TimeSource) {
        (self.settings, self.time) = (settings, time)
        client = RocketChatClient(
            http: settings.address.calls(pool: "rocketchat.\(app.text)", transport, time), time: time)
    }

    var credentialFields: [CredentialField] {
        settings.usesToken
            ? [CredentialField("userId", isSecret: false), CredentialField("token", isSecret: true)]
            : [CredentialField("username", isSecret: false), CredentialField("password", isSecret: true)]
    }

    var upstream: String { settings.address.upstream }
    var heardEvery: Duration? { settings.poll * 1.1 + settings.address.timeout }

    /// Outside of the task's stack, which lives as long as the watch.
    private final class Watch {
        let secret: Secret
        var book: RocketChatBook?
        /// A login was made since the last look that went well.
        var hasRenewed = false
        var looks = 0
        var stored: Moment

        init(_ secret: Secret, _ cursor: RocketChatCursor?, now: Moment) {
            (self.secret, stored) = (secret, now)
            book = cursor.map { RocketChatBook(cursor: $0) }
        }
    }

    func watch(_ target: MonitorTarget, host: any MonitorHost) async throws {
        let watch = try start(target)
        while true {
            do {
                try await follow(target, watch, host)
            } catch is RocketChatSessionEnded {
                sessions.drop(target.registration)
                guard !settings.usesToken, !watch.hasRenewed else {
                    throw MonitorFailure(.authFailed, "the server refused the session (401)")
                }
                watch.hasRenewed = true
            } catch is CancellationError {
                await end(target, watch)
                throw CancellationError()
            }
        }
    }

    private func start(_ target: MonitorTarget) throws -> Watch {
        let field = settings.usesToken ? "token" : "password"
        guard let secret = target.credentials[field], !secret.isEmpty else {
            throw MonitorFailure(.authFailed, "the registration has no \(field)")
        }
        var cursor: RocketChatCursor?
        if let stored = target.cursor {
            guard let decoded = RocketChatCursor(stored) else {
                throw MonitorFailure(.cursorInvalid, "the stored cursor is not one of the rocketchat monitor")
            }
            cursor = decoded
        }
        return Watch(secret, cursor, now: time.now)
    }

    /// Logs out, so that sessions do not pile up; in a task of its own, because this one is cancelled.
    private func end(_ target: MonitorTarget, _ watch: Watch) async {
        guard let session = sessions.session(of: target.registration, for: watch.secret) else { return }
        sessions.drop(target.registration)
        if settings.usesToken { return }
        await Task { [client] in
            do {
                try await client.logOut(session)
            } catch {
                // It ends by itself, after the server's session length.
            }
        }.value
    }

    private func session(_ target: MonitorTarget, _ watch: Watch) async throws -> RocketChatSession {
        if let kept = sessions.session(of: target.registration, for: watch.secret) { return kept }
        let session: RocketChatSession
        if settings.usesToken {
            guard let user = target.credentials["userId"]?.exposed, !user.isEmpty else {
                throw MonitorFailure(.authFailed, "the registration has no userId")
            }
            session = try await client.session(user: user, token: watch.secret)
        } else {
            guard let username = target.credentials["username"]?.exposed, !username.isEmpty else {
                throw MonitorFailure(.authFailed, "the registration has no username")
            }
            session = try await client.logIn(user: username, password: watch.secret)
        }
        sessions.keep(session, of: target.registration, for: watch.secret)
        return session
    }

    private func follow(_ target: MonitorTarget, _ watch: Watch, _ host: any MonitorHost) async throws {
        let session = try await session(target, watch)
        if let cursor = watch.book?.cursor, cursor.user != session.user {
            throw MonitorFailure(.cursorInvalid, "the stored cursor is one of another account")
        }
        if watch.book == nil { try await setBaseline(watch, session, host) }
        while true {
            try await look(watch, session, host)
            watch.hasRenewed = false
            if watch.looks == 0 { host.watching() }
            watch.looks += 1
            host.heard()
            try await time.sleep(for: settings.poll * Double.random(in: 0.9...1.1))
        }
    }

    /// Everything that is there is known and silent.
    private func setBaseline(_ watch: Watch, _ session: RocketChatSession, _ host: any MonitorHost) async throws {
        let rooms = try await client.rooms(since: nil, session)
        let cursor = RocketChatCursor(user: session.user, baseline: rooms.map(\.updated).max() ?? 0)
        try await host.emit(MonitorBatch(cursor: cursor.encoded))
        var book = RocketChatBook(cursor: cursor)
        book.advance(rooms)
        watch.book = book
        watch.stored = time.now
    }

    private func look(_ watch: Watch, _ session: RocketChatSession, _ host: any MonitorHost) async throws {
        guard let old = watch.book else { return }
        var book = old
        var changes: [MonitorBatch.Change] = []
        let rooms = try await client.rooms(since: book.updatedSince, session)
        for room in book.news(rooms) {
            changes += book.settle(room)
            guard book.mayRing(room, session) else { continue }
            guard let found = try await client.messages(room.id, since: book.messagesSince, session) else { continue }
            changes += book.settle(deleted: found.deleted)
            changes += book.ring(book.ringing(found.messages, room, session), room)
        }
        changes += try await deletions(&book, watch.looks, session)
        book.advance(rooms)
        if !changes.isEmpty || (book.cursor != old.cursor && time.now - watch.stored >= settings.cursorAge) {
            try await host.emit(changes, before: old.cursor.encoded, after: book.cursor.encoded)
            watch.stored = time.now
        }
        watch.book = book
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
