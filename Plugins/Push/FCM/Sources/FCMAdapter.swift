internal import Base
internal import Cryptography
package import Gateway

/// One Firebase project, with one service account.
package struct FCMAdapter: PushAdapter {
    /// A push, with all requests it needs, is over in this time.
    static let pushTimeout: Duration = .seconds(28)
    /// From request to answer; Google asks for at least ten seconds.
    static let requestTimeout: Duration = .seconds(12)
    /// Bytes of the longest answer; Google's have some hundreds.
    static let responseLimit = 65_536
    /// Characters of a registration token; Google's have about 160 and may have any number.
    static let tokenLimit = 16...1024

    private let settings: FCMSettings
    private let http: any HTTPTransport
    private let time: any TimeSource
    let tokens: AccessTokens
    private let suspicion = Locked(AddressSuspicion())

    init(_ settings: FCMSettings, account: ServiceAccount, http: any HTTPTransport, time: any TimeSource) {
        (self.settings, self.http, self.time) = (settings, http, time)
        tokens = AccessTokens(time: time) { await Self.grant(account, settings, http, time) }
    }

    package var concurrency: Int { FCMPlugin.defaultConcurrency }
    package var canClear: Bool { true }

    package func fault(in address: Channel.Address) -> String? {
        guard case .token(let token) = address else { return "this push service takes a registration token" }
        guard Self.tokenLimit.contains(token.utf8.count) else {
            return "a registration token has \(Self.tokenLimit.lowerBound) to \(Self.tokenLimit.upperBound) characters"
        }
        return token.utf8.allSatisfy(Self.isTokenByte) ? nil : "a registration token has no such characters"
    }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20) || [0x2D, 0x2E, 0x3A, 0x5F].contains(byte)
    }

    package func send(_ push: Push) async -> PushReport {
        guard case .token(let token) = push.address, fault(in: push.address) == nil else {
            return PushReport(.rejected, reason: "invalid_address", hop: .token)
        }
        return await attempt(push, token: token, until: time.now + Self.pushTimeout)
    }

    /// Sends once, and again where the answer shows what to change: one new access token, one shorter message.
    private func attempt(_ push: Push, token: String, until deadline: Moment) async -> PushReport {
        var (push, renewed, shortened) = (push, false, false)
        while true {
            let access: AccessToken
            switch await tokens.token() {
            case .token(let token): access = token
            case .failed(let report): return report
            }
            let answer: FCMAnswer
            do {
                guard let message = try FCMMessage(push, token: token, now: time.timestamp) else {
                    return PushReport(.rejected, reason: "payload_too_large")
                }
                let response = try await http.send(request(message, access, until: deadline))
                answer = FCMAnswer(response, id: push.id, now: time.timestamp)
            } catch is CryptographyError {
                return PushReport(.rejected, reason: "sealing_failed")
            } catch {
                return PushReport(transportError: error, blame: .service)
            }
            switch answer.meaning {
            case .outcome(let outcome):
                if outcome == .delivered { suspicion.withLock { $0.succeeded(token, now: time.now) } }
                return report(outcome, answer)
            case .foreignToken, .nothingThere, .thirdParty: return suspect(token, answer)
            case .unauthenticated:
                guard !renewed, time.now < deadline else { return report(.credential, answer) }
                tokens.refused(access)
                renewed = true
            case .tooLarge:
                let shorter = push.withoutTexts
                guard !shortened, shorter != push, time.now < deadline else { return report(.rejected, answer) }
                (push, shortened) = (shorter, true)
            }
        }
    }

    /// A refusal that may be the token's fault or that of our configuration: one bad token must not stop the
    /// others, nor a wrong configuration prune them.
    private func suspect(_ token: String, _ answer: FCMAnswer) -> PushReport {
        let verdict = suspicion.withLock { $0.refused(token, now: time.now) }
        return switch (answer.meaning, verdict) {
        case (_, .configuration), (.thirdParty, .unknown): report(.credential, answer)
        case (.thirdParty, _): report(.rejected, answer, hop: .credential)
        case (.foreignToken, .address): report(.gone(since: nil), answer)
        case (.foreignToken, _): report(.rejected, answer, hop: .token)
        default: report(.rejected, answer, hop: .service)
        }
    }

    private func report(_ outcome: PushOutcome, _ answer: FCMAnswer, hop: PushHop? = nil) -> PushReport {
        PushReport(outcome, status: answer.status, reason: answer.reason.isEmpty ? nil : answer.reason, hop: hop)
    }

    private func request(_ message: FCMMessage, _ access: AccessToken, until deadline: Moment) -> HTTPRequest {
        var request = HTTPRequest(
            "POST", "\(settings.url)/v1/projects/\(settings.project)/messages:send",
            headers: ["Authorization": access.authorization, "Content-Type": "application/json; charset=UTF-8"],
            body: message.body)
        request.timeout = max(.seconds(1), min(Self.requestTimeout, deadline - time.now))
        request.responseLimit = Self.responseLimit
        request.caFile = settings.caFile
        request.pool = settings.pool
        return request
    }

    /// Exchanges a signed grant for an access token.
    private static func grant(
        _ account: ServiceAccount, _ settings: FCMSettings, _ http: any HTTPTransport, _ time: any TimeSource
    ) async -> AccessTokens.Grant {
        do {
            return await AccessTokens.ask(
                account.tokenURL, form: try account.grant(at: time.timestamp), caFile: settings.caFile,
                pool: settings.pool, transport: http, time: time)
        } catch {
            return .failed(PushReport(.credential, reason: "signing_failed"))
        }
    }
}
