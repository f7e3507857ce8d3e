internal import Base
package import Gateway

/// One topic at Apple, with one key.
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
    private let signer: ProviderTokenSigner
    private let tokens = Locked(ProviderTokenCache())
    private let suspicion = Locked(TokenSuspicion())
    let gate = StreamGateKeeper()

    init(_ settings: APNsSettings, http: any HTTPTransport, time: any TimeSource, tokens signer: ProviderTokenSigner) {
        (self.settings, self.http, self.time, self.signer) = (settings, http, time, signer)
    }

    package var concurrency: Int { settings.concurrency }
    package var canClear: Bool { true }

    package func fault(in address: Channel.Address) -> String? {
        guard case .token(let token) = address else { return "this push service takes a device token" }
        guard Self.tokenDigits.contains(token.utf8.count) else {
            return "a device token has \(Self.tokenDigits.lowerBound) to \(Self.tokenDigits.upperBound) digits"
        }
        return [UInt8](hexadecimal: token) == nil ? "a device token is written in hexadecimal" : nil
    }

    package func send(_ push: Push) async -> PushReport {
        guard case .token(let text) = push.address, fault(in: push.address) == nil else {
            return PushReport(.rejected, reason: "invalid_address")
        }
        guard let message = APNsMessage(push, topic: settings.topic) else {
            return PushReport(.rejected, reason: "payload_too_large")
        }
        guard let pass = await gate.enter() else {
            return Task.isCancelled ? PushReport(transportError: CancellationError(), blame: .service) : gate.verdict
        }
        let (report, result) = await attempt(push, message, token: text.lowercased())
        gate.leave(pass, result, report)
        return report
    }

    /// Sends once, and a second time where the first answer shows what to change.
    private func attempt(
        _ push: Push, _ message: APNsMessage, token: String
    ) async -> (PushReport, StreamGate.Result) {
        var (message, retried) = (message, false)
        while true {
            let provider: ProviderTokenCache.Token
            let answer: APNsAnswer
            do {
                provider = try tokens.withLock { cache in
                    try cache.token(now: time.now) { try signer.token(at: time.timestamp) }
                }
            } catch {
                return (PushReport(.credential, reason: "signing_failed"), .answer)
            }
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
                let renewal = tokens.withLock { $0.expired(generation: provider.generation, now: time.now) }
                guard renewal == .sendAgain, !retried else { return finish(.credential, answer) }
            case .tooLarge:
                guard !retried, let shorter = APNsMessage(push, topic: settings.topic, idOnly: true),
                    shorter != message
                else { return finish(.rejected, answer) }
                message = shorter
            }
            retried = true
        }
    }

    private func finish(_ outcome: PushOutcome, _ answer: APNsAnswer) -> (PushReport, StreamGate.Result) {
        let report = PushReport(outcome, status: answer.status, reason: answer.reason.isEmpty ? nil : answer.reason)
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
        _ message: APNsMessage, token: String, _ provider: ProviderTokenCache.Token
    ) -> HTTPRequest {
        var headers = message.headers
        headers.append("authorization", provider.authorization)
        var request = HTTPRequest(
            "POST", "\(settings.url)/3/device/\(token)", headers: headers, body: message.payload)
        request.version = .http2
        request.timeout = Self.requestTimeout
        request.responseLimit = Self.responseLimit
        request.caFile = settings.caFile
        request.pool = settings.pool
        return request
    }
}
