package import Base

/// The session table with its clock and lock; tells others when a client comes to the front or leaves it.
package final class Sessions: Service {
    /// How often ended leases are looked for.
    static let sweep: Duration = .seconds(1)
    /// Sessions nobody reports on are looked for in every so manieth sweep: it takes a look at each row.
    static let sweepsToForget = 60

    package let name = "sessions"
    private let table = Locked(SessionTable())
    private let time: any TimeSource
    private let log: Log
    private let limits: Limits
    private let observers = Locked<[@Sendable (Session) -> Void]>([])
    private let endObservers = Locked<[@Sendable (Session) -> Void]>([])
    private let stopped = ShutdownSignal()

    package init(time: any TimeSource, log: Log, limits: Limits) {
        (self.time, self.log, self.limits) = (time, log, limits)
    }

    /// Takes over another table's sessions, when the parts are started anew in the same process. Their clients
    /// go on reporting as if nothing had happened.
    package func adopt(_ former: Sessions) {
        let rows = former.table.withLock { $0 }
        table.withLock { $0 = rows }
    }

    /// Who is told when a session came to the front or left it; after the change, without any lock.
    package func onChange(_ body: @escaping @Sendable (Session) -> Void) { observers.withLock { $0.append(body) } }

    /// Who is told when a session ended that was not in front, or with its device; after the change, without any lock.
    package func onEnd(_ body: @escaping @Sendable (Session) -> Void) { endObservers.withLock { $0.append(body) } }

    private func tellEnd(_ session: Session) { for observer in endObservers.withLock({ $0 }) { observer(session) } }

    private func tell(_ session: Session) { for observer in observers.withLock({ $0 }) { observer(session) } }

    package var count: Int { table.withLock { $0.count } }
    package var all: [Session] { table.withLock { $0.all } }
    package func session(_ id: SessionID) -> Session? { table.withLock { $0[id] } }
    package func sessions(of account: AccountID) -> [Session] { table.withLock { $0.sessions(of: account) } }
    /// The app's newest session on a device, in front or not.
    package func session(device: DeviceID, app: AppID) -> Session? {
        table.withLock { $0.session(device: device, app: app) }
    }
    package func foregroundUntil(device: DeviceID, app: AppID) -> Moment? {
        table.withLock { $0.foregroundUntil(device: device, app: app, now: time.now) }
    }
    package func isForeground(account: AccountID, app: AppID) -> Bool {
        table.withLock { $0.isForeground(account: account, app: app, now: time.now) }
    }
    /// What is left of a session's lease.
    package func remaining(_ session: Session) -> Duration {
        session.isForeground(at: time.now) ? session.leaseEnd - time.now : .zero
    }

    /// Opens a session, in front from the first moment; the same instance again is the same session.
    /// - Throws: `limit_reached`.
    package func open(
        account: AccountID, device: DeviceID, app: AppID, instance: String, registration: RegistrationID, id: SessionID
    ) throws(GatewayError) -> (session: Session, isNew: Bool) {
        let now = time.now
        let timestamp = time.timestamp
        let limit = limits.sessionsPerDevice
        let result = table.withLock { table -> (Session, Bool)? in
            if let known = table.session(device: device, app: app, instance: instance) {
                var session = known
                session.presence = .active
                // Another one, when the account has registered anew since.
                session.registration = registration
                // The client may have started anew and then counts from one again: else all it says were stale.
                session.seq = 0
                session.leaseEnd = now + SessionTable.lease
                session.reported = timestamp
                session.comesForward(now)
                table.open(session)
                return (session, false)
            }
            guard table.count(of: device) < limit else { return nil }
            let session = Session(
                id: id, account: account, device: device, app: app, instance: instance, registration: registration,
                presence: .active, seq: 0, leaseEnd: now + SessionTable.lease, opened: timestamp,
                raised: now)
            table.open(session)
            return (session, true)
        }
        guard let (session, isNew) = result else {
            throw GatewayError(
                .limitReached, "the device has \(limit) sessions; end some first (limits.sessionsPerDevice)")
        }
        log.info(
            .sessionOpened, isNew ? "A client of a remote app started" : "A client of a remote app logged in again",
            fields(session))
        tell(session)
        return (session, isNew)
    }

    /// Notes that an app was brought up for a device whose client cannot report, in a session of a farm that is trusted:
    /// from now on the farm says whether it is in front. Does nothing where a client speaks for itself, or where the
    /// device has too many sessions: then it counts as not in front.
    package func follow(
        account: AccountID, device: DeviceID, app: AppID, registration: RegistrationID, id: SessionID
    ) {
        let (now, timestamp, limit) = (time.now, time.timestamp, limits.sessionsPerDevice)
        let opened = table.withLock { table -> Session? in
            let known = table.session(device: device, app: app)
            guard known?.isFarms ?? (table.count(of: device) < limit) else { return nil }
            if let known { table.remove(known.id) }
            var session = Session(
                id: id, account: account, device: device, app: app, instance: "farm", registration: registration,
                presence: .hidden, seq: 0, leaseEnd: now, opened: timestamp, raised: now)
            session.isFarms = true
            table.open(session)
            return session
        }
        guard let opened else { return }
        log.info(.sessionOpened, "A farm speaks for a client that cannot report", fields(opened))
    }

    package func isShownByFarm(device: DeviceID, app: AppID) -> Bool {
        table.withLock { $0.isShownByFarm(device: device, app: app, now: time.now) }
    }

    /// Takes a client's report; nil when there is no such session of the device. A `gone` of a session that ended
    /// with one counts as taken for `SessionTable.repeatGoneFor`: the first answer may have been lost.
    package func report(_ id: SessionID, device: DeviceID, seq: Int64, presence: Session.Presence) -> Session? {
        let now = time.now
        let outcome = table.withLock { table -> SessionTable.Outcome in
            guard (table[id] ?? table.ended(id))?.device == device else { return .unknown }
            return table.report(id, seq: seq, presence: presence, now: now, at: time.timestamp)
        }
        switch outcome {
        case .unknown: return nil
        case .stale(let session): return session
        case .applied(let session, let previous, let wasForeground):
            let isForeground = session.isForeground(at: now)
            if session.presence != previous || (isForeground && !wasForeground) {
                log.info(
                    presence == .gone ? .sessionClosed : .sessionPresence, "A client reported its presence",
                    fields(session) + ["previous": .string(previous.rawValue)])
            }
            if wasForeground != isForeground {
                tell(session)
            } else if presence == .gone {
                tellEnd(session)
            }
            return session
        }
    }

    /// Ends a session; false when there is none of the device's.
    package func close(_ id: SessionID, account: AccountID) -> Bool {
        let closed = table.withLock { table in table[id]?.account == account ? table.remove(id) : nil }
        guard let closed else { return false }
        log.info(.sessionClosed, "A client of a remote app was logged out", fields(closed))
        tell(closed)
        return true
    }

    package func removed(device: DeviceID) {
        for session in table.withLock({ $0.removeAll(device: device) }) {
            log.info(.sessionClosed, "A session ended with its device", fields(session))
            tellEnd(session)
        }
    }

    private func fields(_ session: Session) -> LogFields {
        [
            "session": .id(session.id), "account": .id(session.account), "device": .id(session.device),
            "app": .id(session.app), "state": .string(session.presence.rawValue), "seq": .integer(session.seq),
        ]
    }

    package func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.watchLeases() }
            group.addTask { await self.stopped.wait() }
            try await group.next()
            group.cancelAll()
        }
    }

    package func beginShutdown() { stopped.raise() }

    private func watchLeases() async throws {
        var sweeps = 0
        while true {
            try await time.sleep(for: Self.sweep)
            sweeps += 1
            let forgets = sweeps % Self.sweepsToForget == 0
            let (expired, lifted, forgotten) = table.withLock { table in
                (
                    table.expire(now: time.now), table.lift(now: time.now),
                    forgets ? table.forget(at: time.timestamp) : []
                )
            }
            for session in lifted {
                log.info(
                    .sessionPresence, "The farm has not said anything for too long; its client counts again",
                    fields(session) + ["farm": .string(FarmFact.State.unknown.rawValue)])
                tell(session)
            }
            for session in expired {
                log.info(.sessionExpired, "A client in front stopped reporting; it no longer counts", fields(session))
                tell(session)
            }
            for session in forgotten {
                log.info(.sessionClosed, "A session nobody reported on for a day was dropped", fields(session))
                tellEnd(session)
            }
        }
    }
}

extension Sessions: FarmFacts {
    package func inFront(apps: Set<AppID>) -> Set<FarmSubject> {
        table.withLock { $0.inFront(apps: apps, now: time.now) }
    }

    package func take(_ fact: FarmFact) {
        let changed = table.withLock { $0.take(fact, now: time.now) }
        for session in changed {
            let sight: StaticString =
                if fact.state.lowers {
                    "The farm says a client is out of sight"
                } else if session.isFarms {
                    "The farm says a client is in front"
                } else {
                    "The farm has nothing against a client any more"
                }
            log.info(
                session.presence == .gone ? .sessionClosed : .sessionPresence, sight,
                fields(session) + ["farm": .string(fact.state.rawValue)])
            tell(session)
        }
    }
}
