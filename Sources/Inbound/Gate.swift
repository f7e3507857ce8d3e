/// Counts requests from their first line to the end of the answer, and tells when a shutdown may go on.
struct Gate: Sendable {
    private(set) var active = 0
    private(set) var total: UInt64 = 0
    private(set) var isDraining = false

    mutating func begin() {
        active += 1
        total &+= 1
    }

    /// A stream outlives the request that opened it.
    mutating func beginStream() { active += 1 }

    /// Returns true when this was the last one a shutdown waited for.
    mutating func end() -> Bool {
        active -= 1
        return isDraining && active == 0
    }

    /// Returns true when there is nothing to wait for.
    mutating func drain() -> Bool {
        isDraining = true
        return active == 0
    }
}
