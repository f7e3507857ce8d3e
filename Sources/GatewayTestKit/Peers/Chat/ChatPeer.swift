package import Base

/// A request to a chat service's fake, taken apart.
package struct ChatRequest: Sendable {
    package let method: String
    /// Without the query; percent-decoded part by part.
    package let path: [String]
    package let query: [String: String]
    package let headers: HTTPFields
    /// Null without a body.
    package let body: JSON
    /// Nil where the body is no JSON.
    package let form: [String: String]

    init?(_ request: PeerRequest) {
        let parts = request.path.split(separator: "?", maxSplits: 1)
        method = request.method
        path = (parts.first ?? "").split(separator: "/").map { Self.decoded(String($0)) }
        query = parts.count > 1 ? Self.fields(String(parts[1])) : [:]
        headers = request.headers
        let isForm = request.headers["Content-Type"] == "application/x-www-form-urlencoded"
        form = isForm ? Self.fields(String(decoding: request.body, as: UTF8.self)) : [:]
        guard let json = request.body.isEmpty || isForm ? .null : try? JSONParser.parse(request.body) else {
            return nil
        }
        if !json.isNull, request.headers["Content-Type"] != "application/json" { return nil }
        body = json
    }

    /// The method and the path, such as `GET /api/v1/me`.
    package var route: String { "\(method) /\(path.joined(separator: "/"))" }

    private static func fields(_ text: String) -> [String: String] {
        text.split(separator: "&").reduce(into: [:]) { fields, field in
            let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            fields[decoded(parts[0])] = parts.count > 1 ? decoded(parts[1]) : ""
        }
    }

    private static func decoded(_ text: String) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = [UInt8](hexadecimal: String(decoding: rest.prefix(2), as: UTF8.self))
            {
                bytes += value
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte == UInt8(ascii: "+") ? 0x20 : byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// An answer of a chat service's fake.
package struct ChatAnswer: Sendable {
    package var status = 200
    package var headers = HTTPFields()
    package var body: JSON
    /// How long a long poll hangs.
    package var delay: Duration = .zero
    /// What ends the delay: the request is then answered anew.
    package var wake: PeerWake?

    package init(_ body: JSON, status: Int = 200, headers: HTTPFields = [:], delay: Duration = .zero) {
        (self.body, self.status, self.headers, self.delay) = (body, status, headers, delay)
    }
}

/// The server behind the fakes of chat services: HTTP, and what goes wrong with it.
package final class ChatPeer: Sendable {
    package struct Faults: Sendable {
        /// Every connection is cut.
        package var isDown = false
        /// Requests are taken and never answered.
        package var isSilent = false
        /// Answers are cut off in the middle.
        package var isNonsense = false
        /// Every request is refused as one too many, with a pause of so many seconds.
        package var throttle: Int?

        package init() {}
    }

    private let peer: HTTPPeer
    private let state: Locked<Faults>
    /// What the requests did against the service's protocol; a test expects none.
    package let refusals: Recorder<String>
    /// The requests, as `GET /path`.
    package let requests: Recorder<String>

    /// - Parameters:
    ///   - throttled: the service's answer to one request too many.
    ///   - respond: answers a request, on the server's thread.
    /// - Throws: `PeerError`.
    package init(
        name: String, identity: TestIdentity?, refusals: Recorder<String>,
        throttled: @escaping @Sendable (_ seconds: Int) -> ChatAnswer,
        respond: @escaping @Sendable (ChatRequest) -> ChatAnswer
    ) throws {
        let state = Locked(Faults())
        let requests = Recorder<String>()
        (self.state, self.refusals, self.requests) = (state, refusals, requests)
        peer = try HTTPPeer(name: name, identity: identity) { request in
            let faults = state.withLock { $0 }
            if faults.isDown { return PeerReply(.drop) }
            if faults.isSilent { return PeerReply(.hang) }
            guard let taken = ChatRequest(request) else {
                refusals.append("\(request.method) \(request.path): a body that is not JSON")
                return .answer(400)
            }
            requests.append(taken.route)
            let answer = faults.throttle.map(throttled) ?? respond(taken)
            var body = answer.body.serializedBytes
            if faults.isNonsense { body = Array(body.prefix(body.count / 2)) + Array("<html>".utf8) }
            var headers = answer.headers
            headers.append("Content-Type", "application/json")
            var reply = PeerReply.answer(answer.status, headers: headers, body: body)
            (reply.delay, reply.wake) = (answer.delay, answer.wake)
            return reply
        }
    }

    package var port: Int { peer.port }
    package var counts: HTTPPeer.Counts { peer.counts }
    /// How many connections are open.
    /// - Throws: `PeerError` when it has been stopped.
    package func openConnections() async throws -> Int { try await peer.listener.openConnections() }
    package func stop() { peer.stop() }

    package func set(_ change: @Sendable (inout Faults) -> Void) { state.withLock { change(&$0) } }
}
