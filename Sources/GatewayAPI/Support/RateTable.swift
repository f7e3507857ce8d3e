internal import Base

/// A token bucket for each caller: so many requests a second on average, bursts of ten times that.
struct RateTable: Sendable {
    /// Callers that are remembered at once. Beyond, those whose buckets are full again are forgotten, and if
    /// those are few, all: for a moment callers get more than their share, never less.
    static let callersLimit = 100_000
    /// Largest burst, in seconds of the rate.
    static let burstSeconds = 10.0

    private struct Bucket: Sendable {
        var tokens: Double
        var refilled: Moment
    }

    private let rate: Double
    private let limit: Int
    private var buckets: [String: Bucket] = [:]

    /// - Parameters:
    ///   - rate: requests a second, above zero.
    ///   - limit: callers remembered.
    init(perSecond rate: Int, limit: Int = RateTable.callersLimit) { (self.rate, self.limit) = (Double(rate), limit) }

    var count: Int { buckets.count }

    /// Takes one request of a caller's; nil when it may go on, else how long it must wait.
    mutating func take(_ caller: String, now: Moment) -> Duration? {
        let burst = rate * Self.burstSeconds
        var bucket: Bucket
        if let known = buckets[caller] {
            bucket = known
            bucket.tokens = min(burst, bucket.tokens + max(0, (now - bucket.refilled).inSeconds) * rate)
            bucket.refilled = now
        } else {
            if buckets.count >= limit { forget(now: now) }
            bucket = Bucket(tokens: burst, refilled: now)
        }
        defer { buckets[caller] = bucket }
        guard bucket.tokens >= 1 else { return .milliseconds(Int64(((1 - bucket.tokens) / rate * 1000).rounded(.up))) }
        bucket.tokens -= 1
        return nil
    }

    private mutating func forget(now: Moment) {
        let burst = rate * Self.burstSeconds
        buckets = buckets.filter { $0.value.tokens + (now - $0.value.refilled).inSeconds * rate < burst }
        // Looking through all of them must not happen at each request.
        if buckets.count > limit / 4 * 3 { buckets = [:] }
    }
}
