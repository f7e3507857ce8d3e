internal import Base

/// State in memory with the store behind it: a change is decided and applied under the lock and handed to
/// the store before the lock is let go, so the order in memory is the order on disk.
package final class StateKeeper<State>: Sendable {
    private let state: Locked<State>
    private let store: any Store

    package init(_ state: sending State, store: any Store) {
        self.state = Locked(state)
        self.store = store
    }

    /// Reads; no waiting.
    package func read<Result: Sendable>(_ body: (borrowing State) -> Result) -> Result {
        state.withLock { body($0) }
    }

    /// Changes memory only, for what is not stored.
    package func update<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
        state.withLock { body(&$0) }
    }

    /// Changes memory and store; returns when the change is durable.
    /// - Parameter then: runs when it is, before this returns, in the order of changes, on the store's thread. Whoever waits
    ///   here goes on in no order.
    /// - Throws: what `body` throws (then nothing is changed), or the store's failure.
    package func change<Result: Sendable>(
        _ body: (inout State) throws -> (Result, [StoreChange]), then: @escaping @Sendable (Result) -> Void = { _ in }
    ) async throws -> Result {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Result, any Error>) in
            do {
                try submit(body) { result, outcome in
                    if case .success = outcome { then(result) }
                    continuation.resume(with: outcome.map { result }.mapError { $0 as any Error })
                }
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }

    /// Changes memory and store without waiting; `then` runs when the change is durable, in the order of
    /// changes, on the store's thread.
    /// - Parameter always: goes through the store even when nothing is to be stored, to keep its turn.
    package func submit(
        always: Bool = false,
        _ body: (inout State) -> [StoreChange], then: @escaping @Sendable (Result<Void, StoreError>) -> Void = { _ in }
    ) {
        submit(always: always, { ((), body(&$0)) }, then: { _, result in then(result) })
    }

    /// As above, with something that is worked out under the lock and needed afterwards.
    /// - Throws: what `body` throws; then nothing is changed and `then` does not run.
    package func submit<Outcome: Sendable>(
        always: Bool = false, _ body: (inout State) throws -> (Outcome, [StoreChange]),
        then: @escaping @Sendable (Outcome, Result<Void, StoreError>) -> Void
    ) rethrows {
        let outcome: Outcome? = try state.withLock { state in
            let (outcome, changes) = try body(&state)
            if changes.isEmpty && !always { return outcome }
            store.submit(changes) { then(outcome, $0) }
            return nil
        }
        // Nothing to wait for. After the lock: `then` may want it.
        if let outcome { then(outcome, .success(())) }
    }
}
