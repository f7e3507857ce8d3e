package import Base

/// An ntfy server (2.16 and later): checks every request as the real one does, and more strictly, and records what
/// it publishes and takes back.
package final class FakeNtfy: Sendable {
    package struct Configuration: Sendable {
        /// nil for plain HTTP.
        package var identity: TestIdentity?
        package var port = 0
        /// Access tokens that may publish; empty: anybody may.
        package var tokens: [String] = []
        /// Topics that nobody may publish to.
        package var readOnly: Set<String> = []
        /// Whether it is an old server, which knows no sequences.
        package var isOld = false
        /// Bytes of the longest text.
        package var messageLimit = 4096
        package var time: any TimeSource = SystemTime()

        package init(identity: TestIdentity? = nil) { self.identity = identity }
    }

    /// A message that was published.
    package struct Message: Sendable {
        package let topic: String
        package let sequence: String?
        package let title: String?
        package let message: String
        package let priority: Int
        package let tags: [String]
        package let click: String?
        /// What the request's `Authorization` was.
        package let authorization: String?
        package let received: Moment
    }

    /// A message that was taken back.
    package struct Clear: Sendable, Hashable {
        package let topic: String
        package let sequence: String

        package init(topic: String, sequence: String) { (self.topic, self.sequence) = (topic, sequence) }
    }

    package let messages: Recorder<Message>
    package let clears: Recorder<Clear>
    /// Why requests were refused: ntfy's number and words.
    package let refusals: Recorder<String>
    private let core: NtfyCore
    private let peer: HTTPPeer
    private let scheme: String

    /// - Throws: `PeerError` when the port is taken.
    package init(_ configuration: Configuration = Configuration()) throws {
        let core = NtfyCore(configuration)
        self.core = core
        (messages, clears, refusals) = (core.messages, core.clears, core.refusals)
        scheme = configuration.identity == nil ? "http" : "https"
        var options = HTTPPeer.Options()
        options.time = configuration.time
        peer = try HTTPPeer(
            name: "fake-ntfy", identity: configuration.identity, port: configuration.port, options: options
        ) { core.respond(to: $0) }
    }

    package var port: Int { peer.port }
    /// `http://localhost:PORT`.
    package var origin: String { "\(scheme)://localhost:\(port)" }
    package var counts: HTTPPeer.Counts { peer.counts }
    package var listener: PeerListener { peer.listener }
    /// Closes the port and all connections.
    package func stop() { peer.stop() }

    /// Puts what happens to the next good requests into a queue: for one topic, or with nil for any.
    package func script(topic: String? = nil, _ faults: HTTPFault...) {
        core.script.withLock { $0.add(faults, for: topic) }
    }
    /// What happens to every good request until it is set to nil again, after the queues.
    package func setStanding(_ fault: HTTPFault?) { core.script.withLock { $0.standing = fault } }
}

/// The state behind a `FakeNtfy`, which the server's thread keeps.
private final class NtfyCore: Sendable {
    let messages = Recorder<FakeNtfy.Message>()
    let clears = Recorder<FakeNtfy.Clear>()
    let refusals = Recorder<String>()
    let script = Locked(FaultScript())
    private let configuration: FakeNtfy.Configuration
    private let number = Locked(0)

    init(_ configuration: FakeNtfy.Configuration) { self.configuration = configuration }

    func respond(to request: PeerRequest) -> PeerReply {
        do throws(NtfyRules.Refusal) {
            return try take(request)
        } catch {
            refusals.append("\(error.code) \(error.message)")
            return .answer(error.status, headers: ["Content-Type": "application/json"], body: error.body)
        }
    }

    private func take(_ request: PeerRequest) throws(NtfyRules.Refusal) -> PeerReply {
        if request.method == "POST", request.path == "/" {
            let message = try NtfyRules.message(request, configuration)
            try NtfyRules.authorize(request, topic: message.topic, configuration)
            let fault = script.withLock { $0.next(for: message.topic) }
            if fault.accepts { messages.append(message) }
            return fault.reply(.answer(200, headers: ["Content-Type": "application/json"], body: echo(message)))
        }
        if request.method == "PUT", !configuration.isOld, let clear = NtfyRules.clear(request.path) {
            guard request.body.isEmpty else { throw NtfyRules.Refusal(40_024, "a clear has no body") }
            try NtfyRules.authorize(request, topic: clear.topic, configuration)
            let fault = script.withLock { $0.next(for: clear.topic) }
            if fault.accepts { clears.append(clear) }
            return fault.reply(.answer(200, headers: ["Content-Type": "application/json"], body: Array("{}".utf8)))
        }
        throw NtfyRules.Refusal(40_401, "page not found")
    }

    /// What the real one answers: the message with its id.
    private func echo(_ message: FakeNtfy.Message) -> [UInt8] {
        let number = number.withLock { number in
            number += 1
            return number
        }
        var answer: JSONObject = [
            "id": .string("msg\(number)"), "time": .integer(message.received.nanoseconds / 1_000_000_000),
            "event": "message", "topic": .string(message.topic), "message": .string(message.message),
        ]
        if let sequence = message.sequence, !configuration.isOld {
            answer.append("sequence_id", .string(sequence))
        }
        return JSON.object(answer).serializedBytes
    }
}
