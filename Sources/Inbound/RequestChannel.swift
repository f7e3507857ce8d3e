internal import Base

/// Requests on their way from the server's threads to its task group. Bounded: what was put in and is
/// not yet finished counts.
final class RequestChannel<Element: Sendable>: Sendable {
    private struct State {
        var waiting: [Element] = []
        var pending = 0
        var isClosed = false
        var taker: CheckedContinuation<Void, Never>?
    }

    private let state = Locked(State())
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// How many are in the channel or being worked on.
    var pending: Int { state.withLock { $0.pending } }

    /// Puts an element in; false when the channel is full or closed. `accepted` runs before anyone can
    /// take the element.
    func offer(_ element: Element, accepted: () -> Void) -> Bool {
        let (isAccepted, taker) = state.withLock { state -> (Bool, CheckedContinuation<Void, Never>?) in
            guard !state.isClosed, state.pending < limit else { return (false, nil) }
            accepted()
            state.pending += 1
            state.waiting.append(element)
            defer { state.taker = nil }
            return (true, state.taker)
        }
        taker?.resume()
        return isAccepted
    }

    /// An element was worked on to its end.
    func finish() { state.withLock { $0.pending -= 1 } }

    /// Takes nothing in any more; `take` returns nil once the channel is empty.
    func close() {
        let taker = state.withLock { state in
            state.isClosed = true
            defer { state.taker = nil }
            return state.taker
        }
        taker?.resume()
    }

    /// All waiting elements, as soon as there are some; nil after `close`. One task takes at a time.
    func take() async -> [Element]? {
        while true {
            let (elements, isClosed) = state.withLock { state in
                defer { state.waiting = [] }
                return (state.waiting, state.isClosed)
            }
            if !elements.isEmpty { return elements }
            if isClosed { return nil }
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if state.isClosed || !state.waiting.isEmpty { return true }
                    state.taker = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        }
    }
}
