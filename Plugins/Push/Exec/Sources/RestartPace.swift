internal import Base

/// When a program that has ended may be started again. No clock.
struct RestartPace: Sendable, Hashable {
    /// First and longest pause.
    static let pauses: (first: Duration, longest: Duration) = (.seconds(1), .seconds(60))

    /// Ends in a row that were none of the good ones.
    private(set) var failures = 0
    /// nil: at once.
    private(set) var notBefore: Moment?

    /// The program could not be started, or ended.
    /// - Parameters:
    ///   - isRegular: it ended by itself with status 0 and owed no answer: it may do so as often as it likes.
    ///   - hasAnswered: it had answered something since it was started, so it works in principle.
    mutating func ended(isRegular: Bool, hasAnswered: Bool, now: Moment) {
        guard !isRegular else {
            (failures, notBefore) = (0, nil)
            return
        }
        failures = hasAnswered ? 1 : failures + 1
        notBefore = now + min(Self.pauses.longest, Self.pauses.first * (1 << min(failures - 1, 10)))
    }

    /// How long to wait still; nil when it may be started.
    func pause(now: Moment) -> Duration? {
        guard let notBefore, notBefore > now else { return nil }
        return notBefore - now
    }
}
