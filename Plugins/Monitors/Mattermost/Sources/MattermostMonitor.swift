internal import Base
internal import Gateway
internal import MonitorTools

/// Watches one Mattermost account of each registration by asking again and again.
final class MattermostMonitor: Monitor {
    struct Settings: Sendable {
        var address: ServiceAddress
        var usesToken = false
        var poll = Duration.seconds(30)
        /// The longest time that the stored cursor lags behind where nothing rings.
        var cursorAge = Duration.seconds(300)
    }

    /// Users' and channels' names kept for all registrations together.
    private static let nameLimit = 5_000

    private let settings: Settings
    private let time: any TimeSource
    private let client: MattermostClient
    private let sessions = SessionCache<MattermostSession>()
    private let names = Locked<[String: String]>([:])
    private let channels = Locked<[String: MattermostChannel]>([:])

    init(_ settings: Settings, app: AppID, transport: any HTTPTransport, time: any TimeSource) {
        (self.settings, self.time) = (settings, time)
        client = MattermostClient(
            http: settings.address.calls(pool: "mattermost.\(app.text)", transport, time), time: time)
    }

    var credentialFields: [CredentialField] {
        settings.usesToken
            ? [CredentialField("token", isSecret: true)]
            : [CredentialField("username", isSecret: false), CredentialField("password", isSecret: true)]
    }

    var upstream: String { settings.address.upstream }
    var heardEvery: Duration? { settings.poll * 1.1 + settings.address.timeout }

    /// Outside of the task's stack, which lives as long as the watch.
    private final class Watch {
        let secret: Secret
        var book: MattermostBook?
        /// A login was made since the last look that went well.
        var hasRenewed = false
        var looks = 0
        var stored: Moment

        init(_ secret: Secret, _ cursor: MattermostCursor?, now: Moment) {
            (self.secret, stored) = (secret, now)
            book = cursor.map { MattermostBook(cursor: $0) }
        }
    }

    func watch(_ target: MonitorTarget, host: any MonitorHost) async throws {
        let watch = try start(target)
        while true {
            do {
                try await follow(target, watch, host)
            } catch is MattermostSessionEnded {
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
        var cursor: MattermostCursor?
        if let stored = target.cursor {
            guard let decoded = MattermostCursor(stored) else {
                throw MonitorFailure(.cursorInvalid, "the stored cursor is not one of the mattermost monitor")
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

    private func session(_ target: MonitorTarget, _ watch: Watch) async throws -> MattermostSession {
        if let kept = sessions.session(of: target.registration, for: watch.secret) { return kept }
        let session: MattermostSession
        if settings.usesToken {
            session = try await client.session(of: watch.secret)
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
    private func setBaseline(_ watch: Watch, _ session: MattermostSession, _ host: any MonitorHost) async throws {
        let members = try await client.members(session)
        let channels = try await client.channels(session)
        let cursor = MattermostCursor(
            user: session.user, baseline: MattermostBook.latest(members, channels, after: 0))
        try await host.emit(MonitorBatch(cursor: cursor.encoded))
        watch.book = MattermostBook(cursor: cursor)
        watch.stored = time.now
    }

    private func look(_ watch: Watch, _ session: MattermostSession, _ host: any MonitorHost) async throws {
        guard let old = watch.book else { return }
        var book = old
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
        changes += try await deletions(&book, watch.looks, session)
        book.advance(members, known)
        if !changes.isEmpty || (book != old && time.now - watch.stored >= settings.cursorAge) {
            try await host.emit(changes, before: old.cursor.encoded, after: book.cursor.encoded)
            watch.stored = time.now
        }
        watch.book = book
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
