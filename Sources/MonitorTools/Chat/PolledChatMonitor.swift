package import Base
package import Gateway

/// Watches one account of each registration by asking again and again. A session that the server has ended is renewed
/// once between two looks that go well; an interrupted watch goes on with the session it had.
package final class PolledChatMonitor<Chat: PolledChat>: Monitor {
    private let settings: PolledChatSettings
    private let time: any TimeSource
    private let chat: Chat
    private let sessions = SessionCache<Chat.Session>()

    package init(_ settings: PolledChatSettings, app: AppID, transport: any HTTPTransport, time: any TimeSource) {
        (self.settings, self.time) = (settings, time)
        chat = Chat(calls: settings.address.calls(pool: "\(Chat.kind).\(app.text)", transport, time), time: time)
    }

    package var credentialFields: [CredentialField] { Chat.credentialFields(usesToken: settings.usesToken) }
    package var upstream: String { settings.address.upstream }
    package var heardEvery: Duration? { settings.poll * 1.1 + settings.address.timeout }

    /// Outside of the task's stack, which lives as long as the watch.
    private final class Watch {
        let secret: Secret
        var book: Chat.Book?
        /// A login was made since the last look that went well.
        var hasRenewed = false
        var looks = 0
        var stored: Moment

        init(_ secret: Secret, _ book: Chat.Book?, now: Moment) {
            (self.secret, self.book, stored) = (secret, book, now)
        }
    }

    package func watch(_ target: MonitorTarget, host: any MonitorHost) async throws {
        let watch = try start(target)
        while true {
            do {
                try await follow(target, watch, host)
            } catch is PolledChatSessionEnded {
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
        let secret = try target.credential(settings.usesToken ? "token" : "password")
        let cursor = try target.cursor.map { stored in
            guard let cursor = Chat.Book.Cursor(stored) else {
                throw MonitorFailure(.cursorInvalid, "the stored cursor is not one of the \(Chat.kind) monitor")
            }
            return cursor
        }
        return Watch(secret, cursor.map(Chat.Book.init), now: time.now)
    }

    /// Logs out, so that sessions do not pile up.
    private func end(_ target: MonitorTarget, _ watch: Watch) async {
        guard let session = sessions.session(of: target.registration, for: watch.secret) else { return }
        sessions.drop(target.registration)
        if settings.usesToken { return }
        await uncancelled { [chat] in
            do {
                try await chat.logOut(session)
            } catch {
                // It ends by itself, after the server's session length.
            }
        }
    }

    private func session(_ target: MonitorTarget, _ watch: Watch) async throws -> Chat.Session {
        if let kept = sessions.session(of: target.registration, for: watch.secret) { return kept }
        let session: Chat.Session
        if settings.usesToken {
            session = try await chat.session(of: watch.secret, target.credentials)
        } else {
            session = try await chat.logIn(user: target.credential("username").exposed, password: watch.secret)
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

    private func setBaseline(_ watch: Watch, _ session: Chat.Session, _ host: any MonitorHost) async throws {
        let book = try await chat.baseline(session)
        try await host.emit(MonitorBatch(cursor: book.cursor.encoded))
        (watch.book, watch.stored) = (book, time.now)
    }

    private func look(_ watch: Watch, _ session: Chat.Session, _ host: any MonitorHost) async throws {
        guard let old = watch.book else { return }
        var book = old
        let changes = try await chat.look(&book, turn: watch.looks, session)
        let isStale = book.cursor != old.cursor && time.now - watch.stored >= settings.cursorAge
        if !changes.isEmpty || isStale {
            try await host.emit(changes, before: old.cursor.encoded, after: book.cursor.encoded)
            watch.stored = time.now
        }
        watch.book = book
    }
}

extension MonitorTarget {
    /// A credential that must be there.
    /// - Throws: `MonitorFailure` with `authFailed` when the registration lacks it.
    package func credential(_ field: String) throws -> Secret {
        guard let secret = credentials[field], !secret.isEmpty else {
            throw MonitorFailure(.authFailed, "the registration has no \(field)")
        }
        return secret
    }
}
