public import Foundation

/// Moves requests and answers. `URLSessionTransport` is the one in use; a test brings its own.
public protocol FarbellTransport: Sendable {
    /// Sends a request and returns when the head of its answer is here.
    /// - Throws: `FarbellError` `connection_failed` or `timed_out`, `CancellationError`. Cancelling the task ends
    ///   the request.
    func open(_ request: TransportRequest) async throws -> any TransportAnswer
}

/// An answer whose body is still coming.
public protocol TransportAnswer: AnyObject, Sendable {
    /// The HTTP status.
    var status: Int { get }
    /// The value of a header field; letter case does not count.
    subscript(_ header: String) -> String? { get }
    /// The next piece of the body, never empty; nil at its end. One task at a time may ask.
    /// - Throws: as `open`, also when nothing came for the request's time-out; `reader_too_slow` after all that
    ///   had arrived before. Cancelling the task ends the answer.
    func next() async throws -> [UInt8]?
    /// Ends the answer and its connection, if it is not complete. Letting go of the object does the same.
    func close()
}

/// A request as the transport takes it.
public struct TransportRequest: Sendable {
    /// GET, POST and so on.
    public var method: String
    /// Where to.
    public var url: URL
    /// Header fields.
    public var headers: [String: String]
    /// The body; nil for none.
    public var body: Data?
    /// How long the connection may be silent before the request counts as failed.
    public var silence: Duration
    /// Bytes of the answer that may wait for their reader; above, the answer ends with `reader_too_slow`. nil for
    /// any number.
    public var waitingLimit: Int?

    /// A request.
    public init(method: String, url: URL, headers: [String: String] = [:], body: Data? = nil, silence: Duration) {
        (self.method, self.url, self.headers, self.body, self.silence) = (method, url, headers, body, silence)
    }
}

/// An answer as a whole.
package struct TransportResponse: Sendable {
    package var status: Int
    /// Only those that somebody asks for.
    package var headers: [String: String]
    package var body: Data

    package init(status: Int, headers: [String: String] = [:], body: Data = Data()) {
        (self.status, self.body) = (status, body)
        self.headers = Dictionary(
            headers.map { ($0.key.lowercased(), $0.value) }, uniquingKeysWith: { first, _ in first })
    }

    package subscript(_ header: String) -> String? { headers[header.lowercased()] }
}

extension FarbellTransport {
    /// Sends a request and collects its answer.
    /// - Parameter limit: bytes of the answer.
    /// - Throws: as `open`; `too_large`.
    func collect(_ request: TransportRequest, limit: Int) async throws -> TransportResponse {
        try await open(request).collect(limit: limit)
    }
}

extension TransportAnswer {
    /// Collects the rest of the answer.
    func collect(limit: Int) async throws -> TransportResponse {
        var body = Data()
        while let piece = try await next() {
            guard body.count + piece.count <= limit else {
                close()
                throw FarbellError(.tooLarge, "The answer is larger than \(limit) bytes.", status: status)
            }
            body.append(contentsOf: piece)
        }
        var headers: [String: String] = [:]
        for name in ["Retry-After", "Farbell-Request-Id", "Content-Type"] { headers[name] = self[name] }
        return TransportResponse(status: status, headers: headers, body: body)
    }
}
