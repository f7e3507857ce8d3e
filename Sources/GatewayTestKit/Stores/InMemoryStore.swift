package import Base
package import Gateway

/// A store that forgets: the model for `StoreConformance`, and what tests of the core use. It can be
/// told to fail and to hold its answers back.
package final class InMemoryStore: Store {
    /// Where completions are called.
    package enum Answering: Sendable {
        /// On a thread of the store's, as real stores do.
        case thread
        /// Before `submit` returns: for tests that want no second thread. A submission made by a completion
        /// is answered after it, so the order holds here too.
        case inline
    }

    private struct Answer: Sendable {
        let result: Result<Void, StoreError>
        let completion: @Sendable (Result<Void, StoreError>) -> Void
    }

    private struct Shared: Sendable {
        var state = InMemoryState()
        var answers: [Answer] = []
        var isAnswering = false
        var isPaused = false
        var isClosed = false
        var nextFailure: StoreError?
        var lastingFailure: StoreError?
        var submissions = 0
        var changes = 0
        var freeBytes: Int64?
        /// Those that wait for the last answer.
        var closing: [CheckedContinuation<Void, Never>] = []
    }

    private let shared: Locked<Shared>
    private let answering: Answering
    private let wake = Semaphore()

    package convenience init(answering: Answering = .thread) { self.init(answering: answering, shared: Shared()) }

    private init(answering: Answering, shared: Shared) {
        (self.answering, self.shared) = (answering, Locked(shared))
        guard case .thread = answering else { return }
        let (wake, shared) = (wake, self.shared)
        SystemThread.start(name: "memory-store") {
            repeat {
                wake.wait()
                Self.answer(shared)
            } while !shared.withLock { $0.isClosed && $0.answers.isEmpty }
        }
    }

    deinit { end() }

    // MARK: What tests control

    /// Makes the next submission fail; it is not applied.
    package func failNext(_ error: StoreError) { shared.withLock { $0.nextFailure = error } }

    /// Makes all submissions fail from now on, as a real store does after a failed write; nil ends that.
    package func fail(with error: StoreError?) { shared.withLock { $0.lastingFailure = error } }

    /// Whether the disk is full: submissions fail with `full`.
    package var isFull: Bool {
        get { shared.withLock { $0.lastingFailure?.code == .full } }
        set { fail(with: newValue ? StoreError(.full, "no room is left (by the test)") : nil) }
    }

    /// What `freeBytes()` answers.
    package func setFreeBytes(_ bytes: Int64?) { shared.withLock { $0.freeBytes = bytes } }

    /// Holds all answers back from now on. Changes are applied all the same.
    package func pause() { shared.withLock { $0.isPaused = true } }

    /// Gives the answers that were held back, in order, and all later ones.
    package func resume() {
        shared.withLock { $0.isPaused = false }
        deliver()
    }

    /// Submissions so far, those that failed too.
    package var submissionCount: Int { shared.withLock { $0.submissions } }
    /// Changes of all submissions so far.
    package var changeCount: Int { shared.withLock { $0.changes } }
    /// Answers that wait for `resume`.
    package var heldAnswers: Int { shared.withLock { $0.answers.count } }

    /// A new store that knows what this one knows: a restart.
    package func reopened() -> InMemoryStore {
        var fresh = Shared()
        fresh.state = shared.withLock { $0.state }
        return InMemoryStore(answering: answering, shared: fresh)
    }

    // MARK: Store

    package func submit(
        _ changes: [StoreChange], completion: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        let isClosed = shared.withLock { shared -> Bool in
            if shared.isClosed { return true }
            shared.submissions += 1
            shared.changes += changes.count
            let result: Result<Void, StoreError>
            if let failure = shared.nextFailure ?? shared.lastingFailure {
                shared.nextFailure = nil
                result = .failure(failure)
            } else {
                result = Result { () throws(StoreError) in try shared.state.apply(changes) }
            }
            shared.answers.append(Answer(result: result, completion: completion))
            return false
        }
        if isClosed { completion(.failure(StoreError(.closed, "the store is closed"))) } else { deliver() }
    }

    private func deliver() {
        switch answering {
        case .thread: wake.signal()
        case .inline: Self.answer(shared)
        }
    }

    /// Calls completions until none waits. Only one caller does so at a time, which keeps the order.
    private static func answer(_ shared: Locked<Shared>) {
        while true {
            let next = shared.withLock { shared -> Answer? in
                if shared.isAnswering || shared.isPaused || shared.answers.isEmpty { return nil }
                shared.isAnswering = true
                return shared.answers.removeFirst()
            }
            guard let next else { return finish(shared) }
            next.completion(next.result)
            shared.withLock { $0.isAnswering = false }
        }
    }

    /// Lets `close` return when everything is answered.
    private static func finish(_ shared: Locked<Shared>) {
        let closing = shared.withLock { shared -> [CheckedContinuation<Void, Never>] in
            guard shared.isClosed, shared.answers.isEmpty, !shared.isAnswering else { return [] }
            defer { shared.closing = [] }
            return shared.closing
        }
        for continuation in closing { continuation.resume() }
    }

    private func read<Value: Sendable>(_ body: (InMemoryState) -> Value) throws(StoreError) -> Value {
        let state = try shared.withLock { shared throws(StoreError) -> InMemoryState in
            if shared.isClosed { throw StoreError(.closed, "the store is closed") }
            return shared.state
        }
        return body(state)
    }

    package func registry() async throws -> StoredRegistry { try read { $0.registry } }
    package func entries(queues: [Int64], after: Int64, limit: Int) async throws -> [StoredEntry] {
        try read { $0.entries(queues: queues, after: after, limit: limit) }
    }
    package func openEntries(
        after position: Int64?, limit: Int
    ) async throws -> (entries: [OpenEntry], next: Int64?) {
        try read { $0.openEntries(after: position, limit: limit) }
    }
    package func messages(
        _ keys: [MessageKey], completion: @escaping @Sendable (Result<[Message], StoreError>) -> Void
    ) {
        completion(Result { () throws(StoreError) in try read { $0.messages(keys) } })
    }
    package func messages(
        queue: Int64, state: Message.State?, after: Int64, limit: Int
    ) async throws -> [Message] {
        try read { $0.messages(queue: queue, state: state, after: after, limit: limit) }
    }
    package func settledSends(since: Timestamp) async throws -> [SettledSend] {
        try read { $0.settledSends(since: since) }
    }
    package func message(_ key: MessageKey) async throws -> Message? { try read { $0.messages[key] } }
    package func deliveries(of messages: [MessageKey]) async throws -> [DeliveryRecord] {
        try read { $0.deliveries(of: messages) }
    }
    package func items(registration: RegistrationID, keys: [String]) async throws -> [String: StoredItem] {
        try read { $0.items(registration: registration, keys: keys) }
    }
    package func openItems(registration: RegistrationID) async throws -> [String: MessageKey] {
        try read { $0.openItems(registration: registration) }
    }
    package func conversations(_ query: ConversationQuery) async throws -> [ConversationView] {
        try read { $0.views(query) }
    }
    package func history(
        _ pair: ConversationPair, _ range: HistoryRange, limit: Int
    ) async throws -> [HistoryEntry] { try read { $0.history(pair, range, limit: limit) } }
    package func entry(_ number: Int64) async throws -> HistoryEntry? { try read { $0.history[number] } }
    package func entry(of message: MessageKey) async throws -> HistoryEntry? {
        try read { state in
            state.history.values.filter { $0.message == message }.max { $0.number < $1.number }
        }
    }
    package func freeBytes() -> Int64? { shared.withLock { $0.freeBytes } }

    package func close() async {
        end()
        await withCheckedContinuation { continuation in
            shared.withLock { $0.closing.append(continuation) }
            Self.finish(shared)
        }
    }

    /// Answers what waits, also what was held back, and takes nothing more.
    private func end() {
        shared.withLock { ($0.isPaused, $0.isClosed) = (false, true) }
        deliver()
    }
}
