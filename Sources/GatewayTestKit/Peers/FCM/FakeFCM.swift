package import Base

/// Firebase Cloud Messaging and the token endpoint of Google's accounts, as their documentation describes them:
/// grants are verified, every message is checked. Whatever passes is recorded; faults are scripted.
package final class FakeFCM: Sendable {
    package struct Configuration: Sendable {
        package var project = "farbell-test"
        package var email = "sender@farbell-test.iam.gserviceaccount.com"
        package var keyID = "0123456789abcdef0123456789abcdef01234567"
        package var key: RSAKey
        /// Takes any well-formed registration token instead of the registered ones only.
        package var acceptsAnyDevice = false
        /// Seconds an access token is good for.
        package var tokenLife: Int64 = 3599
        package var protocols = ["h2", "http/1.1"]
        package var port = 0
        package var time: any TimeSource = SystemTime()

        package init(key: RSAKey) { self.key = key }
    }

    /// A message that was accepted.
    package struct Push: Sendable {
        package let token: String
        /// The whole `message`.
        package let message: JSON
        package let headers: HTTPFields
        package let received: Moment
        package let connection: Int
        /// The name Google gave to it.
        package let name: String

        /// A value under `data`.
        package func data(_ key: String) -> String? { message["data"]?[key]?.string }
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
    /// Requests to send.
    package let requests: Recorder<Request>
    /// Requests for an access token.
    package let grants: Recorder<Request>
    private let peer: HTTPPeer
    private let core: FakeFCMCore

    /// - Throws: `PeerError` when the port is taken.
    package init(_ configuration: Configuration, identity: TestIdentity) throws {
        let core = FakeFCMCore(configuration)
        self.core = core
        (pushes, requests, grants) = (core.pushes, core.requests, core.grants)
        var options = HTTPPeer.Options()
        options.protocols = configuration.protocols
        options.time = configuration.time
        peer = try HTTPPeer(name: "fake-fcm", identity: identity, port: configuration.port, options: options) {
            core.respond(to: $0)
        }
        core.setOrigin("https://localhost:\(peer.port)")
    }

    package var port: Int { peer.port }
    /// `https://localhost:PORT`.
    package var origin: String { core.origin }
    package var tokenURL: String { core.tokenURL }
    package var counts: HTTPPeer.Counts { peer.counts }
    package var listener: PeerListener { peer.listener }
    /// Closes the port and all connections.
    package func stop() { peer.stop() }

    /// The file of the service account that this service knows.
    /// - Parameter key: another key than the one it knows.
    /// - Throws: `PeerError`.
    package func serviceAccount(key: RSAKey? = nil) throws -> [UInt8] {
        let configuration = core.configuration
        let pem = String(decoding: try (key ?? configuration.key).privatePEM(), as: UTF8.self)
        let account: JSON = [
            "type": "service_account", "project_id": .string(configuration.project),
            "private_key_id": .string(configuration.keyID), "private_key": .string(pem),
            "client_email": .string(configuration.email), "client_id": "100000000000000000000",
            "auth_uri": .string("\(origin)/o/oauth2/auth"), "token_uri": .string(tokenURL),
            "universe_domain": "googleapis.com",
        ]
        return account.serializedBytes
    }

    /// Makes a registration token known.
    package func register(_ token: String) { core.set(token, .registered) }
    /// The app was removed from the device: UNREGISTERED from now on.
    package func unregister(_ token: String) { core.set(token, .gone) }
    /// The token is one of another project: SENDER_ID_MISMATCH.
    package func registerElsewhere(_ token: String) { core.set(token, .foreign) }
    /// Makes all access tokens invalid that were given out.
    package func revokeAccessTokens() { core.revokeAccessTokens() }

    /// Puts what happens to the next good messages into a queue: for one registration token, or with nil for any.
    package func script(device: String? = nil, _ faults: HTTPFault...) {
        core.script.withLock { $0.add(faults, for: device) }
    }
    /// What happens to the next `count` good messages to any registration token: a burst.
    package func script(repeating fault: HTTPFault, count: Int) {
        core.script.withLock { $0.add(Array(repeating: fault, count: count), for: nil) }
    }
    /// What happens to every good message until it is set to nil again, after the queues.
    package func setStanding(_ fault: HTTPFault?) { core.script.withLock { $0.standing = fault } }
    /// Puts what happens to the next good requests for an access token into a queue.
    package func scriptGrants(_ faults: HTTPFault...) { core.grantScript.withLock { $0.add(faults, for: nil) } }
    /// What happens to every good request for an access token until it is set to nil again, after the queue.
    package func setStandingGrant(_ fault: HTTPFault?) { core.grantScript.withLock { $0.standing = fault } }
}

/// The state behind a `FakeFCM`, which the server's thread keeps.
final class FakeFCMCore: Sendable {
    enum Registration: Sendable {
        case registered
        case gone
        case foreign
    }

    private struct State {
        var origin = ""
        var devices: [String: Registration] = [:]
        var access = OAuthTokens()
        var messages = 0
    }

    let pushes = Recorder<FakeFCM.Push>()
    let requests = Recorder<FakeFCM.Request>()
    let grants = Recorder<FakeFCM.Request>()
    let script = Locked(FaultScript())
    let grantScript = Locked(FaultScript())
    let configuration: FakeFCM.Configuration
    private let state = Locked(State())

    init(_ configuration: FakeFCM.Configuration) { self.configuration = configuration }

    var origin: String { state.withLock { $0.origin } }
    var tokenURL: String { "\(origin)/token" }
    func setOrigin(_ origin: String) { state.withLock { $0.origin = origin } }
    func set(_ token: String, _ registration: Registration) { state.withLock { $0.devices[token] = registration } }
    func revokeAccessTokens() { state.withLock { $0.access.revokeAll() } }

    func respond(to request: PeerRequest) -> PeerReply {
        request.path == "/token" ? grant(request) : send(request)
    }

    private func grant(_ request: PeerRequest) -> PeerReply {
        let now = configuration.time.timestamp
        let check = GrantCheck(email: configuration.email, keyID: configuration.keyID, key: configuration.key)
        do {
            try check.check(request, tokenURL: tokenURL, now: now)
        } catch {
            record(request, error.status, error.description, in: grants)
            let body: JSON = ["error": .string(error.error), "error_description": .string(error.description)]
            return FCMReplies.json(error.status, body.serialized)
        }
        let fault = grantScript.withLock { $0.next(for: configuration.email) }
        let token = state.withLock {
            $0.access.give("ya29.", owner: configuration.email, life: configuration.tokenLife, now: now)
        }
        let body: JSON = [
            "access_token": .string(token), "expires_in": .integer(configuration.tokenLife), "token_type": "Bearer",
        ]
        return answer(request, fault, FCMReplies.json(200, body.serialized), in: grants)
    }

    private func send(_ request: PeerRequest) -> PeerReply {
        do {
            let (token, message) = try judge(request)
            let fault = script.withLock { $0.next(for: token) }
            let number = state.withLock { state in
                state.messages += 1
                return state.messages
            }
            let name = "projects/\(configuration.project)/messages/0:\(number)%0"
            if fault.accepts {
                pushes.append(
                    FakeFCM.Push(
                        token: token, message: message, headers: request.headers, received: request.received,
                        connection: request.connection, name: name))
            }
            let body: JSON = ["name": .string(name)]
            return answer(request, fault, FCMReplies.json(200, body.serialized), in: requests)
        } catch {
            record(request, error.status, error.reason, in: requests)
            return FCMReplies.json(error.status, error.body)
        }
    }

    private func judge(_ request: PeerRequest) throws(FCMRules.Refusal) -> (token: String, message: JSON) {
        let parts = request.path.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 5, parts[1] == "v1", parts[2] == "projects", parts[4] == "messages:send" else {
            throw FCMRules.Refusal(status: 404, reason: "path", body: "<!DOCTYPE html><title>Error 404</title>")
        }
        guard request.method == "POST" else {
            throw FCMRules.Refusal(status: 405, reason: "method", body: "<!DOCTYPE html><title>Error 405</title>")
        }
        let verdict = state.withLock {
            $0.access.judge(request.headers["Authorization"], now: configuration.time.timestamp)
        }
        guard case .good = verdict else {
            throw FCMRules.refusal(
                401, "UNAUTHENTICATED", "Request had invalid authentication credentials. (\(verdict))")
        }
        guard parts[3] == configuration.project else {
            throw FCMRules.refusal(
                403, "PERMISSION_DENIED", "Permission 'cloudmessaging.messages.create' denied on resource")
        }
        let (token, message) = try FCMRules.message(request)
        switch state.withLock({ $0.devices[token] }) {
        case .registered: break
        case .gone:
            throw FCMRules.refusal(404, "NOT_FOUND", "Requested entity was not found.", code: "UNREGISTERED")
        case .foreign:
            throw FCMRules.refusal(403, "PERMISSION_DENIED", "SenderId mismatch", code: "SENDER_ID_MISMATCH")
        case nil: if !configuration.acceptsAnyDevice { throw FCMRules.badToken }
        }
        return (token, message)
    }

    private func answer(
        _ request: PeerRequest, _ fault: HTTPFault, _ accepted: PeerReply, in recorder: Recorder<FakeFCM.Request>
    ) -> PeerReply {
        let reply = fault.reply(accepted)
        if case .answer(let status, _, _) = reply.action {
            record(request, status, status == 200 ? "" : "fault", in: recorder)
        } else {
            record(request, 0, "fault", in: recorder)
        }
        return reply
    }

    private func record(
        _ request: PeerRequest, _ status: Int, _ reason: String, in recorder: Recorder<FakeFCM.Request>
    ) {
        recorder.append(
            FakeFCM.Request(
                path: request.path, headers: request.headers, status: status, reason: reason,
                received: request.received))
    }
}
