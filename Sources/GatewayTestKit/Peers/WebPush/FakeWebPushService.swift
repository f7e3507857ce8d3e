package import Base

/// A browser vendor's push service together with the browsers: it hands out subscriptions, checks every
/// request, decrypts the message with the subscription's keys and records the plaintext.
package final class FakeWebPushService: Sendable {
    package struct Configuration: Sendable {
        /// nil for plain HTTP.
        package var identity: TestIdentity?
        package var protocols = ["h2", "http/1.1"]
        package var port = 0
        package var time: any TimeSource = SystemTime()

        package init(identity: TestIdentity?) { self.identity = identity }
    }

    /// What a browser gives to a web app; keys in base64url.
    package struct Subscription: Sendable, Hashable {
        package let endpoint: String
        package let p256dh: String
        package let auth: String
    }

    /// A message that was accepted.
    package struct Push: Sendable {
        package let endpoint: String
        package let headers: HTTPFields
        package let plaintext: [UInt8]
        /// The sender's VAPID key.
        package let sender: [UInt8]
        package let received: Moment
        package let connection: Int

        /// The plaintext as JSON; nil when it is none.
        package var json: JSON? { try? JSONParser.parse(plaintext) }
    }

    /// Any request and what became of it; status 0 when it was never answered.
    package struct Request: Sendable {
        package let path: String
        package let headers: HTTPFields
        package let status: Int
        package let reason: String
        package let received: Moment
    }

    package let pushes: Recorder<Push>
    package let requests: Recorder<Request>
    private let peer: HTTPPeer
    private let core: WebPushCore

    /// - Throws: `PeerError` when the port is taken.
    package init(_ configuration: Configuration) throws {
        let core = WebPushCore(time: configuration.time)
        self.core = core
        (pushes, requests) = (core.pushes, core.requests)
        var options = HTTPPeer.Options()
        options.protocols = configuration.protocols
        options.time = configuration.time
        peer = try HTTPPeer(
            name: "fake-webpush", identity: configuration.identity, port: configuration.port, options: options
        ) { core.respond(to: $0) }
        core.setOrigin("\(configuration.identity == nil ? "http" : "https")://localhost:\(peer.port)")
    }

    package var port: Int { peer.port }
    /// `https://localhost:PORT`.
    package var origin: String { core.origin }
    package var counts: HTTPPeer.Counts { peer.counts }
    package var listener: PeerListener { peer.listener }
    /// Closes the port and all connections.
    package func stop() { peer.stop() }

    /// Makes a subscription with new keys.
    /// - Parameter sender: the VAPID public key it is restricted to, as 65 bytes; nil for any.
    package func subscribe(sender: [UInt8]? = nil) throws -> Subscription { try core.subscribe(sender) }

    /// The subscription ends: 410 from now on, or with `forgetting` 404.
    package func unsubscribe(_ subscription: Subscription, forgetting: Bool = false) {
        core.unsubscribe(subscription.endpoint, forgetting)
    }

    /// Puts what happens to the next good pushes into a queue: for one subscription, or with nil for any.
    package func script(_ subscription: Subscription? = nil, _ faults: HTTPFault...) {
        core.script.withLock { $0.add(faults, for: subscription?.endpoint) }
    }

    /// What happens to the next `count` good pushes to any subscription: a burst.
    package func script(repeating fault: HTTPFault, count: Int) {
        core.script.withLock { $0.add(Array(repeating: fault, count: count), for: nil) }
    }

    /// Decrypts only every so many messages from now on, as the first of them; the others are recorded without
    /// plaintext. For benchmarks: no real service could open any, and each costs more than sealing it.
    package func open(every count: Int) { core.open(every: max(1, count)) }

    /// What happens to every good push until it is set to nil again, after the queues.
    package func setStanding(_ fault: HTTPFault?) { core.script.withLock { $0.standing = fault } }
}

/// The state behind a `FakeWebPushService`, which the server's thread keeps.
final class WebPushCore: Sendable {
    private struct Subscriber {
        let key: ECKey
        let authentication: [UInt8]
        let sender: [UInt8]?
        var isGone = false
    }

    private struct State {
        var origin = ""
        var subscribers: [String: Subscriber] = [:]
        var messages = 0
        var opensEvery = 1
        var judged = 0
        /// Authorizations that were found good, and whose they are: a sender uses one for hours.
        var verified: [String: (sender: [UInt8], expires: Int64)] = [:]
    }

    /// Authorizations remembered.
    private static let verifiedLimit = 256

    let pushes = Recorder<FakeWebPushService.Push>()
    let requests = Recorder<FakeWebPushService.Request>()
    let script = Locked(FaultScript())
    private let state = Locked(State())
    private let time: any TimeSource

    init(time: any TimeSource) { self.time = time }

    var origin: String { state.withLock { $0.origin } }
    func open(every count: Int) { state.withLock { ($0.opensEvery, $0.judged) = (count, 0) } }
    func setOrigin(_ origin: String) { state.withLock { $0.origin = origin } }

    func subscribe(_ sender: [UInt8]?) throws -> FakeWebPushService.Subscription {
        let key = try ECKey()
        let authentication = MessageCrypto.randomBytes(16)
        let path = "/push/\(MessageCrypto.randomBytes(20).base64URL)"
        let origin = state.withLock { state in
            state.subscribers[path] = Subscriber(key: key, authentication: authentication, sender: sender)
            return state.origin
        }
        return FakeWebPushService.Subscription(
            endpoint: origin + path, p256dh: key.publicPoint.base64URL, auth: authentication.base64URL)
    }

    func unsubscribe(_ endpoint: String, _ forgetting: Bool) {
        state.withLock { state in
            let path = String(endpoint.dropFirst(state.origin.count))
            if forgetting { state.subscribers[path] = nil } else { state.subscribers[path]?.isGone = true }
        }
    }

    func respond(to request: PeerRequest) -> PeerReply {
        do {
            let push = try judge(request)
            let fault = script.withLock { $0.next(for: push.endpoint) }
            if fault.accepts { pushes.append(push) }
            let reply = fault.reply(created(request))
            if case .answer(let status, _, _) = reply.action {
                record(request, status, "")
            } else {
                record(request, 0, fault.word)
            }
            return reply
        } catch {
            record(request, error.status, error.reason)
            return .answer(error.status, headers: ["Content-Type": "text/plain"], body: Array(error.reason.utf8))
        }
    }

    private func judge(_ request: PeerRequest) throws(WebPushRules.Refusal) -> FakeWebPushService.Push {
        let (origin, subscriber) = state.withLock { ($0.origin, $0.subscribers[request.path]) }
        guard request.method == "POST" else { throw WebPushRules.Refusal(status: 405, reason: "method") }
        guard let subscriber else { throw WebPushRules.Refusal(status: 404, reason: "unknown subscription") }
        if subscriber.isGone { throw WebPushRules.Refusal(status: 410, reason: "gone") }
        try WebPushRules.checkHeaders(request.headers)
        let sender = try self.sender(request.headers["Authorization"], origin, subscriber)
        if request.body.count > WebPushRules.bodyLimit { throw WebPushRules.Refusal(status: 413, reason: "too long") }
        // A real service could not tell; here a message nobody can read must not pass for delivered.
        let isOpened = state.withLock { state in
            defer { state.judged += 1 }
            return state.judged % state.opensEvery == 0
        }
        guard
            let plaintext = isOpened
                ? WebPushMessage.open(
                    request.body, receiver: subscriber.key, authentication: subscriber.authentication) : []
        else { throw WebPushRules.bad("undecryptable") }
        return FakeWebPushService.Push(
            endpoint: origin + request.path, headers: request.headers, plaintext: plaintext, sender: sender,
            received: request.received, connection: request.connection)
    }

    /// Checks who speaks; what was found good before is good until it expires.
    private func sender(
        _ authorization: String?, _ origin: String, _ subscriber: Subscriber
    ) throws(WebPushRules.Refusal) -> [UInt8] {
        let now = time.timestamp
        if let authorization, let known = state.withLock({ $0.verified[authorization] }), known.expires > now.seconds {
            if let required = subscriber.sender, required != known.sender {
                throw WebPushRules.forbidden("VapidPkHashMismatch")
            }
            return known.sender
        }
        let (sender, expires) = try WebPushRules.checkVAPID(
            authorization, origin: origin, required: subscriber.sender, now: now)
        state.withLock { state in
            if state.verified.count >= Self.verifiedLimit { state.verified = [:] }
            state.verified[authorization ?? ""] = (sender, expires)
        }
        return sender
    }

    private func created(_ request: PeerRequest) -> PeerReply {
        let (origin, number) = state.withLock { state in
            state.messages += 1
            return (state.origin, state.messages)
        }
        return .answer(
            201, headers: ["Location": "\(origin)/message/\(number)", "TTL": request.headers["TTL"] ?? "0"])
    }

    private func record(_ request: PeerRequest, _ status: Int, _ reason: String) {
        requests.append(
            FakeWebPushService.Request(
                path: request.path, headers: request.headers, status: status, reason: reason,
                received: request.received))
    }
}
