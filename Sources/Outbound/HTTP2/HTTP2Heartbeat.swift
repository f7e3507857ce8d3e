internal import Base

/// Whether the other end of a connection still lives while an answer is awaited: after some silence it is asked by PING
/// (RFC 9113 section 6.7), and without a sign of life it counts as dead. TCP alone knows only of the next hop, which may
/// be a proxy.
struct HTTP2Heartbeat: Sendable {
    enum Verdict: Sendable, Equatable {
        /// Look again then.
        case fine(until: Moment)
        /// Ask now, and look again then.
        case ask(until: Moment)
        case dead
    }

    /// Silence before it is asked.
    let silence: Duration
    /// How long the answer to that may take.
    let patience: Duration
    private var quietSince: Moment
    private var askedAt: Moment?

    init(silence: Duration, patience: Duration, now: Moment) {
        (self.silence, self.patience, quietSince) = (silence, patience, now)
    }

    /// Something came; or nothing was awaited until now.
    mutating func alive(at now: Moment) { (quietSince, askedAt) = (now, nil) }

    mutating func check(at now: Moment) -> Verdict {
        if let askedAt {
            let end = askedAt + patience
            return now >= end ? .dead : .fine(until: end)
        }
        let end = quietSince + silence
        guard now >= end else { return .fine(until: end) }
        askedAt = now
        return .ask(until: now + patience)
    }
}
