internal import Base
internal import Cryptography

/// Signs provider tokens: ES256 with the key's id and the team's.
struct ProviderTokenSigner: Sendable {
    let team: String
    let keyID: String
    let key: ES256Key

    func token(at now: Timestamp) throws(CryptographyError) -> String {
        try JSONWebToken.sign(
            header: ["kid": .string(keyID)], claims: ["iss": .string(team), "iat": .integer(now.seconds)], with: key)
    }
}

/// The current provider token of one key. Apple counts new tokens by key, so all adapters with it share this one.
final class ProviderTokens: Sendable {
    private let signer: ProviderTokenSigner
    private let time: any TimeSource
    private let cache = Locked(ProviderTokenCache())

    init(_ signer: ProviderTokenSigner, time: any TimeSource) { (self.signer, self.time) = (signer, time) }

    var keyID: String { signer.keyID }

    /// The token to send with, signed anew when it is time.
    func current() throws(CryptographyError) -> ProviderTokenCache.Token {
        let (now, signer, time) = (time.now, signer, time)
        return try cache.withLock { cache throws(CryptographyError) in
            try cache.token(now: now) { () throws(CryptographyError) in try signer.token(at: time.timestamp) }
        }
    }

    /// Apple called a token expired.
    func expired(_ token: ProviderTokenCache.Token) -> ProviderTokenCache.Renewal {
        let now = time.now
        return cache.withLock { $0.expired(generation: token.generation, now: now) }
    }
}

/// The provider tokens of every key in the configuration.
final class ProviderTokenShelf: Sendable {
    private struct Key: Hashable {
        let team: String
        let keyID: String
        let publicKey: [UInt8]
    }

    /// As many as the configuration has keys.
    private let shelf = Locked<[Key: ProviderTokens]>([:])

    func tokens(_ signer: ProviderTokenSigner, time: any TimeSource) -> ProviderTokens {
        let key = Key(team: signer.team, keyID: signer.keyID, publicKey: signer.key.publicKey)
        return shelf.withLock { shelf in
            if let known = shelf[key] { return known }
            let tokens = ProviderTokens(signer, time: time)
            shelf[key] = tokens
            return tokens
        }
    }
}
