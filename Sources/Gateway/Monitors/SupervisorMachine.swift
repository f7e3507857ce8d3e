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
        package var lastHeard: Timestamp?
        package var lastError: String?
        package var failures = 0
    }

    package enum Action: Sendable, Hashable {
        case start(RegistrationID)
        case stop(RegistrationID)
    }

    /// Pauses between attempts: first and longest.
    package static let networkPauses: (first: Duration, longest: Duration) = (.seconds(1), .seconds(300))
    package static let temporaryPauses: (first: Duration, longest: Duration) = (.seconds(30), .seconds(900))
    package static let sourceGonePauses: (first: Duration, longest: Duration) = (.seconds(60), .seconds(900))
    /// Having watched for so long clears the count of failures.
    package static let steadyAfter: Duration = .seconds(60)

    private struct Watch: Sendable {
        var upstream: String
        var health: Health
        var isWanted = true
        var isRunning = false
        /// It is to be started anew when the present run has ended.
        var restart = false
        /// Its registration is deleted: the row goes when the run has ended.
        var isForgotten = false
        var due: Moment?
        var stateSince: Moment
    }

    private struct Upstream: Sendable {
        var tokens: Double
        var refilled: Moment
        var connecting: Set<RegistrationID> = []
        var queue: [RegistrationID] = []
        var queued: Set<RegistrationID> = []
        var head = 0
        var isTimerSet = false

        mutating func enqueue(_ id: RegistrationID) { if queued.insert(id).inserted { queue.append(id) } }
    }

    private enum Timer: Sendable, Hashable {
        case registration(RegistrationID)
        case upstream(String)
    }

    private let startsPerSecond: Double
    private let connectsAtOnce: Int
    private var watches: [RegistrationID: Watch] = [:]
    private var upstreams: [String: Upstream] = [:]
    private var timers = DeadlineQueue<Timer>()

    package init(startsPerSecond: Int, connectsAtOnce: Int) {
        (self.startsPerSecond, self.connectsAtOnce) = (Double(startsPerSecond), connectsAtOnce)
    }

    package var nextDeadline: Moment? { timers.next }
    package func health(_ id: RegistrationID) -> Health? { watches[id]?.health }
    package func counts() -> [State: Int] { watches.values.reduce(into: [:]) { $0[$1.health.state, default: 0] += 1 } }

    /// The registration shall be watched; `isRenewed` when its credentials or settings changed, so that a
    /// running monitor is started again.
    package mutating func want(
        _ id: RegistrationID, upstream: String, isRenewed: Bool, now: Moment, at time: Timestamp
    ) -> [Action] {
        if var watch = watches[id] {
            (watch.isWanted, watch.isForgotten, watch.upstream) = (true, false, upstream)
            if watch.isRunning {
                watch.restart = watch.restart || isRenewed
                watches[id] = watch
                return isRenewed ? [.stop(id)] : []
            }
            if watch.health.state == .backingOff && !isRenewed { return [] }
            if watch.health.state == .starting && !isRenewed { return [] }
            watch.health.failures = 0
            watch.health.lastError = nil
            watches[id] = watch
        } else {
            watches[id] = Watch(upstream: upstream, health: Health(state: .starting, since: time), stateSince: now)
        }
        return queue(id, now: now, at: time)
    }

    /// The registration shall not be watched any more, for good or because it was refused.
    package mutating func unwant(
        _ id: RegistrationID, as state: State = .stopped, now: Moment, at time: Timestamp
    ) -> [Action] {
        guard var watch = watches[id] else {
            // After a restart somebody wants to see that the password was refused.
            if state == .refused {
                watches[id] = Watch(
                    upstream: "", health: Health(state: state, since: time), isWanted: false, stateSince: now)
            }
            return []
        }
        (watch.isWanted, watch.restart, watch.due) = (false, false, nil)
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
        watches[id]?.health.lastHeard = time
        upstreams[watch.upstream]?.connecting.remove(id)
        return admit(watch.upstream, now: now, at: time)
    }

    package mutating func heard(_ id: RegistrationID, items: Int, at time: Timestamp) {
        watches[id]?.health.lastHeard = time
        if items > 0 { watches[id]?.health.lastItem = time }
    }

    /// The monitor's task has ended. `jitter` is drawn from 0..<1.
    package mutating func ended(
        _ id: RegistrationID, _ failure: MonitorFailure?, now: Moment, at time: Timestamp, jitter: Double
    ) -> (pause: Duration?, actions: [Action]) {
        guard var watch = watches[id] else { return (nil, []) }
        watch.isRunning = false
        upstreams[watch.upstream]?.connecting.remove(id)
        var actions = admit(watch.upstream, now: now, at: time)
        // Also of one that is not wanted any more: why its password was refused must not get lost.
        if let failure { watch.health.lastError = failure.description }
        guard watch.isWanted else {
            if let failure { watch.health.lastError = failure.description }
            watches[id] = watch.isForgotten ? nil : watch
            return (nil, actions)
        }
        if watch.restart || failure == nil {
            watch.restart = false
            watches[id] = watch
            return (nil, actions + queue(id, now: now, at: time))
        }
        if watch.health.state == .watching, now - watch.stateSince > Self.steadyAfter { watch.health.failures = 0 }
        watch.health.failures += 1
        let pause = Self.pause(failure?.code ?? .network, failures: watch.health.failures, now: now, jitter: jitter)
        watch.due = now + pause
        watches[id] = watch
        set(id, .backingOff, now: now, at: time)
        timers.insert(.registration(id), due: now + pause)
        if pause == .zero { actions += fire(now: now, at: time) }
        return (pause, actions)
    }

    static func pause(_ code: MonitorFailure.Code, failures: Int, now: Moment, jitter: Double) -> Duration {
        switch code {
        case .network, .protocolViolation, .authFailed: LaneMachine.pause(networkPauses, failures - 1, jitter)
        case .authTemporary: LaneMachine.pause(temporaryPauses, failures - 1, 0.5 + jitter / 2)
        case .sourceGone: LaneMachine.pause(sourceGonePauses, failures - 1, 0.5 + jitter / 2)
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
                upstreams[name]?.isTimerSet = false
                actions += admit(name, now: now, at: time)
            }
        }
        return actions
    }

    private mutating func set(_ id: RegistrationID, _ state: State, now: Moment, at time: Timestamp) {
        guard watches[id]?.health.state != state else { return }
        watches[id]?.health.state = state
        watches[id]?.health.since = time
        watches[id]?.stateSince = now
    }

    private mutating func queue(_ id: RegistrationID, now: Moment, at time: Timestamp) -> [Action] {
        guard let name = watches[id]?.upstream else { return [] }
        watches[id]?.due = nil
        set(id, .starting, now: now, at: time)
        upstreams[name, default: Upstream(tokens: startsPerSecond, refilled: now)].enqueue(id)
        return admit(name, now: now, at: time)
    }

    /// Starts as many as the rate and the connects in flight allow.
    private mutating func admit(_ name: String, now: Moment, at time: Timestamp) -> [Action] {
        // Taken out, so that its queue is changed in place.
        guard var upstream = upstreams.removeValue(forKey: name) else { return [] }
        let earned = (now - upstream.refilled).inSeconds * startsPerSecond
        upstream.tokens = min(startsPerSecond, upstream.tokens + earned)
        upstream.refilled = now
        var actions: [Action] = []
        while upstream.head < upstream.queue.count, upstream.tokens >= 1, upstream.connecting.count < connectsAtOnce {
            let id = upstream.queue[upstream.head]
            upstream.head += 1
            upstream.queued.remove(id)
            guard let watch = watches[id], watch.isWanted, !watch.isRunning else { continue }
            upstream.tokens -= 1
            upstream.connecting.insert(id)
            watches[id]?.isRunning = true
            actions.append(.start(id))
        }
        if upstream.head == upstream.queue.count {
            (upstream.queue, upstream.head) = ([], 0)
        } else if upstream.tokens < 1, !upstream.isTimerSet {
            upstream.isTimerSet = true
            timers.insert(.upstream(name), due: now + max(.milliseconds(1), .seconds((1 - upstream.tokens) / startsPerSecond)))
        }
        upstreams[name] = upstream
        return actions
    }
}
