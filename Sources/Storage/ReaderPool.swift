internal import Base
internal import Gateway

/// A few threads, each with a connection of its own that only reads.
final class ReaderPool: Sendable {
    /// Reads that may wait for one thread.
    static let queueLimit = 10_000

    /// One thread's connection, opened with its first read.
    private final class Slot: @unchecked Sendable {
        // Sendable: `connection` is touched by work on `thread` only.
        let thread: WorkThread
        var connection: ReadConnection?

        init(thread: WorkThread) { self.thread = thread }
    }

    private struct State {
        /// Reads under way or waiting, for each slot.
        var load: [Int]
        var isClosed = false
    }

    private let path: String
    private let slots: [Slot]
    private let state: Locked<State>

    init(path: String, count: Int) {
        self.path = path
        slots = (0..<max(1, count)).map { index in
            Slot(thread: WorkThread(name: "store-reader-\(index)", limit: Self.queueLimit))
        }
        state = Locked(State(load: Array(repeating: 0, count: slots.count)))
    }

    /// Runs `body` on the thread with the least to do.
    /// - Throws: `StoreError`.
    func read<Value: Sendable>(
        _ body: @escaping @Sendable (ReadConnection) throws(StoreError) -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Value, any Error>) in
            read(body) { result in continuation.resume(with: result.mapError { $0 as any Error }) }
        }
    }

    /// As above, without waiting; `completion` is called once, on that thread, or at once when the read is refused.
    func read<Value: Sendable>(
        _ body: @escaping @Sendable (ReadConnection) throws(StoreError) -> Value,
        completion: @escaping @Sendable (Result<Value, StoreError>) -> Void
    ) {
        let chosen = state.withLock { state -> Int? in
            guard !state.isClosed, let index = state.load.indices.min(by: { state.load[$0] < state.load[$1] })
            else { return nil }
            state.load[index] += 1
            return index
        }
        guard let chosen else { return completion(.failure(StoreError(.closed, "the store is closed"))) }
        let (slot, path, state) = (slots[chosen], path, state)
        let isAccepted = slot.thread.submit {
            state.withLock { $0.load[chosen] -= 1 }
            completion(
                Result { () throws(StoreError) in
                    let connection: ReadConnection
                    if let open = slot.connection {
                        connection = open
                    } else {
                        connection = try ReadConnection(path: path)
                    }
                    slot.connection = connection
                    return try body(connection)
                })
        }
        guard !isAccepted else { return }
        state.withLock { $0.load[chosen] -= 1 }
        completion(.failure(StoreError(.overloaded, "more reads are waiting than the store takes")))
    }

    /// Finishes the reads that were asked for and closes the connections.
    func close() async {
        state.withLock { $0.isClosed = true }
        for slot in slots {
            // Fails only when the thread has stopped, by an earlier call.
            try? await slot.thread.run { slot.connection = nil }
            slot.thread.stop()
        }
    }
}
