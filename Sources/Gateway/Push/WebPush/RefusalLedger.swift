package import Base

/// What refusals of our identity (400, 401, 403) mean. A subscription is bound to the key it was made
/// with, so one refusal says only that this subscription is older than our key: it is kept, because the
/// browser may still renew it. Many at once, without any success, say that our key or clock is wrong;
/// one that goes on while others succeed says that nobody will renew it.
package struct RefusalLedger: Sendable {
    /// Another endpoint's success within this time shows that we are not to blame.
    package static let recent: Duration = .seconds(3600)
    /// So many different endpoints refused without a success stop the lane.
    package static let endpointsUntilCredential = 10
    /// So many refusals in a row end a subscription, while others succeed.
    package static let refusalsUntilGone = 10
    /// Endpoints remembered.
    package static let limit = 4096

    private var refusals: [Int: Int] = [:]
    private var refusedSinceSuccess: Set<Int> = []
    private var successes: [(endpoint: Int, at: Moment)] = []

    package init() {}

    /// An endpoint took a push.
    package mutating func succeeded(_ endpoint: String, now: Moment) {
        let key = endpoint.hashValue
        refusals[key] = nil
        refusedSinceSuccess = []
        successes.removeAll { $0.endpoint == key }
        successes.append((key, now))
        if successes.count > 2 { successes.removeFirst() }
    }

    /// - Parameter isIdentity: 401 or 403, which name our key; a 400 may be anything.
    package mutating func refused(_ endpoint: String, isIdentity: Bool, now: Moment) -> PushOutcome {
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
