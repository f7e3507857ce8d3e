package import Base
package import Gateway

/// Asks a server's HTTP API on behalf of a monitor: the answer, or the typed failure that the host waits by.
package struct MonitorHTTP: Sendable {
    /// What stands before every path: scheme, host, port and perhaps a path, without a slash at the end.
    package let base: String
    /// PEM file with the trusted roots; nil for the system's.
    package var caFile: String?
    /// From a request to the last byte of its answer.
    package var timeout: Duration = .seconds(30)
    /// Bytes of the longest answer.
    package var answerLimit = 8 << 20
    private let transport: any HTTPTransport
    private let time: any TimeSource
    private let pool: String

    /// The pause where a server asks for one without saying how long.
    package static let pause: Duration = .seconds(60)

    /// - Parameter pool: the connections to use: one pool an app.
    package init(base: String, pool: String, transport: any HTTPTransport, time: any TimeSource) {
        self.base = base.hasSuffix("/") ? String(base.dropLast()) : base
        (self.pool, self.transport, self.time) = (pool, transport, time)
    }

    /// One request to make.
    package struct Call: Sendable {
        package var method: String
        /// Behind the base, beginning with a slash; or a whole URL of the same server, as paging links are.
        package var path: String
        package var query: [(name: String, value: String)] = []
        package var headers = HTTPFields()
        package var body: [UInt8] = []
        /// Nil takes the common one.
        package var timeout: Duration?
        /// Statuses beside 2xx that are answers and no failures, such as 304.
        package var accepts: Set<Int> = []
        /// Redirects to follow.
        package var redirects = 0

        package init(_ method: String, _ path: String, query: [(name: String, value: String)] = []) {
            (self.method, self.path, self.query) = (method, path, query)
        }

        /// The call with `Authorization: Bearer`.
        package func authorized(by token: Secret) -> Call {
            var call = self
            call.headers["Authorization"] = "Bearer \(token.exposed)"
            return call
        }

        /// The call with a JSON body.
        package func carrying(_ json: JSON) -> Call {
            var call = self
            call.headers["Content-Type"] = "application/json"
            call.body = json.serializedBytes
            return call
        }
    }

    /// The request of a call, for transports that stream.
    package func request(_ call: Call) -> HTTPRequest {
        var url = call.path.hasPrefix("/") || call.path.isEmpty ? base + call.path : call.path
        if !call.query.isEmpty {
            let text = call.query.map { "\($0.name.percentEncoded())=\($0.value.percentEncoded())" }
            url += (url.contains("?") ? "&" : "?") + text.joined(separator: "&")
        }
        var request = HTTPRequest(call.method, url, headers: call.headers, body: call.body)
        if request.headers["Accept"] == nil { request.headers["Accept"] = "application/json" }
        (request.timeout, request.responseLimit) = (call.timeout ?? timeout, answerLimit)
        (request.caFile, request.pool, request.redirectLimit) = (caFile, pool, call.redirects)
        return request
    }

    /// Sends a call.
    /// - Throws: `MonitorFailure` where there is no answer, or one of another status; `CancellationError`.
    package func send(_ call: Call) async throws -> HTTPResponse {
        let response: HTTPResponse
        do {
            response = try await transport.send(request(call))
        } catch let error as HTTPTransportError {
            throw MonitorFailure(error)
        }
        guard (200...299).contains(response.status) || call.accepts.contains(response.status) else {
            throw MonitorFailure(response, now: time.now, at: time.timestamp)
        }
        return response
    }

    /// Sends a call whose answer is JSON.
    /// - Throws: `MonitorFailure`, also for an answer that is not JSON; `CancellationError`.
    package func json(_ call: Call) async throws -> JSON { try Self.json(try await send(call)) }

    /// An answer's JSON.
    /// - Throws: `MonitorFailure`.
    package static func json(_ response: HTTPResponse) throws -> JSON {
        do {
            return try JSONParser.parse(response.body)
        } catch {
            // The parser's words name a place, never content.
            throw MonitorFailure(.protocolViolation, "the server's answer is not JSON: \(error)")
        }
    }
}

extension MonitorFailure {
    /// What an answer of no use means by its status: 401 and 403 refuse the credentials, 404 and 410 say that
    /// nothing is there, 429 and 503 with `Retry-After` ask for a pause (RFC 9110 section 15, RFC 6585 section 4).
    package init(_ response: HTTPResponse, now: Moment, at time: Timestamp) {
        let pause = response.retryAfter(now: time)
        let text = "the server answered \(response.status)"
        switch (response.status, pause) {
        case (401, _), (403, _): self.init(.authFailed, text)
        case (404, _), (410, _): self.init(.sourceGone, text)
        case (429, _): self.init(.throttled(until: now + (pause ?? MonitorHTTP.pause)), text)
        case (500..., let pause?): self.init(.throttled(until: now + pause), text)
        case (500..., nil): self.init(.network, text)
        default: self.init(.protocolViolation, text)
        }
    }

    /// Why there was no answer.
    package init(_ error: HTTPTransportError) {
        switch error.code {
        case .invalidRequest, .protocolError, .responseTooLarge: self.init(.protocolViolation, error.description)
        default: self.init(.network, error.description)
        }
    }
}
