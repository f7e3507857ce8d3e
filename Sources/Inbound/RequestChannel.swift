internal import Base

/// Requests on their way from the server's threads to its task group, and those that are answered without
/// a task. Bounded: whatever is not yet finished counts.
final class RequestChannel<Element: Sendable, Held: Sendable>: Sendable {
    private struct State {
        var waiting: [Element] = []
        var held = Places<Held>()
        /// Elements and held requests.
        var pending = 0
        var isDraining = false
        var isClosed = false
        var taker: CheckedContinuation<Void, Never>?

        /// Whether the one who takes has a reason to wake up.
        var isReady: Bool { !waiting.isEmpty || isClosed && held.isEmpty }
    }

    private let state = Locked(State())
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// How many are in the channel, being worked on, or held.
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

    /// Counts a request that is answered without going through the channel, and keeps it in sight for a
    /// shutdown. Returns what `make` makes of its place, to be given back with `release`, and whether a
    /// shutdown has begun; nil when the channel is full or closed.
    func hold(_ make: (_ place: Int) -> Held) -> (held: Held, isDraining: Bool)? {
        state.withLock { state in
            guard !state.isClosed, state.pending < limit else { return nil }
            state.pending += 1
            let place = state.held.reserve()
            let held = make(place)
            state.held.fill(place, held)
            return (held, state.isDraining)
        }
    }

    /// A held request is over.
    func release(place: Int) {
        let taker = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.pending -= 1
            state.held.remove(place)
            guard state.isReady else { return nil }
            defer { state.taker = nil }
            return state.taker
        }
        taker?.resume()
    }

    /// A shutdown begins. Returns what is held; what is held from now on is told so.
    func drain() -> [Held] {
        state.withLock { state in
            state.isDraining = true
            return state.held.all
        }
    }

    /// Takes nothing in any more; `take` returns nil once the channel is empty and nothing is held.
    /// Returns what is held still.
    func close() -> [Held] {
        let (held, taker) = state.withLock { state in
            state.isClosed = true
            defer { state.taker = nil }
            return (state.held.all, state.taker)
        }
        taker?.resume()
        return held
    }

    /// All waiting elements, as soon as there are some; nil after `close`. One task takes at a time.
    func take() async -> [Element]? {
        while true {
            let (elements, isOver) = state.withLock { state in
                defer { state.waiting = [] }
                return (state.waiting, state.isClosed && state.held.isEmpty)
            }
            if !elements.isEmpty { return elements }
            if isOver { return nil }
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if state.isReady { return true }
                    state.taker = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        }
    }
}

/// Elements at numbered places, which are used again: no hashing, and no memory for each new one.
private struct Places<Element: Sendable>: Sendable {
    private var elements: [Element?] = []
    private var free: [Int] = []

    var isEmpty: Bool { free.count == elements.count }
    var all: [Element] { elements.compactMap { $0 } }

    /// A place that `fill` must fill.
    mutating func reserve() -> Int {
        if let place = free.popLast() { return place }
        elements.append(nil)
        return elements.count - 1
    }

    mutating func fill(_ place: Int, _ element: Element) { elements[place] = element }

    mutating func remove(_ place: Int) {
        elements[place] = nil
        free.append(place)
    }
}
