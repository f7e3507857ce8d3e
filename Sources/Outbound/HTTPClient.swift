package import Base

/// Sends HTTP requests through libcurl: connections kept and shared within a pool, one thread for all of them. It also
/// makes mail connections (`connectMail`), on the same thread.
///
/// HTTP/2 is spoken with nghttp2 on connections that libcurl makes (proxies, TLS, addresses) and carries the bytes of:
/// frames of many requests leave together, and what became of each is known. Answers that go on, redirects to be followed,
/// HTTP's own logins and URLs that need more than `HTTP2Target` understands are libcurl's, over HTTP/1.1 unless HTTP/2
/// is asked for.
///
/// Two things to know about repeats. A request over HTTP/2 is sent again, up to five times, when the server surely has not
/// looked at it (REFUSED_STREAM, above GOAWAY's last: RFC 9113 section 8.7), and a GET or HEAD also when its connection
/// ended before any of the answer. Over HTTP/1.1 libcurl itself sends a request again, on a new connection, when a kept
/// connection turns out dead before any byte of the answer: give requests that must not act twice an id the server knows.
/// And an error says in `surelyNotProcessed` whether the request can have reached the server.
///
/// Dead connections end after 40 s (`Liveness`: TCP keepalive and the kernel's limit for unacknowledged bytes), those of
/// HTTP/2 on which an answer is awaited after 10 s (PING); a connection idle for 50 minutes is not used again.
package final class HTTPClient: Service {
    /// An idle connection older than this is not used again: below the hour after which push services ask
    /// for a PING.
    static let idleConnectionAge: Duration = .seconds(50 * 60)
    /// Longer time-outs are cut to this.
    static let timeoutLimit: Duration = .seconds(86_400)
    /// A connection in use is replaced after this time, so that changed addresses are found.
    static let connectionLifetime: Duration = .seconds(12 * 3600)

    /// Limits and what all requests have in common.
    package struct Configuration: Sendable {
        /// Requests of one pool on the wire at once; 1 or more.
        package var runningPerPool = 1000
        /// Requests of one pool that wait for their turn.
        package var waitingPerPool = 10_000
        /// Pools; the one unused longest is closed for a new one.
        package var pools = 256
        /// Requests of all pools, running and waiting.
        package var requests = 50_000
        /// Connections of one pool to one host.
        package var connectionsPerHost = 8
        /// Connections of one pool.
        package var connectionsPerPool = 64
        /// Answers that go on (`open`), of all pools; each has its own connection.
        package var streams = 10_000
        /// Streams on one HTTP/2 connection, if the server allows as many.
        package var streamsPerConnection = 1000
        /// An HTTP/2 connection on which an answer is awaited is asked for a sign of life after so long a silence: soon
        /// enough for the verdict to come before a push's own time is over (12 s and more).
        package var pingAfter: Duration = .seconds(5)
        /// And counts as dead when none comes for so long.
        package var pingPatience: Duration = .seconds(5)
        /// Until TLS is up; a request's own timeout also covers it.
        package var connectTimeout: Duration = .seconds(10)
        /// The `User-Agent` header.
        package var userAgent = "Farbell"
        /// Proxy URL; nil for none. The environment is not looked at. Requests for public destinations only
        /// never use it, because the proxy would resolve the name where we cannot check the address.
        package var proxy: String?
        /// Mail connections, open or being made.
        package var mailConnections = 12_000
        /// Mail connections being made at once; the others wait their turn.
        package var mailLogins = 128

        package init() {}
    }

    /// What the client is doing now.
    package struct Statistics: Sendable, Equatable {
        /// Requests on the wire.
        package var running = 0
        /// Requests waiting for a place in their pool.
        package var waiting = 0
        package var pools = 0
        /// Answers that go on, held by their callers.
        package var streams = 0
        /// Mail connections open.
        package var mailConnections = 0
        /// Mail connections being made or waiting to be.
        package var mailLogins = 0
        /// Requests ended since the start, with whatever result.
        package var completedRequests = 0
        /// TCP connections opened since the start, for HTTP.
        package var openedConnections = 0

        package init() {}
    }

    private struct State {
        var isAccepting = true
        var nextID: UInt64 = 0
        var pending = 0
    }

    package let name = "outbound"
    let configuration: Configuration
    let loop: EventLoop
    let mail: MailSessions
    let dispatcher: HTTPDispatcher
    private let openStreams = Locked(0)
    private let state = Locked(State())
    private let stopping = ShutdownSignal()
    private let drained = ShutdownSignal()

    /// Starts the thread; requests may be sent at once. Either `run()` or the last reference ends it.
    /// - Parameter time: the clock of all deadlines; must advance with real time.
    /// - Throws: `HTTPTransportError` with `overloaded` at the system's limit of descriptors.
    package init(_ configuration: Configuration = Configuration(), time: any TimeSource = SystemTime()) throws {
        CurlGlobal.initialize()
        self.configuration = configuration
        let loop = try EventLoop(name: "outbound", time: time)
        self.loop = loop
        dispatcher = HTTPDispatcher(configuration, loop: loop)
        mail = MailSessions(configuration, loop: loop)
    }

    deinit { endLoop() }

    /// Sends a request and returns the whole answer, of whatever status.
    /// - Throws: `HTTPTransportError`; `CancellationError` when the task is cancelled, then at once.
    package func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        try Task.checkCancellation()
        let id = try admit()
        defer { release() }
        let order = HTTPOrder(id: id, request: request, deadline: loop.now + request.timeout)
        return try await order.answer.wait {
            if !loop.post({ [dispatcher] in dispatcher.submit(order) }) {
                order.answer.settle(.failure(HTTPClient.stopped))
            }
        } onCancel: { [loop, dispatcher] in
            loop.post { dispatcher.cancel(order) }
        }
    }

    /// A look at the numbers; takes a turn of the loop.
    package func statistics() async -> Statistics {
        let pending = Pending<Statistics>()
        let answer = try? await pending.wait {
            let posted = loop.post { [dispatcher, mail, openStreams] in
                var statistics = Statistics()
                statistics.streams = openStreams.withLock { $0 }
                dispatcher.report(&statistics)
                mail.report(&statistics)
                pending.settle(.success(statistics))
            }
            if !posted { pending.settle(.success(Statistics())) }
        } onCancel: {
        }
        return answer ?? Statistics()
    }

    package func retireConnections(ofPool name: String) {
        loop.post { [dispatcher] in dispatcher.retire(name) }
    }

    // MARK: Service

    /// Waits for the shutdown, then for the running requests; a cancellation ends those with `stopped`. All
    /// connections are closed at the end.
    package func run() async throws {
        await stopping.wait()
        if !Task.isCancelled { await drained.wait() }
        beginShutdown()
        endLoop()
    }

    /// Refuses new requests and mail connections from now on.
    package func beginShutdown() {
        let isIdle = state.withLock { state in
            state.isAccepting = false
            return state.pending == 0
        }
        if isIdle { drained.raise() }
        stopping.raise()
    }

    static let stopped = HTTPTransportError(.stopped, "the client is stopping", surelyNotProcessed: true)

    /// Whether new work is taken.
    var isAccepting: Bool { state.withLock { $0.isAccepting } }

    private func admit() throws -> UInt64 {
        let admitted: Result<UInt64, HTTPTransportError> = state.withLock { [limit = configuration.requests] state in
            guard state.isAccepting else { return .failure(Self.stopped) }
            guard state.pending < limit else {
                return .failure(
                    HTTPTransportError(.overloaded, "too many requests are waiting", surelyNotProcessed: true))
            }
            state.pending += 1
            state.nextID += 1
            return .success(state.nextID)
        }
        return try admitted.get()
    }

    /// A stream's id and its place among the streams.
    func admitStream() throws -> (id: UInt64, place: StreamPlace) {
        let id = state.withLock { state -> UInt64? in
            guard state.isAccepting else { return nil }
            state.nextID += 1
            return state.nextID
        }
        guard let id else { throw Self.stopped }
        guard let place = StreamPlace.take(of: openStreams, limit: configuration.streams) else {
            throw HTTPTransportError(.overloaded, "too many streams are open", surelyNotProcessed: true)
        }
        return (id, place)
    }

    private func release() {
        let isDrained = state.withLock { state in
            state.pending -= 1
            return state.pending == 0 && !state.isAccepting
        }
        if isDrained { drained.raise() }
    }

    private func endLoop() {
        loop.post { [dispatcher, mail] in
            dispatcher.shutDown()
            mail.shutDown()
        }
        loop.stop()
    }
}
