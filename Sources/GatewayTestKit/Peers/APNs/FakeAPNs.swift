package import Base
internal import FoundationEssentials

/// Apple's push service as its documentation describes it: HTTP/2 over TLS only, provider tokens verified,
/// every header and payload checked. Whatever passes is recorded; faults are scripted.
package final class FakeAPNs: Sendable {
    /// A key as registered with Apple.
    package struct ProviderKey: Sendable {
        package let teamID: String
        package let keyID: String
        package let key: ECKey

        package init(teamID: String, keyID: String, key: ECKey) {
            (self.teamID, self.keyID, self.key) = (teamID, keyID, key)
        }
    }

    /// A provider certificate as registered with Apple.
    package struct ProviderCertificate: Sendable {
        /// The common name, by which the fake knows it.
        package let name: String
        package let topics: Set<String>
        /// What Apple says to it instead of taking it: `BadCertificate`, `BadCertificateEnvironment`.
        package let refusal: String?

        package init(name: String, topics: Set<String>, refusal: String? = nil) {
            (self.name, self.topics, self.refusal) = (name, topics, refusal)
        }
    }

    package struct Configuration: Sendable {
        package var keys: [ProviderKey]
        /// Certificates that count instead of a provider token, and the PEM file of their authority.
        package var certificates: [ProviderCertificate] = []
        package var clientAuthority: String?
        /// Topic (bundle id) to the team that owns it.
        package var topics: [String: String]
        /// Takes any token of hexadecimal digits instead of the registered ones only.
        package var acceptsAnyDevice = false
        /// Refuses a new provider token within 20 minutes of the last one. Off for tests that restart
        /// the gateway.
        package var limitsTokenUpdates = true
        /// Streams at a time before the first success on a connection, and after it.
        package var streamLimits = (initial: 1, proven: 1000)
        /// See `HTTPPeer.Options.resetLimit`. Whether Apple has such a limit is not known.
        package var resetLimit: (burst: Int, perSecond: Int)?
        package var port = 0
        package var time: any TimeSource = SystemTime()

        package init(keys: [ProviderKey], topics: [String: String]) { (self.keys, self.topics) = (keys, topics) }
    }

    /// A push that was accepted.
    package struct Push: Sendable {
        package let device: String
        package let headers: HTTPFields
        package let payload: JSON
        package let received: Moment
        package let connection: Int
        package let apnsID: String
    }

    /// Any request and what became of it; status 0 when it was never answered.
    package struct Request: Sendable {
        package let path: String
        package let headers: HTTPFields
        package let status: Int
        package let reason: String
        package let received: Moment
        package let connection: Int
    }

    package let pushes: Recorder<Push>
    package let requests: Recorder<Request>
    private let peer: HTTPPeer
    private let core: FakeAPNsCore

    /// - Throws: `PeerError` when the port is taken.
    package init(_ configuration: Configuration, identity: TestIdentity) throws {
        let core = FakeAPNsCore(configuration)
        self.core = core
        (pushes, requests) = (core.pushes, core.requests)
        var options = HTTPPeer.Options()
        options.protocols = ["h2"]
        options.streamLimit = configuration.streamLimits.initial
        options.certifiedStreamLimit = configuration.streamLimits.proven
        options.clientAuthority = configuration.clientAuthority
        options.resetLimit = configuration.resetLimit
        options.bodyLimit = 65_536
        options.time = configuration.time
        peer = try HTTPPeer(name: "fake-apns", identity: identity, port: configuration.port, options: options) {
            core.respond(to: $0)
        }
    }

    package var port: Int { peer.port }
    /// `https://localhost:PORT`.
    package var origin: String { "https://localhost:\(port)" }
    /// Connections, requests, and streams refused for the limit, so far.
    package var counts: HTTPPeer.Counts { peer.counts }
    /// The connections: to cut them or to stop accepting.
    package var listener: PeerListener { peer.listener }
    /// Closes the port and all connections.
    package func stop() { peer.stop() }

    /// Makes a device token known, for one topic or for all.
    package func register(device: String, topic: String? = nil) { core.register(device, topic) }
    /// Makes a token dead from now on: 410 Unregistered with that time.
    package func unregister(device: String, at timestamp: Timestamp) { core.unregister(device, timestamp) }

    /// Puts what happens to the next good pushes to a device into its queue, one each.
    package func script(device: String, _ faults: HTTPFault...) { core.script.withLock { $0.add(faults, for: device) } }
    /// The same for the next good pushes to any device without a queue of its own.
    package func script(_ faults: HTTPFault...) { core.script.withLock { $0.add(faults, for: nil) } }
    /// What happens to the next `count` good pushes to any device: a burst.
    package func script(repeating fault: HTTPFault, count: Int) {
        core.script.withLock { $0.add(Array(repeating: fault, count: count), for: nil) }
    }
    /// What happens to every good push until it is set to nil again, after the queues.
    package func setStanding(_ fault: HTTPFault?) { core.script.withLock { $0.standing = fault } }
    /// The same for one device only.
    package func setStanding(_ fault: HTTPFault?, device: String) {
        core.script.withLock { $0.setStanding(fault, for: device) }
    }
    /// Forgets all scripted faults.
    package func clearScript() { core.script.withLock { $0 = FaultScript() } }
}

/// The state behind a `FakeAPNs`, which the server's thread keeps.
final class FakeAPNsCore: Sendable {
    private struct State {
        var tokens: ProviderTokenCheck
        var devices: [String: String?] = [:]
        var gone: [String: Timestamp] = [:]
    }

    let pushes = Recorder<FakeAPNs.Push>()
    let requests = Recorder<FakeAPNs.Request>()
    let script = Locked(FaultScript())
    private let configuration: FakeAPNs.Configuration
    private let state: Locked<State>

    init(_ configuration: FakeAPNs.Configuration) {
        self.configuration = configuration
        state = Locked(
            State(
                tokens: ProviderTokenCheck(
                    keys: configuration.keys, limitsUpdates: configuration.limitsTokenUpdates)))
    }

    func register(_ device: String, _ topic: String?) {
        state.withLock { state in
            state.devices[device] = .some(topic)
            state.gone[device] = nil
        }
    }
    func unregister(_ device: String, _ timestamp: Timestamp) { state.withLock { $0.gone[device] = timestamp } }
    func respond(to request: PeerRequest) -> PeerReply {
        let headers = APNsHeaders(request.headers)
        let id = headers.id ?? UUID().uuidString.lowercased()
        do {
            let (device, payload) = try judge(request, headers)
            let fault = script.withLock { $0.next(for: device) }
            let reply = APNsReplies.reply(to: fault, id: id, proven: configuration.streamLimits.proven)
            if fault.accepts {
                pushes.append(
                    FakeAPNs.Push(
                        device: device, headers: request.headers, payload: payload, received: request.received,
                        connection: request.connection, apnsID: id))
            }
            record(request, reply.status, reply.reason)
            return reply.reply
        } catch {
            record(request, error.status, error.reason)
            return APNsReplies.refusal(error, id: id, goneSince: goneSince(request))
        }
    }

    private func goneSince(_ request: PeerRequest) -> Timestamp? {
        state.withLock { $0.gone[String(request.path.dropFirst(10))] }
    }

    private func judge(
        _ request: PeerRequest, _ headers: APNsHeaders
    ) throws(APNsRules.Refusal) -> (String, JSON) {
        let device = try APNsRules.device(of: request)
        let allows = try credential(request, headers)
        try APNsRules.checkHeaders(headers)
        let topic = headers.topic ?? ""
        guard configuration.topics[topic] != nil else { throw APNsRules.bad("BadTopic") }
        guard allows(topic) else { throw APNsRules.bad("TopicDisallowed") }
        let payload = try APNsRules.payload(request.body, type: headers.pushType)
        try state.withLock { state throws(APNsRules.Refusal) in
            if state.gone[device] != nil { throw APNsRules.Refusal(status: 410, reason: "Unregistered") }
            if !configuration.acceptsAnyDevice {
                guard let known = state.devices[device] else { throw APNsRules.bad("BadDeviceToken") }
                if let known, known != topic { throw APNsRules.bad("DeviceTokenNotForTopic") }
            }
        }
        return (device, payload)
    }

    /// Checks the certificate or the provider token, and returns which topics it is good for.
    private func credential(
        _ request: PeerRequest, _ headers: APNsHeaders
    ) throws(APNsRules.Refusal) -> (String) -> Bool {
        if let name = request.clientName {
            let certificate = configuration.certificates.first { $0.name == name }
            guard let certificate else { throw APNsRules.Refusal(status: 403, reason: "BadCertificate") }
            if let reason = certificate.refusal { throw APNsRules.Refusal(status: 403, reason: reason) }
            // Two credentials at once: which of them Apple would look at is not said, so nobody should.
            if headers.authorization != nil { throw APNsRules.Refusal(status: 403, reason: "Forbidden") }
            return { certificate.topics.contains($0) }
        }
        let token = try state.withLock { state throws(APNsRules.Refusal) in
            try state.tokens.check(
                headers.authorization, connection: request.connection, now: configuration.time.now,
                timestamp: configuration.time.timestamp)
        }
        return { [topics = configuration.topics] in topics[$0] == token.teamID }
    }

    private func record(_ request: PeerRequest, _ status: Int, _ reason: String) {
        requests.append(
            FakeAPNs.Request(
                path: request.path, headers: request.headers, status: status, reason: reason,
                received: request.received, connection: request.connection))
    }
}
