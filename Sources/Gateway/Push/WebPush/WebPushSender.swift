package import Base

/// Sends pushes to subscriptions that devices bring (RFC 8030, RFC 8291): what the adapters for browsers and for
/// UnifiedPush share.
package struct WebPushSender: Sendable {
    /// From request to answer. A push makes at most two requests, and must be done in 30 seconds.
    package static let requestTimeout: Duration = .seconds(12)
    /// Bytes of the longest answer read.
    package static let responseLimit = 16_384
    /// Bytes of the longest text: what an encrypted body of 4096 bytes has room for.
    package static let textLimit = 4096 - PushDocument.sealingOverhead

    /// How one adapter sends.
    package struct Settings: Sendable, Hashable {
        /// Hosts that may have a private address and be spoken to without TLS.
        package var allowHosts: [String]
        /// Bytes of the longest endpoint taken.
        package var endpointLimit = WebAddress.sizeLimit
        package var caFile: String?
        package var pool: String

        package init(allowHosts: [String], caFile: String?, pool: String) {
            (self.allowHosts, self.caFile, self.pool) = (allowHosts, caFile, pool)
        }

        /// Reads `allowHosts` and `caFile`, and reports what is wrong with them.
        package init(_ reader: ConfigReader, pool: String) {
            self.init(allowHosts: reader.hosts("allowHosts"), caFile: reader.optionalFile("caFile"), pool: pool)
        }
    }

    private let settings: Settings
    private let cipher: any WebPushCipher
    private let transport: any HTTPTransport
    private let time: any TimeSource
    private let answers: WebPushAnswers

    package init(_ settings: Settings, cipher: any WebPushCipher, transport: any HTTPTransport, time: any TimeSource) {
        (self.settings, self.cipher, self.transport, self.time) = (settings, cipher, transport, time)
        answers = WebPushAnswers(hasIdentity: cipher.hasIdentity, time: time)
    }

    /// The subscription a device has brought.
    /// - Throws: `WebPushSubscription.Fault`.
    package func subscription(
        _ address: Channel.Address
    ) throws(WebPushSubscription.Fault) -> WebPushSubscription {
        try WebPushSubscription(address, allowHosts: settings.allowHosts, endpointLimit: settings.endpointLimit)
    }

    /// What is wrong with an address that a device brings; nil when it is fine.
    package func fault(in address: Channel.Address) -> String? {
        do {
            let subscription = try subscription(address)
            return cipher.isPublicKey(subscription.p256dh) ? nil : "p256dh is not a point of the curve P-256"
        } catch {
            return error.message
        }
    }

    /// Sends once, and again without texts where the first was too large.
    package func send(_ push: Push, to subscription: WebPushSubscription) async -> PushReport {
        if let wait = answers.wait(for: subscription.address.origin) {
            return PushReport(.retry(after: wait, .device), reason: "origin_paused", hop: .service)
        }
        var document = PushDocument.bytes(of: push, limit: Self.textLimit)
        var isRepeat = false
        while true {
            guard let text = document else { return PushReport(.rejected, reason: "payload_too_large") }
            let request: HTTPRequest
            do throws(WebPushFault) {
                request = try self.request(push, subscription, text)
            } catch {
                return Self.report(error)
            }
            let response: HTTPResponse
            do {
                response = try await transport.send(request)
            } catch {
                return answers.report(unanswered: error, subscription)
            }
            if response.status == 413, !isRepeat {
                let shorter = PushDocument.bytes(of: push, limit: Self.textLimit, idOnly: true)
                if shorter != text {
                    (document, isRepeat) = (shorter, true)
                    continue
                }
            }
            if response.status == 401 || response.status == 403 { cipher.refused(origin: subscription.address.origin) }
            return answers.report(response, subscription)
        }
    }

    /// Asks an endpoint a question before the first push; the answer counts like that of a push.
    /// - Parameter accept: whether the answer is as it must be.
    /// - Returns: nil when it is; else what becomes of the push.
    package func probe(
        _ subscription: WebPushSubscription, timeout: Duration, refusal: String, accept: (HTTPResponse) -> Bool
    ) async -> PushReport? {
        if let wait = answers.wait(for: subscription.address.origin) {
            return PushReport(.retry(after: wait, .device), reason: "origin_paused", hop: .service)
        }
        var request = HTTPRequest("GET", subscription.endpoint, headers: ["Accept": "application/json"])
        prepare(&request)
        request.timeout = timeout
        do {
            let response = try await transport.send(request)
            if accept(response) { return nil }
            switch response.status {
            case 404, 410, 408, 425, 429, 500...: return answers.report(response, subscription)
            default: return PushReport(.rejected, status: response.status, reason: refusal, hop: .token)
            }
        } catch {
            return answers.report(unanswered: error, subscription)
        }
    }

    private func request(
        _ push: Push, _ subscription: WebPushSubscription, _ text: [UInt8]
    ) throws(WebPushFault) -> HTTPRequest {
        var headers: HTTPFields = [
            "TTL": WebPushHeaders.ttl(expires: push.expires, now: time.timestamp),
            "Content-Type": "application/octet-stream", "Content-Encoding": "aes128gcm",
            "Urgency": WebPushHeaders.urgency(push.priority),
        ]
        if let authorization = try cipher.authorization(for: subscription.address.origin) {
            headers.append("Authorization", authorization)
        }
        if let topic = cipher.topic(push.content.collapse) { headers.append("Topic", topic) }
        var request = HTTPRequest(
            "POST", subscription.endpoint, headers: headers,
            body: try cipher.seal(text, p256dh: subscription.p256dh, auth: subscription.auth))
        prepare(&request)
        return request
    }

    private static func report(_ fault: WebPushFault) -> PushReport {
        switch fault {
        case .receiverKey: PushReport(.rejected, reason: "invalid_address", hop: .token)
        case .keyUnavailable: PushReport(.credential, reason: "key_unavailable")
        case .library: PushReport(.credential, reason: "signing_failed")
        }
    }

    private func prepare(_ request: inout HTTPRequest) {
        request.timeout = Self.requestTimeout
        request.responseLimit = Self.responseLimit
        request.caFile = settings.caFile
        request.destination = .publicExcept(hosts: settings.allowHosts)
        request.pool = settings.pool
    }
}

/// Headers of RFC 8030 that say what a push is worth.
package enum WebPushHeaders {
    /// Seconds of the longest time to live: four weeks, what push services keep at most.
    package static let longestLife: Int64 = 2_419_200

    /// At least a second: some services refuse 0 although the standard has it.
    package static func ttl(expires: Timestamp, now: Timestamp) -> String {
        String(min(max(1, expires.seconds - now.seconds), longestLife))
    }

    /// How urgently a device is woken (RFC 8030 section 5.3).
    package static func urgency(_ priority: Message.Priority) -> String {
        switch priority {
        case .low: "low"
        case .normal: "normal"
        case .high: "high"
        }
    }
}

extension Push.Content {
    /// What the push replaces on the device.
    package var collapse: String {
        switch self {
        case .alert(let notification): notification.collapse
        case .clear(_, let collapse, _): collapse
        }
    }
}
