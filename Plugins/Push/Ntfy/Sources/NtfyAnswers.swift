internal import Base
internal import Gateway

/// What ntfy's answers mean.
final class NtfyAnswers: Sendable {
    /// A visitor gets a request back every five seconds (docs.ntfy.sh/publish, "Limitations"); the answer has no
    /// `Retry-After`.
    static let requestPause: Duration = .seconds(5)
    /// After the day's quota is used up.
    static let quotaPause: Duration = .seconds(900)
    /// After 507.
    static let subscriberPause: Duration = .seconds(300)

    private let time: any TimeSource
    private let refusals = Locked(RefusalLedger())
    private let health = Locked(OriginHealth())

    init(time: any TimeSource) { self.time = time }

    /// Nil when a topic's server may be asked; otherwise how long it is left alone. The configured server has the
    /// lane's breaker instead.
    func wait(for topic: NtfyTopic) -> Duration? {
        guard case .foreign(let origin) = topic.server else { return nil }
        return health.withLock { $0.wait(for: origin, now: time.now) }
    }

    func report(unanswered error: any Error, _ topic: NtfyTopic) -> PushReport {
        guard case .foreign(let origin) = topic.server else {
            return PushReport(transportError: error, blame: .service)
        }
        let report = PushReport(transportError: error, blame: .device)
        if case .retry = report.outcome, let error = error as? HTTPTransportError, error.code != .stopped {
            health.withLock { $0.failed(origin, now: time.now) }
        }
        return report
    }

    /// - Parameter isClear: whether the request was to take a message back.
    func report(_ response: HTTPResponse, _ topic: NtfyTopic, isClear: Bool) -> PushReport {
        let (status, code) = (response.status, Self.code(response))
        if case .foreign(let origin) = topic.server {
            health.withLock { health in
                if status < 500 || status == 507 {
                    health.answered(origin)
                } else {
                    health.failed(origin, now: time.now)
                }
            }
        }
        switch status {
        case 200..<300:
            refusals.withLock { $0.succeeded(topic.key, now: time.now) }
            return PushReport(.delivered, status: status)
        case 401, 403: return refused(status, topic)
        case 404 where isClear, 405 where isClear:
            return PushReport(.rejected, status: status, reason: "clear_not_supported", hop: .service)
        case 404, 405: return PushReport(.rejected, status: status, reason: "not_ntfy", hop: .service)
        case 413: return PushReport(.rejected, status: status, reason: "payload_too_large")
        case 300..<400: return PushReport(.rejected, status: status, reason: "redirect", hop: .service)
        case 408, 425, 429, 500...: return retry(response, code, topic)
        default:
            // 40009 and 40010 are about the topic's name.
            let isTopic = code == 40_009 || code == 40_010
            return PushReport(
                .rejected, status: status, reason: code.map { "ntfy_\($0)" } ?? "refused", hop: isTopic ? .token : nil)
        }
    }

    /// 401 says that our token is no good, 403 that it, or nobody, may publish to this topic; the device has chosen
    /// that, so that only many topics without a success speak against the token.
    private func refused(_ status: Int, _ topic: NtfyTopic) -> PushReport {
        guard topic.server == .configured else {
            let outcome = refusals.withLock { $0.refused(topic.key, isIdentity: false, now: time.now) }
            return PushReport(outcome, status: status, reason: "forbidden", hop: .token)
        }
        if status == 401 { return PushReport(.credential, status: status, reason: "unauthorized") }
        let outcome = refusals.withLock { $0.refused(topic.key, isIdentity: true, now: time.now) }
        return PushReport(
            outcome, status: status, reason: "forbidden", hop: outcome == .rejected ? .credential : nil)
    }

    private func retry(_ response: HTTPResponse, _ code: Int64?, _ topic: NtfyTopic) -> PushReport {
        let asked = response.retryAfter(now: time.timestamp)
        let blame: PushOutcome.Blame = topic.server == .configured ? .service : .device
        func report(_ after: Duration?, _ blame: PushOutcome.Blame, _ reason: String) -> PushReport {
            PushReport(.retry(after: after, blame), status: response.status, reason: reason, hop: .service)
        }
        switch (response.status, code) {
        // The limit is the sender's, so that the lane's other topics would be refused too.
        case (429, 42_908): return report(asked ?? Self.quotaPause, blame, "quota_exceeded")
        case (429, _): return report(asked ?? Self.requestPause, blame, "too_many_requests")
        // A topic of UnifiedPush (`up…`) that nobody has subscribed to for long.
        case (507, _): return report(asked ?? Self.subscriberPause, .device, "no_subscriber")
        default: return report(asked, blame, "service_error")
        }
    }

    /// ntfy's own number of an error, such as 40009.
    private static func code(_ response: HTTPResponse) -> Int64? {
        guard response.status >= 400, let code = (try? JSONParser.parse(response.body))?["code"]?.integer,
            (10_000...99_999).contains(code)
        else { return nil }
        return code
    }
}
