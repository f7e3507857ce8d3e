package import Base

/// A clock that stands still until a test moves it. The monotonic and the wall clock advance together.
package final class ManualTime: TimeSource {
    private struct Sleeper {
        let id: Int
        let deadline: Moment
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var now: Moment
        var timestamp: Timestamp
        var nextID = 0
        var sleepers: [Sleeper] = []
    }

    private let state: Locked<State>

    /// - Parameters:
    ///   - now: where the monotonic clock starts.
    ///   - timestamp: where the wall clock starts; by default 2026-11-21T08:00:00Z.
    package init(
        now: Moment = Moment(nanoseconds: 1_000_000_000_000),
        timestamp: Timestamp = Timestamp(seconds: 1_795_248_000)
    ) {
        state = Locked(State(now: now, timestamp: timestamp))
    }

    package var now: Moment { state.withLock { $0.now } }
    package var timestamp: Timestamp { state.withLock { $0.timestamp } }

    /// How many tasks wait for this clock.
    package var sleeperCount: Int { state.withLock { $0.sleepers.count } }

    /// The earliest moment somebody waits for; nil when nobody does.
    package var nextDeadline: Moment? { state.withLock { $0.sleepers.map(\.deadline).min() } }

    package func sleep(until moment: Moment) async throws {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let result: Result<Void, any Error>? = state.withLock { state in
                    // The cancellation handler may have run before there was a sleeper to remove.
                    if Task.isCancelled { return .failure(CancellationError()) }
                    if moment <= state.now { return .success(()) }
                    state.sleepers.append(Sleeper(id: id, deadline: moment, continuation: continuation))
                    return nil
                }
                if let result { continuation.resume(with: result) }
            }
        } onCancel: {
            let sleeper = state.withLock { state in
                state.sleepers.firstIndex { $0.id == id }.map { state.sleepers.remove(at: $0) }
            }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }

    /// Moves both clocks and wakes, in the order of their deadlines, those whose time has come. They
    /// all see the new time: to step through repeated waits, advance once for each.
    package func advance(by duration: Duration) {
        let woken = state.withLock { state in
            state.now = state.now + duration
            state.timestamp = state.timestamp + duration
            let now = state.now
            let due = state.sleepers.filter { $0.deadline <= now }
            state.sleepers.removeAll { $0.deadline <= now }
            return due.sorted { ($0.deadline, $0.id) < ($1.deadline, $1.id) }
        }
        for sleeper in woken { sleeper.continuation.resume() }
    }

    /// Moves both clocks to the next deadline and wakes who waits for it; false when nobody waits.
    @discardableResult
    package func advanceToNextDeadline() -> Bool {
        guard let next = nextDeadline else { return false }
        advance(by: max(.zero, next - now))
        return true
    }

    /// Moves only the wall clock, as an administrator or NTP does.
    package func correctWallClock(by duration: Duration) {
        state.withLock { $0.timestamp = $0.timestamp + duration }
    }

    /// Returns when at least `count` tasks wait for this clock.
    /// - Throws: `DeadlineMissed` after `deadline` of real time.
    package func waitForSleepers(_ count: Int, deadline: Duration = .seconds(30)) async throws {
        try await Eventually.wait("\(count) sleepers on the manual clock", for: deadline, every: .milliseconds(1)) {
            sleeperCount >= count
        }
    }
}
