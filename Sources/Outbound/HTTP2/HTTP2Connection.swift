internal import Base
internal import CCurl
internal import Glibc

/// One HTTP/2 connection: moves bytes between its session and the socket. Used on the loop's thread only.
@safe final class HTTP2Connection: SocketWatcher, TurnEnding {
    /// Frames are put together until there are so many bytes, so that requests of one turn share records of TLS and
    /// calls of the system.
    private static let outputLimit = 64 << 10
    /// Requests after which what there is leaves in any case: the first need not wait for the last of a large turn.
    private static let requestLimit = 32

    let number: Int
    let dial: HTTP2Dial
    private let session: HTTP2Session
    private let descriptor: Int32
    private let loop: EventLoop
    private let buffer: HTTP2Buffer
    private unowned let pool: HTTP2Pool
    /// What is being sent: not touched before all of it is, since OpenSSL wants to see the same bytes again.
    private var output: [UInt8] = []
    private var sent = 0
    private var watched: UInt32 = 0
    private var heartbeat: HTTP2Heartbeat
    private var unsent = 0
    private var isDue = false
    private var settingsSeen = 0
    private var isLeaving = false
    private var isClosed = false
    /// It cannot go on; those who are on it are told at the end of the turn.
    private var isBroken = false

    /// - Throws: `HTTP2Session.Failure`.
    init(
        _ number: Int, _ dial: HTTP2Dial, descriptor: Int32, _ configuration: HTTPClient.Configuration,
        buffer: HTTP2Buffer, loop: EventLoop, pool: HTTP2Pool
    ) throws {
        (self.number, self.dial, self.descriptor) = (number, dial, descriptor)
        (self.buffer, self.loop, self.pool) = (buffer, loop, pool)
        heartbeat = HTTP2Heartbeat(
            silence: configuration.pingAfter, patience: configuration.pingPatience, now: loop.now)
        session = try HTTP2Session(userAgent: configuration.userAgent)
        super.init()
        // One call of the system for many records instead of two for each; whoever reads then reads on to the end.
        unsafe farbell_easy_read_ahead(dial.easy.handle)
    }

    /// Begins with what has come already: so many bytes of the buffer.
    func begin(_ count: Int) {
        take(count)
        flush()
        comeBack()
    }

    /// Puts a request on the connection; it leaves at the end of the turn.
    /// - Throws: `HTTP2Session.Failure`; `HTTPTransportError` for a request that cannot be sent.
    func send(_ exchange: HTTP2Exchange) throws {
        let isFirst = !session.isAwaiting
        try session.submit(exchange)
        if isFirst { heartbeat.alive(at: loop.now) }
        exchange.hasBegun = true
        unsent += 1
        if unsent >= Self.requestLimit { flush() }
        comeBack()
    }

    func cancel(_ exchange: HTTP2Exchange) {
        session.cancel(exchange)
        comeBack()
    }

    /// Looks whether the other end still lives.
    /// - Returns: when to look again; nil while no answer is awaited.
    func check(at now: Moment) -> Moment? {
        guard session.isAwaiting else { return nil }
        switch heartbeat.check(at: now) {
        case .fine(let next): return next
        case .ask(let next):
            session.ping()
            comeBack()
            return next
        case .dead:
            isBroken = true
            comeBack()
            return nil
        }
    }

    /// Lets go of the socket, which libcurl closes with the handle.
    /// - Returns: the exchanges that were under way.
    @discardableResult
    func close() -> [HTTP2Exchange] {
        guard !isClosed else { return [] }
        isClosed = true
        loop.unwatch(descriptor)
        return session.underWay
    }

    // MARK: Moving bytes

    override func ready(_ descriptor: Int32, _ events: UInt32) {
        receive()
        if events & EPOLLOUT.rawValue != 0 { flush() }
        tell()
        // Acknowledgements and the requests that follow leave together.
        if !isClosed { comeBack() }
    }

    func turnEnded() {
        isDue = false
        guard !isClosed else { return }
        flush()
        tell()
    }

    private func comeBack() {
        guard !isDue else { return }
        isDue = true
        loop.atTurnEnd(self)
    }

    /// Reads until nothing is there: what OpenSSL has decrypted already epoll knows nothing of.
    private func receive() {
        while !isBroken {
            var count = 0
            let code = unsafe curl_easy_recv(
                dial.easy.handle, buffer.bytes.baseAddress, buffer.bytes.count, &count)
            switch code {
            case CURLE_OK where count > 0: take(count)
            case CURLE_AGAIN: return
            default: isBroken = true
            }
        }
    }

    private func take(_ count: Int) {
        heartbeat.alive(at: loop.now)
        do {
            try unsafe session.receive(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count]))
        } catch {
            isBroken = true
        }
    }

    private func flush() {
        unsent = 0
        while !isBroken {
            if sent == output.count {
                output.removeAll(keepingCapacity: true)
                sent = 0
                do {
                    try session.output(to: &output, limit: Self.outputLimit)
                } catch {
                    isBroken = true
                }
                if output.isEmpty { return watch(EPOLLIN.rawValue) }
            }
            guard sendOutput() else { return watch(EPOLLIN.rawValue | EPOLLOUT.rawValue) }
        }
    }

    /// False when the socket takes no more for now.
    private func sendOutput() -> Bool {
        unsafe output.withUnsafeBytes { bytes in
            while sent < bytes.count {
                var count = 0
                let rest = unsafe bytes.baseAddress! + sent
                let code = unsafe curl_easy_send(dial.easy.handle, rest, bytes.count - sent, &count)
                switch code {
                case CURLE_OK where count > 0: sent += count
                case CURLE_OK, CURLE_AGAIN: return false
                default:
                    isBroken = true
                    return true
                }
            }
            return true
        }
    }

    private func watch(_ events: UInt32) {
        guard events != watched else { return }
        watched = events
        loop.watch(descriptor, events, self)
    }

    /// Tells the pool what has come of it all: first of the connection, so that nothing is sent again where it cannot
    /// be sent.
    private func tell() {
        let ended = session.takeEnded()
        if isBroken {
            pool.lost(self)
        } else {
            if session.settingsCount != settingsSeen {
                settingsSeen = session.settingsCount
                pool.allowed(self, streams: session.streamLimit)
            }
            if session.isLeaving, !isLeaving {
                isLeaving = true
                pool.leaving(self)
            }
        }
        for (exchange, end) in ended { pool.ended(exchange, end) }
        if !isClosed, session.isOver { pool.lost(self) }
    }
}

/// Where bytes are read into: one for all connections of a thread.
@safe final class HTTP2Buffer {
    /// What a record of TLS holds (RFC 8446 section 5.1).
    private static let size = 16 << 10

    let bytes: UnsafeMutableRawBufferPointer

    init() { unsafe bytes = .allocate(byteCount: Self.size, alignment: 16) }
    deinit { unsafe bytes.deallocate() }
}
