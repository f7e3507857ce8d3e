package import Base

/// How much each account may do in a minute or an hour: a bucket for each that was active lately.
package struct AccountRates: Sendable {
    /// Accounts that are remembered at once. Beyond, those whose buckets are full again are forgotten, and if those
    /// are few, all: for a moment accounts get more than their share, never less.
    package static let accountsLimit = 100_000

    /// Nil: no limit.
    private let perSecond: Double?
    private let burst: Double
    private let limit: Int
    private var buckets: [AccountID: (bucket: TokenBucket, fullAt: Moment)] = [:]

    /// - Parameters:
    ///   - count: how many in `time` on average, and as many at once after a pause; 0: no limit.
    ///   - limit: accounts remembered.
    package init(_ count: Int, in time: Duration, limit: Int = AccountRates.accountsLimit) {
        (perSecond, burst) = (count > 0 ? Double(count) / time.inSeconds : nil, Double(count))
        self.limit = limit
    }

    /// Accounts remembered.
    package var count: Int { buckets.count }

    /// Takes one of the account's share; nil when there was one, else how long it must wait for the next.
    package mutating func take(_ account: AccountID, now: Moment) -> Duration? {
        guard let perSecond else { return nil }
        if buckets[account] == nil, buckets.count >= limit {
            buckets = buckets.filter { $0.value.fullAt > now }
            // Looking through all of them must not happen at each message.
            if buckets.count > limit / 4 * 3 { buckets = [:] }
        }
        var bucket = buckets[account]?.bucket ?? TokenBucket(perSecond: perSecond, burst: burst)
        let isTaken = bucket.take(at: now)
        let wait = bucket.wait(at: now)
        // At the latest: a bucket that was not touched for so long is full.
        buckets[account] = (bucket, now + .milliseconds(Int64(burst / perSecond * 1000)))
        return isTaken ? nil : wait
    }
}
