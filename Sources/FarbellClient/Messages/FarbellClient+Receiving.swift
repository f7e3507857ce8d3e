internal import Foundation

/// When a received message leaves its queue.
public enum ReceiveMode: String, Sendable, Hashable, Encodable {
    /// When its receipt is completed: nothing is lost when the consumer dies.
    case lock
    /// When it is handed over: one call less, and a message is lost when the answer is.
    case delete
}

extension FarbellClient {
    private struct ReceiveRequest: Encodable {
        let queue: String?
        let max: Int?
        let waitSeconds: Int?
        let lockSeconds: Int
        let mode: ReceiveMode?
        let deferred: [String]?
    }

    private struct ReceiveAnswer: Decodable {
        let messages: [ReceivedMessage]
    }

    private struct LockRequest: Encodable {
        let queue: String?
        let lockSeconds: Int
    }

    /// What a connection may be silent for beyond the time the gateway was asked to wait.
    private static let silenceBeyondWait = Duration.seconds(15)

    /// Receives messages once: those that are there, or the first that comes within `wait`.
    ///
    /// Each message comes locked, and its lock is renewed while its receipt exists.
    /// - Parameters:
    ///   - queue: the queue's address, such as `app/oa`; nil for the caller's own.
    ///   - max: 1 to 100.
    ///   - wait: up to 60 seconds; the call takes so long when nothing comes.
    ///   - lock: 1 to 300 seconds.
    ///   - deferred: receive these messages, which were deferred, instead.
    ///   - renews: false to let the lock run out unless `renew` is called.
    /// - Returns: nothing when nothing came.
    public func receive(
        queue: String? = nil, max: Int = 1, wait: Duration = .zero, lock: Duration = .seconds(30),
        mode: ReceiveMode = .lock, deferred: [String]? = nil, renews: Bool = true
    ) async throws -> [Message] {
        try await receive(
            queue: queue, max: max, wait: wait, lock: lock, mode: mode, deferred: deferred, renews: renews, wire)
    }

    func receive(
        queue: String?, max: Int, wait: Duration, lock: Duration, mode: ReceiveMode, deferred: [String]?,
        renews: Bool, _ wire: Wire
    ) async throws -> [Message] {
        let request = ReceiveRequest(
            queue: queue, max: deferred == nil ? max : nil, waitSeconds: wait == .zero ? nil : wait.wholeSecondsUp,
            lockSeconds: lock.wholeSecondsUp, mode: mode == .lock ? nil : mode, deferred: deferred)
        var call = try Call("POST", "messages", "receive").with(request).silent(for: wait + Self.silenceBeyondWait)
        // What an answer that was lost has locked comes back; what it has deleted does not.
        if mode == .delete { call = call.once() }
        let answer: ReceiveAnswer = try await wire.call(call)
        return answer.messages.map { $0.message(lock: lock, renews: renews && mode == .lock, wire: self.wire) }
    }

    /// Messages as they come, for as long as the loop runs (PL-2, PL-5, PL-13):
    ///
    ///     for try await message in client.messages(queue: "app/oa") {
    ///         try await work(on: message.body)
    ///         try await message.receipt.complete()
    ///     }
    ///
    /// The loop waits at the gateway, which answers when a message is stored; it goes on after broken connections
    /// and when the gateway is busy or starts anew. It ends with an error that will not pass by itself, such as a
    /// revoked token, and with `CancellationError` when its task is cancelled. What was fetched and not handed out
    /// is then given back, as it is when the loop is left in another way.
    /// - Parameters:
    ///   - queue: the queue's address; nil for the caller's own.
    ///   - max: how many messages are fetched at a time, 1 to 100. Those fetched ahead are locked, and renewed,
    ///     while they wait for the loop; with the default of 1 none is.
    ///   - lock: 1 to 300 seconds.
    ///   - wait: how long one question waits at the gateway, 1 to 60 seconds.
    public func messages(
        queue: String? = nil, max: Int = 1, lock: Duration = .seconds(30), wait: Duration = .seconds(30),
        mode: ReceiveMode = .lock
    ) -> MessageSequence {
        MessageSequence(
            client: self, queue: queue, max: max, lock: lock, wait: Swift.max(.seconds(1), wait), mode: mode)
    }

    /// Messages of a queue as they lie there, without locking any (PL-3, PL-4).
    /// - Parameters:
    ///   - queue: the queue's address; nil for the caller's own.
    ///   - after: only messages after this, `next` of the page before.
    ///   - limit: how many at most.
    public func peek(queue: String? = nil, after: String? = nil, limit: Int? = nil) async throws -> Page<MessageView> {
        try await wire.call(Call("GET", "messages", query: Self.listing(queue, after, limit)))
    }

    /// Locks one message, such as one that was seen by `peek` (PL-4).
    /// - Throws: `FarbellError` `not_available`, also when the answer to a first try was lost: the lock comes free
    ///   when it ends.
    public func lock(
        _ id: String, queue: String? = nil, lock: Duration = .seconds(30), renews: Bool = true
    ) async throws -> Message {
        let call = try Call("POST", "messages", id, "lock")
            .with(LockRequest(queue: queue, lockSeconds: lock.wholeSecondsUp)).once()
        let answer: ReceivedMessage = try await wire.call(call)
        return answer.message(lock: lock, renews: renews, wire: wire)
    }

    static func listing(_ queue: String?, _ after: String?, _ limit: Int?) -> [(name: String, value: String)] {
        [("queue", queue), ("after", after), ("limit", limit.map { String($0) })].compactMap { name, value in
            value.map { (name: name, value: $0) }
        }
    }
}
