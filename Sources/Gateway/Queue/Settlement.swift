/// What a consumer says of one message.
package struct SettleOrder: Sendable {
    package let key: MessageKey
    package let token: Int64
    package let settlement: QueueMachine.Settlement

    package init(key: MessageKey, token: Int64, settlement: QueueMachine.Settlement) {
        (self.key, self.token, self.settlement) = (key, token, settlement)
    }
}

/// How a settlement ended.
package enum SettleOutcome: Sendable, Hashable {
    /// The message is in this state now, by this settlement or by the same one before (G5).
    case settled(Message.State)
    /// The lock is not the consumer's any more (G4).
    case lost
    /// Only the store may know: see `Mailroom.past`.
    case unknown
}

/// What a sender is told (G10).
package enum ReceiptState: String, Sendable, CaseIterable {
    case forwarded
    case notified
    case delivered
    case read
    case expired
    case dead
}
