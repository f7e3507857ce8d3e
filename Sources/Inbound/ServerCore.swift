internal import Base
internal import CMicroHTTPD
internal import Glibc

/// What the library's callbacks work with: takes requests in, asks the handler, hands answers out.
final class ServerCore: Sendable {
    let limits: ServerLimits
    let handler: any RequestHandler
    let log: Log
    let time: any TimeSource
    let makeRequestID: @Sendable () -> String
    let certificates: CertificateStore?
    let connections: ConnectionTable
    let streams: StreamTable
    let channel: RequestChannel<SuspendedRequest, PendingAnswer>
    let gate = Locked(Gate())
    /// Raised when a shutdown has nothing left to wait for.
    let idle = ShutdownSignal()

    init(
        _ configuration: ServerConfiguration, handler: any RequestHandler, log: Log, time: any TimeSource
    ) throws(InboundError) {
        limits = configuration.limits
        connections = ConnectionTable(perAddress: limits.connectionsPerAddress)
        makeRequestID = configuration.makeRequestID
        (self.handler, self.log, self.time) = (handler, log, time)
        if let files = configuration.tls { certificates = try CertificateStore(files) } else { certificates = nil }
        streams = try StreamTable(limit: limits.streams, limits: limits.stream, time: time)
        channel = RequestChannel(limit: limits.pendingRequests)
    }

    // MARK: Connections

    func accepted(_ handle: OpaquePointer, by loop: LoopContext) -> Connection {
        let peer = unsafe farbell_mhd_peer(handle).map { unsafe Socket.text(of: $0) } ?? ""
        let connection = Connection(
            descriptor: unsafe farbell_mhd_descriptor(handle), loop: loop, peer: peer, certificates: certificates,
            deadline: time.now + limits.headerTimeout)
        if !connections.insert(connection) { connection.cut() }
        return connection
    }

    func closed(_ connection: Connection) {
        connection.willClose()
        connections.remove(connection)
    }

    // MARK: Requests

    /// The request line was read.
    func begin(_ target: UnsafePointer<CChar>, on connection: Connection) -> Exchange {
        let isDraining = gate.withLock { gate in
            gate.begin()
            return gate.isDraining
        }
        let bytes = unsafe Array(UnsafeRawBufferPointer(start: target, count: strlen(target)))
        let exchange = Exchange(
            id: makeRequestID(), rawTarget: bytes, connection: connection,
            upload: Upload(limit: limits.bodyBytes, discardLimit: limits.discardedBytes))
        // Listening goes on while what was begun is finished: to be told is better than to be cut off.
        if isDraining { exchange.refusal = .stopping }
        return exchange
    }

    /// The answer was sent, or the connection broke.
    func end(_ exchange: Exchange) {
        // The next request has the idle time to begin and the header time to arrive in.
        exchange.connection.setDeadline(time.now + (limits.idleTimeout + limits.headerTimeout))
        finished()
    }

    /// A request or a stream is over.
    func finished() { if gate.withLock({ $0.end() }) { idle.raise() } }

    /// The library has something of the request, or nothing more: see `Exchange.Stage`.
    func proceed(
        _ exchange: Exchange, _ handle: OpaquePointer, method: UnsafePointer<CChar>, body: UnsafeRawBufferPointer
    ) -> MHD_Result {
        switch exchange.stage {
        case .started: return unsafe headersComplete(exchange, handle)
        case .receiving where unsafe !body.isEmpty: return unsafe receive(body, exchange)
        case .receiving: return unsafe dispatch(exchange, handle, method: String(cString: method))
        case .waiting:
            guard let response = exchange.response else { return MHD_Result.NO }
            exchange.response = nil
            return unsafe send(response, exchange, handle)
        case .answered: return MHD_Result.YES
        }
    }

    private func headersComplete(_ exchange: Exchange, _ handle: OpaquePointer) -> MHD_Result {
        exchange.stage = .receiving
        exchange.parseTarget()
        let length = unsafe RequestHeaders.value(of: "Content-Length", handle).map { Int($0) ?? .max }
        let isChunked = length == nil ? unsafe RequestHeaders.value(of: "Transfer-Encoding", handle) != nil : false
        guard length ?? 0 > 0 || isChunked else {
            exchange.connection.setDeadline(.distantFuture)
            return MHD_Result.YES
        }
        exchange.connection.setDeadline(time.now + limits.bodyTimeout)
        let expect = unsafe RequestHeaders.value(of: "Expect", handle)?.lowercased()
        if exchange.upload.refuses(contentLength: length, expectsContinue: expect == "100-continue") {
            let problem = exchange.refusal ?? .bodyTooLarge(limit: limits.bodyBytes)
            return unsafe send(.problem(problem), exchange, handle)
        }
        if let length, !exchange.upload.isTooLarge { exchange.reserveBody(length) }
        return MHD_Result.YES
    }

    private func receive(_ body: UnsafeRawBufferPointer, _ exchange: Exchange) -> MHD_Result {
        switch exchange.upload.receive(body.count) {
        case .keep: unsafe exchange.appendBody(body)
        case .discard: break
        case .giveUp: return MHD_Result.NO
        }
        return MHD_Result.YES
    }

    private func dispatch(_ exchange: Exchange, _ handle: OpaquePointer, method: String) -> MHD_Result {
        exchange.connection.setDeadline(.distantFuture)
        if exchange.upload.isTooLarge {
            return unsafe send(.problem(.bodyTooLarge(limit: limits.bodyBytes)), exchange, handle)
        }
        guard let request = unsafe exchange.takeRequest(method: method, headers: RequestHeaders(of: handle)) else {
            return unsafe send(.problem(exchange.refusal ?? .internalError), exchange, handle)
        }
        let response: InboundResponse
        do {
            switch try handler.answer(request) {
            case .now(let ready): response = ready
            case .later(let work):
                exchange.stage = .waiting
                let suspended = unsafe SuspendedRequest(exchange: exchange, handle: handle, work: work)
                // Suspended before anyone can take it: resuming what is not suspended is undefined.
                if channel.offer(suspended, accepted: { unsafe MHD_suspend_connection(handle) }) {
                    return MHD_Result.YES
                }
                response = tooMany
            case .whenDone(let start):
                guard let early = unsafe hold(start, exchange, handle) else { return MHD_Result.YES }
                response = early
            }
        } catch {
            response = .problem(problem(for: error, exchange))
        }
        return unsafe send(response, exchange, handle)
    }

    /// Starts what has the answer; nil when the connection sleeps until it is there.
    private func hold(
        _ start: @Sendable (Responder) -> Void, _ exchange: Exchange, _ handle: OpaquePointer
    ) -> InboundResponse? {
        let admission = channel.hold { place in
            unsafe PendingAnswer(SleepingConnection(self, exchange, handle, place: place))
        }
        guard let (pending, isDraining) = admission else { return tooMany }
        exchange.stage = .waiting
        if isDraining { pending.cancel() }
        start(Responder(pending))
        return pending.suspend()
    }

    private var tooMany: InboundResponse {
        .problem(.overloaded("Too many requests are waiting for an answer.", retryAfter: limits.retryAfter))
    }

    /// Answers a suspended request; runs in a task of its own.
    func answer(_ suspended: SuspendedRequest) async {
        let response: InboundResponse
        do {
            response = try await suspended.work()
        } catch {
            response = .problem(problem(for: error, suspended.exchange))
        }
        suspended.finish(response)
        channel.finish()
    }

    /// What a handler's error is answered with. Nothing of an unknown error goes out.
    private func problem(for error: any Error, _ exchange: Exchange) -> Problem {
        if let problem = error as? Problem { return problem }
        if error is CancellationError && gate.withLock({ $0.isDraining }) { return .stopping }
        log.error(
            "http.failed", "A request could not be answered because of a fault in the server.",
            ["requestId": .string(exchange.id), "error": .string("\(error)")])
        return .internalError
    }
}
