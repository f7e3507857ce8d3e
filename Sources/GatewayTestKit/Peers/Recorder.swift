internal import Base

/// What a fake has seen, in order, for tests to look at and wait for.
package final class Recorder<Element: Sendable>: Sendable {
    private struct State {
        var items: [Element] = []
        var total = 0
        var limit = Int.max
        var observer: Callback<@Sendable (Element) -> Void>?
    }
    private let state = Locked(State())

    package init() {}

    /// Everything kept so far.
    package var all: [Element] { state.withLock { $0.items } }
    /// How many there were, kept or not.
    package var count: Int { state.withLock { $0.total } }
    /// The last one kept.
    package var last: Element? { state.withLock { $0.items.last } }

    /// Keeps no more than the first `limit`; the count goes on. For long benchmarks.
    package func keepOnly(first limit: Int) { state.withLock { $0.limit = limit } }

    /// Calls `body` with each one from now on, on the thread that saw it.
    package func observe(_ body: @escaping @Sendable (Element) -> Void) {
        state.withLock { $0.observer = Callback(body) }
    }

    package func append(_ item: Element) {
        let observer = state.withLock { state in
            state.total += 1
            if state.items.count < state.limit { state.items.append(item) }
            return state.observer
        }
        observer?.function(item)
    }

    /// Forgets everything, and the count.
    package func clear() {
        state.withLock { state in
            state.items = []
            state.total = 0
        }
    }

    /// Returns all that is there when there are at least `count`.
    /// - Throws: `DeadlineMissed`.
    @discardableResult
    package func wait(count: Int, deadline: Duration = .seconds(30)) async throws -> [Element] {
        try await Eventually.wait("\(count) recorded, not \(self.count)", for: deadline, every: .milliseconds(2)) {
            self.count >= count
        }
        return all
    }

    /// Returns the first one that fits, also among those already there.
    /// - Throws: `DeadlineMissed`.
    @discardableResult
    package func first(
        deadline: Duration = .seconds(30), where fits: @Sendable (Element) -> Bool
    ) async throws -> Element {
        try await Eventually.value("a fitting record among \(count)", for: deadline, every: .milliseconds(2)) {
            all.first(where: fits)
        }
    }
}
