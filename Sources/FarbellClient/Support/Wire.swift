internal import Foundation

/// One call of the gateway's API.
struct Call: Sendable {
    var method: String
    /// The parts of the path after `/v1`, not yet percent-encoded.
    var path: [String]
    var query: [(name: String, value: String)] = []
    var body: Data?
    /// The call may be made twice although the first was acted on.
    var isRepeatable = true
    /// How long the connection may be silent.
    var silence = Wire.silence

    init(_ method: String, _ path: String..., query: [(name: String, value: String)] = []) {
        (self.method, self.path, self.query) = (method, path, query)
    }

    /// The same call with a body.
    func with(_ body: some Encodable) throws(FarbellError) -> Call {
        var call = self
        call.body = try Codec.encode(body)
        return call
    }

    /// The same call, not to be repeated after a broken connection.
    func once() -> Call {
        var call = self
        call.isRepeatable = false
        return call
    }

    /// The same call with another limit of silence.
    func silent(for silence: Duration) -> Call {
        var call = self
        call.silence = silence
        return call
    }
}

/// Makes calls: addresses, authorisation, repetition.
struct Wire: Sendable {
    /// How long the gateway may take to begin an answer, and be silent within it.
    static let silence = Duration.seconds(30)
    /// Bytes of an answer: a hundred messages of 1 MiB and their JSON.
    static let answerLimit = 256 << 20

    let server: URL
    let authorization: String
    let transport: any FarbellTransport
    let clock: any ClientClock
    /// From 0..<1.
    let random: @Sendable () -> Double
    var retry: RetryPolicy

    /// Makes a call and reads its answer.
    func call<Answer: Decodable>(_ call: Call, as type: Answer.Type = Answer.self) async throws -> Answer {
        let response = try await perform(call)
        do {
            return try Codec.decode(type, from: response.body)
        } catch {
            var error = error
            (error.status, error.requestID) = (response.status, response["Farbell-Request-Id"])
            throw error
        }
    }

    /// Makes a call, again where that helps and does no harm.
    /// - Throws: `FarbellError`, `CancellationError`.
    @discardableResult
    func perform(_ call: Call) async throws -> TransportResponse {
        var schedule = RetrySchedule(retry)
        let request = try request(call)
        while true {
            do {
                return try await attempt(request)
            } catch let error as FarbellError {
                let pause = schedule.pause(after: error, isRepeatable: call.isRepeatable, random: random())
                guard let pause else { throw error }
                try await clock.sleep(for: pause)
            }
        }
    }

    /// Makes a call once.
    @discardableResult
    func performOnce(_ call: Call) async throws -> TransportResponse { try await attempt(try request(call)) }

    private func attempt(_ request: TransportRequest) async throws -> TransportResponse {
        let response = try await transport.collect(request, limit: Self.answerLimit)
        guard (200..<300).contains(response.status) else { throw FarbellError(response) }
        return response
    }

    func request(_ call: Call, accept: String = "application/json") throws(FarbellError) -> TransportRequest {
        var headers = ["Authorization": authorization, "Accept": accept]
        if call.body != nil { headers["Content-Type"] = "application/json" }
        return TransportRequest(
            method: call.method, url: try url(of: call), headers: headers, body: call.body, silence: call.silence)
    }

    private func url(of call: Call) throws(FarbellError) -> URL {
        guard var components = URLComponents(url: server, resolvingAgainstBaseURL: true),
            components.scheme == "http" || components.scheme == "https", components.host?.isEmpty == false
        else { throw FarbellError(.invalidRequest, "The server's address must begin with https:// or http://.") }
        var path = components.percentEncodedPath
        while path.hasSuffix("/") { path.removeLast() }
        for part in ["v1"] + call.path { path += "/" + Self.escape(part) }
        components.percentEncodedPath = path
        if !call.query.isEmpty {
            components.percentEncodedQuery = call.query.map { "\($0.name)=\(Self.escape($0.value))" }
                .joined(separator: "&")
        }
        guard let url = components.url else {
            throw FarbellError(.invalidRequest, "The server's address is malformed.")
        }
        return url
    }

    /// RFC 3986 section 2.3: everything but unreserved characters.
    private static func escape(_ text: String) -> String {
        text.addingPercentEncoding(withAllowedCharacters: unreserved) ?? ""
    }

    private static let unreserved = CharacterSet(
        charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
}
