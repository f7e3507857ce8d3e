internal import Base
internal import Gateway
internal import MonitorTools

/// Watches one Matrix account of each registration with `/sync` long polls.
final class MatrixMonitor: Monitor {
    struct Settings: Sendable {
        var address: ServiceAddress
        var usesToken = false
        /// How long a sync may hang.
        var poll = Duration.seconds(30)
        /// Messages of one room that ring one by one; more become one item.
        var timelineLimit = 20
        var deviceName = "Farbell"
        /// The longest time that the stored cursor lags behind where nothing rings.
        var cursorAge = Duration.seconds(300)
    }

    /// Pools of hanging syncs: the HTTP client bounds the requests and connections of each.
    private static let pollPools = 16
    /// Room names kept for all registrations together; beyond, they are asked for again.
    private static let nameLimit = 2_000

    let settings: Settings
    private let time: any TimeSource
    private let calls: MonitorHTTP
    private let polls: [MonitorHTTP]
    private let sessions = SessionCache<MatrixClient.Session>()
    /// Empty for a room without a name.
    private let roomNames = Locked<[String: String]>([:])

    init(_ settings: Settings, app: AppID, transport: any HTTPTransport, time: any TimeSource) {
        (self.settings, self.time) = (settings, time)
        calls = settings.address.calls(pool: "matrix.\(app.text)", transport, time)
        polls = (0..<Self.pollPools).map {
            settings.address.calls(pool: "matrix.\(app.text).sync\($0)", transport, time)
        }
    }

    var credentialFields: [CredentialField] {
        settings.usesToken
            ? [CredentialField("token", isSecret: true)]
            : [CredentialField("username", isSecret: false), CredentialField("password", isSecret: true)]
    }

    var upstream: String { settings.address.upstream }
    var heardEvery: Duration? { settings.poll + settings.address.timeout }

    /// Outside of the task's stack, which lives as long as the watch.
    private final class Watch {
        let client: MatrixClient
        let secret: Secret
        var book: MatrixBook?
        /// A login was made since the last sync that went well.
        var hasRenewed = false
        /// When the stored cursor was written.
        var stored: Moment

        init(_ client: MatrixClient, secret: Secret, cursor: MatrixCursor?, now: Moment) {
            (self.client, self.secret, stored) = (client, secret, now)
            book = cursor.map { MatrixBook(cursor: $0) }
        }
    }

    func watch(_ target: MonitorTarget, host: any MonitorHost) async throws {
        let watch = try start(target)
        while true {
            do {
                let session = try await session(target, watch)
                try await follow(target, watch, session, host)
            } catch let refusal as MatrixTokenRefused {
                sessions.drop(target.registration)
                guard !settings.usesToken, refusal.isSoft, !watch.hasRenewed else {
                    throw MonitorFailure(.authFailed, "the server has ended the session (M_UNKNOWN_TOKEN)")
                }
                watch.hasRenewed = true
            } catch is CancellationError {
                sessions.drop(target.registration)
                throw CancellationError()
            }
        }
    }

    private func start(_ target: MonitorTarget) throws -> Watch {
        let secret = try target.credential(settings.usesToken ? "token" : "password")
        var cursor: MatrixCursor?
        if let stored = target.cursor {
            guard let decoded = MatrixCursor(stored) else {
                throw MonitorFailure(.cursorInvalid, "the stored cursor is not one of the matrix monitor")
            }
            cursor = decoded
        }
        let hash = Hash.of(target.registration.text)
        let client = MatrixClient(
            calls: calls, polls: polls[Int(hash % UInt64(Self.pollPools))], time: time,
            timelineLimit: settings.timelineLimit)
        return Watch(client, secret: secret, cursor: cursor, now: time.now)
    }

    private func session(_ target: MonitorTarget, _ watch: Watch) async throws -> MatrixClient.Session {
        if let kept = sessions.session(of: target.registration, for: watch.secret) { return kept }
        let session: MatrixClient.Session
        if settings.usesToken {
            session = try await watch.client.session(of: watch.secret)
        } else {
            let username = try target.credential("username").exposed
            let device = "FARBELL" + String(Hash.of(target.registration.text), radix: 36, uppercase: true)
            session = try await watch.client.logIn(
                user: username, password: watch.secret, device: device, name: settings.deviceName)
        }
        sessions.keep(session, of: target.registration, for: watch.secret)
        return session
    }

    private func follow(
        _ target: MonitorTarget, _ watch: Watch, _ session: MatrixClient.Session, _ host: any MonitorHost
    ) async throws {
        if let cursor = watch.book?.cursor, cursor.user != session.user {
            throw MonitorFailure(.cursorInvalid, "the stored cursor is one of another account")
        }
        if watch.book == nil { try await setBaseline(watch, session, host) }
        // The first answer comes at once: what was missed, or nothing.
        var wait = Duration.zero
        while true {
            let began = time.now
            let news = try await step(watch, session, host, wait: wait)
            watch.hasRenewed = false
            if wait == .zero { host.watching() }
            host.heard()
            // A server that answers an empty sync at once must not be asked without end.
            if !news, wait > .zero, time.now - began < settings.poll / 4 { try await time.sleep(for: .seconds(1)) }
            wait = settings.poll
        }
    }

    /// Where we are, with everything that is there known and silent.
    private func setBaseline(
        _ watch: Watch, _ session: MatrixClient.Session, _ host: any MonitorHost
    ) async throws {
        let filter = try await watch.client.registerFilter(session)
        let sync = try await watch.client.initialSync(session)
        var cursor = MatrixCursor(user: session.user, since: sync.next, filter: filter)
        cursor.handled = try await watch.client.notifications(session, limit: 1)?.items.first?.time ?? 0
        try await host.emit(MonitorBatch(cursor: cursor.encoded))
        watch.book = MatrixBook(cursor: cursor)
        watch.stored = time.now
    }

    /// One sync and what it means. Returns whether it had anything to say.
    private func step(
        _ watch: Watch, _ session: MatrixClient.Session, _ host: any MonitorHost, wait: Duration
    ) async throws -> Bool {
        guard let old = watch.book else { return false }
        let sync = try await watch.client.sync(session, old.cursor, wait: wait)
        if sync.next == old.cursor.since { return false }
        var book = old
        var (notifications, isComplete): ([MatrixNotification]?, Bool) = ([], true)
        if book.needsNotifications(sync) {
            (notifications, isComplete) = try await watch.client.notifications(
                session, wanted: book.candidates(sync), since: book.cursor.handled)
        }
        let ringing = book.ringing(sync, isComplete ? notifications : nil)
        let names = try await names(of: ringing, sync, watch.client, session)
        let changes = book.take(sync, notifications, isComplete: isComplete, names: names)
        // Every message of every room moves the token: it is stored when it matters, and now and then.
        if !changes.isEmpty || time.now - watch.stored >= settings.cursorAge {
            try await host.emit(changes, before: old.cursor.encoded, after: book.cursor.encoded)
            watch.stored = time.now
        }
        watch.book = book
        return !sync.isEmpty
    }

    /// The names of rooms, of the cache where they are in it.
    private func names(
        of rooms: [MatrixSync.Room], _ sync: MatrixSync, _ client: MatrixClient, _ session: MatrixClient.Session
    ) async throws -> [String: String] {
        for room in sync.rooms { if let name = room.name { keep(name, of: room.id) } }
        var names: [String: String] = [:]
        for room in rooms {
            var name = roomNames.withLock { $0[room.id] }
            if name == nil {
                name = try await client.name(ofRoom: room.id, session) ?? ""
                keep(name ?? "", of: room.id)
            }
            if let name, !name.isEmpty { names[room.id] = name }
        }
        return names
    }

    private func keep(_ name: String, of room: String) {
        let name = ItemText.line(name, limit: ItemText.nameLimit) ?? ""
        roomNames.withLock { names in
            if names.count >= Self.nameLimit { names = [:] }
            names[room] = name
        }
    }
}
