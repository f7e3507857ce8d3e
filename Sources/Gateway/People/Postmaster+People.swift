internal import Base

// Who may write to whom, and how much.
extension Postmaster {
    /// Counts a message between accounts, also one that goes nowhere: nobody tries names faster than it may write.
    /// - Returns: whether it may reach the other one. Where not, the answer is that of an account that is not there.
    /// - Throws: `rate_limited`.
    func admit(_ party: Party, to id: AccountID, isReply: Bool = false) throws(GatewayError) -> Bool {
        guard case .device(let device) = party, device.account != id else { return true }
        let (sender, now) = (device.account, time.now)
        let mayWrite = isReply ? !people.hasBlocked(id, sender) : people.mayWrite(sender, to: id)
        let wait = rates.withLock { rates in
            rates.senders.take(sender, now: now) ?? (mayWrite ? rates.recipients.take(id, now: now) : nil)
        }
        guard let wait else { return mayWrite }
        throw GatewayError(
            .rateLimited,
            "too many messages between accounts (limits.messagesPerSenderPerMinute, messagesPerRecipientPerMinute)",
            retryAfterSeconds: Int(wait.wholeSeconds) + 1)
    }
}
