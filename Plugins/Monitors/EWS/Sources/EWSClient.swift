internal import Base
internal import Gateway
internal import MonitorTools
internal import XML

/// Which of Exchange's servers a group of subscriptions lives on
/// (learn.microsoft.com/exchange/client-developer/exchange-web-services/how-to-maintain-affinity-between-group-of-subscriptions-and-mailbox-server).
struct EWSAffinity: Sendable, Hashable {
    static let cookieName = "X-BackEndOverrideCookie"

    /// The group's first mailbox.
    var anchor: String?
    /// What the first subscription's answer has set.
    var cookie: String?

    func add(to headers: inout HTTPFields) {
        if let anchor {
            headers["X-AnchorMailbox"] = anchor
            headers["X-PreferServerAffinity"] = "true"
        }
        if let cookie { headers["Cookie"] = "\(Self.cookieName)=\(cookie)" }
    }

    /// The cookie that an answer sets, if it does and it can be sent back.
    static func cookie(of response: HTTPResponse) -> String? {
        for value in response.headers.values(of: "Set-Cookie") {
            let pair = value.prefix { $0 != ";" }
            guard pair.hasPrefix("\(cookieName)=") else { continue }
            let cookie = String(pair.dropFirst(cookieName.count + 1)).trimmingSpace
            if !cookie.isEmpty, cookie.utf8.count <= 1024, cookie.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) {
                return cookie
            }
        }
        return nil
    }
}

/// Sends requests to Exchange with one login.
struct EWSClient: Sendable {
    enum Login: Sendable {
        case password(HTTPRequest.Authentication)
        case token(TokenGrant)
    }

    struct Endpoint: Sendable {
        var url: String
        var caFile: String?
        var version = "Exchange2013"
        var timeout: Duration = .seconds(60)
        var pool: String
    }

    /// Bytes of the longest answer, and of a document on a hanging one.
    static let answerLimit = 4 << 20

    let endpoint: Endpoint
    let login: Login
    /// For a login that many share.
    var gate: LoginGate?
    let transport: any HTTPTransport
    let time: any TimeSource

    /// Asks for one thing.
    /// - Parameter mailbox: whom the service account stands for; nil where the login is the mailbox's own.
    /// - Returns: the response messages, and the answer for its headers.
    /// - Throws: `MonitorFailure`; `CancellationError`.
    func ask(
        _ operation: XMLElement, as mailbox: String?, _ affinity: EWSAffinity = EWSAffinity()
    ) async throws -> (messages: [EWSMessage], response: HTTPResponse) {
        let request = request(operation, as: mailbox, affinity)
        let response = try await authorized(request) { request in
            let response = try await Self.typed { try await transport.send(request) }
            return (response, response.status)
        }
        return (try messages(response, operation.name.local), response)
    }

    /// Opens an answer that hangs.
    /// - Throws: `MonitorFailure`; `CancellationError`.
    func open(_ operation: XMLElement, as mailbox: String?, _ affinity: EWSAffinity) async throws -> any HTTPStream {
        guard let streams = transport as? any HTTPStreamTransport else {
            throw MonitorFailure(.network, "no client for hanging answers is available")
        }
        let request = request(operation, as: mailbox, affinity)
        let stream = try await authorized(request) { request in
            let stream = try await Self.typed { try await streams.open(request) }
            return (stream, stream.head.status)
        }
        guard stream.head.status == 200 else {
            var response = stream.head
            // A fault is short; whatever else is there says nothing.
            response.body = try await Self.typed { try await stream.next(until: time.now + endpoint.timeout) } ?? []
            stream.close()
            throw failure(response)
        }
        return stream
    }

    private func request(_ operation: XMLElement, as mailbox: String?, _ affinity: EWSAffinity) -> HTTPRequest {
        let body = EWSRequests.envelope(operation, version: endpoint.version, impersonated: mailbox)
        var request = HTTPRequest(
            "POST", endpoint.url, headers: ["Content-Type": "text/xml; charset=utf-8", "Accept": "text/xml"],
            body: body)
        affinity.add(to: &request.headers)
        (request.timeout, request.responseLimit) = (endpoint.timeout, Self.answerLimit)
        (request.caFile, request.pool) = (endpoint.caFile, endpoint.pool)
        return request
    }

    /// Sends with the login; a token that was withdrawn is renewed once.
    private func authorized<Answer: Sendable>(
        _ request: HTTPRequest, _ send: (HTTPRequest) async throws -> (Answer, status: Int)
    ) async throws -> Answer {
        var request = request
        switch login {
        case .password(let authentication):
            request.authentication = authentication
            let pass = try await gate?.enter()
            var seen: Int?
            defer { if let pass { gate?.settle(pass, status: seen) } }
            let (answer, status) = try await send(request)
            seen = status
            if status == 401 { throw MonitorFailure(.authFailed, "the server refuses the user or the password") }
            return answer
        case .token(let grant):
            return try await grant.authorized { token in
                request.headers["Authorization"] = token.authorization
                let (answer, status) = try await send(request)
                if status == 401 { throw MonitorFailure(.authFailed, "the server refuses the access token") }
                return answer
            }
        }
    }

    private static func typed<Result>(_ body: () async throws -> Result) async throws -> Result {
        do {
            return try await body()
        } catch let error as HTTPTransportError {
            throw MonitorFailure(error)
        }
    }

    private func messages(_ response: HTTPResponse, _ operation: String) throws -> [EWSMessage] {
        guard response.status == 200 else { throw failure(response) }
        return try EWSAnswers.messages(try Self.envelope(response.body), operation: operation, now: time.now)
    }

    private static func envelope(_ bytes: [UInt8]) throws -> XMLElement {
        do {
            return try XMLElement(parsing: bytes, limits: .document(bytes: answerLimit))
        } catch {
            // The error names a place and never content.
            throw MonitorFailure(.protocolViolation, "the server's answer is not XML: \(error)")
        }
    }

    /// What an answer of another status means: a SOAP fault comes with 500.
    private func failure(_ response: HTTPResponse) -> MonitorFailure {
        if response.status == 500, let envelope = try? XMLElement(parsing: response.body),
            let fault = envelope.child("Body", in: EWSNames.soap)?.child("Fault", in: EWSNames.soap)
        {
            return EWSAnswers.failure(ofFault: fault, now: time.now)
        }
        return MonitorFailure(response, now: time.now, at: time.timestamp)
    }
}
