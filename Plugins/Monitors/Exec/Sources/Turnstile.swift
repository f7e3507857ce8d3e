internal import Base

/// Lets so many at a time through; the others wait in order.
final class Turnstile: Sendable {
    private struct State {
        var free: Int
        var lastID = 0
        var waiting: [(id: Int, turn: CheckedContinuation<Bool, Never>)] = []
    }

    private let state: Locked<State>

    init(_ places: Int) { state = Locked(State(free: places)) }

    /// Runs `body` when it is this one's turn.
    /// - Throws: `CancellationError` when cancelled before; what `body` throws.
    func pass<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        let isMine = await withTaskCancellationHandler {
            await withCheckedContinuation { (turn: CheckedContinuation<Bool, Never>) in
                // Both sides hold the lock, so either this sees the cancellation or `onCancel` sees the waiter.
                let answer = state.withLock { state -> Bool? in
                    if Task.isCancelled { return false }
                    guard state.free > 0 else {
                        state.waiting.append((id, turn))
                        return nil
                    }
                    state.free -= 1
                    return true
                }
                if let answer { turn.resume(returning: answer) }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                state.waiting.firstIndex { $0.id == id }.map { state.waiting.remove(at: $0) }
            }
            waiter?.turn.resume(returning: false)
        }
        guard isMine else { throw CancellationError() }
        defer { leave() }
        return try await body()
    }

    private func leave() {
        let next = state.withLock { state -> CheckedContinuation<Bool, Never>? in
            guard !state.waiting.isEmpty else {
                state.free += 1
                return nil
            }
            return state.waiting.removeFirst().turn
        }
        next?.resume(returning: true)
    }
}
