internal import Base
internal import Cryptography
package import Gateway

/// One topic at Apple, with one credential.
package struct APNsAdapter: PushAdapter {
    /// From request to answer. A push makes at most two requests, and must be done in 30 seconds.
    static let requestTimeout: Duration = .seconds(14)
    /// Bytes of the longest answer; Apple's have about a hundred.
    static let responseLimit = 16_384
    /// Hexadecimal digits of a device token. Apple's have 64 today and may have any number.
    static let tokenDigits = 16...512

    private let settings: APNsSettings
    private let http: any HTTPTransport
    private let time: any TimeSource
    private let suspicion = Locked(TokenSuspicion())
    let gate = StreamGateKeeper()

    init(_ settings: APNsSettings, http: any HTTPTransport, time: any TimeSource) {
        (self.settings, self.http, self.time) = (settings, http, time)
    }

    package var concurrency: Int { APNsPlugin.defaultConcurrency }
    package var canClear: Bool { true }

    package func fault(in address: Channel.Address) -> String? {
        guard case .token(let token) = address else { return "this push service takes a device token" }
        guard Self.tokenDigits.contains(token.utf8.count) else {
            return "a device token has \(Self.tokenDigits.lowerBound) to \(Self.tokenDigits.upperBound) digits"
        }
        let isHexadecimal = token.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0 | 0x20) }
        return isHexadecimal && token.utf8.count % 2 == 0 ? nil : "a device token is written in hexadecimal"
    }

    package func send(_ push: Push) async -> PushReport {
        guard case .token(let text) = push.address, fault(in: push.address) == nil else {
            return PushReport(.rejected, reason: "invalid_address", hop: .token)
        }
        let message: APNsMessage
        switch APNsMessage.make(push, topic: settings.topic) {
        case .success(let made): message = made
        case .failure(.tooLarge): return PushReport(.rejected, reason: "payload_too_large")
        case .failure(.notSealed): return PushReport(.rejected, reason: "invalid_encryption_key", hop: .token)
        }
        guard let pass = await gate.enter() else {
            return Task.isCancelled ? PushReport(transportError: CancellationError(), blame: .service) : gate.verdict
        }
        let token = text.utf8.contains { (0x41...0x46).contains($0) } ? text.lowercased() : text
        let (report, result) = await attempt(push, message, token: token)
        // The connections of a refused credential or a failing service are not used again.
        if gate.leave(pass, result, report) { http.retireConnections(ofPool: settings.pool) }
        return report
    }

    /// Sends once, and a second time where the first answer shows what to change.
    private func attempt(
        _ push: Push, _ message: APNsMessage, token: String
    ) async -> (PushReport, StreamGate.Result) {
        var (message, retried) = (message, false)
        while true {
            let provider: ProviderTokenCache.Token?
            do {
                provider = try credential()
            } catch {
                return (PushReport(.credential, reason: error.reason), .answer)
            }
            let answer: APNsAnswer
            do {
                let response = try await http.send(request(message, token: token, provider))
                answer = APNsAnswer(response, now: time.timestamp)
            } catch {
                return unanswered(error)
            }
            switch answer.meaning {
            case .outcome(let outcome):
                if outcome == .delivered { suspicion.withLock { $0.succeeded(token, now: time.now) } }
                return finish(outcome, answer)
            case .suspectToken:
                return finish(suspicion.withLock { $0.refused(token, now: time.now) }, answer)
            case .expiredProviderToken:
                guard let provider, let tokens = settings.credential.tokens, !retried,
                    tokens.expired(provider) == .sendAgain
                else { return finish(.credential, answer) }
            case .tooLarge:
                guard !retried,
                    case .success(let shorter) = APNsMessage.make(push, topic: settings.topic, idOnly: true),
                    shorter != message
                else { return finish(.rejected, answer) }
                message = shorter
            }
            retried = true
        }
    }

    private struct CredentialFault: Error { let reason: String }

    /// The provider token to send with; nil with a certificate.
    private func credential() throws(CredentialFault) -> ProviderTokenCache.Token? {
        switch settings.credential {
        case .tokens(let tokens):
            do { return try tokens.current() } catch { throw CredentialFault(reason: "signing_failed") }
        case .certificate(_, let expires):
            if time.timestamp >= expires { throw CredentialFault(reason: "certificate_expired") }
            return nil
        }
    }

    private func finish(_ outcome: PushOutcome, _ answer: APNsAnswer) -> (PushReport, StreamGate.Result) {
        let isToken = answer.meaning == .suspectToken && outcome != .credential
        let report = PushReport(
            outcome, status: answer.status, reason: answer.reason.isEmpty ? nil : answer.reason,
            hop: isToken ? .token : answer.hop)
        switch outcome {
        case .delivered: return (report, .success)
        // A refused credential that only bad device tokens point to leaves the connection as it is.
        case .credential: return (report, answer.meaning == .suspectToken ? .answer : .broken)
        case .retry(_, .service): return (report, .broken)
        default: return (report, .answer)
        }
    }

    /// There was no answer. Whether Apple has the push is unknown in some cases; the repeat has the same
    /// `apns-id` and collapse id, so that the device shows it once.
    private func unanswered(_ error: any Error) -> (PushReport, StreamGate.Result) {
        let report = PushReport(transportError: error, blame: .service)
        switch report.outcome {
        case .retry(_, .service), .credential: return (report, .broken)
        default: return (report, .answer)
        }
    }

    private func request(
        _ message: APNsMessage, token: String, _ provider: ProviderTokenCache.Token?
    ) -> HTTPRequest {
        var headers = message.headers
        if let provider { headers.append("authorization", provider.authorization) }
        var request = HTTPRequest("POST", settings.path + token, headers: headers, body: message.payload)
        request.version = .http2
        request.timeout = Self.requestTimeout
        request.responseLimit = Self.responseLimit
        request.caFile = settings.caFile
        if case .certificate(let certificate, _) = settings.credential { request.certificate = certificate }
        request.pool = settings.pool
        request.provesConnections = true
        return request
    }
}
