package import Base

/// A Gotify server with its applications: checks every request and records the messages it takes.
package final class FakeGotify: Sendable {
    package struct Configuration: Sendable {
        /// nil for plain HTTP.
        package var identity: TestIdentity?
        package var port = 0
        package var time: any TimeSource = SystemTime()

        package init(identity: TestIdentity? = nil) { self.identity = identity }
    }

    /// A message that was taken.
    package struct Message: Sendable {
        /// The application's token.
        package let token: String
        package let title: String?
        package let message: String
        package let priority: Int?
        package let extras: JSONObject
        package let received: Moment
    }

    package let messages: Recorder<Message>
    /// Why requests were refused.
    package let refusals: Recorder<String>
    private let core: GotifyCore
    private let peer: HTTPPeer
    private let scheme: String

    /// - Throws: `PeerError` when the port is taken.
    package init(_ configuration: Configuration = Configuration()) throws {
        let core = GotifyCore()
        self.core = core
        (messages, refusals) = (core.messages, core.refusals)
        scheme = configuration.identity == nil ? "http" : "https"
        var options = HTTPPeer.Options()
        options.time = configuration.time
        peer = try HTTPPeer(
            name: "fake-gotify", identity: configuration.identity, port: configuration.port, options: options
        ) { core.respond(to: $0) }
    }

    package var port: Int { peer.port }
    /// `http://localhost:PORT`.
    package var origin: String { "\(scheme)://localhost:\(port)" }
    package var counts: HTTPPeer.Counts { peer.counts }
    package var listener: PeerListener { peer.listener }
    /// Closes the port and all connections.
    package func stop() { peer.stop() }

    /// Makes an application and returns its token.
    package func makeApplication() -> String { core.makeApplication() }
    /// Deletes an application: its token is worth nothing from now on.
    package func deleteApplication(_ token: String) { core.applications.withLock { _ = $0.remove(token) } }

    /// Puts what happens to the next good requests into a queue: for one application, or with nil for any.
    package func script(token: String? = nil, _ faults: HTTPFault...) {
        core.script.withLock { $0.add(faults, for: token) }
    }
    /// What happens to every good request until it is set to nil again, after the queues.
    package func setStanding(_ fault: HTTPFault?) { core.script.withLock { $0.standing = fault } }
}

/// The state behind a `FakeGotify`, which the server's thread keeps.
private final class GotifyCore: Sendable {
    private struct Refusal: Error {
        let status: Int
        let reason: String
    }

    let messages = Recorder<FakeGotify.Message>()
    let refusals = Recorder<String>()
    let script = Locked(FaultScript())
    let applications = Locked(Set<String>())
    private let number = Locked(0)

    /// Gotify's application tokens are `A` and 14 characters.
    func makeApplication() -> String {
        let token = "A" + MessageCrypto.randomBytes(12).base64URL.prefix(14)
        applications.withLock { _ = $0.insert(token) }
        return token
    }

    func respond(to request: PeerRequest) -> PeerReply {
        let headers: HTTPFields = ["Content-Type": "application/json"]
        do throws(Refusal) {
            let message = try judge(request)
            let fault = script.withLock { $0.next(for: message.token) }
            if fault.accepts { messages.append(message) }
            return fault.reply(.answer(200, headers: headers, body: echo(message)))
        } catch {
            refusals.append(error.reason)
            let body: JSONObject = [
                "error": .string(error.reason), "errorCode": .integer(error.status),
                "errorDescription": .string(error.reason),
            ]
            return .answer(error.status, headers: headers, body: JSON.object(body).serializedBytes)
        }
    }

    private func judge(_ request: PeerRequest) throws(Refusal) -> FakeGotify.Message {
        guard request.path == "/message" else { throw Refusal(status: 404, reason: "Not Found") }
        guard request.method == "POST" else { throw Refusal(status: 405, reason: "Method Not Allowed") }
        guard let token = request.headers["X-Gotify-Key"], applications.withLock({ $0.contains(token) }) else {
            throw Refusal(status: 401, reason: "Unauthorized")
        }
        guard request.headers["Content-Type"] == "application/json",
            let object = (try? JSONParser.parse(request.body))?.object
        else { throw bad("no JSON") }
        // A real server ignores what it does not know; here it would be a mistake of ours.
        guard Set(object.keys).isSubset(of: ["title", "message", "priority", "extras"]) else { throw bad("a field") }
        guard let text = object["message"]?.string, !text.isEmpty else { throw bad("Field 'message' is required") }
        let priority = object["priority"].map { $0.integer.map(Int.init) }
        if let priority, !(0...10).contains(priority ?? -1) { throw bad("priority") }
        let extras = object["extras"]?.object ?? [:]
        guard extras.keys.allSatisfy({ $0.wholeMatch(of: #/[a-z]+(::[a-z]+)+/#) != nil }) else { throw bad("extras") }
        return FakeGotify.Message(
            token: token, title: object["title"]?.string, message: text, priority: priority ?? nil, extras: extras,
            received: request.received)
    }

    private func bad(_ reason: String) -> Refusal { Refusal(status: 400, reason: reason) }

    private func echo(_ message: FakeGotify.Message) -> [UInt8] {
        let number = number.withLock { number in
            number += 1
            return number
        }
        let answer: JSONObject = [
            "id": .integer(number), "appid": 1, "message": .string(message.message),
            "title": .string(message.title ?? ""), "date": "2026-01-01T00:00:00Z",
        ]
        return JSON.object(answer).serializedBytes
    }
}
