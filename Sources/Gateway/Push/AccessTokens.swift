package import Base

/// The access token of one credential, for all pushes that need it: `AccessTokenCache` with tasks that wait.
package final class AccessTokens: Sendable {
    /// What asking the authorization server came to.
    package enum Grant: Sendable, Hashable {
        case granted(Secret, life: Duration)
        /// What becomes of the pushes that wanted the token.
        case failed(PushReport)
        case cancelled
    }

    /// Asks a token endpoint (RFC 6749 section 3.2), once.
    /// - Parameters:
    ///   - form: the request, as `application/x-www-form-urlencoded`.
    ///   - pool: the connections to use.
    package static func ask(
        _ url: String, form: [UInt8], caFile: String?, pool: String, http: any HTTPTransport, time: any TimeSource
    ) async -> Grant {
        var request = HTTPRequest(
            "POST", url,
            headers: ["Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"], body: form)
        (request.timeout, request.responseLimit) = (grantTimeout, grantLimit)
        (request.caFile, request.pool) = (caFile, pool)
        do {
            return Grant(try await http.send(request), now: time.timestamp)
        } catch is CancellationError {
            return .cancelled
        } catch {
            return .failed(PushReport(transportError: error, blame: .service))
        }
    }

    /// From asking for a token to its answer.
    private static let grantTimeout: Duration = .seconds(8)
    /// Bytes of the longest answer; tokens have some thousands.
    private static let grantLimit = 65_536

    package enum Answer: Sendable, Hashable {
        case token(AccessToken)
        case failed(PushReport)
    }

    /// Asks the authorization server; must end within about ten seconds.
    package typealias Fetch = @Sendable () async -> Grant

    private enum Turn: Sendable {
        case done(Answer)
        case fetch
    }

    private struct State {
        var cache = AccessTokenCache()
        var tasks: [Int: CheckedContinuation<Turn, Never>] = [:]
        /// Turns that came before their task was ready for them.
        var early: [Int: Turn] = [:]
    }

    private let state = Locked(State())
    private let time: any TimeSource
    private let fetch: Fetch

    package init(time: any TimeSource, fetch: @escaping Fetch) { (self.time, self.fetch) = (time, fetch) }

    /// How many pushes wait for a token.
    package var waitingCount: Int { state.withLock { $0.cache.waiting.count } }

    /// The token to send with.
    package func token() async -> Answer {
        switch state.withLock({ $0.cache.enter(now: time.now) }) {
        case .use(let token): return .token(token)
        case .fetch: return await fetchForAll()
        case .wait(let number):
            switch await turn(of: number) {
            case .done(let answer): return answer
            case .fetch: return await fetchForAll()
            }
        }
    }

    /// The service refused a token.
    package func refused(_ token: AccessToken) { state.withLock { $0.cache.refused(token) } }

    private static var cancelled: PushReport {
        PushReport(.retry(after: nil, .device), reason: "cancelled", hop: .service)
    }

    private func fetchForAll() async -> Answer {
        let grant = await fetch()
        let now = time.now
        let (answer, turns) = state.withLock { state in
            let (result, failure): (AccessTokenCache.Result, PushReport) =
                switch grant {
                case .granted(let secret, let life): (.granted(secret, life: life), Self.cancelled)
                case .failed(let report): (.failed, report)
                case .cancelled: (.abandoned, Self.cancelled)
                }
            let turns = state.cache.fetched(result, now: now).compactMap { action in
                let (number, turn): (Int, Turn) =
                    switch action {
                    case .give(let number, let token): (number, .done(.token(token)))
                    case .fail(let number): (number, .done(.failed(failure)))
                    case .fetch(let number): (number, .fetch)
                    }
                if let task = state.tasks.removeValue(forKey: number) { return (task, turn) }
                state.early[number] = turn
                return nil
            }
            // After an early renewal that failed the old token is still good.
            let answer = state.cache.usable(now: now).map(Answer.token) ?? .failed(failure)
            return (answer, turns)
        }
        for (task, turn) in turns { task.resume(returning: turn) }
        return answer
    }

    private func turn(of number: Int) async -> Turn {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let decided: Turn? = state.withLock { state in
                    if let early = state.early.removeValue(forKey: number) { return early }
                    if Task.isCancelled {
                        state.cache.giveUp(number)
                        return .done(.failed(Self.cancelled))
                    }
                    state.tasks[number] = continuation
                    return nil
                }
                if let decided { continuation.resume(returning: decided) }
            }
        } onCancel: {
            let task = state.withLock { state in
                state.cache.giveUp(number)
                return state.tasks.removeValue(forKey: number)
            }
            task?.resume(returning: .done(.failed(Self.cancelled)))
        }
    }
}

// What a token endpoint of OAuth 2 says (RFC 6749 section 5).
extension AccessTokens.Grant {
    /// Bytes of the longest token taken.
    private static let tokenLimit = 16_384
    /// A token's life where the answer names none.
    private static let usualLife: Int64 = 3600

    /// Reads an answer: a token, or who is to blame that there is none.
    package init(_ response: HTTPResponse, now: Timestamp) {
        let json = try? JSONParser.parse(response.body)
        let status = response.status
        switch status {
        case 200: self = Self.token(json)
        case 400..<500 where ![408, 425, 429].contains(status):
            let word = Self.word(json?["error"]?.string)
            // RFC 6749 has these two for the other endpoint only, but they are seen here.
            if word == "temporarily_unavailable" || word == "server_error" { fallthrough }
            self = .failed(PushReport(.credential, status: status, reason: word ?? "token_refused"))
        default:
            self = .failed(
                PushReport(
                    .retry(after: response.retryAfter(now: now), .service), status: status,
                    reason: Self.word(json?["error"]?.string) ?? "token_service"))
        }
    }

    private static func token(_ json: JSON?) -> Self {
        let type = json?["token_type"]?.string?.lowercased() ?? "bearer"
        let life = json?["expires_in"].map { $0.integer ?? $0.string.flatMap { Int64($0) } ?? 0 } ?? usualLife
        guard let text = json?["access_token"]?.string, (1...tokenLimit).contains(text.utf8.count),
            text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }), type == "bearer", life > 0
        else {
            return .failed(PushReport(.retry(after: nil, .service), status: 200, reason: "no_access_token"))
        }
        return .granted(Secret(text), life: .seconds(life))
    }

    /// Errors are words such as `invalid_client`; anything else in their place is not kept.
    private static func word(_ text: String?) -> String? {
        guard let text, (1...64).contains(text.utf8.count),
            text.utf8.allSatisfy({ (0x61...0x7A).contains($0 | 0x20) || $0 == 0x5F || (0x30...0x39).contains($0) })
        else { return nil }
        return text
    }
}
