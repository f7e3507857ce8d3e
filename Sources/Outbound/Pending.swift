internal import Base

/// One answer that a task waits for and that another thread gives, at most once. A cancelled task gets
/// its `CancellationError` at once; whoever has the answer later learns that nobody wants it any more.
final class Pending<Value: Sendable>: Sendable {
    private enum State {
        case idle
        case waiting(CheckedContinuation<Value, any Error>)
        case settled
    }

    private let state = Locked(State.idle)

    /// False once answered or cancelled: work for it need not begin.
    var isOpen: Bool {
        state.withLock { state in
            if case .settled = state { return false }
            return true
        }
    }

    /// Waits for the answer. Call it once.
    /// - Parameters:
    ///   - begin: hands the order over; not called when the task is cancelled already.
    ///   - onCancel: called after a cancellation, to end the work. It may run before the order that
    ///     `begin` posts is seen, so whoever takes the order checks `isOpen`.
    func wait(_ begin: () -> Void, onCancel: @escaping @Sendable () -> Void) async throws -> Value {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let isCancelled = state.withLock { state in
                    guard case .idle = state else { return true }
                    state = .waiting(continuation)
                    return false
                }
                if isCancelled {
                    continuation.resume(throwing: CancellationError())
                } else {
                    begin()
                }
            }
        } onCancel: {
            if settle(.failure(CancellationError())) { onCancel() }
        }
    }

    /// Gives the answer; false when it was given before or the task was cancelled.
    @discardableResult
    func settle(_ result: Result<Value, any Error>) -> Bool {
        let (isFirst, continuation) = state.withLock { state -> (Bool, CheckedContinuation<Value, any Error>?) in
            defer { state = .settled }
            switch state {
            case .idle: return (true, nil)
            case .waiting(let continuation): return (true, continuation)
            case .settled: return (false, nil)
            }
        }
        continuation?.resume(with: result)
        return isFirst
    }
}
