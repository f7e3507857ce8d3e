internal import Base
internal import CNGHTTP2
internal import Glibc

/// One HTTP/2 connection, by nghttp2. On the loop's thread only.
@safe final class HTTP2Server: PeerHandler {
    final class Stream {
        var request: PeerRequest
        /// What is left of the answer's body.
        var rest: ArraySlice<UInt8> = []
        /// An empty DATA frame is still to be sent before it.
        var owesEmptyData = false
        /// Over the limit: refused, whatever else arrives for it.
        let refused: Bool

        init(_ request: PeerRequest, refused: Bool) { (self.request, self.refused) = (request, refused) }
    }

    /// What nghttp2 believes the limit to be: it answers an excess with the end of the connection, while
    /// Apple refuses the stream.
    private static let libraryStreamLimit: UInt32 = 1 << 20

    private unowned let connection: PeerConnection
    private let options: HTTPPeer.Options
    private let counter: Locked<HTTPPeer.Counts>
    private let responder: HTTPPeer.Responder
    private var session: OpaquePointer?
    private var streams: [Int32: Stream] = [:]
    private var openCount = 0
    /// The stream whose headers arrive: one look-up for all of them.
    private var arriving: Stream?
    /// The header fields of the latest request, and which comes next.
    private var latest: [(name: String, value: String)] = []
    private var place = 0
    /// The limit announced and enforced.
    private var streamLimit: Int
    /// Streams still allowed before GOAWAY.
    private var untilGoAway: (count: Int, reason: String)?
    private var processing = false
    /// A request has succeeded on this connection.
    private var isProven = false

    init(
        _ connection: PeerConnection, options: HTTPPeer.Options, counter: Locked<HTTPPeer.Counts>,
        responder: @escaping HTTPPeer.Responder
    ) {
        (self.connection, self.options, self.counter) = (connection, options, counter)
        self.responder = responder
        streamLimit = connection.clientName.flatMap { _ in options.certifiedStreamLimit } ?? options.streamLimit
        unsafe session = HTTP2Callbacks.makeSession(for: self, resetLimit: options.resetLimit)
    }

    deinit { if let session = unsafe session { unsafe nghttp2_session_del(session) } }

    func opened() {
        submitStreamLimit()
        flush()
    }

    func received(_ bytes: [UInt8]) {
        guard let session = unsafe session else { return }
        processing = true
        let taken = unsafe nghttp2_session_mem_recv(session, bytes, bytes.count)
        processing = false
        flush()
        if taken < 0 { connection.close() }
    }

    func closed() {
        streams = [:]
        if let session = unsafe session { unsafe nghttp2_session_del(session) }
        unsafe session = nil
    }

    // MARK: What nghttp2 tells

    func beginStream(_ id: Int32) {
        let refused = openCount >= streamLimit
        let stream = Stream(
            PeerRequest(
                method: "", path: "", headers: [:], body: [], received: Moment(nanoseconds: 0),
                connection: connection.number, stream: id, clientName: connection.clientName), refused: refused)
        streams[id] = stream
        (arriving, place) = (stream, 0)
        guard refused else {
            openCount += 1
            return
        }
        counter.withLock { $0.refusedForLimit += 1 }
        unsafe nghttp2_submit_rst_stream(
            session, UInt8(NGHTTP2_FLAG_NONE.rawValue), id, NGHTTP2_REFUSED_STREAM.rawValue)
    }

    func header(_ id: Int32, _ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {
        guard let stream = arriving, stream.request.stream == id else { return }
        // A sender's requests are much alike: what the one before had in the same place is not made anew.
        let before = latest.count > place ? latest[place] : (name: "", value: "")
        let field = unsafe (Self.text(name, before.name), Self.text(value, before.value))
        if latest.count > place { latest[place] = field } else { latest.append(field) }
        place += 1
        switch field.0 {
        case ":method": stream.request.method = field.1
        case ":path": stream.request.path = field.1
        case ":authority": stream.request.headers.append("host", field.1)
        case ":scheme": break
        default: stream.request.headers.append(field.0, field.1)
        }
    }

    private static func text(_ bytes: UnsafeBufferPointer<UInt8>, _ before: String) -> String {
        let isSame = unsafe before.utf8.withContiguousStorageIfAvailable { known in
            unsafe known.count == bytes.count
                && (known.isEmpty || memcmp(known.baseAddress!, bytes.baseAddress!, known.count) == 0)
        }
        return isSame == true ? before : unsafe String(decoding: bytes, as: UTF8.self)
    }

    func data(_ id: Int32, _ bytes: UnsafeBufferPointer<UInt8>) {
        guard let stream = streams[id] else { return }
        let room = options.bodyLimit - stream.request.body.count
        unsafe stream.request.body.append(contentsOf: bytes.prefix(max(0, room)))
    }

    func endOfRequest(_ id: Int32) {
        guard let stream = streams[id], !stream.refused else { return }
        stream.request.received = options.time.now
        counter.withLock { $0.requests += 1 }
        let reply = responder(stream.request)
        if let after = reply.goAwayAfter { untilGoAway = (after, reply.goAwayReason) }
        if let (count, reason) = untilGoAway {
            untilGoAway?.count -= 1
            if count == 0 {
                untilGoAway = nil
                return goAway(last: id - 2, reason)
            }
            if count == 1 {
                untilGoAway = nil
                goAway(last: id, reason)
            }
        }
        act(reply, id)
    }

    private func act(_ reply: PeerReply, _ id: Int32) {
        guard reply.delay > .zero else { return perform(reply, id) }
        connection.loop.hold(reply) { [weak self] isWoken in
            guard let self else { return }
            if isWoken, let stream = streams[id] {
                act(responder(stream.request), id)
            } else {
                perform(reply, id)
            }
            flush()
        }
    }

    func resetReceived() { counter.withLock { $0.resets += 1 } }

    func streamEnded(_ id: Int32) {
        if let stream = streams.removeValue(forKey: id), !stream.refused { openCount -= 1 }
    }

    /// The next piece of an answer's body.
    func nextData(_ id: Int32, into buffer: UnsafeMutableBufferPointer<UInt8>) -> (count: Int, last: Bool) {
        guard let stream = streams[id] else { return (0, true) }
        if stream.owesEmptyData {
            stream.owesEmptyData = false
            return (0, false)
        }
        let piece = stream.rest.prefix(buffer.count)
        _ = unsafe buffer.update(from: piece)
        stream.rest = stream.rest.dropFirst(piece.count)
        return (piece.count, stream.rest.isEmpty)
    }

    // MARK: Acting

    private func goAway(last: Int32, _ reason: String) {
        let text = Array(reason.utf8)
        unsafe nghttp2_submit_goaway(
            session, UInt8(NGHTTP2_FLAG_NONE.rawValue), max(0, last), NGHTTP2_NO_ERROR.rawValue, text, text.count)
        // What is in flight may still be answered; `flush` closes after the last answer.
        connection.loop.after(.seconds(2)) { [weak self] in self?.connection.close() }
    }

    private func perform(_ reply: PeerReply, _ id: Int32) {
        guard let session = unsafe session, let stream = streams[id] else { return }
        var limit = reply.streamLimit ?? streamLimit
        if let proven = reply.provenStreamLimit, !isProven {
            isProven = true
            limit = reply.streamLimit ?? proven
        }
        if limit != streamLimit {
            streamLimit = limit
            submitStreamLimit()
        }
        let none = UInt8(NGHTTP2_FLAG_NONE.rawValue)
        switch reply.action {
        case .answer(let status, let headers, let body):
            stream.rest = body[...]
            stream.owesEmptyData = reply.sendsEmptyData
            submit(id, status, headers, hasBody: !body.isEmpty || reply.sendsEmptyData)
        case .refuse: unsafe nghttp2_submit_rst_stream(session, none, id, NGHTTP2_REFUSED_STREAM.rawValue)
        case .reset, .stream: unsafe nghttp2_submit_rst_stream(session, none, id, NGHTTP2_INTERNAL_ERROR.rawValue)
        case .hang: break
        // Not from inside nghttp2's callbacks: a broken connection deletes the session.
        case .rawBytes(let bytes): connection.loop.after(.zero) { [weak connection] in connection?.send(bytes) }
        case .drop: connection.loop.after(.zero) { [weak connection] in connection?.abort() }
        }
    }

    private func submitStreamLimit() {
        var entry = nghttp2_settings_entry(
            settings_id: Int32(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS.rawValue), value: Self.libraryStreamLimit)
        unsafe nghttp2_submit_settings(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), &entry, 1)
    }

    private func submit(_ id: Int32, _ status: Int, _ headers: HTTPFields, hasBody: Bool) {
        var text: [UInt8] = []
        var spans: [(name: Int, value: Int, end: Int)] = []
        func add(_ name: String, _ value: String) {
            let start = text.count
            text.append(contentsOf: name.utf8)
            let middle = text.count
            text.append(contentsOf: value.utf8)
            spans.append((start, middle, text.count))
        }
        add(":status", "\(status)")
        for field in headers.fields { add(field.name.lowercased(), field.value) }
        unsafe text.withUnsafeMutableBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return }
            // nghttp2 copies names and values.
            let values = unsafe spans.map { span in
                unsafe nghttp2_nv(
                    name: start + span.name, value: start + span.value, namelen: span.value - span.name,
                    valuelen: span.end - span.value, flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue))
            }
            var provider = unsafe HTTP2Callbacks.dataProvider
            unsafe withUnsafePointer(to: &provider) { pointer in
                _ = unsafe nghttp2_submit_response(session, id, values, values.count, hasBody ? pointer : nil)
            }
        }
    }

    /// Replaces the library's limit in a SETTINGS frame by ours: a frame of type 4 without ACK that holds one
    /// entry of 6 bytes (RFC 9113 section 6.5.1).
    private func announceRealLimit(in output: inout [UInt8], frameLength: Int) {
        let start = output.count - frameLength
        guard frameLength == 15, output[start + 3] == 4, output[start + 4] & 1 == 0 else { return }
        for (index, shift) in [24, 16, 8, 0].enumerated() {
            output[start + 11 + index] = UInt8(truncatingIfNeeded: streamLimit >> shift)
        }
    }

    private func flush() {
        // Inside nghttp2's own callbacks the caller flushes afterwards, once for many answers.
        guard !processing else { return }
        var output: [UInt8] = []
        while let session = unsafe session {
            var start: UnsafePointer<UInt8>?
            let count = unsafe nghttp2_session_mem_send(session, &start)
            guard count > 0, let start = unsafe start else { break }
            unsafe output.append(contentsOf: UnsafeBufferPointer(start: start, count: count))
            announceRealLimit(in: &output, frameLength: count)
        }
        if !output.isEmpty { connection.send(output) }
        if let session = unsafe session, unsafe nghttp2_session_want_read(session) == 0,
            unsafe nghttp2_session_want_write(session) == 0
        {
            connection.close()
        }
    }
}
