internal import Base

/// What the registrations of an account announced lately, by what it is and not by where it lay: a message that two of
/// them see rings once. In memory: after a restart a message seen by one before and by the other after it rings twice.
struct RecentContents: Sendable {
    /// Contents remembered for all accounts together; the oldest go first.
    static let limit = 50_000
    static let lifetime: Duration = .seconds(86_400)

    private struct Key: Hashable, Sendable {
        let account: AccountID
        let content: String
    }

    private var announced: [Key: (registration: RegistrationID, at: Moment)] = [:]
    /// In the order they came.
    private var order: [Key] = []
    private var head = 0

    /// Whether another registration of the account has announced it; notes it otherwise.
    mutating func isRepeat(
        _ content: String, _ account: AccountID, _ registration: RegistrationID, now: Moment
    ) -> Bool {
        let key = Key(account: account, content: content)
        if let known = announced[key], now - known.at < Self.lifetime { return known.registration != registration }
        if announced.updateValue((registration, now), forKey: key) == nil { order.append(key) }
        while announced.count > Self.limit {
            announced[order[head]] = nil
            head += 1
        }
        if head > 4096, head > order.count / 2 {
            order.removeFirst(head)
            head = 0
        }
        return false
    }
}
