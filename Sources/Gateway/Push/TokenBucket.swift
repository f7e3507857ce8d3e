package import Base

/// A rate over monotonic time: so many at once, then one as each becomes due. No clock, no lock.
package struct TokenBucket: Sendable, Hashable {
    /// Whole ones that may go at once after a pause.
    package let burst: Double
    private let perSecond: Double
    private var tokens: Double
    private var filled: Moment?

    /// - Parameters:
    ///   - perSecond: how many become due in a second; above zero.
    ///   - burst: at least one.
    package init(perSecond: Double, burst: Double) {
        (self.perSecond, self.burst, tokens) = (perSecond, max(1, burst), max(1, burst))
    }

    private mutating func fill(at now: Moment) {
        if let filled, now > filled { tokens = min(burst, tokens + (now - filled).inSeconds * perSecond) }
        // Without `max` a clock that was read a little earlier would count the same time twice.
        filled = max(filled ?? now, now)
    }

    /// Takes one; false when none is due.
    /// - Parameter debt: how many more than are there may be taken, in advance.
    package mutating func take(at now: Moment, debt: Double = 0) -> Bool {
        fill(at: now)
        // What a chain of additions leaves of one whole token is one.
        guard tokens + debt >= 1 - 1e-6 else { return false }
        tokens -= 1
        return true
    }

    /// How long until the next can be taken; zero when one can be now.
    package mutating func wait(at now: Moment) -> Duration {
        fill(at: now)
        let missing = 1 - tokens
        return missing <= 1e-6 ? .zero : .nanoseconds(Int64((missing / perSecond * 1e9).rounded(.up)))
    }
}
