internal import Base

// Who may connect to a server now: so many starts a second, so many connects at once, and so few refused logins that
// the server does not turn against everybody who comes from this machine.
extension SupervisorMachine {
    /// Refused logins count for so long.
    package static let refusalWindow: Duration = .seconds(60)
    /// A login that has not been answered for so long lets the next one go that may be refused.
    package static let probeLimit: Duration = .seconds(30)

    /// Registrations in the order in which they came, each once.
    struct Line: Sendable {
        private var ids: [RegistrationID] = []
        private var known: Set<RegistrationID> = []
        private var head = 0

        var isEmpty: Bool { head == ids.count }
        var first: RegistrationID? { isEmpty ? nil : ids[head] }

        mutating func append(_ id: RegistrationID) { if known.insert(id).inserted { ids.append(id) } }

        mutating func removeFirst() {
            known.remove(ids[head])
            head += 1
            if head == ids.count { (ids, head) = ([], 0) }
        }
    }

    struct Upstream: Sendable {
        var tokens: Double
        var refilled: Moment
        var connecting: Set<RegistrationID> = []
        /// Whose credentials have been accepted before.
        var proven = Line()
        /// Whose credentials may be wrong.
        var unproven = Line()
        /// Logins under way that may be refused.
        var probing: Set<RegistrationID> = []
        /// When logins were refused, within the window.
        var refusals: [Moment] = []
        /// Credentials that worked before were refused as well, more than may be: every login is a risk until one
        /// succeeds.
        var isDistrusted = false
        /// Until when those wait that may be refused.
        var heldUntil: Timestamp?
        var timer: Moment?

        mutating func accepted(_ id: RegistrationID) {
            connecting.remove(id)
            probing.remove(id)
            isDistrusted = false
        }
    }

    mutating func queue(_ id: RegistrationID, now: Moment, at time: Timestamp) -> [Action] {
        guard let watch = watches[id] else { return [] }
        watches[id]?.due = nil
        set(id, .starting, now: now, at: time)
        expectSuccess(of: id)
        let fresh = Upstream(tokens: startsPerSecond, refilled: now)
        if watch.isProven {
            upstreams[watch.upstream, default: fresh].proven.append(id)
        } else {
            upstreams[watch.upstream, default: fresh].unproven.append(id)
        }
        return admit(watch.upstream, now: now, at: time)
    }

    /// A run has ended, perhaps because its login was refused.
    mutating func left(_ id: RegistrationID, _ name: String, isRefused: Bool, now: Moment) {
        upstreams[name]?.connecting.remove(id)
        upstreams[name]?.probing.remove(id)
        guard isRefused, refusalsPerMinute > 0, var upstream = upstreams.removeValue(forKey: name) else { return }
        upstream.refusals.removeAll { $0 + Self.refusalWindow <= now }
        upstream.refusals.append(now)
        if upstream.refusals.count > refusalsPerMinute {
            upstream.isDistrusted = true
            upstream.refusals.removeFirst(upstream.refusals.count - refusalsPerMinute)
        }
        upstreams[name] = upstream
    }

    /// Starts as many as the rate, the connects in flight and the refused logins allow.
    mutating func admit(_ name: String, now: Moment, at time: Timestamp) -> [Action] {
        // Taken out, so that its lines are changed in place.
        guard var upstream = upstreams.removeValue(forKey: name) else { return [] }
        let earned = (now - upstream.refilled).inSeconds * startsPerSecond
        upstream.tokens = min(startsPerSecond, upstream.tokens + earned)
        upstream.refilled = now
        upstream.refusals.removeAll { $0 + Self.refusalWindow <= now }
        var actions: [Action] = []
        while upstream.tokens >= 1, upstream.connecting.count < connectsAtOnce,
            let (id, isProbe) = next(of: &upstream)
        {
            upstream.tokens -= 1
            upstream.connecting.insert(id)
            if isProbe {
                upstream.probing.insert(id)
                timers.insert(.probe(id), due: now + Self.probeLimit)
            }
            watches[id]?.isRunning = true
            actions.append(.start(id))
        }
        setTimer(&upstream, name, now: now, at: time)
        upstreams[name] = upstream
        return actions
    }

    private mutating func setTimer(_ upstream: inout Upstream, _ name: String, now: Moment, at time: Timestamp) {
        upstream.heldUntil = nil
        guard !upstream.proven.isEmpty || !upstream.unproven.isEmpty else { return }
        var due: Moment?
        if upstream.tokens < 1 {
            due = now + max(.milliseconds(1), .seconds((1 - upstream.tokens) / startsPerSecond))
        } else if let oldest = upstream.refusals.first, !mayRisk(upstream) {
            due = oldest + Self.refusalWindow
            upstream.heldUntil = time + (oldest + Self.refusalWindow - now)
        }
        guard let due, upstream.timer.map({ due < $0 }) ?? true else { return }
        upstream.timer = due
        timers.insert(.upstream(name), due: due)
    }

    private func mayRisk(_ upstream: Upstream) -> Bool {
        refusalsPerMinute == 0 || upstream.refusals.count + upstream.probing.count < refusalsPerMinute
    }

    /// Takes the next that may start; one that may be refused counts as a probe.
    private mutating func next(of upstream: inout Upstream) -> (id: RegistrationID, isProbe: Bool)? {
        clean(&upstream)
        let mayRisk = mayRisk(upstream)
        if upstream.isDistrusted {
            // One that worked before is likelier to work.
            guard mayRisk else { return nil }
            if let id = upstream.proven.first {
                upstream.proven.removeFirst()
                return (id, refusalsPerMinute > 0)
            }
        }
        if mayRisk, let id = upstream.unproven.first {
            upstream.unproven.removeFirst()
            return (id, refusalsPerMinute > 0)
        }
        guard !upstream.isDistrusted, let id = upstream.proven.first else { return nil }
        upstream.proven.removeFirst()
        return (id, false)
    }

    /// Drops from the heads of the lines who does not wait any more, and moves who is not proven any more.
    private func clean(_ upstream: inout Upstream) {
        func waits(_ id: RegistrationID) -> Bool { watches[id].map { $0.isWanted && !$0.isRunning } ?? false }
        while let id = upstream.proven.first {
            if waits(id), watches[id]?.isProven == true { break }
            upstream.proven.removeFirst()
            if waits(id) { upstream.unproven.append(id) }
        }
        while let id = upstream.unproven.first, !waits(id) { upstream.unproven.removeFirst() }
    }
}
