internal import Base

/// Apple's rules for provider tokens: the signature, the age, the rate of renewal and the binding of a
/// connection to one key. A plain state machine; time is given with each question.
struct ProviderTokenCheck: Sendable {
    /// A refusal: status and reason.
    struct Refusal: Error, Equatable {
        let status: Int
        let reason: String
    }

    /// A token whose signature was right.
    struct Verified: Sendable, Hashable {
        let teamID: String
        let keyID: String
        let issuedAt: Int64
    }

    private struct Use {
        var token: String
        var since: Moment
    }

    static let oldest: Int64 = 3600
    static let shortestRenewal = Duration.seconds(20 * 60)

    var limitsUpdates: Bool
    private let keys: [String: (teamID: String, key: ECKey)]
    private var verified: [String: Verified] = [:]
    private var current: [String: Use] = [:]
    private var bound: [Int: Verified] = [:]
    /// What was found good last: nearly all requests bring it again.
    private var latest: (authorization: String, connection: Int, token: Verified)?

    init(keys: [FakeAPNs.ProviderKey], limitsUpdates: Bool) {
        self.limitsUpdates = limitsUpdates
        self.keys = Dictionary(keys.map { ($0.keyID, ($0.teamID, $0.key)) }) { _, last in last }
    }

    /// Judges the `authorization` header of a request.
    mutating func check(
        _ authorization: String?, connection: Int, now: Moment, timestamp: Timestamp
    ) throws(Refusal) -> Verified {
        guard let authorization else { throw Refusal(status: 403, reason: "MissingProviderToken") }
        if let latest, latest.connection == connection, latest.authorization == authorization {
            if timestamp.seconds - latest.token.issuedAt > Self.oldest {
                throw Refusal(status: 403, reason: "ExpiredProviderToken")
            }
            return latest.token
        }
        let invalid = Refusal(status: 403, reason: "InvalidProviderToken")
        guard authorization.prefix(7).lowercased() == "bearer " else { throw invalid }
        let text = String(authorization.dropFirst(7))
        let token = if let known = verified[text] { known } else { try verify(text, invalid) }
        let age = timestamp.seconds - token.issuedAt
        if age < 0 { throw invalid }
        if age > Self.oldest { throw Refusal(status: 403, reason: "ExpiredProviderToken") }
        if let first = bound[connection] {
            guard first.teamID == token.teamID else { throw invalid }
            guard first.keyID == token.keyID else { throw Refusal(status: 403, reason: "UnrelatedKeyIdInToken") }
        }
        if let use = current[token.keyID], use.token != text, limitsUpdates, now - use.since < Self.shortestRenewal {
            throw Refusal(status: 429, reason: "TooManyProviderTokenUpdates")
        }
        if current[token.keyID]?.token != text { current[token.keyID] = Use(token: text, since: now) }
        bound[connection] = token
        latest = (authorization, connection, token)
        return token
    }

    private mutating func verify(_ text: String, _ invalid: Refusal) throws(Refusal) -> Verified {
        guard let token = WebToken(text), let keyID = token.header["kid"]?.string, let entry = keys[keyID],
            token.claims["iss"]?.string == entry.teamID, case .integer(let issuedAt) = token.claims["iat"]?.value,
            token.isSignedES256(by: entry.key)
        else { throw invalid }
        let result = Verified(teamID: entry.teamID, keyID: keyID, issuedAt: issuedAt)
        // A few tokens an hour: the cache needs no limit.
        verified[text] = result
        return result
    }
}
