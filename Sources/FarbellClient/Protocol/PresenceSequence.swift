/// What the presence reporter says to the gateway, and when: the sequence numbers, the beat, and what to repeat.
package struct PresenceSequence: Sendable {
    /// How often a client in front says so: a third of the 15 s that the gateway believes it.
    package static let beat = Duration.seconds(5)

    /// What to do next.
    package enum Step: Sendable, Hashable {
        /// Open the session.
        case open
        /// Report the state with this number.
        case report(session: String, seq: Int64, state: PresenceState)
        /// Wait so long, or until the state changes.
        case wait(Duration)
        /// Wait until the state changes.
        case rest
        /// Nothing is left to say.
        case end
    }

    private var session: String?
    private var seq: Int64 = 0
    /// What is the case.
    package private(set) var state: PresenceState
    /// What the gateway has confirmed.
    package private(set) var confirmed: PresenceState?
    /// When the next report is due, though nothing changed.
    private var due: Duration
    /// An attempt has failed; nothing is said before `due`, except news.
    private var isBackingOff = false

    /// - Parameter now: the time, on the client's own clock.
    package init(_ state: PresenceState, now: Duration) { (self.state, due) = (state, now) }

    /// The app's window came to the front, left it, or was closed. After `gone` nothing counts any more.
    package mutating func change(to state: PresenceState) {
        guard self.state != .gone, state != self.state else { return }
        self.state = state
        isBackingOff = false
    }

    /// The next step.
    package mutating func step(at now: Duration) -> Step {
        if isBackingOff, now < due { return .wait(due - now) }
        guard let session else {
            // A session would count as in front from its first moment, and a hidden client must not: it is opened
            // again when there is something to see. The first one is opened in any case: it starts the monitor.
            if state == .gone { return .end }
            return state.isForeground || seq == 0 ? .open : .rest
        }
        if confirmed != state || (state.isForeground && now >= due) {
            seq += 1
            return .report(session: session, seq: seq, state: state)
        }
        if state == .gone { return .end }
        return state.isForeground ? .wait(due - now) : .rest
    }

    /// The session is open: the gateway takes it as `active`.
    package mutating func opened(_ session: String, at now: Duration) {
        self.session = session
        (confirmed, due, isBackingOff) = (.active, now + Self.beat, false)
        seq += 1
    }

    /// A report has arrived.
    package mutating func reported(_ state: PresenceState, at now: Duration) {
        (confirmed, due, isBackingOff) = (state, now + Self.beat, false)
    }

    /// The gateway has forgotten the session.
    package mutating func forgotten() { (session, confirmed) = (nil, nil) }

    /// Opening or reporting failed; the next beat says it again.
    package mutating func failed(at now: Duration) { (confirmed, due, isBackingOff) = (nil, now + Self.beat, true) }
}
