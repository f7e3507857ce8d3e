package import Base

/// Who runs which app's client where, and whether it is in front: the rows, the lease rule and the
/// sequence rule, without clock or lock.
package struct SessionTable: Sendable {
    /// A foreground report counts for so long (our monotonic clock).
    package static let lease: Duration = .seconds(15)
    /// How often a client in front reports.
    package static let beat: Duration = .seconds(5)
    /// A row nobody reports on any more is dropped after this.
    package static let forgetAfter: Duration = .seconds(86_400)
    /// A client whose answer was lost may repeat its `gone` for so long.
    package static let repeatGoneFor: Duration = .seconds(300)
    /// At most so many ended sessions are remembered for that; beyond, the one that ended first is forgotten.
    package static let rememberedGone = 10_000

    /// What a report did.
    package enum Outcome: Sendable, Hashable {
        /// It holds now; `was` is the foreground state before it.
        case applied(Session, previous: Session.Presence, wasForeground: Bool)
        /// Its number was not higher than one seen before: it changes nothing.
        case stale(Session)
        case unknown
    }

    private var sessions: [SessionID: Session] = [:]
    private var byDevice: [DeviceID: Set<SessionID>] = [:]
    /// Sessions in front whose lease has not been seen to end.
    private var leased: Set<SessionID> = []
    /// Sessions that their farm was last known to speak against.
    private var lowered: Set<SessionID> = []
    /// Sessions that their farm speaks for.
    private var farms: Set<SessionID> = []
    /// Sessions that ended with `gone`, and the same in the order they are forgotten.
    private var ended: [SessionID: Session] = [:]
    private var endings = DeadlineQueue<SessionID>()

    package init() {}

    package var count: Int { sessions.count }
    package var all: [Session] { Array(sessions.values) }
    package subscript(_ id: SessionID) -> Session? { sessions[id] }
    /// A session that ended with `gone` not long ago.
    package func ended(_ id: SessionID) -> Session? { ended[id] }

    package func sessions(of account: AccountID) -> [Session] {
        sessions.values.filter { $0.account == account }.sorted { ($0.opened, $0.id) < ($1.opened, $1.id) }
    }

    package func session(device: DeviceID, app: AppID) -> Session? {
        byDevice[device]?.lazy.compactMap { sessions[$0] }.filter { $0.app == app }
            .max { ($0.opened, $0.id) < ($1.opened, $1.id) }
    }

    package func count(of device: DeviceID) -> Int { byDevice[device]?.count ?? 0 }

    package func session(device: DeviceID, app: AppID, instance: String) -> Session? {
        byDevice[device]?.lazy.compactMap { sessions[$0] }.first { $0.app == app && $0.instance == instance }
    }

    /// Adds a session, in front from now on where it says so. A client that speaks for itself takes the place of what a
    /// farm says of the same app on the device.
    package mutating func open(_ session: Session) {
        if session.isFarms {
            farms.insert(session.id)
        } else {
            for id in byDevice[session.device] ?? [] where farms.contains(id) && sessions[id]?.app == session.app {
                remove(id)
            }
        }
        sessions[session.id] = session
        byDevice[session.device, default: []].insert(session.id)
        if session.presence.isForeground { leased.insert(session.id) }
    }

    /// Takes a client's report. Farther numbers win, whatever order they arrive in; `hidden` and `gone`
    /// end the lease at once; `gone` removes the row, and may be repeated for `repeatGoneFor`.
    package mutating func report(
        _ id: SessionID, seq: Int64, presence: Session.Presence, now: Moment, at timestamp: Timestamp
    ) -> Outcome {
        guard var session = sessions[id] else {
            forgetEnded(now: now)
            guard presence == .gone, let session = ended[id] else { return .unknown }
            return .stale(session)
        }
        guard seq > session.seq else { return .stale(session) }
        let previous = session.presence
        let wasForeground = session.isForeground(at: now)
        // The client knows something newer than what the farm saw; the farm's next look may lower it again.
        if presence.isForeground, !session.hasLease(at: now) { session.comesForward(now) }
        session.seq = seq
        session.presence = presence
        session.reported = timestamp
        session.leaseEnd = presence.isForeground ? now + Self.lease : now
        if presence == .gone {
            remove(id)
            remember(session, now: now)
        } else {
            sessions[id] = session
        }
        if session.presence.isForeground { leased.insert(id) } else { leased.remove(id) }
        return .applied(session, previous: previous, wasForeground: wasForeground)
    }

    private mutating func remember(_ session: Session, now: Moment) {
        ended[session.id] = session
        endings.insert(session.id, due: now + Self.repeatGoneFor)
        if ended.count > Self.rememberedGone, let first = endings.pop(at: .distantFuture) { ended[first] = nil }
    }

    private mutating func forgetEnded(now: Moment) {
        while let id = endings.pop(at: now) { ended[id] = nil }
    }

    /// Takes what a farm knows. It holds against the client's own beats for as long as it lasts; only a client that
    /// comes forward after the farm looked counts again at once. Returns the sessions that went out of sight or came
    /// back by it.
    package mutating func take(_ fact: FarmFact, now: Moment) -> [Session] {
        var changed: [Session] = farms.compactMap { hear(fact, of: $0, now: now) }
        for id in leased where !farms.contains(id) {
            guard var session = sessions[id], session.account == fact.subject.account,
                session.app == fact.subject.app, fact.seen >= session.raised
            else { continue }
            let wasForeground = session.isForeground(at: now)
            session.farm = fact.state
            session.farmEnd = fact.seen + fact.lasts
            sessions[id] = session
            if session.farm(at: now).lowers { lowered.insert(id) } else { lowered.remove(id) }
            if session.isForeground(at: now) != wasForeground { changed.append(session) }
        }
        return changed
    }

    /// Takes what a trusted farm says of a client that cannot speak for itself. Without another word it counts as long
    /// as a client's own report. Who disconnects is gone: the next launch begins anew.
    /// - Returns: the session where it came to the front, left it or ended.
    private mutating func hear(_ fact: FarmFact, of id: SessionID, now: Moment) -> Session? {
        guard var session = sessions[id], session.account == fact.subject.account, session.app == fact.subject.app,
            fact.seen >= session.raised
        else { return nil }
        let wasForeground = session.isForeground(at: now)
        (session.farm, session.farmEnd) = (fact.state, fact.seen + fact.lasts)
        switch fact.state {
        case .visible:
            (session.presence, session.leaseEnd) = (.visible, fact.seen + Self.lease)
            leased.insert(id)
        case .hidden:
            (session.presence, session.leaseEnd) = (.hidden, now)
            leased.remove(id)
        case .disconnected:
            remove(id)
            (session.presence, session.leaseEnd) = (.gone, now)
            return session
        case .connected, .unknown: break
        }
        sessions[id] = session
        return session.isForeground(at: now) != wasForeground ? session : nil
    }

    /// Whether the app is in front on the device by its farm's word.
    package func isShownByFarm(device: DeviceID, app: AppID, now: Moment) -> Bool {
        byDevice[device]?.contains { farms.contains($0) && sessions[$0]?.app == app && isForeground($0, now) } ?? false
    }

    private func isForeground(_ id: SessionID, _ now: Moment) -> Bool { sessions[id]?.isForeground(at: now) ?? false }

    /// Sessions that a farm had lowered and about which it has not said anything for too long: their clients count
    /// again since the last call.
    package mutating func lift(now: Moment) -> [Session] {
        let lifted = lowered.compactMap { sessions[$0] }.filter { !$0.farm(at: now).lowers }
        for session in lifted { lowered.remove(session.id) }
        return lifted.filter { $0.isForeground(at: now) }
    }

    /// Whose clients of these apps say that they are in front, or cannot say anything.
    package func inFront(apps: Set<AppID>, now: Moment) -> Set<FarmSubject> {
        Set(
            leased.union(farms).compactMap { sessions[$0] }
                .filter { apps.contains($0.app) && ($0.isFarms || $0.hasLease(at: now)) }
                .map { FarmSubject(account: $0.account, app: $0.app) })
    }

    @discardableResult
    package mutating func remove(_ id: SessionID) -> Session? {
        guard let session = sessions.removeValue(forKey: id) else { return nil }
        leased.remove(id)
        lowered.remove(id)
        farms.remove(id)
        byDevice[session.device]?.remove(id)
        if byDevice[session.device]?.isEmpty == true { byDevice[session.device] = nil }
        return session
    }

    /// Removes a device's sessions.
    package mutating func removeAll(device: DeviceID) -> [Session] {
        (byDevice[device] ?? []).compactMap { remove($0) }
    }

    /// When the app's client on the device stops counting as in front; nil when it does not count now.
    package func foregroundUntil(device: DeviceID, app: AppID, now: Moment) -> Moment? {
        byDevice[device]?.lazy.compactMap { sessions[$0] }
            .filter { $0.app == app && $0.isForeground(at: now) }.map(\.leaseEnd).max()
    }

    /// Whether the app's client runs in front on any device of the account.
    package func isForeground(account: AccountID, app: AppID, now: Moment) -> Bool {
        leased.contains { id in
            sessions[id].map { $0.account == account && $0.app == app && $0.isForeground(at: now) } ?? false
        }
    }

    /// Sessions whose lease has ended since the last call; their clients are frozen, crashed or cut off.
    package mutating func expire(now: Moment) -> [Session] {
        let unheard = leased.compactMap { sessions[$0] }.filter { !$0.hasLease(at: now) }
        for session in unheard { leased.remove(session.id) }
        forgetEnded(now: now)
        return unheard
    }

    /// Drops rows whose client has not reported for `forgetAfter`.
    package mutating func forget(at timestamp: Timestamp) -> [Session] {
        let forgotten = sessions.values.filter { timestamp - $0.reported > Self.forgetAfter }
        for session in forgotten { remove(session.id) }
        return forgotten
    }
}

extension Session {
    /// The client is in front from now on, whatever the farm saw before.
    mutating func comesForward(_ now: Moment) { (raised, farm, farmEnd) = (now, .unknown, now) }
}
