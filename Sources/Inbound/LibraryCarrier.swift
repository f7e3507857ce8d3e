internal import Base
internal import CMicroHTTPD

/// Carries a stream over a connection that stays the library's: the only way over TLS.
///
/// The library asks for bytes; when there are none the connection is suspended. Its cost: every resume
/// makes the library walk all suspended connections of that thread.
@safe final class LibraryCarrier: EventStream.Carrier, @unchecked Sendable {
    // Sendable: `handle` is only used to resume, under the stream's lock and never after `detach`.
    private let stream: EventStream
    private let id: UInt64
    private let descriptor: Int32
    private let handle: OpaquePointer
    private let connection: Connection
    private let table: StreamTable

    /// What the library allocates for each; only HTTP/1.0 clients' bytes go through it.
    private static let blockBytes = 256

    private init(
        stream: EventStream, id: UInt64, handle: OpaquePointer, connection: Connection, table: StreamTable
    ) {
        (self.stream, self.id, self.connection, self.table) = (stream, id, connection, table)
        unsafe (self.handle, descriptor) = unsafe (handle, farbell_mhd_descriptor(handle))
    }

    /// An answer that asks the stream for bytes; nil when there are too many streams.
    static func makeAnswer(
        _ stream: EventStream, _ connection: Connection, _ handle: OpaquePointer, table: StreamTable
    ) -> OpaquePointer? {
        let carrier = unsafe LibraryCarrier(
            stream: stream, id: table.makeID(), handle: handle, connection: connection, table: table)
        guard table.insert(stream, carrier, id: carrier.id) else { return nil }
        let context = unsafe Unmanaged.passRetained(carrier).toOpaque()
        let answer = unsafe MHD_create_response_from_callback(
            UInt64.max, blockBytes,
            { context, _, buffer, limit in
                guard let context = unsafe context, let buffer = unsafe buffer else { return -2 }
                let carrier = unsafe Unmanaged<LibraryCarrier>.fromOpaque(context).takeUnretainedValue()
                return unsafe carrier.fill(UnsafeMutableRawBufferPointer(start: buffer, count: limit))
            }, context,
            { context in
                guard let context = unsafe context else { return }
                unsafe Unmanaged<LibraryCarrier>.fromOpaque(context).takeRetainedValue().finish()
            })
        guard unsafe answer != nil else {
            unsafe Unmanaged<LibraryCarrier>.fromOpaque(context).release()
            table.remove(id: carrier.id, descriptor: carrier.descriptor)
            return nil
        }
        stream.attach(carrier)
        table.prepare(carrier.descriptor, id: carrier.id)
        return unsafe answer
    }

    func wake() { unsafe connection.resume(handle) }
    func pump() {}
    func cut() { connection.cut() }
    func event(hungUp: Bool) { if hungUp { stream.connectionLost() } }

    private func fill(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
        switch stream.take(buffer.count, sleep: { unsafe MHD_suspend_connection(handle) }) {
        case .bytes(let bytes):
            unsafe buffer.copyBytes(from: bytes)
            return bytes.count
        case .sleep: return 0
        // MHD_CONTENT_READER_END_OF_STREAM and MHD_CONTENT_READER_END_WITH_ERROR.
        case .end: return -1
        case .abort: return -2
        }
    }

    /// The library will not ask for bytes again.
    private func finish() {
        table.remove(id: id, descriptor: descriptor)
        stream.detach()
    }
}
