internal import Base

/// So many at once; the others wait in the order in which they came. For what a monitor does again and again at a
/// server beside being started, such as logging in for each look: the host bounds starts alone.
package final class Places: Sendable {
    private struct State {
        var free: Int
        /// Who waits, the longest waiting first. Those who gave up are skipped.
        var line: [ShutdownSignal] = []
        var head = 0

        /// Gives the place to who has waited longest, or back.
        mutating func leave() {
            while head < line.count {
                let next = line[head]
                head += 1
                if head == line.count { (line, head) = ([], 0) }
                if next.isRaised { continue }
                next.raise()
                return
            }
            free += 1
        }
    }

    private let state: Locked<State>

    /// - Parameter count: at least 1.
    package init(_ count: Int) { state = Locked(State(free: max(1, count))) }

    package var isFull: Bool { state.withLock { $0.free == 0 } }
    /// How many wait for a place.
    package var waiting: Int { state.withLock { $0.line[$0.head...].count { !$0.isRaised } } }

    /// Runs the body when there is a place for it.
    /// - Throws: `CancellationError`, or what the body throws.
    package func within<Result>(_ body: () async throws -> Result) async throws -> Result {
        let turn = state.withLock { state -> ShutdownSignal? in
            if state.free > 0 {
                state.free -= 1
                return nil
            }
            let turn = ShutdownSignal()
            state.line.append(turn)
            return turn
        }
        if let turn {
            await turn.wait()
            let hasPlace = state.withLock { _ in
                // Raised here, so that a place given from now on goes to the next.
                defer { turn.raise() }
                return turn.isRaised
            }
            guard hasPlace else { throw CancellationError() }
        }
        defer { state.withLock { $0.leave() } }
        try Task.checkCancellation()
        return try await body()
    }
}
