package import Base

/// Watches a store for the first failed write. Memory is ahead of disk then, so the gateway must end
/// (promise G1): `run()` throws, the group stops, the process exits and starts again from the disk.
package final class GuardedStore: Store, Service {
    private struct State {
        var failure: StoreError?
    }

    package let name = "store"
    private let store: any Store
    private let state = Locked(State())
    private let failed = ShutdownSignal()
    private let stopped = ShutdownSignal()
    private let log: Log

    package init(_ store: any Store, log: Log) { (self.store, self.log) = (store, log) }

    /// Whether writes are accepted.
    package var isWritable: Bool { state.withLock { $0.failure == nil } }

    package func submit(
        _ changes: [StoreChange], completion: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        store.submit(changes) { [self] result in
            // What comes after the orderly end is refused, and that is no failure.
            if case .failure(let error) = result, !(error.code == .closed && stopped.isRaised) {
                let isFirst = state.withLock { state in
                    defer { state.failure = state.failure ?? error }
                    return state.failure == nil
                }
                if isFirst {
                    log.error(
                        .storageFailed, "A write failed; the gateway ends so that memory and disk agree again",
                        ["code": .string(error.code.rawValue), "error": .string(error.message)])
                    failed.raise()
                }
            }
            completion(result)
        }
    }

    package func run() async throws {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [failed] in await failed.wait() }
            group.addTask { [stopped] in await stopped.wait() }
            await group.next()
            group.cancelAll()
        }
        if let failure = state.withLock({ $0.failure }) { throw failure }
        await store.close()
    }

    package func beginShutdown() { stopped.raise() }

    package func registry() async throws -> StoredRegistry { try await store.registry() }
    package func entries(queues: [Int64], after: Int64, limit: Int) async throws -> [StoredEntry] {
        try await store.entries(queues: queues, after: after, limit: limit)
    }
    package func openEntries(
        after position: Int64?, limit: Int
    ) async throws -> (entries: [OpenEntry], next: Int64?) {
        try await store.openEntries(after: position, limit: limit)
    }
    package func messages(
        _ keys: [MessageKey], completion: @escaping @Sendable (Result<[Message], StoreError>) -> Void
    ) {
        store.messages(keys, completion: completion)
    }
    package func messages(
        queue: Int64, state: Message.State?, after: Int64, limit: Int
    ) async throws -> [Message] {
        try await store.messages(queue: queue, state: state, after: after, limit: limit)
    }
    package func settledSends(since: Timestamp) async throws -> [SettledSend] {
        try await store.settledSends(since: since)
    }
    package func message(_ key: MessageKey) async throws -> Message? { try await store.message(key) }
    package func deliveries(of messages: [MessageKey]) async throws -> [DeliveryRecord] {
        try await store.deliveries(of: messages)
    }
    package func items(registration: RegistrationID, keys: [String]) async throws -> [String: StoredItem] {
        try await store.items(registration: registration, keys: keys)
    }
    package func openItems(registration: RegistrationID) async throws -> [String: MessageKey] {
        try await store.openItems(registration: registration)
    }
    package func conversations(_ query: ConversationQuery) async throws -> [ConversationView] {
        try await store.conversations(query)
    }
    package func history(
        _ pair: ConversationPair, _ range: HistoryRange, limit: Int
    ) async throws -> [HistoryEntry] {
        try await store.history(pair, range, limit: limit)
    }
    package func entry(_ number: Int64) async throws -> HistoryEntry? { try await store.entry(number) }
    package func entry(of message: MessageKey) async throws -> HistoryEntry? { try await store.entry(of: message) }
    package func freeBytes() -> Int64? { store.freeBytes() }
    package func close() async { await store.close() }
}
