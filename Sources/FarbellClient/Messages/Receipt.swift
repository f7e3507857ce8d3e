/// The property of a received message through which its receipt is completed (PL-11 to PL-13). It stands for the
/// lock that the gateway holds for this consumer, which is temporary: it runs out, and then the message is handed
/// to somebody else.
///
/// While the receipt exists the lock is renewed, each time at half of what is left of it; with the last reference
/// to the receipt the renewal ends too. A message that is dropped without being settled comes back to its queue
/// when its lock is over.
public final class Receipt: Sendable {
    /// The message's id.
    public let messageID: String
    /// How often the message was handed to somebody, this time included. Above 1 it may have been worked on before.
    public let delivery: Int
    let keeper: LockKeeper

    init(_ keeper: LockKeeper, delivery: Int) {
        (self.keeper, messageID, self.delivery) = (keeper, keeper.id, delivery)
    }

    deinit { keeper.stopRenewing() }

    /// What the gateway knows the lock by; nil for a message that was settled when it was handed over.
    public var token: String? { keeper.token }
    /// What is left of the lock, by the client's own clock.
    public var remaining: Duration { keeper.remaining }
    /// The gateway has said that the lock is lost: somebody else has the message, or will.
    public var isLost: Bool { keeper.isLost }
    /// The message was settled through this receipt.
    public var isSettled: Bool { keeper.isSettled }

    /// The work is done. Returns when the gateway has stored that.
    ///
    /// As with the other ways to settle: the renewal ends first; after a broken connection it is said again, which
    /// does no harm; it is said even when the calling task is cancelled.
    /// - Throws: `FarbellError` `lock_lost` when the message is no longer this consumer's: the work may be done twice.
    public func complete() async throws { _ = try await keeper.settle(.complete) }

    /// Gives the message back.
    /// - Parameter delay: after how long it may be handed out again, rounded up to whole seconds; nil for at once.
    /// - Returns: `ready`, `scheduled`, or `dead` when it has been handed out too often.
    /// - Throws: as `complete`.
    @discardableResult
    public func abandon(delay: Duration? = nil) async throws -> MessageState {
        try await keeper.settle(.abandon(delay: delay))
    }

    /// Puts the message aside, to be received later by its id.
    /// - Throws: as `complete`.
    public func `defer`() async throws { _ = try await keeper.settle(.defer) }

    /// Puts the message among the dead letters.
    /// - Parameter reason: for whoever looks at it.
    /// - Throws: as `complete`.
    public func deadLetter(reason: String? = nil) async throws {
        _ = try await keeper.settle(.deadLetter(reason: reason))
    }

    /// Renews the lock now, beside the automatic renewal.
    /// - Parameter lock: from now on; nil for as long as at first.
    /// - Throws: `FarbellError` `lock_lost`.
    public func renew(lock: Duration? = nil) async throws { try await keeper.renew(for: lock) }
}

/// A message that this consumer has locked. Reads like its view: `message.body`, `message.header["type"]`.
@dynamicMemberLookup
public struct Message: Sendable, Identifiable {
    /// The envelope and the body.
    public let view: MessageView
    /// Through which the message is settled.
    public let receipt: Receipt

    /// The message's id.
    public var id: String { view.id }

    /// The parts of the view.
    public subscript<Value>(dynamicMember member: KeyPath<MessageView, Value>) -> Value { view[keyPath: member] }
}

/// A message as an answer holds it.
struct ReceivedMessage: Decodable {
    private enum Key: String, CodingKey { case receipt }

    let view: MessageView
    let receipt: ReceiptAnswer?

    init(from decoder: any Decoder) throws {
        view = try MessageView(from: decoder)
        receipt = try decoder.container(keyedBy: Key.self).decodeIfPresent(ReceiptAnswer.self, forKey: .receipt)
    }

    func message(lock: Duration, renews: Bool, wire: Wire) -> Message {
        let keeper = LockKeeper(id: view.id, receipt, lock: lock, renewsItself: renews, wire: wire)
        return Message(view: view, receipt: Receipt(keeper, delivery: receipt?.delivery ?? 1))
    }
}
