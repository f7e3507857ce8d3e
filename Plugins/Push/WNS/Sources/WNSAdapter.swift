internal import Base
internal import Cryptography
package import Gateway

/// One app at Windows Push Notification Services.
package struct WNSAdapter: PushAdapter {
    /// A push, with all requests it needs, is over in this time.
    static let pushTimeout: Duration = .seconds(28)
    /// From request to answer.
    static let requestTimeout: Duration = .seconds(12)
    /// Bytes of the longest answer; Microsoft's are empty.
    static let responseLimit = 65_536
    /// What the host of every channel ends in.
    static let hostSuffix = ".notify.windows.com"

    private let settings: WNSSettings
    private let http: any HTTPTransport
    private let time: any TimeSource
    private let tokens: AccessTokens
    private let suspicion = Locked(AddressSuspicion())

    init(_ settings: WNSSettings, _ credential: WNSCredential, http: any HTTPTransport, time: any TimeSource) {
        (self.settings, self.http, self.time) = (settings, http, time)
        tokens = AccessTokens(time: time) {
            await AccessTokens.ask(
                credential.tokenURL, form: credential.form, caFile: settings.caFile, pool: settings.pool,
                transport: http,
                time: time)
        }
    }

    package var concurrency: Int { WNSPlugin.defaultConcurrency }
    package var canClear: Bool { true }

    package func fault(in address: Channel.Address) -> String? {
        guard case .url(let url) = address else { return "this push service takes a channel URI" }
        do {
            let place = try WebAddress(url)
            guard place.isSecure else { return "a channel URI begins with https://" }
            if settings.allowHosts.contains(place.host) { return nil }
            guard place.host.hasSuffix(Self.hostSuffix), place.port == nil || place.port == 443 else {
                return "a channel URI is at a host that ends in \(Self.hostSuffix)"
            }
            return nil
        } catch {
            return "\(error)"
        }
    }

    package func send(_ push: Push) async -> PushReport {
        guard case .url(let url) = push.address, fault(in: push.address) == nil else {
            return PushReport(.rejected, reason: "invalid_address", hop: .token)
        }
        return await attempt(push, channel: url, until: time.now + Self.pushTimeout)
    }

    /// Sends once, and again where the answer shows what to change: one new access token, one shorter payload.
    private func attempt(_ push: Push, channel: String, until deadline: Moment) async -> PushReport {
        var (push, renewed, shortened) = (push, false, false)
        while true {
            let access: AccessToken
            switch await tokens.token() {
            case .token(let token): access = token
            case .failed(let report): return report
            }
            let answer: WNSAnswer
            do {
                guard let message = try WNSMessage(push, now: time.timestamp) else {
                    return PushReport(.rejected, reason: "payload_too_large")
                }
                let response = try await http.send(request(message, channel: channel, access, until: deadline))
                answer = WNSAnswer(response, now: time.timestamp)
            } catch is CryptographyError {
                return PushReport(.rejected, reason: "sealing_failed")
            } catch {
                return Self.unanswered(error)
            }
            switch answer.meaning {
            case .outcome(let outcome):
                if outcome == .delivered { suspicion.withLock { $0.succeeded(channel, now: time.now) } }
                return report(outcome, answer)
            case .foreignChannel:
                let verdict = suspicion.withLock { $0.refused(channel, now: time.now) }
                return verdict == .configuration
                    ? report(.credential, answer) : report(.rejected, answer, hop: .token)
            case .unauthorized:
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

    private func report(_ outcome: PushOutcome, _ answer: WNSAnswer, hop: PushHop? = nil) -> PushReport {
        PushReport(
            outcome, status: answer.status, reason: answer.reason.isEmpty ? nil : answer.reason,
            hop: hop ?? answer.hop)
    }

    /// The device chose the host, so a name that does not exist is not held against the others.
    private static func unanswered(_ error: any Error) -> PushReport {
        let isName = (error as? HTTPTransportError)?.code == .nameResolution
        return PushReport(transportError: error, blame: isName ? .device : .service)
    }

    private func request(
        _ message: WNSMessage, channel: String, _ access: AccessToken, until deadline: Moment
    ) -> HTTPRequest {
        var headers = message.headers
        headers.append("Authorization", access.authorization)
        var request = HTTPRequest("POST", channel, headers: headers, body: message.payload)
        // The service's interface is HTTP/1.1.
        request.version = .http1
        request.timeout = max(.seconds(1), min(Self.requestTimeout, deadline - time.now))
        request.responseLimit = Self.responseLimit
        request.caFile = settings.caFile
        request.destination = .publicExcept(hosts: settings.allowHosts)
        request.pool = settings.pool
        return request
    }
}
