package import Base

/// When which registration is watched: admission to a server, back-off after failures, and what is shown of
/// it. No clock, no lock, no tasks.
package struct SupervisorMachine: Sendable {
    package enum State: String, Sendable, CaseIterable {
        case stopped
        case starting
        case watching
        case backingOff = "backing_off"
        case refused
    }

    /// What an operator or a user sees of one monitor.
    package struct Health: Sendable, Hashable {
        package var state: State
        /// When the state began.
        package var since: Timestamp
        package var lastItem: Timestamp?
        /// When the server was heard last, or something of it stored.
        package var lastSuccess: Timestamp?
        package var lastError: String?
        /// Failures one after another.
        package var failures = 0
        /// When it is tried again, where that is known.
        package var nextAttempt: Timestamp?
        /// How old the newest item of the last batch with news was when it came.
        package var lag: Duration?
        /// The last success is older than twice what is expected.
        package var isOverdue = false
    }

    package enum Action: Sendable, Hashable {
        case start(RegistrationID)
        case stop(RegistrationID)
        /// Its last success is too old, for the first time since there was one.
        case overdue(RegistrationID)
    }

    /// Pauses between attempts: first and longest, before full jitter.
    package static let networkPauses: (first: Duration, longest: Duration) = (.seconds(1), .seconds(300))
    package static let temporaryPauses: (first: Duration, longest: Duration) = (.seconds(30), .seconds(900))
    package static let sourceGonePauses: (first: Duration, longest: Duration) = (.seconds(60), .seconds(900))
    /// A server that cannot check passwords, or has no such mailbox, is not asked again before.
    package static let shortestPause: Duration = .seconds(1)
    /// Having watched for so long clears the count of failures.
    package static let steadyAfter: Duration = .seconds(60)
    /// A monitor that does not watch yet, or not any more, is expected to within this time.
    package static let usualSuccess: Duration = .seconds(900)

    struct Watch: Sendable {
        var upstream: String
        var health: Health
        var isWanted = true
        var isRunning = false
        /// It is to be started anew when the present run has ended.
        var restart = false
        /// Its registration is deleted: the row goes when the run has ended.
        var isForgotten = false
        /// These credentials have been accepted before.
        var isProven = true
        /// How often a monitor that watches hears its server at the least; nil: nobody knows.
        var heardEvery: Duration?
        var lastSuccess: Moment
        var isTimed = false
        var due: Moment?
        var stateSince: Moment
    }

    enum Timer: Sendable, Hashable {
        case registration(RegistrationID)
        case upstream(String)
        /// A login that may be refused has been under way for long enough to let the next one go.
        case probe(RegistrationID)
        case success(RegistrationID)
    }

    let startsPerSecond: Double
    let connectsAtOnce: Int
    let refusalsPerMinute: Int
    var watches: [RegistrationID: Watch] = [:]
    var upstreams: [String: Upstream] = [:]
    var timers = DeadlineQueue<Timer>()

    /// - Parameter refusalsPerMinute: refused logins at one server before further ones that may be refused wait; 0:
    ///   no limit.
    package init(startsPerSecond: Int, connectsAtOnce: Int, refusalsPerMinute: Int = 0) {
        (self.startsPerSecond, self.connectsAtOnce) = (Double(startsPerSecond), connectsAtOnce)
        self.refusalsPerMinute = refusalsPerMinute
    }

    package var nextDeadline: Moment? { timers.next }
    package func counts() -> [State: Int] { watches.values.reduce(into: [:]) { $0[$1.health.state, default: 0] += 1 } }

    package func health(_ id: RegistrationID) -> Health? {
        guard let watch = watches[id] else { return nil }
        var health = watch.health
        // Those before it count for the next pause only.
        if health.state == .watching { health.failures = 0 }
        if health.state == .starting, !watch.isRunning, let upstream = upstreams[watch.upstream],
            !watch.isProven || upstream.isDistrusted
        {
            health.nextAttempt = upstream.heldUntil
        }
        return health
    }

    /// Of all that should be watched: how many are overdue, and how long ago the one heard longest ago was heard.
    package func oldest(now: Moment) -> (overdue: Int, age: Duration) {
        var (overdue, oldest) = (0, now)
        for watch in watches.values where watch.isWanted {
            if watch.health.isOverdue { overdue += 1 }
            if watch.health.state != .watching || watch.heardEvery != nil { oldest = min(oldest, watch.lastSuccess) }
        }
        return (overdue, now - oldest)
    }

    // MARK: Inputs

    /// The registration shall be watched.
    /// - Parameters:
    ///   - isRenewed: its credentials or settings changed, so that a running monitor is started again.
    ///   - isProven: the server has accepted these credentials before, or asks for none.
    ///   - heardEvery: see `Monitor.heardEvery`.
    package mutating func want(
        _ id: RegistrationID, upstream: String, isRenewed: Bool, isProven: Bool = true, heardEvery: Duration? = nil,
        now: Moment, at time: Timestamp
    ) -> [Action] {
        guard var watch = watches[id] else {
            watches[id] = Watch(
                upstream: upstream, health: Health(state: .starting, since: time), isProven: isProven,
                heardEvery: heardEvery, lastSuccess: now, stateSince: now)
            return queue(id, now: now, at: time)
        }
        if !watch.isWanted { watch.lastSuccess = now }
        (watch.isWanted, watch.isForgotten, watch.upstream) = (true, false, upstream)
        (watch.isProven, watch.heardEvery) = (isProven, heardEvery)
        if watch.isRunning {
            watch.restart = watch.restart || isRenewed
            watches[id] = watch
            return isRenewed ? [.stop(id)] : []
        }
        let isWaiting = (watch.health.state == .backingOff || watch.health.state == .starting) && !isRenewed
        if !isWaiting { (watch.health.failures, watch.health.lastError) = (0, nil) }
        watches[id] = watch
        return isWaiting ? [] : queue(id, now: now, at: time)
    }

    /// The registration shall not be watched any more, for good or because it was refused.
    package mutating func unwant(
        _ id: RegistrationID, as state: State = .stopped, now: Moment, at time: Timestamp
    ) -> [Action] {
        guard var watch = watches[id] else {
            // After a restart somebody wants to see that the password was refused.
            if state == .refused {
                watches[id] = Watch(
                    upstream: "", health: Health(state: state, since: time), isWanted: false, lastSuccess: now,
                    stateSince: now)
            }
            return []
        }
        (watch.isWanted, watch.restart, watch.due) = (false, false, nil)
        watch.health.isOverdue = false
        let isRunning = watch.isRunning
        watches[id] = watch
        set(id, state, now: now, at: time)
        return isRunning ? [.stop(id)] : []
    }

    /// A deleted registration's row.
    package mutating func forget(_ id: RegistrationID) {
        if watches[id]?.isRunning == true { watches[id]?.isForgotten = true } else { watches[id] = nil }
    }

    package mutating func watching(_ id: RegistrationID, now: Moment, at time: Timestamp) -> [Action] {
        guard let watch = watches[id], watch.isRunning, watch.isWanted else { return [] }
        set(id, .watching, now: now, at: time)
        watches[id]?.isProven = true
        _ = heard(id, items: 0, now: now, at: time)
        upstreams[watch.upstream]?.accepted(id)
        return admit(watch.upstream, now: now, at: time)
    }

    /// The server was heard, or something of it was stored.
    /// - Parameter lag: how old the newest item was.
    /// - Returns: whether that had been overdue.
    package mutating func heard(
        _ id: RegistrationID, items: Int, lag: Duration? = nil, now: Moment, at time: Timestamp
    ) -> Bool {
        guard var watch = watches[id] else { return false }
        let wasOverdue = watch.health.isOverdue
        watch.lastSuccess = now
        (watch.health.lastSuccess, watch.health.isOverdue) = (time, false)
        if items > 0 { watch.health.lastItem = time }
        if let lag { watch.health.lag = lag }
        watches[id] = watch
        return wasOverdue
    }

    /// The monitor's task has ended. `jitter` is drawn from 0..<1.
    package mutating func ended(
        _ id: RegistrationID, _ failure: MonitorFailure?, now: Moment, at time: Timestamp, jitter: Double
    ) -> (pause: Duration?, actions: [Action]) {
        guard var watch = watches[id] else { return (nil, []) }
        watch.isRunning = false
        // Also of one that is not wanted any more: why its password was refused must not get lost.
        if let failure { watch.health.lastError = failure.description }
        watches[id] = watch
        left(id, watch.upstream, isRefused: failure?.code == .authFailed, now: now)
        var actions = admit(watch.upstream, now: now, at: time)
        guard watch.isWanted else {
            if watch.isForgotten { watches[id] = nil }
            return (nil, actions)
        }
        if watch.restart || failure == nil {
            watches[id]?.restart = false
            return (nil, actions + queue(id, now: now, at: time))
        }
        if watch.health.state == .watching, now - watch.stateSince > Self.steadyAfter { watch.health.failures = 0 }
        watch.health.failures += 1
        let pause = Self.pause(failure?.code ?? .network, failures: watch.health.failures, now: now, jitter: jitter)
        watch.due = now + pause
        watch.health.nextAttempt = time + pause
        watches[id] = watch
        set(id, .backingOff, now: now, at: time)
        timers.insert(.registration(id), due: now + pause)
        expectSuccess(of: id)
        if pause == .zero { actions += fire(now: now, at: time) }
        return (pause, actions)
    }

    static func pause(_ code: MonitorFailure.Code, failures: Int, now: Moment, jitter: Double) -> Duration {
        switch code {
        case .network, .protocolViolation, .authFailed: LaneMachine.pause(networkPauses, failures - 1, jitter)
        case .authTemporary: max(shortestPause, LaneMachine.pause(temporaryPauses, failures - 1, jitter))
        case .sourceGone: max(shortestPause, LaneMachine.pause(sourceGonePauses, failures - 1, jitter))
        case .throttled(let until): max(.seconds(1), until - now)
        // Once at once, but a source that never accepts a cursor must not spin.
        case .cursorInvalid: failures <= 1 ? .zero : LaneMachine.pause(networkPauses, failures - 1, jitter)
        }
    }

    package mutating func fire(now: Moment, at time: Timestamp) -> [Action] {
        var actions: [Action] = []
        while let timer = timers.pop(at: now) {
            switch timer {
            case .registration(let id):
                guard let watch = watches[id], watch.isWanted, !watch.isRunning, let due = watch.due, due <= now else {
                    continue
                }
                actions += queue(id, now: now, at: time)
            case .upstream(let name):
                upstreams[name]?.timer = nil
                actions += admit(name, now: now, at: time)
            case .probe(let id):
                guard let name = watches[id]?.upstream else { continue }
                upstreams[name]?.probing.remove(id)
                actions += admit(name, now: now, at: time)
            case .success(let id): actions += checkSuccess(of: id, now: now)
            }
        }
        return actions
    }

    mutating func set(_ id: RegistrationID, _ state: State, now: Moment, at time: Timestamp) {
        guard watches[id]?.health.state != state else { return }
        if state != .backingOff { watches[id]?.health.nextAttempt = nil }
        watches[id]?.health.state = state
        watches[id]?.health.since = time
        watches[id]?.stateSince = now
    }
}
