internal import Base

/// When to subscribe to a mailbox's notifications, and when to renew that. Plain values: whoever asked Graph says how
/// it went.
struct SubscriptionPlan: Hashable {
    enum Step: Hashable {
        case none
        case subscribe
        case renew(String)
    }

    /// How long a subscription is to last. Graph allows 10,080 minutes for messages, and once allowed 4,230
    /// (learn.microsoft.com/graph/api/resources/subscription); a day leaves few behind that nobody ends.
    static let lifetime: Duration = .seconds(24 * 3600)
    /// From a failure to the next try: doubled each time.
    static let firstPause: Duration = .seconds(60)
    static let longestPause: Duration = .seconds(3600)

    /// The subscription there is.
    private(set) var id: String?
    private var end = Moment.distantFuture
    private var renewal = Moment.distantFuture
    /// Nothing is tried before.
    private var pausedUntil: Moment?
    private var pause = Self.firstPause

    /// When there is something to do: `step` says what.
    var due: Moment {
        guard id != nil else { return pausedUntil ?? Moment(nanoseconds: 0) }
        return min(max(renewal, pausedUntil ?? renewal), end)
    }

    /// Drops a subscription that has ended.
    mutating func step(now: Moment) -> Step {
        if now >= end { drop() }
        guard now >= due else { return .none }
        return id.map { .renew($0) } ?? .subscribe
    }

    /// Graph has made or renewed the subscription.
    /// - Parameter life: until it ends; above zero.
    mutating func holds(_ id: String, for life: Duration, now: Moment) {
        self.id = id
        end = now + life
        // Half of the time is left for tries that fail.
        renewal = now + life / 2
        (pausedUntil, pause) = (nil, Self.firstPause)
    }

    /// A try has failed.
    /// - Parameter until: before then Graph wants no other.
    mutating func failed(now: Moment, until: Moment? = nil) {
        pausedUntil = max(now + pause, until ?? now)
        pause = min(pause * 2, Self.longestPause)
    }

    /// Graph wants to know whether we still may.
    mutating func renewNow(_ now: Moment) { renewal = min(renewal, now) }

    /// There is no subscription any more.
    mutating func drop() { (id, end, renewal) = (nil, .distantFuture, .distantFuture) }
}
