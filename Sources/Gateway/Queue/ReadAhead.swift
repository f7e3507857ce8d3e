/// When to read messages that consumers will take next from the store: a queue that is longer than the memory for
/// messages is worked off from its old end, and one read for each message would cost more than all the rest.
struct ReadAhead: Sendable {
    /// Messages and bytes read at once, at most.
    static let messagesLimit = 256
    static let bytesLimit = 4 << 20

    /// Consumers take what is not in memory.
    private var isBehind = false
    private var isReading = false
    /// What was read and not yet taken, about.
    private var left = 0
    /// Of a body, as the last ones were.
    private var meanBytes = 1024

    /// Notes what a consumer has taken.
    /// - Parameter missed: it was not all in memory.
    /// - Returns: how many to read now; 0 for none.
    mutating func taken(_ count: Int, missed: Bool) -> Int {
        if missed { isBehind = true }
        guard isBehind else { return 0 }
        left = max(0, left - count)
        let wanted = min(Self.messagesLimit, max(1, Self.bytesLimit / max(1, meanBytes)))
        guard !isReading, left < wanted / 2 else { return 0 }
        isReading = true
        return wanted
    }

    /// The read came back, or there was nothing to read.
    mutating func read(_ count: Int, bytes: Int) {
        isReading = false
        left += count
        if count == 0 { isBehind = false } else { meanBytes = bytes / count + 512 }
    }
}
