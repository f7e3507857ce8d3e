/// When the lock of one message is renewed: at half of what is left of it, and sooner again after a failure.
///
/// All times are those of the client's own clock.
package struct RenewalSchedule: Sendable, Hashable {
    /// What to do next.
    package enum Step: Sendable, Hashable {
        /// Wait so long, then renew.
        case wait(Duration)
        /// The lock is over, or nobody wants it any more.
        case stop
    }

    /// The shortest time between two renewals; a lock near its total limit would be renewed without end else.
    package static let shortestPause = Duration.milliseconds(250)

    /// When the lock runs out.
    package private(set) var deadline: Duration
    /// Whether the gateway said that the lock is lost.
    package private(set) var isLost = false
    private var failed = false

    package init(deadline: Duration) { self.deadline = deadline }

    /// What is left of the lock.
    package func remaining(at now: Duration) -> Duration { isLost ? .zero : max(.zero, deadline - now) }

    /// The next step.
    package func step(at now: Duration) -> Step {
        let remaining = remaining(at: now)
        guard remaining > .zero else { return .stop }
        // After a failure there is less time to waste, and the fault may be over in a moment.
        return .wait(max(Self.shortestPause, failed ? remaining / 4 : remaining / 2))
    }

    /// The lock was renewed until `deadline`.
    package mutating func renewed(until deadline: Duration) { (self.deadline, failed) = (deadline, false) }

    /// Renewing did not work.
    package mutating func failed(_ error: FarbellError) {
        failed = true
        if !error.isTemporary { isLost = true }
    }
}
