internal import Base
internal import Cryptography
package import Gateway

/// Pushes to the endpoints that UnifiedPush distributors hand out.
package struct UnifiedPushAdapter: PushAdapter {
    /// Bytes of the longest endpoint (UnifiedPush, Server, "Endpoint").
    static let endpointLimit = 1000
    /// From the question to its answer. With the two requests of a push it must be done in 30 seconds.
    static let discoveryTimeout: Duration = .seconds(5)

    package let concurrency: Int
    private let key: VAPIDSigner?
    private let sender: WebPushSender
    private let time: any TimeSource
    /// Nil: endpoints are not asked.
    private let discovered: Locked<DiscoveredEndpoints>?

    init(
        _ settings: WebPushSender.Settings, key: VAPIDSigner?, discovers: Bool, concurrency: Int,
        http: any HTTPTransport, time: any TimeSource
    ) {
        (self.key, self.concurrency, self.time) = (key, concurrency, time)
        sender = WebPushSender(settings, cipher: WebPushCryptography(signer: key), transport: http, time: time)
        discovered = discovers ? Locked(DiscoveredEndpoints()) : nil
    }

    package var canClear: Bool { true }

    /// The public key in base64url, which the app gives to its distributor; nil where pushes are not signed.
    package func subscriptionKey() throws -> String? { try key?.publicKey().base64URL }

    package func fault(in address: Channel.Address) -> String? { sender.fault(in: address) }

    package func send(_ push: Push) async -> PushReport {
        guard let subscription = try? sender.subscription(push.address) else {
            return PushReport(.rejected, reason: "invalid_address", hop: .token)
        }
        if let refusal = await discover(subscription) { return refusal }
        return await sender.send(push, to: subscription)
    }

    /// Asks an endpoint that is new to us whether it is one (UnifiedPush SERV_1.2, "Discovery"), so that nobody makes
    /// us post to a server that has nothing to do with push.
    /// - Returns: what becomes of the push when it is not.
    private func discover(_ subscription: WebPushSubscription) async -> PushReport? {
        guard let discovered,
            !discovered.withLock({ $0.contains(subscription.endpoint, now: time.now) })
        else { return nil }
        let refusal = await sender.probe(
            subscription, timeout: Self.discoveryTimeout, refusal: "not_unifiedpush", accept: Self.isUnifiedPush)
        if refusal == nil { discovered.withLock { $0.insert(subscription.endpoint, now: time.now) } }
        return refusal
    }

    private static func isUnifiedPush(_ response: HTTPResponse) -> Bool {
        response.status == 200
            && (try? JSONParser.parse(response.body))?["unifiedpush"]?["version"]?.integer == 1
    }
}

/// Endpoints that have said what they are.
struct DiscoveredEndpoints: Sendable {
    /// An endpoint is asked again after this.
    static let life: Duration = .seconds(86_400)
    /// Endpoints remembered; when there are more, all are asked again.
    static let limit = 4096

    private var endpoints: [Int: Moment] = [:]

    func contains(_ endpoint: String, now: Moment) -> Bool {
        endpoints[endpoint.hashValue].map { now - $0 < Self.life } ?? false
    }

    mutating func insert(_ endpoint: String, now: Moment) {
        if endpoints.count >= Self.limit { endpoints = [:] }
        endpoints[endpoint.hashValue] = now
    }
}
