internal import Base
internal import Gateway

/// Whether a token Apple calls bad is bad, or our topic or environment is: told by how other tokens
/// fare on the same adapter.
struct TokenSuspicion: Sendable {
    /// Another token's success within this time shows that topic and environment are right.
    static let recent: Duration = .seconds(3600)
    /// So many different tokens refused without any success point to our configuration.
    static let tokensUntilCredential = 10

    /// The last two successes of different tokens: one of them is not the token asked about.
    private var successes: [(token: String, at: Moment)] = []
    private var refused: Set<String> = []
    /// Successes closer together than this are not told apart: thousands a second say no more than one.
    private static let resolution: Duration = .seconds(1)

    mutating func succeeded(_ token: String, now: Moment) {
        if successes.count == 2, refused.isEmpty, now - successes[1].at < Self.resolution { return }
        refused = []
        successes.removeAll { $0.token == token }
        successes.append((token, now))
        if successes.count > 2 { successes.removeFirst() }
    }

    /// The verdict on a token that Apple refused.
    mutating func refused(_ token: String, now: Moment) -> PushOutcome {
        if successes.contains(where: { $0.token != token && now - $0.at < Self.recent }) {
            return .gone(since: nil)
        }
        if refused.count < Self.tokensUntilCredential { refused.insert(token) }
        return refused.count >= Self.tokensUntilCredential ? .credential : .rejected
    }
}
