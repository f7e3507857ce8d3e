internal import Base
internal import CMicroHTTPD

/// One request and its answer, on its way through the library's callbacks.
final class Exchange: @unchecked Sendable {
    // Sendable: touched by the connection's thread only, except between suspend and resume, when only the
    // one who answers touches `response`. The library's lock orders the two.

    enum Stage {
        /// The request line was read.
        case started
        /// The headers were read; the body comes.
        case receiving
        /// A task or a responder has the answer; the connection is suspended.
        case waiting
        /// The answer was handed to the library.
        case answered
    }

    let id: String
    let connection: Connection
    var stage = Stage.started
    /// HEAD: the answer has no body.
    var isHead = false
    /// HTTP/1.0: no chunks.
    var isOldVersion = false
    var upload: Upload
    var response: InboundResponse?
    private let rawTarget: [UInt8]
    private var target: RequestTarget?
    private var body: [UInt8] = []
    /// What the request is refused with once its body is read.
    var refusal: Problem?

    init(id: String, rawTarget: [UInt8], connection: Connection, upload: Upload) {
        (self.id, self.rawTarget, self.connection, self.upload) = (id, rawTarget, connection, upload)
    }

    func parseTarget() {
        do throws(Problem) {
            target = try RequestTarget(rawTarget)
        } catch {
            refusal = error
        }
    }

    func reserveBody(_ count: Int) { body.reserveCapacity(count) }
    func appendBody(_ bytes: UnsafeRawBufferPointer) { unsafe body.append(contentsOf: bytes) }

    /// The complete request; nil when it was refused. The exchange keeps no copy of it.
    func takeRequest(method: String, headers: RequestHeaders) -> InboundRequest? {
        guard refusal == nil, let target else { return nil }
        defer {
            self.target = nil
            body = []
        }
        return InboundRequest(
            method: method, target: target, headers: headers, body: body, id: id, connection: connection)
    }
}

/// A request that a task answers while its connection is suspended.
@safe struct SuspendedRequest: @unchecked Sendable {
    // Sendable: `handle` is only used to resume the connection, which the library allows from any thread.
    let exchange: Exchange
    let handle: OpaquePointer
    let work: @Sendable () async throws -> InboundResponse

    /// Answers and lets the connection go on.
    func finish(_ response: InboundResponse) {
        exchange.response = response
        unsafe exchange.connection.resume(handle)
    }
}

extension RequestHeaders {
    /// Copies the headers of a connection's current request.
    init(of handle: OpaquePointer) {
        self.init()
        reserve(bytes: 256, fields: 8)
        unsafe withUnsafeMutablePointer(to: &self) { pointer in
            _ = unsafe MHD_get_connection_values_n(
                handle, .HEADER_KIND,
                { context, _, name, nameSize, value, valueSize in
                    guard let context = unsafe context else { return MHD_Result.NO }
                    unsafe context.assumingMemoryBound(to: RequestHeaders.self).pointee.append(
                        name: UnsafeRawBufferPointer(start: name, count: nameSize),
                        value: UnsafeRawBufferPointer(start: value, count: value == nil ? 0 : valueSize))
                    return MHD_Result.YES
                }, pointer)
        }
    }

    /// One header of a connection's current request, without copying the others.
    static func value(of name: StaticString, _ handle: OpaquePointer) -> String? {
        name.withUTF8Buffer { bytes -> String? in
            var value: UnsafePointer<CChar>?
            var size = 0
            let status = unsafe bytes.withMemoryRebound(to: CChar.self) {
                unsafe MHD_lookup_connection_value_n(
                    handle, .HEADER_KIND, $0.baseAddress, $0.count, &value, &size)
            }
            guard status == MHD_Result.YES, let start = unsafe value else { return nil }
            return unsafe String(decoding: UnsafeRawBufferPointer(start: start, count: size), as: UTF8.self)
        }
    }
}
