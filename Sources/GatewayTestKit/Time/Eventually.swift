/// A condition did not become true in time.
package struct DeadlineMissed: Error, Sendable, CustomStringConvertible {
    /// What was waited for.
    package let what: String
    /// How long.
    package let deadline: Duration

    package var description: String { "not within \(deadline): \(what)" }
}

/// Waiting in tests, without sleeping for luck.
package enum Eventually {
    /// Returns as soon as `condition` is true; it is asked at once and then again and again.
    /// - Parameters:
    ///   - what: named by the error.
    ///   - deadline: how long to wait, in real time.
    ///   - interval: the pause between two questions.
    /// - Throws: `DeadlineMissed`, or what `condition` throws.
    package static func wait(
        _ what: @autoclosure () -> String, for deadline: Duration = .seconds(30),
        every interval: Duration = .milliseconds(5), isolation: isolated (any Actor)? = #isolation,
        until condition: () async throws -> Bool
    ) async throws {
        let end = ContinuousClock.now + deadline
        while try await !condition() {
            if ContinuousClock.now >= end { throw DeadlineMissed(what: what(), deadline: deadline) }
            try await Task.sleep(for: interval)
        }
    }

    /// Returns the first value of `question` that is not nil; otherwise like `wait`.
    package static func value<Value>(
        _ what: @autoclosure () -> String, for deadline: Duration = .seconds(30),
        every interval: Duration = .milliseconds(5), isolation: isolated (any Actor)? = #isolation,
        _ question: () async throws -> Value?
    ) async throws -> Value {
        let end = ContinuousClock.now + deadline
        while true {
            if let value = try await question() { return value }
            if ContinuousClock.now >= end { throw DeadlineMissed(what: what(), deadline: deadline) }
            try await Task.sleep(for: interval)
        }
    }
}
