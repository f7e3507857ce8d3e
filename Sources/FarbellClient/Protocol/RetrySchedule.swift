/// Counts the failures of one call, or of one loop, and says how long to wait after each.
package struct RetrySchedule: Sendable {
    package let policy: RetryPolicy
    private let isEndless: Bool
    /// Failures since the last success.
    package private(set) var failures = 0

    /// - Parameter isEndless: the policy's number of attempts does not count.
    package init(_ policy: RetryPolicy, isEndless: Bool = false) { (self.policy, self.isEndless) = (policy, isEndless) }

    /// It worked: the next failure is the first again.
    package mutating func succeeded() { failures = 0 }

    /// The pause before the next try; nil when the error is to be reported.
    /// - Parameters:
    ///   - isRepeatable: the request may be made twice although the first may have been acted on.
    ///   - random: from 0..<1.
    package mutating func pause(after error: FarbellError, isRepeatable: Bool, random: Double) -> Duration? {
        failures += 1
        guard isEndless || failures < policy.attempts else { return nil }
        // 429 is said before anything is done; 503 may also be said by a store that failed on the way.
        guard error.isTemporary, isRepeatable || error.status == 429 else { return nil }
        let backOff = backOff(random: random)
        guard let retryAfter = error.retryAfter else { return backOff }
        if isEndless { return max(backOff, retryAfter) }
        return retryAfter <= policy.longestRetryAfter ? max(backOff, retryAfter) : nil
    }

    /// Between half of the step and the whole: clients that failed together do not come back together.
    private func backOff(random: Double) -> Duration {
        let doublings = min(failures - 1, 30)
        let step = min(policy.longestPause, policy.firstPause * (1 << doublings))
        return step / 2 + step / 2 * random
    }
}
