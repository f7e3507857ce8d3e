internal import Base
internal import CMicroHTTPD

/// The connection that carries a stream.
@safe private final class StreamCarrier: EventStream.Carrier, @unchecked Sendable {
    // Sendable: `handle` is only used to resume, under the stream's lock and never after `detach`.
    let stream: EventStream
    let id: UInt64
    let descriptor: Int32
    let handle: OpaquePointer
    let connection: Connection
    let table: StreamTable

    init(
        stream: EventStream, id: UInt64, descriptor: Int32, handle: OpaquePointer, connection: Connection,
        table: StreamTable
    ) {
        (self.stream, self.id, self.descriptor) = (stream, id, descriptor)
        unsafe self.handle = handle
        (self.connection, self.table) = (connection, table)
    }

    func wake() { unsafe MHD_resume_connection(handle) }
    func cut() { connection.cut() }

    /// The library will not ask for bytes again.
    func finish() {
        table.remove(id: id, descriptor: descriptor)
        stream.detach()
    }
}

extension ServerCore {
    /// What an answer from a callback asks the library to allocate. Streams to HTTP/1.1 clients do not use it.
    private static let streamBlockBytes = 256

    /// Hands an answer to the library.
    func send(
        _ response: InboundResponse, _ exchange: Exchange, _ handle: OpaquePointer, isHead: Bool
    ) -> MHD_Result {
        exchange.stage = .answered
        let made: OpaquePointer?
        var status = response.status
        switch response.body {
        case .bytes(let bytes): unsafe made = Self.make(bytes)
        case .stream(let stream) where isHead:
            stream.end(.headersOnly)
            unsafe made = Self.make([])
        case .stream(let stream):
            guard let carried = unsafe make(stream, exchange.connection, handle) else {
                stream.end(.refused)
                let problem = Problem.overloaded("Too many streams are open.", retryAfter: limits.retryAfter)
                return unsafe send(.problem(problem), exchange, handle, isHead: isHead)
            }
            unsafe made = carried
        }
        guard var answer = unsafe made else { return MHD_Result.NO }
        if unsafe !addHeaders(of: response, exchange.id, to: answer) {
            log.error(
                "http.failed", "An answer had a header that HTTP does not allow.",
                ["requestId": .string(exchange.id)])
            unsafe MHD_destroy_response(answer)
            let problem = InboundResponse.problem(.internalError)
            status = problem.status
            guard case .bytes(let bytes) = problem.body, let fallback = unsafe Self.make(bytes) else {
                return MHD_Result.NO
            }
            unsafe answer = fallback
            _ = unsafe addHeaders(of: problem, exchange.id, to: answer)
        }
        defer { unsafe MHD_destroy_response(answer) }
        return unsafe MHD_queue_response(handle, UInt32(clamping: status), answer)
    }

    private static func make(_ bytes: [UInt8]) -> OpaquePointer? {
        unsafe bytes.withUnsafeBytes { buffer in
            // The library only reads, although the parameter is not const; an empty array has an address too.
            unsafe MHD_create_response_from_buffer(
                buffer.count, UnsafeMutableRawPointer(mutating: buffer.baseAddress), .RESPMEM_MUST_COPY)
        }
    }

    /// Gives false when a header's name or value is not allowed.
    private func addHeaders(of response: InboundResponse, _ id: String, to answer: OpaquePointer) -> Bool {
        if let type = response.contentType,
            unsafe MHD_add_response_header(answer, "Content-Type", type) == MHD_Result.NO
        {
            return false
        }
        for field in response.headers.fields
        where unsafe MHD_add_response_header(answer, field.name, field.value) == MHD_Result.NO { return false }
        if gate.withLock({ $0.isDraining }) { _ = unsafe MHD_add_response_header(answer, "Connection", "close") }
        return unsafe MHD_add_response_header(answer, "Farbell-Request-Id", id) == MHD_Result.YES
    }

    /// An answer that asks the stream for bytes; nil when there are too many streams.
    private func make(_ stream: EventStream, _ connection: Connection, _ handle: OpaquePointer) -> OpaquePointer? {
        guard let id = streams.insert(stream) else { return nil }
        let carrier = unsafe StreamCarrier(
            stream: stream, id: id, descriptor: farbell_mhd_descriptor(handle), handle: handle,
            connection: connection, table: streams)
        let context = unsafe Unmanaged.passRetained(carrier).toOpaque()
        let answer = unsafe MHD_create_response_from_callback(
            UInt64.max, Self.streamBlockBytes,
            { context, _, buffer, limit in
                guard let context = unsafe context, let buffer = unsafe buffer else { return -2 }
                let carrier = unsafe Unmanaged<StreamCarrier>.fromOpaque(context).takeUnretainedValue()
                return unsafe ServerCore.fill(UnsafeMutableRawBufferPointer(start: buffer, count: limit), from: carrier)
            }, context,
            { context in
                guard let context = unsafe context else { return }
                unsafe Unmanaged<StreamCarrier>.fromOpaque(context).takeRetainedValue().finish()
            })
        guard unsafe answer != nil else {
            unsafe Unmanaged<StreamCarrier>.fromOpaque(context).release()
            streams.remove(id: id, descriptor: -1)
            return nil
        }
        stream.attach(carrier)
        streams.watch(carrier.descriptor, id: id)
        return unsafe answer
    }

    private static func fill(_ buffer: UnsafeMutableRawBufferPointer, from carrier: StreamCarrier) -> Int {
        switch carrier.stream.take(buffer.count, sleep: { unsafe MHD_suspend_connection(carrier.handle) }) {
        case .bytes(let bytes):
            unsafe buffer.copyBytes(from: bytes)
            return bytes.count
        case .sleep: return 0
        // MHD_CONTENT_READER_END_OF_STREAM and MHD_CONTENT_READER_END_WITH_ERROR.
        case .end: return -1
        case .abort: return -2
        }
    }
}
