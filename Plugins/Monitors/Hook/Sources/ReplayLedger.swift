internal import Base

/// Ids of calls that were taken, for as long as a call with the same time stamp could come again. Plain values.
struct ReplayLedger: Sendable {
    /// Ids remembered at once; beyond it the oldest are forgotten. What they told is then only told from a repeat by
    /// the ids of its items.
    static let limit = 100_000

    /// What an id is.
    enum Verdict: Sendable, Hashable {
        case fresh
        /// The same call was taken: it is not to be taken again, and may be answered as before.
        case repeated
        /// Another call had this id.
        case conflict
    }

    private let lifetime: Duration
    private var bodies: [String: [UInt8]] = [:]
    private var order: [(id: String, end: Moment)] = []
    private var head = 0

    /// - Parameter lifetime: of an id; twice what time stamps may be off.
    init(lifetime: Duration) { self.lifetime = lifetime }

    /// - Parameter digest: of the body.
    mutating func judge(_ id: String, digest: [UInt8], now: Moment) -> Verdict {
        while head < order.count, order[head].end <= now || bodies.count > Self.limit {
            bodies[order[head].id] = nil
            head += 1
        }
        if head > 1_000, head * 2 > order.count {
            order.removeFirst(head)
            head = 0
        }
        guard let known = bodies[id] else { return .fresh }
        return known == digest ? .repeated : .conflict
    }

    /// The call is taken: what it told is stored.
    mutating func note(_ id: String, digest: [UInt8], now: Moment) {
        guard bodies.updateValue(digest, forKey: id) == nil else { return }
        order.append((id, now + lifetime))
    }
}
