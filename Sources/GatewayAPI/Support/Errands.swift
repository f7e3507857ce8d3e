internal import Base

/// Runs what requests answered without a task leave to one, each in a task of its own. There are no more of them
/// than requests the server holds (`ServerLimits.pendingRequests`).
final class Errands: Service {
    typealias Errand = @Sendable () async -> Void

    let name = "errands"
    private let errands: AsyncStream<Errand>
    private let sink: AsyncStream<Errand>.Continuation

    init() { (errands, sink) = AsyncStream.makeStream() }

    /// False when the service has ended.
    func add(_ errand: @escaping Errand) -> Bool {
        if case .enqueued = sink.yield(errand) { true } else { false }
    }

    func run() async throws {
        await withDiscardingTaskGroup { group in
            for await errand in errands { group.addTask { await errand() } }
        }
    }

    func beginShutdown() { sink.finish() }
}
