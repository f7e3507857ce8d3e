internal import Base

/// What the answers of push services mean (RFC 8030, RFC 8292), for every endpoint of one adapter.
final class WebPushAnswers: Sendable {
    /// The pause after 507 where the service names none.
    static let storagePause: Duration = .seconds(300)

    /// The pause where the service says that a repeat may come at once; it may say so every time.
    static let shortPause: Duration = .seconds(1)

    private let hasIdentity: Bool
    private let time: any TimeSource
    private let refusals = Locked(RefusalLedger())
    private let health = Locked(OriginHealth())

    /// - Parameter hasIdentity: whether a refusal may mean an identity of ours.
    init(hasIdentity: Bool, time: any TimeSource) { (self.hasIdentity, self.time) = (hasIdentity, time) }

    /// Nil when a push may be sent to an origin; otherwise how long it is left alone.
    func wait(for origin: String) -> Duration? { health.withLock { $0.wait(for: origin, now: time.now) } }

    /// An answer came.
    func report(_ response: HTTPResponse, _ subscription: WebPushSubscription) -> PushReport {
        let origin = subscription.address.origin
        // 507 is about one endpoint; the service is well.
        if response.status < 500 || response.status == 507 {
            health.withLock { $0.answered(origin) }
        } else {
            health.withLock { $0.failed(origin, now: time.now) }
        }
        return verdict(response, subscription.endpoint)
    }

    /// No answer came. A failed step is the endpoint's until shown otherwise: the device chose the endpoint.
    func report(unanswered error: any Error, _ subscription: WebPushSubscription) -> PushReport {
        let report = PushReport(transportError: error, blame: .device)
        if case .retry = report.outcome, let error = error as? HTTPTransportError, error.code != .stopped {
            health.withLock { $0.failed(subscription.address.origin, now: time.now) }
        }
        return report
    }

    private func verdict(_ response: HTTPResponse, _ endpoint: String) -> PushReport {
        let status = response.status
        let pause = response.retryAfter(now: time.timestamp)
        func retry(_ after: Duration?, _ reason: String) -> PushReport {
            PushReport(.retry(after: after, .device), status: status, reason: reason, hop: .service)
        }
        switch status {
        case 200..<300:
            refusals.withLock { $0.succeeded(endpoint, now: time.now) }
            return PushReport(.delivered, status: status)
        case 404, 410: return PushReport(.gone(since: nil), status: status, reason: "subscription_gone")
        case 400, 401, 403:
            let isIdentity = status != 400
            let outcome = refusals.withLock {
                $0.refused(endpoint, isIdentity: isIdentity && hasIdentity, now: time.now)
            }
            return PushReport(
                outcome, status: status, reason: Self.word(response) ?? "refused",
                hop: isIdentity && outcome == .rejected ? .credential : nil)
        case 413: return PushReport(.rejected, status: status, reason: "payload_too_large")
        // Of this endpoint, whatever its host (RFC 8030 section 8.4).
        case 429: return retry(pause, "too_many_requests")
        // ntfy, for a UnifiedPush topic that nobody has subscribed to yet, or not for long.
        case 507: return retry(pause ?? Self.storagePause, "no_subscriber")
        case 300..<400: return PushReport(.rejected, status: status, reason: "redirect", hop: .token)
        case 408, 425, 500...: return retry(pause ?? Self.immediate(response), "service_error")
        default: return PushReport(.rejected, status: status, reason: Self.word(response) ?? "refused")
        }
    }

    /// Mozilla's service says of some failures that a repeat may come at once (its error 202).
    private static func immediate(_ response: HTTPResponse) -> Duration? {
        (try? JSONParser.parse(response.body))?["errno"]?.integer == 202 ? shortPause : nil
    }

    /// The service's own word where it is one, such as Apple's `VapidPkHashMismatch`.
    private static func word(_ response: HTTPResponse) -> String? {
        guard let reason = (try? JSONParser.parse(response.body))?["reason"]?.string,
            (1...64).contains(reason.utf8.count),
            reason.utf8.allSatisfy({ (0x61...0x7A).contains($0 | 0x20) || (0x30...0x39).contains($0) })
        else { return nil }
        return reason
    }
}
