internal import Base

/// What comes in while a task is on its way to handle it, handled together: work that is dear to begin and cheap to go
/// on with.
package final class Gathering<Element: Sendable>: Sendable {
    private struct State {
        var waiting: [Element] = []
        /// Taken out and not yet handled.
        var underWay = 0
        /// Somebody collects.
        var isOpen = false
    }

    /// Those that may wait; who comes then handles it.
    package static var waitingLimit: Int { 1024 }

    private let limit: Int
    private let state = Locked(State())
    private let wakes: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation

    /// - Parameter limit: how many are handled at once, at most.
    package init(limit: Int) {
        self.limit = limit
        (wakes, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// How many have come and are not yet handled.
    package var count: Int { state.withLock { $0.waiting.count + $0.underWay } }

    /// - Returns: false when nobody collects, or too many wait: the caller handles it.
    package func add(_ element: Element) -> Bool {
        let (isTaken, isFirst) = state.withLock { state in
            guard state.isOpen, state.waiting.count < Self.waitingLimit else { return (false, false) }
            state.waiting.append(element)
            return (true, state.waiting.count == 1)
        }
        if isFirst { wake.yield() }
        return isTaken
    }

    /// Hands over what comes, in the order in which it came, until the task is cancelled; what had come by then too.
    /// To be called once.
    package func collect(_ handle: ([Element]) -> Void) async {
        state.withLock { $0.isOpen = true }
        for await _ in wakes { handOver(handle) }
        state.withLock { $0.isOpen = false }
        handOver(handle)
    }

    private func handOver(_ handle: ([Element]) -> Void) {
        var rest = state.withLock { state in
            defer { state.waiting = [] }
            state.underWay = state.waiting.count
            return state.waiting[...]
        }
        while !rest.isEmpty {
            let some = Array(rest.prefix(limit))
            handle(some)
            rest = rest.dropFirst(limit)
            state.withLock { $0.underWay -= some.count }
        }
    }
}
