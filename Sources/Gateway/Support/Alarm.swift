package import Base

/// A task that waits for the earliest of changing deadlines: `set` from anywhere, `wait` in one task.
package final class Alarm: Sendable {
    private struct State {
        var due: Moment?
        var waiter: CheckedContinuation<Void, Never>?
        var changed = false
    }
    private let state = Locked(State())
    private let time: any TimeSource

    package init(time: any TimeSource) { self.time = time }

    /// Rings no later than `due`; a later time than one already set changes nothing.
    package func set(_ due: Moment?) {
        guard let due else { return }
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            if let current = state.due, current <= due { return nil }
            state.due = due
            state.changed = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// Returns when the earliest deadline has come, and forgets it.
    /// - Throws: `CancellationError`.
    package func wait() async throws {
        while true {
            try Task.checkCancellation()
            let due = state.withLock { state in
                state.changed = false
                return state.due
            }
            if let due, due <= time.now {
                state.withLock { if $0.due == due { $0.due = nil } }
                return
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await self.change() }
                if let due { group.addTask { [time] in try await time.sleep(until: due) } }
                try await group.next()
                group.cancelAll()
            }
        }
    }

    /// Returns when `set` has moved the deadline forward, or on cancellation.
    private func change() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let ready = state.withLock { state in
                    if state.changed || Task.isCancelled { return true }
                    state.waiter = continuation
                    return false
                }
                if ready { continuation.resume() }
            }
        } onCancel: {
            state.withLock { state in
                defer { state.waiter = nil }
                return state.waiter
            }?.resume()
        }
    }
}
