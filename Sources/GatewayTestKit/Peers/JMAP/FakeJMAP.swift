package import Base

/// A JMAP server in memory with one user: sessions, `Mailbox/get`, `Email/changes`, `Email/get` with back-references,
/// `Email/query`, and event streams (RFC 8620, RFC 8621). Strict: what those do not allow is refused.
package final class FakeJMAP: HTTPStreamTransport {
    package struct Email: Sendable {
        package var id: String
        package var messageID: String
        package var subject: String
        package var mailbox: String
        package var received: Timestamp
        package var keywords: Set<String> = []
        package var created: Int
        package var changed: Int
    }

    struct State {
        var emails: [Email] = []
        var destroyed: [(id: String, created: Int, at: Int)] = []
        var version = 1
        /// States before this one are forgotten.
        var oldest = 0
        var refused = 0
        var calls = 0
        var streams: [MemoryStream] = []
        var losesWakeUps = false
    }

    package static let origin = "https://jmap.test"
    package static let account = "u1"
    let state = Locked(State())
    private let web: Locked<FaultyWeb?> = Locked(nil)
    private let time: any TimeSource
    private let authorization: String
    private let pushes: Bool
    private let isSilent = Locked(false)
    private let isRunning = Locked(true)

    /// - Parameters:
    ///   - authorization: what the header must be.
    ///   - pushes: whether there are event streams; else they are answered with 204, as Cyrus does.
    package init(authorization: String, pushes: Bool, time: any TimeSource) {
        (self.authorization, self.pushes, self.time) = (authorization, pushes, time)
        web.withLock {
            $0 = FaultyWeb(time: time) { [weak self] in self?.respond(to: $0) ?? HTTPResponse(status: 503) }
        }
    }

    package var refused: Int { state.withLock { $0.refused } }
    /// API requests answered.
    package var calls: Int { state.withLock { $0.calls } }
    /// Event streams open now.
    package var openStreams: Int { state.withLock { $0.streams.filter { !$0.isEnded }.count } }

    // MARK: Mail

    /// A message is delivered.
    package func deliver(_ id: String, subject: String, to mailbox: String = "inbox", keywords: Set<String> = []) {
        let now = time.timestamp
        change { state in
            state.emails.append(
                Email(
                    id: id, messageID: "\(id)@example.org", subject: subject, mailbox: mailbox, received: now,
                    keywords: keywords, created: state.version, changed: state.version))
        }
    }

    /// A message is changed by another client.
    package func update(_ id: String, _ body: (inout Email) -> Void) {
        change { state in
            for index in state.emails.indices where state.emails[index].id == id {
                body(&state.emails[index])
                state.emails[index].changed = state.version
            }
        }
    }

    package func destroy(_ id: String) {
        change { state in
            for email in state.emails where email.id == id {
                state.destroyed.append((id, email.created, state.version))
            }
            state.emails.removeAll { $0.id == id }
        }
    }

    /// The server forgets what changed until now.
    package func forgetChanges() { change { $0.oldest = $0.version } }

    private func change(_ body: (inout State) -> Void) {
        let (streams, version) = state.withLock { state in
            state.version += 1
            body(&state)
            return (state.losesWakeUps ? [] : state.streams, state.version)
        }
        if !isSilent.withLock({ $0 }) { for stream in streams { stream.send(Self.event(version)) } }
    }

    private static func event(_ version: Int) -> String {
        "event: state\r\ndata: {\"@type\":\"StateChange\",\"changed\":{\"u1\":{\"Email\":\"\(version)\"}}}\r\n\r\n"
    }

    /// Tells of a change that is none.
    package func wake() {
        let (streams, version) = state.withLock { ($0.streams, $0.version) }
        for stream in streams { stream.send(Self.event(version)) }
    }

    // MARK: Trouble

    private var faults: FaultyWeb? { web.withLock { $0 } }

    package func setRunning(_ running: Bool) {
        isRunning.withLock { $0 = running }
        faults?.setRunning(running)
        if !running { for stream in state.withLock({ $0.streams }) { stream.close() } }
    }
    package func setSilent(_ silent: Bool) {
        isSilent.withLock { $0 = silent }
        faults?.setSilent(silent)
    }
    package func setNonsense(_ nonsense: Bool) { faults?.setNonsense(nonsense) }
    package func throttle(seconds: Int) { faults?.throttle(seconds: seconds) }
    package func setLosesWakeUps(_ loses: Bool) { state.withLock { $0.losesWakeUps = loses } }

    // MARK: Requests

    package func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        guard let faults else { throw HTTPTransportError(.stopped, "stopped", surelyNotProcessed: true) }
        return try await faults.send(request)
    }

    package func open(_ request: HTTPRequest) async throws -> any HTTPStream {
        guard isRunning.withLock({ $0 }) else {
            throw HTTPTransportError(.connect, "nobody listens", surelyNotProcessed: true)
        }
        if isSilent.withLock({ $0 }) {
            try await time.sleep(for: request.timeout)
            throw HTTPTransportError(.timeout, "no answer in time", surelyNotProcessed: false)
        }
        guard request.headers["Authorization"] == authorization else { return stream(401) }
        guard request.url == "\(Self.origin)/events?types=Email&closeafter=no&ping=60",
            request.headers["Accept"] == "text/event-stream"
        else { return stream(400) }
        guard pushes else { return stream(204) }
        let opened = stream(200)
        opened.send(": hello\r\n\r\nevent: ping\r\ndata: {\"interval\":60}\r\n\r\n")
        state.withLock { state in
            state.streams.removeAll { $0.isEnded }
            state.streams.append(opened)
        }
        return opened
    }

    private func stream(_ status: Int) -> MemoryStream {
        let headers: HTTPFields = status == 200 ? ["Content-Type": "text/event-stream; charset=utf-8"] : [:]
        let stream = MemoryStream(head: HTTPResponse(status: status, headers: headers), time: time)
        if status != 200 { stream.close() }
        return stream
    }

    private func respond(to request: HTTPRequest) -> HTTPResponse {
        guard request.headers["Authorization"] == authorization else {
            state.withLock { $0.refused += 1 }
            return HTTPResponse(status: 401)
        }
        switch (request.method, request.url) {
        case ("GET", "\(Self.origin)/.well-known/jmap"):
            return HTTPResponse(status: 200, body: Self.session.serializedBytes)
        case ("POST", "\(Self.origin)/api/"):
            guard request.headers["Content-Type"] == "application/json",
                let body = try? JSONParser.parse(request.body), let calls = body["methodCalls"]?.array,
                body["using"]?.array?.compactMap(\.string) == [
                    "urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail",
                ]
            else {
                return HTTPResponse(status: 400, body: Array(#"{"type":"urn:ietf:params:jmap:error:notRequest"}"#.utf8))
            }
            let responses = state.withLock { state in
                state.calls += 1
                return JMAPMethods.answer(calls, &state)
            }
            let answer: JSON = ["methodResponses": .array(responses), "sessionState": "s"]
            return HTTPResponse(status: 200, body: answer.serializedBytes)
        default: return HTTPResponse(status: 404)
        }
    }

    private static let session: JSON = [
        "capabilities": [
            "urn:ietf:params:jmap:core": ["maxObjectsInGet": 250], "urn:ietf:params:jmap:mail": [:],
        ],
        "accounts": ["u1": ["name": "anna"]], "primaryAccounts": ["urn:ietf:params:jmap:mail": "u1"],
        "username": "anna", "apiUrl": "/api/",
        "eventSourceUrl": "https://jmap.test/events?types={types}&closeafter={closeafter}&ping={ping}", "state": "s",
    ]
}
