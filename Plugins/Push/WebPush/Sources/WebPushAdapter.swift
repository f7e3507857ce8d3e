internal import Base
internal import Cryptography
package import Gateway

/// Web Push with one application server key.
package struct WebPushAdapter: PushAdapter {
    /// From request to answer. A push makes at most two requests, and must be done in 30 seconds.
    static let requestTimeout: Duration = .seconds(14)
    /// Bytes of the longest answer read.
    static let responseLimit = 16_384
    private static let cancelled = "cancelled"

    private let settings: WebPushSettings
    private let key: ServerKey
    private let http: any HTTPTransport
    private let time: any TimeSource
    private let authorizations = Locked(VAPIDCache())
    private let refusals = Locked(RefusalLedger())
    private let health = Locked(OriginHealth())

    init(_ settings: WebPushSettings, key: ServerKey, http: any HTTPTransport, time: any TimeSource) {
        (self.settings, self.key, self.http, self.time) = (settings, key, http, time)
    }

    package var concurrency: Int { settings.concurrency }
    package var canClear: Bool { true }

    /// The public key in base64url, which a page gives to the browser as `applicationServerKey`.
    /// Makes the key if there is none yet.
    package func subscriptionKey() throws -> String? { try key.key().publicKey.base64URL }

    package func fault(in address: Channel.Address) -> String? {
        do {
            try Subscription(address, allowHosts: settings.allowHosts).checkKey()
            return nil
        } catch {
            return error.message
        }
    }

    package func send(_ push: Push) async -> PushReport {
        guard let subscription = try? Subscription(push.address, allowHosts: settings.allowHosts) else {
            return PushReport(.rejected, reason: "invalid_address")
        }
        if case .clear = push.content, subscription.address.host.hasSuffix("push.apple.com") {
            // Safari takes the permission away from pages that get pushes and show nothing.
            return PushReport(.rejected, reason: "clear_not_allowed")
        }
        let origin = subscription.address.origin
        if let wait = health.withLock({ $0.wait(for: origin, now: time.now) }) {
            return PushReport(.retry(after: wait, .device), reason: "origin_paused")
        }
        let (status, report) = await attempt(push, subscription)
        health.withLock { health in
            if let status {
                if status < 500 { health.answered(origin) } else { health.failed(origin, now: time.now) }
            } else if case .retry = report.outcome, report.reason != Self.cancelled {
                health.failed(origin, now: time.now)
            }
        }
        return report
    }

    /// Sends once, and again without texts where the first was too large.
    private func attempt(_ push: Push, _ subscription: Subscription) async -> (status: Int?, PushReport) {
        var document = PushDocument.bytes(of: push, limit: WebPushEncryption.plaintextLimit)
        var isRepeat = false
        while true {
            guard let text = document else { return (nil, PushReport(.rejected, reason: "payload_too_large")) }
            let request: HTTPRequest
            do {
                request = try self.request(push, subscription, text)
            } catch let error as CryptographyError where error.code == .invalidKey {
                return (nil, PushReport(.rejected, reason: "invalid_address"))
            } catch is ServerKeyError {
                return (nil, PushReport(.credential, reason: "key_unavailable"))
            } catch {
                return (nil, PushReport(.credential, reason: "signing_failed"))
            }
            let response: HTTPResponse
            do {
                response = try await http.send(request)
            } catch {
                // A failed hop is the endpoint's until shown otherwise: the device chose the endpoint.
                return (nil, PushReport(transportError: error, blame: .device))
            }
            if response.status == 413, !isRepeat {
                let shorter = PushDocument.bytes(of: push, limit: WebPushEncryption.plaintextLimit, idOnly: true)
                if shorter != text {
                    (document, isRepeat) = (shorter, true)
                    continue
                }
            }
            return (response.status, report(response, subscription))
        }
    }

    private func report(_ response: HTTPResponse, _ subscription: Subscription) -> PushReport {
        let status = response.status
        let pause = response.retryAfter(now: time.timestamp)
        switch status {
        case 200..<300:
            refusals.withLock { $0.succeeded(subscription.endpoint, now: time.now) }
            return PushReport(.delivered, status: status)
        case 404, 410: return PushReport(.gone(since: nil), status: status, reason: "subscription_gone")
        case 400, 401, 403:
            if status != 400 { authorizations.withLock { $0.refused(origin: subscription.address.origin) } }
            let outcome = refusals.withLock {
                $0.refused(subscription.endpoint, isIdentity: status != 400, now: time.now)
            }
            return PushReport(outcome, status: status, reason: Self.word(response) ?? "refused")
        case 413: return PushReport(.rejected, status: status, reason: "payload_too_large")
        // Of this endpoint, whatever its host (RFC 8030 section 8.4).
        case 429: return PushReport(.retry(after: pause, .device), status: status, reason: "too_many_requests")
        case 300..<400: return PushReport(.rejected, status: status, reason: "redirect")
        case 408, 425, 500...:
            return PushReport(.retry(after: pause, .device), status: status, reason: "service_error")
        default: return PushReport(.rejected, status: status, reason: Self.word(response) ?? "refused")
        }
    }

    /// The service's own word where it is one, such as Apple's `VapidPkHashMismatch`.
    private static func word(_ response: HTTPResponse) -> String? {
        guard let reason = (try? JSONParser.parse(response.body))?["reason"]?.string,
            (1...64).contains(reason.utf8.count),
            reason.utf8.allSatisfy({ (0x61...0x7A).contains($0 | 0x20) || (0x30...0x39).contains($0) })
        else { return nil }
        return reason
    }

    /// - Throws: `CryptographyError`, `ServerKeyError`.
    private func request(_ push: Push, _ subscription: Subscription, _ text: [UInt8]) throws -> HTTPRequest {
        let origin = subscription.address.origin
        let key = try key.key()
        let authorization = try authorizations.withLock { cache in
            try cache.value(origin: origin, now: time.now) {
                try VAPID.authorization(
                    origin: origin, expires: time.timestamp + VAPIDCache.life, subject: settings.subject, key: key)
            }
        }
        let body = try WebPushEncryption.encrypt(text, p256dh: subscription.p256dh, auth: subscription.auth)
        var headers: HTTPFields = [
            "TTL": WebPushHeaders.ttl(expires: push.expires, now: time.timestamp),
            "Content-Type": "application/octet-stream", "Content-Encoding": "aes128gcm",
            "Urgency": WebPushHeaders.urgency(push.priority), "Authorization": authorization,
        ]
        if let topic = WebPushHeaders.topic(push.content.collapse) { headers.append("Topic", topic) }
        var request = HTTPRequest("POST", subscription.endpoint, headers: headers, body: body)
        request.timeout = Self.requestTimeout
        request.responseLimit = Self.responseLimit
        request.caFile = settings.caFile
        request.destination = .publicExcept(hosts: settings.allowHosts)
        request.pool = settings.pool
        return request
    }
}

extension Push.Content {
    /// What the push replaces on the device.
    var collapse: String {
        switch self {
        case .alert(let notification): notification.collapse
        case .clear(_, let collapse, _): collapse
        }
    }
}
