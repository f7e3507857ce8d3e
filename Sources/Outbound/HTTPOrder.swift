internal import Base

/// One request handed over to the loop.
final class HTTPOrder: Sendable {
    let id: UInt64
    let request: HTTPRequest
    /// The request's whole time, waiting included.
    let deadline: Moment
    /// For an answer that goes on, the header alone.
    let answer = Pending<HTTPResponse>()
    /// Where the body of an answer goes that is taken as it comes.
    let stream: HTTPStreamSession?
    let key: PoolKey

    init(id: UInt64, request: HTTPRequest, deadline: Moment, stream: HTTPStreamSession? = nil) {
        (self.id, self.request, self.deadline, self.stream) = (id, request, deadline, stream)
        key = PoolKey(
            name: request.pool, http2Only: request.version == .http2, destination: request.destination,
            isStream: stream != nil, owner: request.authentication.flatMap { $0.isOfConnection ? $0 : nil })
    }

    /// Whether it may share an HTTP/2 connection that we speak on ourselves: it is answered at once and as a whole, and
    /// nothing follows that libcurl would see to.
    var mayMultiplex: Bool {
        request.version != .http1 && stream == nil && request.redirectLimit == 0 && request.authentication == nil
    }
}
