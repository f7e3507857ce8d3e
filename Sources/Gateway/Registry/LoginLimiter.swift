package import Base

/// Counts refused log-ins of a name or an address within a window and says when there were too many. A
/// bounded number of names is remembered; the oldest are forgotten first.
package struct LoginLimiter: Sendable {
    package static let window: Duration = .seconds(300)
    package static let namesLimit = 100_000

    private struct Entry: Sendable {
        var refusals: [Moment] = []
        /// Passwords being checked now: they count until it is known that they were right.
        var underWay = 0
        let ticket: Int
    }

    private let limit: Int
    private var entries: [String: Entry] = [:]
    /// By age; one whose ticket is not its entry's any more was forgotten before.
    private var order: [(name: String, ticket: Int)] = []
    private var head = 0
    private var nextTicket = 0

    package init(limit: Int) { self.limit = limit }

    /// Names remembered.
    package var count: Int { entries.count }

    /// How long the caller must wait; nil when it may try.
    package func wait(_ name: String, now: Moment) -> Duration? {
        guard let entry = entries[name] else { return nil }
        let recent = entry.refusals.filter { now - $0 < Self.window }
        guard recent.count + entry.underWay >= limit else { return nil }
        return recent.first.map { Self.window - (now - $0) } ?? .seconds(1)
    }

    /// A password is being checked: until `refused` or `succeeded` it counts like a refused one, so that many
    /// guesses at once are no way around the limit.
    package mutating func begin(_ name: String) { change(name) { $0.underWay += 1 } }

    /// The check that `begin` announced could not be made.
    package mutating func abandoned(_ name: String) {
        entries[name]?.underWay -= 1
        if let entry = entries[name], entry.underWay <= 0, entry.refusals.isEmpty { entries[name] = nil }
    }

    package mutating func refused(_ name: String, now: Moment) {
        let limit = limit
        change(name) { entry in
            entry.underWay = max(0, entry.underWay - 1)
            entry.refusals = (entry.refusals.filter { now - $0 < Self.window } + [now]).suffix(limit)
        }
    }

    package mutating func succeeded(_ name: String) { entries[name] = nil }

    private mutating func change(_ name: String, _ body: (inout Entry) -> Void) {
        if entries[name] == nil {
            entries[name] = Entry(ticket: nextTicket)
            order.append((name, nextTicket))
            nextTicket += 1
            trim()
        }
        if var entry = entries[name] {
            body(&entry)
            entries[name] = entry
        }
    }

    private mutating func trim() {
        while head < order.count, entries.count > Self.namesLimit || entries[order[head].name]?.ticket != order[head].ticket
        {
            let (name, ticket) = order[head]
            if entries[name]?.ticket == ticket { entries[name] = nil }
            head += 1
        }
        if head > 1024, head * 2 > order.count {
            order.removeFirst(head)
            head = 0
        }
    }
}
