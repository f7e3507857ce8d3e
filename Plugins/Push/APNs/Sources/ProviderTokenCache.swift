internal import Base

/// Decides when a provider token is signed anew. Apple refuses tokens older than an hour and new ones
/// more often than every 20 minutes; one token serves all connections of a key.
struct ProviderTokenCache: Sendable {
    struct Token: Sendable, Hashable {
        /// The value of the `authorization` header.
        let authorization: String
        /// Counts tokens: tells whether a refused one is still the current one.
        let generation: Int
    }

    /// What to do about a token Apple called expired.
    enum Renewal: Sendable, Hashable {
        /// Another push has renewed it meanwhile, or it may be renewed now: send again.
        case sendAgain
        /// It is too young to be replaced, so age is not what is wrong: most likely our clock.
        case tooSoon
    }

    /// A token of this age is replaced.
    static let renewalAge: Duration = .seconds(45 * 60)
    /// A token younger than this is never replaced.
    static let minimumAge: Duration = .seconds(20 * 60)

    private var token: Token?
    private var signed = Moment(nanoseconds: 0)
    private var generation = 0
    private var isRefused = false

    /// The token to send with.
    /// - Parameter sign: makes a new one.
    /// - Throws: what `sign` throws.
    mutating func token<Failure: Error>(now: Moment, sign: () throws(Failure) -> String) throws(Failure) -> Token {
        if let token, !isRefused, now - signed < Self.renewalAge { return token }
        let text = try sign()
        generation += 1
        let fresh = Token(authorization: "bearer \(text)", generation: generation)
        (token, signed, isRefused) = (fresh, now, false)
        return fresh
    }

    /// Apple called a token expired.
    mutating func expired(generation: Int, now: Moment) -> Renewal {
        if generation != self.generation || isRefused { return .sendAgain }
        guard now - signed >= Self.minimumAge else { return .tooSoon }
        isRefused = true
        return .sendAgain
    }
}
