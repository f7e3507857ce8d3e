package import Base

/// Windows Push Notification Services with both token services, as their documentation describes them: HTTP/1.1
/// over TLS, every header checked. Whatever a device would get is recorded; faults are scripted.
package final class FakeWNS: Sendable {
    package struct Configuration: Sendable {
        /// The package SID, for the Store's token service.
        package var packageSID = "ms-app://s-1-15-2-1234567890"
        /// Application and tenant, for Entra's.
        package var application = "0a1b2c3d-0001-0002-0003-0123456789ab"
        package var tenant = "contoso.example"
        package var secret: String
        /// Seconds an access token is good for.
        package var tokenLife: Int64 = 86_400
        package var port = 0
        package var time: any TimeSource = SystemTime()

        package init(secret: String) { self.secret = secret }
    }

    /// What a device and its user are doing about notifications.
    package enum Condition: Sendable, Hashable {
        case connected
        case disconnected
        case temporarilyDisconnected
        /// The user has switched notifications off.
        case muted
        /// Too many for this channel; seconds until it takes one again, nil: it does not say.
        case throttled(Int?)
        /// The channel is at its end.
        case expired
        /// It was made for another app.
        case foreign
    }

    /// A notification that a device got, or that is kept for it.
    package struct Push: Sendable {
        /// The channel URI.
        package let channel: String
        /// `toast`, `raw`, `tile` or `badge`.
        package let type: String
        package let headers: HTTPFields
        package let body: [UInt8]
        package let received: Moment

        /// The toast; nil when it is none, or not well-formed.
        package var toast: ToastReader? { type == "toast" ? ToastReader(body) : nil }
        /// The document of a raw one.
        package var json: JSON? { try? JSONParser.parse(body) }
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
    /// Notification requests.
    package let requests: Recorder<Request>
    /// Requests for an access token.
    package let grants: Recorder<Request>
    private let peer: HTTPPeer
    private let core: FakeWNSCore

    /// - Throws: `PeerError` when the port is taken.
    package init(_ configuration: Configuration, identity: TestIdentity) throws {
        let core = FakeWNSCore(configuration)
        self.core = core
        (pushes, requests, grants) = (core.pushes, core.requests, core.grants)
        var options = HTTPPeer.Options()
        options.protocols = ["http/1.1"]
        options.time = configuration.time
        peer = try HTTPPeer(name: "fake-wns", identity: identity, port: configuration.port, options: options) {
            core.respond(to: $0)
        }
        core.setOrigin("https://localhost:\(peer.port)")
    }

    package var port: Int { peer.port }
    /// `https://localhost:PORT`.
    package var origin: String { core.origin }
    /// The Store's token service.
    package var storeTokenURL: String { "\(origin)/accesstoken.srf" }
    /// Entra's, for the tenant.
    package var entraTokenURL: String { "\(origin)/\(core.configuration.tenant)/oauth2/v2.0/token" }
    package var counts: HTTPPeer.Counts { peer.counts }
    package var listener: PeerListener { peer.listener }
    /// Closes the port and all connections.
    package func stop() { peer.stop() }

    /// Gives a channel URI to an app on a device.
    package func openChannel() -> String { core.openChannel() }
    /// What a channel's device is doing from now on.
    package func set(_ channel: String, _ condition: Condition) { core.set(channel, condition) }
    /// Makes all access tokens invalid that were given out.
    package func revokeAccessTokens() { core.revokeAccessTokens() }

    /// Puts what happens to the next good notifications into a queue: for one channel, or with nil for any.
    package func script(channel: String? = nil, _ faults: HTTPFault...) {
        core.script.withLock { $0.add(faults, for: channel) }
    }
    /// What happens to the next `count` good notifications to any channel: a burst.
    package func script(repeating fault: HTTPFault, count: Int) {
        core.script.withLock { $0.add(Array(repeating: fault, count: count), for: nil) }
    }
    /// What happens to every good notification until it is set to nil again, after the queues.
    package func setStanding(_ fault: HTTPFault?) { core.script.withLock { $0.standing = fault } }
    /// Puts what happens to the next good requests for an access token into a queue.
    package func scriptGrants(_ faults: HTTPFault...) { core.grantScript.withLock { $0.add(faults, for: nil) } }
}

/// The state behind a `FakeWNS`, which the server's thread keeps.
final class FakeWNSCore: Sendable {
    private struct State {
        var origin = ""
        var channels: [String: FakeWNS.Condition] = [:]
        var access = OAuthTokens()
        var messages = 0
    }

    let pushes = Recorder<FakeWNS.Push>()
    let requests = Recorder<FakeWNS.Request>()
    let grants = Recorder<FakeWNS.Request>()
    let script = Locked(FaultScript())
    let grantScript = Locked(FaultScript())
    let configuration: FakeWNS.Configuration
    private let state = Locked(State())

    init(_ configuration: FakeWNS.Configuration) { self.configuration = configuration }

    var origin: String { state.withLock { $0.origin } }
    func setOrigin(_ origin: String) { state.withLock { $0.origin = origin } }
    func set(_ channel: String, _ condition: FakeWNS.Condition) { state.withLock { $0.channels[channel] = condition } }
    func revokeAccessTokens() { state.withLock { $0.access.revokeAll() } }

    func openChannel() -> String {
        state.withLock { state in
            let uri = "\(state.origin)/?token=\(MessageCrypto.randomBytes(60).base64.percentEncoded())"
            state.channels[uri] = .connected
            return uri
        }
    }

    func respond(to request: PeerRequest) -> PeerReply {
        switch request.path {
        case "/accesstoken.srf": grant(request, client: configuration.packageSID, scope: "notify.windows.com", 400)
        case "/\(configuration.tenant)/oauth2/v2.0/token":
            grant(request, client: configuration.application, scope: "https://wns.windows.com/.default", 401)
        default: notify(request)
        }
    }

    /// Client credentials (RFC 6749 section 4.4), in the form both services take them.
    /// - Parameter refusal: the service's status for credentials it does not know.
    private func grant(_ request: PeerRequest, client: String, scope: String, _ refusal: Int) -> PeerReply {
        var problem: (status: Int, error: String)?
        let form = WebForm.isForm(request) ? WebForm.parse(request.body) : nil
        if request.method != "POST" || form == nil {
            problem = (400, "invalid_request")
        } else if form?["grant_type"] != "client_credentials" {
            problem = (400, "unsupported_grant_type")
        } else if form?["client_id"] != client || form?["client_secret"] != configuration.secret {
            problem = (refusal, "invalid_client")
        } else if form?["scope"] != scope {
            problem = (400, "invalid_scope")
        }
        if let problem {
            record(request, problem.status, problem.error, in: grants)
            let body: JSON = ["error": .string(problem.error), "error_description": "refused"]
            return .answer(
                problem.status, headers: ["Content-Type": "application/json"], body: body.serializedBytes)
        }
        let fault = grantScript.withLock { $0.next(for: client) }
        let token = state.withLock {
            $0.access.give("EgA", owner: client, life: configuration.tokenLife, now: configuration.time.timestamp)
        }
        let body: JSON = [
            "access_token": .string(token), "token_type": "bearer", "expires_in": .integer(configuration.tokenLife),
        ]
        let reply = PeerReply.answer(200, headers: ["Content-Type": "application/json"], body: body.serializedBytes)
        return answer(request, fault.reply(reply), in: grants)
    }

    private func notify(_ request: PeerRequest) -> PeerReply {
        let channel = origin + request.path
        do {
            let (type, condition) = try judge(request, channel)
            let fault = script.withLock { $0.next(for: channel) }
            let outcome = Self.outcome(condition, type)
            if fault.accepts, outcome.status == "received" {
                pushes.append(
                    FakeWNS.Push(
                        channel: channel, type: type, headers: request.headers, body: request.body,
                        received: request.received))
            }
            var headers: HTTPFields = ["X-WNS-Status": outcome.status, "X-WNS-Msg-ID": nextID()]
            if request.headers["X-WNS-RequestForStatus"] == "true" {
                headers.append("X-WNS-DeviceConnectionStatus", outcome.connection)
            }
            if case .throttled(let seconds?) = condition { headers.append("X-WNS-CONTINUE-AFTER", "\(seconds)") }
            return answer(request, fault.reply(.answer(200, headers: headers)), in: requests)
        } catch {
            record(request, error.status, error.reason, in: requests)
            return .answer(
                error.status, headers: ["X-WNS-Error-Description": error.reason, "X-WNS-Msg-ID": nextID()])
        }
    }

    private func nextID() -> String {
        state.withLock { state in
            state.messages += 1
            return String(state.messages, radix: 16, uppercase: true)
        }
    }

    private func judge(
        _ request: PeerRequest, _ channel: String
    ) throws(WNSRules.Refusal) -> (type: String, condition: FakeWNS.Condition) {
        guard request.method == "POST" else { throw WNSRules.Refusal(status: 405, reason: "method") }
        let (verdict, condition) = state.withLock { state in
            (
                state.access.judge(request.headers["Authorization"], now: configuration.time.timestamp),
                state.channels[channel]
            )
        }
        guard case .good = verdict else { throw WNSRules.Refusal(status: 401, reason: "token \(verdict)") }
        guard let condition else { throw WNSRules.Refusal(status: 404, reason: "channel") }
        if condition == .foreign { throw WNSRules.Refusal(status: 403, reason: "channel of another app") }
        if condition == .expired { throw WNSRules.Refusal(status: 410, reason: "channel expired") }
        return (try WNSRules.check(request), condition)
    }

    /// "Toast notifications will also be dropped if the device is offline"; raw ones are kept.
    private static func outcome(_ condition: FakeWNS.Condition, _ type: String) -> (status: String, connection: String)
    {
        let kept = type == "toast" ? "dropped" : "received"
        return switch condition {
        case .disconnected: (kept, "disconnected")
        case .temporarilyDisconnected: (kept, "tempdisconnected")
        case .muted: ("dropped", "connected")
        case .throttled: ("channelthrottled", "connected")
        case .connected, .expired, .foreign: ("received", "connected")
        }
    }

    private func answer(_ request: PeerRequest, _ reply: PeerReply, in recorder: Recorder<FakeWNS.Request>) -> PeerReply
    {
        if case .answer(let status, let headers, _) = reply.action {
            record(request, status, headers["X-WNS-Status"] ?? "", in: recorder)
        } else {
            record(request, 0, "fault", in: recorder)
        }
        return reply
    }

    private func record(
        _ request: PeerRequest, _ status: Int, _ reason: String, in recorder: Recorder<FakeWNS.Request>
    ) {
        recorder.append(
            FakeWNS.Request(
                path: request.path, headers: request.headers, status: status, reason: reason,
                received: request.received))
    }
}
