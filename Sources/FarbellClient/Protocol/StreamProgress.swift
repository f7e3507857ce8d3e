/// What a stream knows across its connections: where it stands, and how long to wait before the next one.
package struct StreamProgress: Sendable {
    /// The pause where the server has not named one; the gateway does so on each connection.
    package static let defaultRetry = Duration.seconds(3)
    /// Nobody is believed who asks for a longer one.
    package static let longestRetry = Duration.seconds(300)

    /// The number of the last event handed out; nil before the first.
    package private(set) var lastID: Int64?
    private var retry = Self.defaultRetry
    private var schedule: RetrySchedule

    /// - Parameter after: hand out only events with higher numbers; nil to go on where the device's
    ///   acknowledgements ended.
    package init(after: Int64?, policy: RetryPolicy) {
        lastID = after
        schedule = RetrySchedule(policy, isEndless: true)
    }

    /// Whether an event is to be handed out: one that was already is not. Events without a number always are.
    package mutating func accept(id: Int64?) -> Bool {
        guard let id else { return true }
        if let lastID, id <= lastID { return false }
        lastID = id
        return true
    }

    /// A connection was greeted. A cursor below what the device has acknowledged means that the gateway has lost
    /// its data and counts anew: then what it sends is not old.
    /// - Parameter acknowledged: the highest number the gateway has confirmed to this client.
    package mutating func greeted(cursor: Int64, acknowledged: Int64?) {
        schedule.succeeded()
        if let acknowledged, cursor < acknowledged { lastID = cursor }
    }

    /// The server named a pause.
    package mutating func retry(milliseconds: Int64) {
        retry = min(.milliseconds(max(0, milliseconds)), Self.longestRetry)
    }

    /// The pause before the next connection, after one that simply ended.
    /// - Parameter random: from 0..<1; the pause is lengthened by up to a quarter.
    package func pauseAfterEnd(random: Double) -> Duration { retry + retry / 4 * random }

    /// The pause after a failure; nil when the error is to be reported.
    package mutating func pause(after error: FarbellError, random: Double) -> Duration? {
        guard let pause = schedule.pause(after: error, isRepeatable: true, random: random) else { return nil }
        // A connection that was up and broke is one failure: the server's own pause suits it.
        return max(pause, pauseAfterEnd(random: random))
    }
}
