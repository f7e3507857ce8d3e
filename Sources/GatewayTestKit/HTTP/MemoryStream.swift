package import Base

/// An answer in memory that goes on, on the clock of the test.
package final class MemoryStream: HTTPStream {
    private struct State {
        var chunks: [[UInt8]] = []
        var isEnded = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    package let head: HTTPResponse
    private let state = Locked(State())
    private let time: any TimeSource

    package init(head: HTTPResponse, time: any TimeSource) { (self.head, self.time) = (head, time) }

    package var isEnded: Bool { state.withLock { $0.isEnded } }

    /// The server sends something.
    package func send(_ text: String) { change { $0.chunks.append(Array(text.utf8)) } }
    /// The server ends the answer, or the client wants no more of it.
    package func close() { change { $0.isEnded = true } }

    private func change(_ body: (inout State) -> Void) {
        let waiter = state.withLock { state in
            body(&state)
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    package func next(until deadline: Moment) async throws -> [UInt8]? {
        while true {
            try Task.checkCancellation()
            let (chunk, isEnded) = state.withLock { state in
                (state.chunks.isEmpty ? nil : state.chunks.removeFirst(), state.isEnded)
            }
            if let chunk { return chunk }
            if isEnded { return nil }
            if time.now >= deadline {
                close()
                throw HTTPTransportError(.timeout, "nothing came in time", surelyNotProcessed: false)
            }
            await waitForChange(until: deadline)
        }
    }

    private func waitForChange(until deadline: Moment) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.wait() }
            group.addTask { [time] in
                do {
                    try await time.sleep(until: deadline)
                } catch {
                    // The other one was first, or the whole is cancelled: the caller looks.
                }
            }
            await group.next()
            group.cancelAll()
        }
    }

    private func wait() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if Task.isCancelled || state.isEnded || !state.chunks.isEmpty { return true }
                    state.waiter = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            change { _ in }
        }
    }
}
