package import Base

/// A UnifiedPush server with its distributors and apps: hands out endpoints, answers the discovery, checks every push,
/// decrypts it with the app's keys and records the plaintext.
package final class FakeUnifiedPush: Sendable {
    package struct Configuration: Sendable {
        /// nil for plain HTTP.
        package var identity: TestIdentity?
        package var port = 0
        /// Whether a push without VAPID is refused.
        package var requiresVAPID = false
        /// Whether it answers `GET` on endpoints as SERV_1.2 wants.
        package var answersDiscovery = true
        package var time: any TimeSource = SystemTime()

        package init(identity: TestIdentity?) { self.identity = identity }
    }

    /// What a distributor gives to an app, and the app to its server; keys in base64url.
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
        package let received: Moment

        /// The plaintext as JSON; nil when it is none.
        package var json: JSON? { try? JSONParser.parse(plaintext) }
    }

    package let pushes: Recorder<Push>
    /// Endpoints that were asked what they are.
    package let discoveries: Recorder<String>
    /// Why requests were refused.
    package let refusals: Recorder<String>
    private let core: UnifiedPushCore
    private let peer: HTTPPeer

    /// - Throws: `PeerError` when the port is taken.
    package init(_ configuration: Configuration) throws {
        let core = UnifiedPushCore(configuration)
        self.core = core
        (pushes, discoveries, refusals) = (core.pushes, core.discoveries, core.refusals)
        var options = HTTPPeer.Options()
        options.time = configuration.time
        peer = try HTTPPeer(
            name: "fake-unifiedpush", identity: configuration.identity, port: configuration.port, options: options
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

    /// Makes an endpoint with new keys, as ntfy names them: `/upXXXXXXXXXXXX?up=1`.
    /// - Parameter isConnected: whether its distributor has been there; without it, pushes are refused with 507.
    package func register(isConnected: Bool = true) throws -> Subscription { try core.register(isConnected) }
    /// The distributor connects.
    package func connect(_ subscription: Subscription) { core.connect(subscription.endpoint) }
    /// The app unregisters: 404 from now on, or 410.
    package func unregister(_ subscription: Subscription, status: Int = 404) {
        core.unregister(subscription.endpoint, status)
    }

    /// Puts what happens to the next good pushes into a queue: for one endpoint, or with nil for any.
    package func script(_ subscription: Subscription? = nil, _ faults: HTTPFault...) {
        core.script.withLock { $0.add(faults, for: subscription?.endpoint) }
    }
    /// What happens to every good push until it is set to nil again, after the queues.
    package func setStanding(_ fault: HTTPFault?) { core.script.withLock { $0.standing = fault } }
}

/// The state behind a `FakeUnifiedPush`, which the server's thread keeps.
private final class UnifiedPushCore: Sendable {
    private struct Registration {
        let key: ECKey
        let authentication: [UInt8]
        var isConnected: Bool
        /// What pushes are answered with when it has ended.
        var ended: Int?
    }

    private struct State {
        var origin = ""
        var registrations: [String: Registration] = [:]
    }

    let pushes = Recorder<FakeUnifiedPush.Push>()
    let discoveries = Recorder<String>()
    let refusals = Recorder<String>()
    let script = Locked(FaultScript())
    private let state = Locked(State())
    private let configuration: FakeUnifiedPush.Configuration

    init(_ configuration: FakeUnifiedPush.Configuration) { self.configuration = configuration }

    var origin: String { state.withLock { $0.origin } }
    func setOrigin(_ origin: String) { state.withLock { $0.origin = origin } }

    func register(_ isConnected: Bool) throws -> FakeUnifiedPush.Subscription {
        let (key, authentication) = (try ECKey(), MessageCrypto.randomBytes(16))
        let path = "/up\(MessageCrypto.randomBytes(20).base64URL)?up=1"
        let origin = state.withLock { state in
            state.registrations[path] = Registration(
                key: key, authentication: authentication, isConnected: isConnected)
            return state.origin
        }
        return FakeUnifiedPush.Subscription(
            endpoint: origin + path, p256dh: key.publicPoint.base64URL, auth: authentication.base64URL)
    }

    func connect(_ endpoint: String) { change(endpoint) { $0.isConnected = true } }
    func unregister(_ endpoint: String, _ status: Int) { change(endpoint) { $0.ended = status } }

    private func change(_ endpoint: String, _ body: (inout Registration) -> Void) {
        state.withLock { state in
            let path = String(endpoint.dropFirst(state.origin.count))
            guard var registration = state.registrations[path] else { return }
            body(&registration)
            state.registrations[path] = registration
        }
    }

    func respond(to request: PeerRequest) -> PeerReply {
        do throws(WebPushRules.Refusal) {
            let registration = try registration(request)
            if request.method == "GET" {
                discoveries.append(origin + request.path)
                return .answer(
                    200, headers: ["Content-Type": "application/json"],
                    body: Array(#"{"unifiedpush":{"version":1}}"#.utf8))
            }
            let push = try judge(request, registration)
            let fault = script.withLock { $0.next(for: push.endpoint) }
            if fault.accepts { pushes.append(push) }
            return fault.reply(.answer(201, headers: ["TTL": "0"]))
        } catch {
            refusals.append("\(request.method) \(error.status) \(error.reason)")
            return .answer(error.status, headers: ["Content-Type": "text/plain"], body: Array(error.reason.utf8))
        }
    }

    private func registration(_ request: PeerRequest) throws(WebPushRules.Refusal) -> Registration {
        let isDiscovery = request.method == "GET" && configuration.answersDiscovery
        guard request.method == "POST" || isDiscovery else { throw WebPushRules.Refusal(status: 405, reason: "method") }
        guard let registration = state.withLock({ $0.registrations[request.path] }) else {
            throw WebPushRules.Refusal(status: 404, reason: "unknown endpoint")
        }
        if let status = registration.ended { throw WebPushRules.Refusal(status: status, reason: "ended") }
        return registration
    }

    private func judge(
        _ request: PeerRequest, _ registration: Registration
    ) throws(WebPushRules.Refusal) -> FakeUnifiedPush.Push {
        try WebPushRules.checkHeaders(request.headers)
        if request.headers["Authorization"] != nil || configuration.requiresVAPID {
            _ = try WebPushRules.checkVAPID(
                request.headers["Authorization"], origin: origin, required: nil, now: configuration.time.timestamp)
        }
        guard (1...WebPushRules.bodyLimit).contains(request.body.count) else {
            throw WebPushRules.Refusal(status: 413, reason: "size")
        }
        guard registration.isConnected else { throw WebPushRules.Refusal(status: 507, reason: "no subscriber") }
        guard
            let plaintext = WebPushMessage.open(
                request.body, receiver: registration.key, authentication: registration.authentication)
        else { throw WebPushRules.bad("undecryptable") }
        return FakeUnifiedPush.Push(
            endpoint: origin + request.path, headers: request.headers, plaintext: plaintext,
            received: request.received)
    }
}
