package import Base

/// Counts refused log-ins of a name or an address within a window and says when there were too many. A
/// bounded number of names is remembered; the oldest are forgotten first.
package struct LoginLimiter: Sendable {
    package static let window: Duration = .seconds(300)
    package static let namesLimit = 100_000

    private let limit: Int
    private var refusals: [String: [Moment]] = [:]
    private var order: [String] = []

    package init(limit: Int) { self.limit = limit }

    /// How long the caller must wait; nil when it may try.
    package func wait(_ name: String, now: Moment) -> Duration? {
        let recent = (refusals[name] ?? []).filter { now - $0 < Self.window }
        guard recent.count >= limit, let first = recent.first else { return nil }
        return Self.window - (now - first)
    }

    package mutating func refused(_ name: String, now: Moment) {
        if refusals[name] == nil {
            order.append(name)
            if order.count > Self.namesLimit { refusals[order.removeFirst()] = nil }
        }
        refusals[name] = ((refusals[name] ?? []).filter { now - $0 < Self.window } + [now]).suffix(limit)
    }

    package mutating func succeeded(_ name: String) {
        if refusals.removeValue(forKey: name) != nil { order.removeAll { $0 == name } }
    }
}
