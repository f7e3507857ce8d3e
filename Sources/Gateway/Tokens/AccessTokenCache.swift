package import Base

/// What an authorization server gives for a credential, to be shown with each request.
package struct AccessToken: Sendable, Hashable {
    package let secret: Secret
    /// Counts tokens: tells whether a refused one is still the current one.
    package let generation: Int

    /// The value of the `authorization` field (RFC 6750 section 2.1).
    package var authorization: String { "Bearer \(secret.exposed)" }
}

/// Decides who asks the authorization server for an access token, and who waits for it: one asks for all. A token
/// is renewed before it expires, and meanwhile the others go on with the old one.
package struct AccessTokenCache: Sendable {
    package enum Entry: Sendable, Hashable {
        case use(AccessToken)
        /// Ask the server and call `fetched`.
        case fetch
        /// Wait under this number.
        case wait(Int)
    }

    /// How asking ended.
    package enum Result: Sendable, Hashable {
        case granted(Secret, life: Duration)
        case failed
        /// Who asked was cancelled: the next one asks.
        case abandoned
    }

    package enum Action: Sendable, Hashable {
        case give(Int, AccessToken)
        case fail(Int)
        /// Who waited under this number asks now.
        case fetch(Int)
    }

    /// When a token is renewed although it is still good.
    package enum Renewal: Sendable, Hashable {
        /// `margin` before its end, or after half its life if that is shorter.
        case beforeItsEnd
        /// After 80 % of its life.
        case afterMostOfItsLife

        func point(in life: Duration) -> Duration {
            switch self {
            case .beforeItsEnd: max(life - AccessTokenCache.margin, life / 2)
            case .afterMostOfItsLife: life * 4 / 5
            }
        }
    }

    /// A longer life counts as this.
    package static let longestLife: Duration = .seconds(86_400)
    /// A token is renewed so long before its end (`Renewal.beforeItsEnd`).
    package static let margin: Duration = .seconds(300)
    /// After an early renewal failed, the next one waits so long.
    package static let pauseAfterFailure: Duration = .seconds(30)

    private let renewalRule: Renewal
    private var token: AccessToken?
    private var renewal = Moment(nanoseconds: 0)
    private var end = Moment(nanoseconds: 0)
    private var isRefused = false
    private var isFetching = false
    private var generation = 0
    private var nextNumber = 0
    private(set) var waiting: [Int] = []

    package init(renewing rule: Renewal = .beforeItsEnd) { renewalRule = rule }

    /// The number of the token granted last; 0 before the first.
    package var lastGeneration: Int { generation }

    /// The token at hand; nil when there is none that is still good.
    package func usable(now: Moment) -> AccessToken? { isRefused || now >= end ? nil : token }

    package mutating func enter(now: Moment) -> Entry {
        if let token = usable(now: now), isFetching || now < renewal { return .use(token) }
        guard isFetching else {
            isFetching = true
            return .fetch
        }
        nextNumber += 1
        waiting.append(nextNumber)
        return .wait(nextNumber)
    }

    /// Asking is over.
    package mutating func fetched(_ result: Result, now: Moment) -> [Action] {
        isFetching = false
        switch result {
        case .granted(let secret, let life):
            generation += 1
            let fresh = AccessToken(secret: secret, generation: generation)
            let life = min(life, Self.longestLife)
            end = now + life
            renewal = now + renewalRule.point(in: life)
            (token, isRefused) = (fresh, false)
            defer { waiting = [] }
            return waiting.map { .give($0, fresh) }
        case .failed:
            renewal = now + Self.pauseAfterFailure
            defer { waiting = [] }
            return waiting.map { .fail($0) }
        case .abandoned:
            guard !waiting.isEmpty else { return [] }
            isFetching = true
            return [.fetch(waiting.removeFirst())]
        }
    }

    /// The service refused a token: it is not used again. One that has been renewed meanwhile changes nothing.
    package mutating func refused(_ token: AccessToken) {
        if token.generation == generation { isRefused = true }
    }

    /// Somebody who waited was cancelled.
    package mutating func giveUp(_ number: Int) { waiting.removeAll { $0 == number } }
}
