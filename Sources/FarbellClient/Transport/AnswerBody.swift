/// What arrived of an answer and was not asked for yet: the session's thread puts in, one task takes out.
final class AnswerBody: Sendable {
    struct Head: Sendable {
        let status: Int
        /// By their names in small letters.
        let headers: [String: String]
    }

    private struct State {
        var head: Head?
        var pieces: [[UInt8]] = []
        var bytes = 0
        var end: Result<Void, any Error>?
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Guarded(State())
    private let limit: Int?

    /// - Parameter limit: bytes that may wait; nil for any number.
    init(limit: Int?) { self.limit = limit }

    func begin(_ head: Head) { change { $0.head = head } }

    /// - Returns: false when no more is wanted.
    @discardableResult
    func append(_ piece: [UInt8]) -> Bool {
        change { state in
            guard state.end == nil else { return false }
            guard !piece.isEmpty else { return true }
            state.pieces.append(piece)
            state.bytes += piece.count
            guard let limit, state.bytes > limit else { return true }
            state.end = .failure(
                FarbellError(.readerTooSlow, "More than \(limit) bytes of an answer waited for their reader."))
            return false
        }
    }

    /// The answer is complete, or failed.
    func end(_ error: (any Error)?) {
        change { state in
            if state.end == nil { state.end = error.map { .failure($0) } ?? .success(()) }
        }
    }

    /// Nobody wants the rest.
    func drop() {
        change { state in
            if state.end == nil { state.end = .failure(CancellationError()) }
            state.pieces = []
            state.bytes = 0
        }
    }

    /// The head, when it is here.
    func head() async throws -> Head {
        while true {
            let found = try state.withLock { state in
                if let head = state.head { return head as Head? }
                try state.end?.get()
                guard state.end == nil else {
                    throw FarbellError(.connectionFailed, "The connection ended without an answer.")
                }
                return nil
            }
            if let found { return found }
            await arrival { $0.head != nil || $0.end != nil }
        }
    }

    /// The next piece; nil at the end. What arrived before a failure is handed out first.
    func next() async throws -> [UInt8]? {
        while true {
            let found = try state.withLock { state -> [UInt8]?? in
                if !state.pieces.isEmpty {
                    let all = state.pieces.count == 1 ? state.pieces[0] : Array(state.pieces.joined())
                    state.pieces = []
                    state.bytes = 0
                    return .some(all)
                }
                guard let end = state.end else { return nil }
                try end.get()
                return .some(nil)
            }
            if let found { return found }
            await arrival { !$0.pieces.isEmpty || $0.end != nil }
        }
    }

    /// Changes the state and wakes who waits.
    @discardableResult
    private func change<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
        let (result, waiter) = state.withLock { state in
            let result = body(&state)
            defer { state.waiter = nil }
            return (result, state.waiter)
        }
        waiter?.resume()
        return result
    }

    private func arrival(_ isHere: @Sendable (State) -> Bool) async {
        await withCheckedContinuation { continuation in
            let isDue = state.withLock { state in
                if isHere(state) { return true }
                state.waiter = continuation
                return false
            }
            if isDue { continuation.resume() }
        }
    }
}
