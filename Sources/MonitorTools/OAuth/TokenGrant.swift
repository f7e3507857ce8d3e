package import Base
package import Gateway

/// Access tokens for one grant: the refresh token of a registration, or the credential of an app. However many need
/// a token, one asks. A token is renewed after 80 % of its life, and once when a server refuses it.
package final class TokenGrant: Sendable {
    /// Who asks, and where.
    package struct Client: Sendable, Hashable {
        package let tokenURL: String
        package let id: String
        package let secret: Secret?
        package var scope: String?
        package var caFile: String?
        package var destination = HTTPRequest.Destination.any

        package init(tokenURL: String, id: String, secret: Secret?) {
            (self.tokenURL, self.id, self.secret) = (tokenURL, id, secret)
        }
    }

    private struct State {
        /// Nil: the client's own credentials (RFC 6749 section 4.4).
        var refreshToken: Secret?
        /// Who stores another refresh token.
        var host: (any MonitorHost)?
        /// The server asked for a pause; nobody asks it before.
        var pause: MonitorFailure?
        var refusal: MonitorFailure?
    }

    let client: Client
    private let state: Locked<State>
    private let tokens: SharedTokens<MonitorFailure>

    /// - Parameters:
    ///   - refreshToken: nil for the client's own credentials.
    ///   - pool: the connections to use.
    package init(
        _ client: Client, refreshToken: Secret?, pool: String, transport: any HTTPTransport, time: any TimeSource
    ) {
        let state = Locked(State(refreshToken: refreshToken))
        (self.client, self.state) = (client, state)
        tokens = SharedTokens(renewing: .afterMostOfItsLife, time: time) {
            await Self.ask(client, state, pool, transport, time)
        }
    }

    /// The token to use now.
    /// - Throws: `MonitorFailure`: `authFailed` when the server refuses the grant, `throttled` when it asks for a pause,
    ///   `authTemporary`, `network`, `protocolViolation`; `CancellationError`.
    package func token() async throws -> AccessToken {
        switch await tokens.token() {
        case .token(let token): return token
        case .failed(let failure):
            try Task.checkCancellation()
            throw failure
        }
    }

    /// A server refused the token: the next one is another.
    package func refused(_ token: AccessToken) { tokens.refused(token) }

    /// Does something with a token, and once more with another when that throws `authFailed` and the token was not made
    /// for this call: it may have been withdrawn before its end.
    /// - Throws: what `body` or `token()` throws.
    package func authorized<Result: Sendable>(
        _ body: (AccessToken) async throws -> Result
    ) async throws -> Result {
        let known = tokens.lastGeneration
        let token = try await token()
        do {
            return try await body(token)
        } catch let failure as MonitorFailure where failure.code == .authFailed && token.generation <= known {
            refused(token)
            return try await body(try await self.token())
        }
    }

    // MARK: For TokenGrants

    /// Whether this is the grant of that client and that refresh token, and still good.
    func serves(_ client: Client, _ refreshToken: Secret) -> Bool {
        self.client == client && state.withLock { $0.refusal == nil && $0.refreshToken == refreshToken }
    }

    func setHost(_ host: any MonitorHost) { state.withLock { $0.host = host } }

    // MARK: Asking

    private static func ask(
        _ client: Client, _ state: Locked<State>, _ pool: String, _ transport: any HTTPTransport,
        _ time: any TimeSource
    ) async -> SharedTokens<MonitorFailure>.Grant {
        let (known, refreshToken) = state.withLock { ($0.refusal ?? $0.pause, $0.refreshToken) }
        switch known?.code {
        case .throttled(let end) where end <= time.now: state.withLock { $0.pause = nil }
        case nil: break
        default: return known.map { .failed($0) } ?? .cancelled
        }
        var request = TokenEndpoint.request(
            client.tokenURL, form: form(client, refreshToken), caFile: client.caFile, pool: pool)
        request.destination = client.destination
        do {
            let answer = TokenAnswer(try await transport.send(request), now: time.timestamp)
            return await grant(answer, refreshToken, state, time)
        } catch is CancellationError {
            return .cancelled
        } catch let error as HTTPTransportError {
            return .failed(failure(error))
        } catch {
            return .failed(MonitorFailure(.network, "the token server cannot be asked"))
        }
    }

    private static func form(_ client: Client, _ refreshToken: Secret?) -> [UInt8] {
        var fields: [(name: String, value: String)] = [
            ("grant_type", refreshToken == nil ? "client_credentials" : "refresh_token"), ("client_id", client.id),
        ]
        if let refreshToken { fields.append(("refresh_token", refreshToken.exposed)) }
        if let secret = client.secret, !secret.isEmpty { fields.append(("client_secret", secret.exposed)) }
        if let scope = client.scope { fields.append(("scope", scope)) }
        return TokenEndpoint.form(fields)
    }

    private static func grant(
        _ answer: TokenAnswer, _ old: Secret?, _ state: Locked<State>, _ time: any TimeSource
    ) async -> SharedTokens<MonitorFailure>.Grant {
        switch answer {
        case .granted(let secret, let life, let refresh):
            if let old, let refresh, refresh != old {
                let host = state.withLock { state in
                    state.refreshToken = refresh
                    return state.host
                }
                do {
                    try await host?.replaced(OAuthSettings.Field.refreshToken, with: refresh)
                } catch {
                    return .failed(MonitorFailure(.network, "the new refresh token could not be stored"))
                }
            }
            return .granted(secret, life: life)
        case .refused(let word):
            let failure = MonitorFailure(.authFailed, "the token server refused: \(word ?? "without a reason")")
            state.withLock { $0.refusal = failure }
            return .failed(failure)
        case .unavailable(let word, let after?):
            let failure = MonitorFailure(
                .throttled(until: time.now + after), "the token server asks for a pause: \(word ?? "no reason")")
            state.withLock { $0.pause = failure }
            return .failed(failure)
        case .unavailable(let word, nil):
            return .failed(MonitorFailure(.authTemporary, "the token server cannot say now: \(word ?? "no reason")"))
        case .unusable:
            return .failed(MonitorFailure(.protocolViolation, "the token server's answer holds no access token"))
        }
    }

    private static func failure(_ error: HTTPTransportError) -> MonitorFailure {
        switch error.code {
        // The URL will be the same next time.
        case .addressRefused, .invalidRequest: MonitorFailure(.authFailed, "the token URL: \(error)")
        default: MonitorFailure(error)
        }
    }
}

extension MonitorFailure: TokenFault {
    package static var cancelled: MonitorFailure { MonitorFailure(.network, "cancelled") }
}

/// The grants of an app's registrations, each for as long as its credentials are the same.
package final class TokenGrants: Sendable {
    /// More registrations share the work of making a grant anew.
    static let limit = 100_000

    private let settings: OAuthSettings
    private let pool: String
    private let transport: any HTTPTransport
    private let time: any TimeSource
    private let grants = Locked<[RegistrationID: TokenGrant]>([:])

    /// - Parameter pool: the connections to use: one pool an app.
    package init(_ settings: OAuthSettings, pool: String, transport: any HTTPTransport, time: any TimeSource) {
        (self.settings, self.pool, self.transport, self.time) = (settings, pool, transport, time)
    }

    /// The refresh grant that a registration's credentials describe; the same one on each start, until the server
    /// refuses it or the credentials change.
    /// - Parameter host: is told of another refresh token.
    /// - Throws: `MonitorFailure` with `authFailed` where fields are missing or wrong.
    package func grant(of target: MonitorTarget, host: any MonitorHost) throws(MonitorFailure) -> TokenGrant {
        let (client, refreshToken) = try settings.refreshGrant(target.credentials)
        let grant = grants.withLock { grants in
            if let known = grants[target.registration], known.serves(client, refreshToken) { return known }
            if grants.count >= Self.limit { _ = grants.popFirst() }
            let fresh = TokenGrant(
                client, refreshToken: refreshToken, pool: pool, transport: transport, time: time)
            grants[target.registration] = fresh
            return fresh
        }
        grant.setHost(host)
        return grant
    }
}
