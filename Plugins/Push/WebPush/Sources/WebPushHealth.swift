internal import Base
internal import Gateway

/// What refusals of our identity (400, 401, 403) mean. A subscription is bound to the key it was made
/// with, so one refusal says only that this subscription is older than our key: it is kept, because the
/// browser may still renew it. Many at once, without any success, say that our key or clock is wrong;
/// one that goes on while others succeed says that nobody will renew it.
struct RefusalLedger: Sendable {
    /// Another endpoint's success within this time shows that we are not to blame.
    static let recent: Duration = .seconds(3600)
    /// So many different endpoints refused without a success stop the lane.
    static let endpointsUntilCredential = 10
    /// So many refusals in a row end a subscription, while others succeed.
    static let refusalsUntilGone = 10
    /// Endpoints remembered.
    static let limit = 4096

    private var refusals: [Int: Int] = [:]
    private var refusedSinceSuccess: Set<Int> = []
    private var successes: [(endpoint: Int, at: Moment)] = []

    mutating func succeeded(_ endpoint: String, now: Moment) {
        let key = endpoint.hashValue
        refusals[key] = nil
        refusedSinceSuccess = []
        successes.removeAll { $0.endpoint == key }
        successes.append((key, now))
        if successes.count > 2 { successes.removeFirst() }
    }

    /// - Parameter isIdentity: 401 or 403, which name our key; a 400 may be anything.
    mutating func refused(_ endpoint: String, isIdentity: Bool, now: Moment) -> PushOutcome {
        let key = endpoint.hashValue
        if refusals[key] == nil, refusals.count >= Self.limit { refusals = [:] }
        let count = refusals[key, default: 0] + 1
        refusals[key] = count
        if successes.contains(where: { $0.endpoint != key && now - $0.at < Self.recent }) {
            if count < Self.refusalsUntilGone { return .rejected }
            refusals[key] = nil
            return .gone(since: nil)
        }
        guard isIdentity else { return .rejected }
        if refusedSinceSuccess.count < Self.endpointsUntilCredential { refusedSinceSuccess.insert(key) }
        return refusedSinceSuccess.count >= Self.endpointsUntilCredential ? .credential : .rejected
    }
}

/// Keeps an origin that fails from holding up the others, which share the lane: after some failures in
/// a row it is asked again only every half minute. Endpoints are chosen by devices, so that a dead one
/// is never held against the whole service.
struct OriginHealth: Sendable {
    static let failuresUntilPause = 5
    static let pause: Duration = .seconds(30)
    /// Origins remembered.
    static let limit = 1024

    private var origins: [String: (failures: Int, until: Moment)] = [:]

    /// Nil when a push may be sent; otherwise how long the origin is left alone. Whoever comes first
    /// after that is the one to try it.
    mutating func wait(for origin: String, now: Moment) -> Duration? {
        guard let entry = origins[origin], entry.failures >= Self.failuresUntilPause else { return nil }
        if now < entry.until { return entry.until - now }
        origins[origin]?.until = now + Self.pause
        return nil
    }

    mutating func answered(_ origin: String) { origins[origin] = nil }

    mutating func failed(_ origin: String, now: Moment) {
        if origins[origin] == nil, origins.count >= Self.limit,
            let first = origins.min(by: { $0.value.until < $1.value.until })?.key
        {
            origins[first] = nil
        }
        origins[origin] = ((origins[origin]?.failures ?? 0) + 1, now + Self.pause)
    }
}
