package import Base

/// Somebody's webhook: checks the Standard Webhooks signature and records what it takes.
package final class FakeWebhookReceiver: Sendable {
    package struct Configuration: Sendable {
        /// The shared secret as configured at the sender, `whsec_` and base64; nil checks no signature.
        package var secret: String?
        /// nil for plain HTTP.
        package var identity: TestIdentity?
        package var protocols = ["http/1.1"]
        package var port = 0
        package var time: any TimeSource = SystemTime()
        /// Echoes challenges, as an application that is called by Farbell must; they are not recorded as calls.
        package var echoes = false

        package init(secret: String? = nil, identity: TestIdentity? = nil) {
            (self.secret, self.identity) = (secret, identity)
        }
    }

    /// A request that was accepted.
    package struct Call: Sendable {
        package let path: String
        package let headers: HTTPFields
        package let body: [UInt8]
        package let received: Moment

        /// The `webhook-id`, by which a receiver finds duplicates.
        package var id: String? { headers["webhook-id"] }
        package var json: JSON? { try? JSONParser.parse(body) }
    }

    package let calls: Recorder<Call>
    /// Why requests were refused.
    package let refusals: Recorder<String>
    private let script: Locked<FaultScript>
    private let peer: HTTPPeer
    private let scheme: String

    /// - Throws: `PeerError` when the port is taken or the secret is no base64.
    package init(_ configuration: Configuration = Configuration()) throws {
        let (calls, refusals, script) = (Recorder<Call>(), Recorder<String>(), Locked(FaultScript()))
        (self.calls, self.refusals, self.script) = (calls, refusals, script)
        scheme = configuration.identity == nil ? "http" : "https"
        let key = try configuration.secret.map { secret in
            guard secret.hasPrefix("whsec_"), let key = [UInt8](base64: String(secret.dropFirst(6))) else {
                throw PeerError(.cryptography, "the secret is not whsec_ and base64")
            }
            return key
        }
        var options = HTTPPeer.Options()
        options.protocols = configuration.protocols
        options.time = configuration.time
        let (time, echoes) = (configuration.time, configuration.echoes)
        peer = try HTTPPeer(
            name: "fake-webhook", identity: configuration.identity, port: configuration.port, options: options
        ) { request in
            if let key, let problem = StandardWebhook.problem(with: request, key: key, now: time.timestamp) {
                refusals.append(problem)
                return .answer(401, body: Array(problem.utf8))
            }
            if echoes, let challenge = (try? JSONParser.parse(request.body))?["challenge"]?.string {
                return .answer(200, body: JSON.object(["challenge": .string(challenge)]).serializedBytes)
            }
            let fault = script.withLock { $0.next(for: request.path) }
            if fault.accepts {
                calls.append(
                    Call(path: request.path, headers: request.headers, body: request.body, received: request.received))
            }
            return fault.reply(.answer(204))
        }
    }

    package var port: Int { peer.port }
    /// `http://localhost:PORT`.
    package var origin: String { "\(scheme)://localhost:\(port)" }
    package var counts: HTTPPeer.Counts { peer.counts }
    package var listener: PeerListener { peer.listener }
    /// Closes the port and all connections.
    package func stop() { peer.stop() }

    /// Puts what happens to the next good requests into a queue: for one path, or with nil for any.
    package func script(path: String? = nil, _ faults: HTTPFault...) { script.withLock { $0.add(faults, for: path) } }
    /// What happens to the next `count` good requests for any path: a burst.
    package func script(repeating fault: HTTPFault, count: Int) {
        script.withLock { $0.add(Array(repeating: fault, count: count), for: nil) }
    }
    /// What happens to every good request until it is set to nil again, after the queues.
    package func setStanding(_ fault: HTTPFault?) { script.withLock { $0.standing = fault } }
    /// The same for one path only.
    package func setStanding(_ fault: HTTPFault?, path: String) {
        script.withLock { $0.setStanding(fault, for: path) }
    }
}

/// The signature of the Standard Webhooks specification: HMAC-SHA-256 over `id.timestamp.body`.
package enum StandardWebhook {
    /// Seconds a timestamp may be off, either way.
    private static let tolerance: Int64 = 300

    /// What is wrong with a request; nil when nothing is.
    static func problem(with request: PeerRequest, key: [UInt8], now: Timestamp) -> String? {
        guard let id = request.headers["webhook-id"], !id.isEmpty else { return "webhook-id" }
        guard let text = request.headers["webhook-timestamp"], let seconds = Int64(text),
            abs(seconds - now.seconds) <= tolerance
        else { return "webhook-timestamp" }
        let expected = signature(id: id, timestamp: text, body: request.body, key: key)
        let given = (request.headers["webhook-signature"] ?? "").split(separator: " ")
        return given.contains { $0 == expected } ? nil : "webhook-signature"
    }

    /// `v1,` and the signature in base64.
    package static func signature(id: String, timestamp: String, body: [UInt8], key: [UInt8]) -> String {
        "v1," + MessageCrypto.hmacSHA256(Array("\(id).\(timestamp).".utf8) + body, key: key).base64
    }
}
