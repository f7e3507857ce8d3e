/// The course of a receive loop: hand out what is there, fetch when nothing is, wait after a failure.
package struct ReceiveLoop<Element: Sendable>: Sendable {
    /// What to do next.
    package enum Step: Sendable {
        case hand(Element)
        case wait(Duration)
        case fetch
    }

    /// The pause after an answer that was empty although nobody waited for it: without one, a gateway that
    /// answers at once would be asked without end.
    package static var pauseAfterHaste: Duration { .seconds(1) }

    private var waiting: ArraySlice<Element> = []
    private var pause: Duration?
    private var schedule: RetrySchedule
    /// How long the gateway is asked to wait for a message.
    private let wait: Duration

    package init(wait: Duration, policy: RetryPolicy) {
        self.wait = wait
        schedule = RetrySchedule(policy, isEndless: true)
    }

    package mutating func next() -> Step {
        if let element = waiting.popFirst() { return .hand(element) }
        if let pause {
            self.pause = nil
            return .wait(pause)
        }
        return .fetch
    }

    /// The answer to a fetch.
    /// - Parameter duration: how long it took.
    package mutating func fetched(_ elements: [Element], after duration: Duration) {
        schedule.succeeded()
        waiting.append(contentsOf: elements)
        if elements.isEmpty, duration < wait / 2 { pause = Self.pauseAfterHaste }
    }

    /// A fetch failed.
    /// - Returns: whether the loop goes on; if not, the error is to be reported.
    package mutating func failed(_ error: FarbellError, random: Double) -> Bool {
        // An answer that was lost on its way has locked messages at most: they come back when the lock ends.
        pause = schedule.pause(after: error, isRepeatable: true, random: random)
        return pause != nil
    }

    /// Takes out what was fetched and not handed out.
    package mutating func abandon() -> [Element] {
        defer { waiting = [] }
        return Array(waiting)
    }
}
