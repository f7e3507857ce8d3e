internal import Base
internal import CNGHTTP2

/// nghttp2's side of one connection: requests in, bytes out; bytes in, answers out. It knows no socket. Used on the
/// loop's thread only.
@safe final class HTTP2Session {
    /// What nghttp2 would not do.
    struct Failure: Error {
        let code: Int32
        /// nghttp2's own words: constant texts without data of the connection.
        var text: String { unsafe nghttp2_strerror(code).map { unsafe String(cString: $0) } ?? "unknown" }
    }

    /// Bytes of one answer, and of all of a connection, that a server may send before we have looked at them.
    private static let windows = (stream: UInt32(1 << 20), connection: Int32(16 << 20))

    private var session: OpaquePointer?
    private var exchanges: [Int32: HTTP2Exchange] = [:]
    /// The exchange whose answer arrives: one look-up for all of its fields.
    private var arriving: HTTP2Exchange?
    private var ended: [(exchange: HTTP2Exchange, end: HTTP2Exchange.End)] = []
    /// The server has said how many requests it takes at once, and perhaps again.
    private(set) var settingsCount = 0
    /// The server takes no further requests (GOAWAY).
    private(set) var isLeaving = false
    private let userAgent: String
    /// Reused for each request's header.
    private var text: [UInt8] = []
    private var spans: [(name: Int, value: Int, end: Int)] = []

    /// - Throws: `Failure` when memory is short.
    init(userAgent: String) throws {
        self.userAgent = userAgent
        unsafe session = try HTTP2ClientCallbacks.makeSession(for: self)
        let entries = [
            nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_ENABLE_PUSH.rawValue), value: 0),
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue), value: Self.windows.stream),
        ]
        try check(unsafe nghttp2_submit_settings(session, Self.none, entries, entries.count))
        try check(unsafe nghttp2_session_set_local_window_size(session, Self.none, 0, Self.windows.connection))
    }

    deinit { unsafe nghttp2_session_del(session) }

    private static let none = UInt8(NGHTTP2_FLAG_NONE.rawValue)

    private func check(_ code: Int32) throws { if code != 0 { throw Failure(code: code) } }

    /// Requests the server takes at once.
    var streamLimit: Int {
        Int(unsafe nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS))
    }

    /// Whether there is anything left to say or to hear.
    var isOver: Bool {
        unsafe nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0
    }

    /// An answer is awaited.
    var isAwaiting: Bool { !exchanges.isEmpty }

    /// Those who are on the connection, to be told of its end.
    var underWay: [HTTP2Exchange] { Array(exchanges.values) }

    // MARK: In and out

    /// Puts a request on a stream of its own; it is sent with the next output.
    /// - Throws: `Failure`; `HTTPTransportError` for a request that cannot be sent.
    func submit(_ exchange: HTTP2Exchange) throws {
        try HTTP2Fields.write(exchange, userAgent: userAgent, to: &text, &spans)
        let hasBody = !exchange.order.request.body.isEmpty
        let stream = unsafe text.withUnsafeMutableBufferPointer { buffer -> Int32 in
            guard let start = buffer.baseAddress else { return NGHTTP2_ERR_INVALID_ARGUMENT.rawValue }
            return unsafe withUnsafeTemporaryAllocation(of: nghttp2_nv.self, capacity: spans.count) { fields in
                for (index, span) in spans.enumerated() {
                    unsafe fields.initializeElement(
                        at: index,
                        to: nghttp2_nv(
                            name: start + span.name, value: start + span.value, namelen: span.value - span.name,
                            valuelen: span.end - span.value, flags: Self.none))
                }
                var provider = unsafe HTTP2ClientCallbacks.body
                // nghttp2 copies names and values, and the provider.
                return unsafe withUnsafePointer(to: &provider) { provider in
                    unsafe nghttp2_submit_request(
                        session, nil, fields.baseAddress, spans.count, hasBody ? provider : nil, nil)
                }
            }
        }
        guard stream > 0 else { throw Failure(code: stream) }
        exchange.stream = stream
        exchanges[stream] = exchange
    }

    /// Nobody wants the answer any more.
    func cancel(_ exchange: HTTP2Exchange) {
        guard exchanges.removeValue(forKey: exchange.stream) != nil else { return }
        reset(exchange.stream, NGHTTP2_CANCEL)
    }

    private func reset(_ stream: Int32, _ code: nghttp2_error_code) {
        // Fails when memory is short, and then so does whatever comes next.
        unsafe nghttp2_submit_rst_stream(session, Self.none, stream, code.rawValue)
    }

    /// Asks the server for a sign of life.
    func ping() { unsafe nghttp2_submit_ping(session, Self.none, nil) }

    /// Takes what the server sent.
    /// - Throws: `Failure` for what is no HTTP/2.
    func receive(_ bytes: UnsafeRawBufferPointer) throws {
        let start = unsafe bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        let taken = unsafe nghttp2_session_mem_recv(session, start, bytes.count)
        if taken < 0 { throw Failure(code: Int32(taken)) }
    }

    /// Appends what is to be sent now, about `limit` bytes of it at most.
    /// - Throws: `Failure`.
    func output(to bytes: inout [UInt8], limit: Int) throws {
        while bytes.count < limit {
            var start: UnsafePointer<UInt8>?
            let count = unsafe nghttp2_session_mem_send(session, &start)
            if count < 0 { throw Failure(code: Int32(count)) }
            guard count > 0, let start = unsafe start else { return }
            unsafe bytes.append(contentsOf: UnsafeBufferPointer(start: start, count: count))
        }
    }

    /// The exchanges whose streams have ended since the last call.
    func takeEnded() -> [(exchange: HTTP2Exchange, end: HTTP2Exchange.End)] {
        guard !ended.isEmpty else { return [] }
        defer { ended.removeAll(keepingCapacity: true) }
        return ended
    }

    // MARK: What nghttp2 tells

    func header(_ stream: Int32, _ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) -> Bool {
        if arriving?.stream != stream { arriving = exchanges[stream] }
        guard let exchange = arriving else { return true }
        if unsafe name.first == UInt8(ascii: ":") {
            // The only one that an answer has, three digits (RFC 9113 section 8.3.2), which nghttp2 has made sure of.
            exchange.began(status: unsafe value.reduce(0) { $0 * 10 + Int($1 & 0x0F) })
            return true
        }
        return exchange.append(
            unsafe String(decoding: name, as: UTF8.self), unsafe String(decoding: value, as: UTF8.self))
    }

    func data(_ stream: Int32, _ bytes: UnsafeBufferPointer<UInt8>) {
        guard let exchange = exchanges[stream], !exchange.isTooLarge else { return }
        if unsafe !exchange.append(bytes) { reset(stream, NGHTTP2_CANCEL) }
    }

    /// The last frame of an answer.
    func endOfAnswer(_ stream: Int32) {
        guard let exchange = exchanges[stream] else { return }
        exchange.completed()
        // Answered before it was asked to the end: the rest is of no use (RFC 9113 section 8.1).
        if exchange.sent < exchange.order.request.body.count { reset(stream, NGHTTP2_NO_ERROR) }
    }

    func settingsArrived() { settingsCount += 1 }
    func goAwayArrived() { isLeaving = true }

    func streamEnded(_ stream: Int32, _ code: UInt32) {
        if arriving?.stream == stream { arriving = nil }
        guard let exchange = exchanges.removeValue(forKey: stream) else { return }
        if exchange.isComplete, !exchange.isTooLarge {
            ended.append((exchange, .answered))
        } else {
            // Also of streams above GOAWAY's last nghttp2 says this.
            ended.append((exchange, code == NGHTTP2_REFUSED_STREAM.rawValue ? .refused : .broken))
        }
    }

    /// The next piece of a request's body.
    func nextBody(_ stream: Int32, into buffer: UnsafeMutableBufferPointer<UInt8>) -> (count: Int, isLast: Bool) {
        guard let exchange = exchanges[stream] else { return (0, true) }
        let body = exchange.order.request.body
        let piece = body[exchange.sent...].prefix(buffer.count)
        _ = unsafe buffer.update(from: piece)
        exchange.sent += piece.count
        return (piece.count, exchange.sent == body.count)
    }
}
