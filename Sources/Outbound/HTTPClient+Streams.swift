package import Base

extension HTTPClient: HTTPStreamTransport {
    /// Sends a request and returns when the answer's header is there. Each such answer has a connection of its own
    /// over HTTP/1.1, unless the request asks for HTTP/2: then a paused one holds back nobody else's bytes, and what
    /// the server may send ahead is what TCP allows. At most `Configuration.streams` are open at once; a shutdown
    /// does not wait for them, they end with `stopped`.
    /// - Throws: `HTTPTransportError`; `CancellationError` when the task is cancelled, then at once.
    package func open(_ request: HTTPRequest) async throws -> any HTTPStream {
        try Task.checkCancellation()
        let (id, place) = try admitStream()
        var request = request
        if request.version == .automatic { request.version = .http1 }
        let session = HTTPStreamSession(limit: request.responseLimit)
        let order = HTTPOrder(id: id, request: request, deadline: loop.now + request.timeout, stream: session)
        let head = try await order.answer.wait {
            if !loop.post({ [dispatcher] in dispatcher.submit(order) }) {
                order.answer.settle(.failure(HTTPClient.stopped))
            }
        } onCancel: { [loop, dispatcher] in
            loop.post { dispatcher.cancel(order) }
        }
        return OpenStream(head, session, loop: loop, place: place)
    }
}

/// One of the places for open streams, given back with the last reference.
final class StreamPlace: Sendable {
    private let open: Locked<Int>

    private init(_ open: Locked<Int>) { self.open = open }

    /// Nil where all are taken.
    static func take(of open: Locked<Int>, limit: Int) -> StreamPlace? {
        let isFree = open.withLock { open in
            guard open < limit else { return false }
            open += 1
            return true
        }
        return isFree ? StreamPlace(open) : nil
    }

    deinit { open.withLock { $0 -= 1 } }
}

/// The caller's side of an answer that goes on.
private final class OpenStream: HTTPStream {
    let head: HTTPResponse
    private let session: HTTPStreamSession
    private let loop: EventLoop
    private let place: StreamPlace

    init(_ head: HTTPResponse, _ session: HTTPStreamSession, loop: EventLoop, place: StreamPlace) {
        (self.head, self.session, self.loop, self.place) = (head, session, loop, place)
    }

    deinit { close() }

    func next(until deadline: Moment) async throws -> [UInt8]? {
        try Task.checkCancellation()
        let bytes = Pending<[UInt8]?>()
        return try await bytes.wait {
            if !loop.post({ [session] in session.receive(bytes, until: deadline) }) {
                bytes.settle(.failure(HTTPClient.stopped))
            }
        } onCancel: { [session, loop] in
            loop.post { session.cancelReceive() }
        }
    }

    func close() {
        loop.post { [session] in
            session.close(HTTPTransportError(.stopped, "the stream is closed", surelyNotProcessed: false))
        }
    }
}
