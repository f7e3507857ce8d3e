internal import Base
internal import Gateway

/// One fetch for all who want the same feed at about the same time.
final class SharedFetch<Value: Sendable>: Sendable {
    private struct State {
        var value: (value: Value, at: Moment)?
        var failure: (failure: MonitorFailure, until: Moment)?
        var isFetching = false
        var nextWaiter = 0
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
    }

    private enum Turn {
        case have(Value)
        case failed(MonitorFailure)
        case fetch(Value?)
        case wait
    }

    /// How long nobody asks again after a failure.
    static var failurePause: Duration { .seconds(10) }

    private let state = Locked(State())
    private let time: any TimeSource

    init(time: any TimeSource) { self.time = time }

    /// What was fetched no longer than `maxAge` ago, or is fetched now by this caller or another.
    /// - Parameter fetch: gets what was fetched last.
    /// - Throws: what `fetch` throws, also to those who waited for it; `CancellationError`.
    func value(maxAge: Duration, _ fetch: (Value?) async throws -> Value) async throws -> Value {
        while true {
            try Task.checkCancellation()
            switch turn(maxAge) {
            case .have(let value): return value
            case .failed(let failure): throw failure
            case .wait: await wait()
            case .fetch(let last):
                do {
                    let value = try await fetch(last)
                    finish { $0.value = (value, self.time.now) }
                    return value
                } catch {
                    finish { state in
                        // Whoever is cancelled leaves the turn to the next one.
                        if let failure = error as? MonitorFailure {
                            state.failure = (failure, self.time.now + self.pause(after: failure))
                        }
                    }
                    throw error
                }
            }
        }
    }

    private func pause(after failure: MonitorFailure) -> Duration {
        if case .throttled(let until) = failure.code { return max(Self.failurePause, until - time.now) }
        return Self.failurePause
    }

    private func turn(_ maxAge: Duration) -> Turn {
        let now = time.now
        return state.withLock { state in
            if let value = state.value, now - value.at < maxAge { return .have(value.value) }
            if let failure = state.failure, now < failure.until { return .failed(failure.failure) }
            if state.isFetching { return .wait }
            state.isFetching = true
            return .fetch(state.value?.value)
        }
    }

    private func finish(_ body: (inout State) -> Void) {
        let waiters = state.withLock { state in
            body(&state)
            state.isFetching = false
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns when the present fetch has ended, or the task is cancelled.
    private func wait() async {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if !state.isFetching || Task.isCancelled { return true }
                    state.waiters[id] = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
        }
    }
}
