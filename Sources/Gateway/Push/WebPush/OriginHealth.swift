package import Base

/// Keeps an origin that fails from holding up the others, which share the lane: after some failures in
/// a row it is asked again only every half minute. Endpoints are chosen by devices, so that a dead one
/// is never held against the whole service.
package struct OriginHealth: Sendable {
    package static let failuresUntilPause = 5
    package static let pause: Duration = .seconds(30)
    /// Origins remembered.
    package static let limit = 1024

    private var origins: [String: (failures: Int, until: Moment)] = [:]

    package init() {}

    /// Nil when a push may be sent; otherwise how long the origin is left alone. Whoever comes first
    /// after that is the one to try it.
    package mutating func wait(for origin: String, now: Moment) -> Duration? {
        guard let entry = origins[origin], entry.failures >= Self.failuresUntilPause else { return nil }
        if now < entry.until { return entry.until - now }
        origins[origin]?.until = now + Self.pause
        return nil
    }

    /// The origin gave an answer that is no fault of its own.
    package mutating func answered(_ origin: String) { origins[origin] = nil }

    /// The origin gave no answer, or one that it is in trouble.
    package mutating func failed(_ origin: String, now: Moment) {
        if origins[origin] == nil, origins.count >= Self.limit,
            let first = origins.min(by: { $0.value.until < $1.value.until })?.key
        {
            origins[first] = nil
        }
        origins[origin] = ((origins[origin]?.failures ?? 0) + 1, now + Self.pause)
    }
}
