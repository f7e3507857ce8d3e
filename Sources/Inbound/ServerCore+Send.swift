internal import Base
internal import CMicroHTTPD
internal import Glibc

extension ServerCore {
    /// Hands an answer to the library, or takes the connection from it.
    func send(_ response: InboundResponse, _ exchange: Exchange, _ handle: OpaquePointer) -> MHD_Result {
        exchange.stage = .answered
        switch response.body {
        case .bytes(let bytes): return unsafe send(bytes, response, exchange, handle)
        case .stream(let stream) where exchange.isHead:
            stream.end(.headersOnly)
            return unsafe send([], response, exchange, handle)
        case .stream(let stream) where certificates == nil: return unsafe take(stream, response, exchange, handle)
        case .stream(let stream):
            guard
                let answer = unsafe LibraryCarrier.makeAnswer(stream, exchange.connection, handle, table: streams)
            else { return unsafe refuse(stream, exchange, handle) }
            return unsafe queue(answer, response, exchange, handle)
        }
    }

    private func send(
        _ bytes: [UInt8], _ response: InboundResponse, _ exchange: Exchange, _ handle: OpaquePointer
    ) -> MHD_Result {
        let answer = unsafe bytes.withUnsafeBytes { buffer in
            // The library only reads, although the parameter is not const; an empty array has an address too.
            unsafe MHD_create_response_from_buffer(
                buffer.count, UnsafeMutableRawPointer(mutating: buffer.baseAddress), .RESPMEM_MUST_COPY)
        }
        guard let answer = unsafe answer else { return MHD_Result.NO }
        return unsafe queue(answer, response, exchange, handle)
    }

    private func queue(
        _ answer: OpaquePointer, _ response: InboundResponse, _ exchange: Exchange, _ handle: OpaquePointer
    ) -> MHD_Result {
        defer { unsafe MHD_destroy_response(answer) }
        for field in response.headers.fields
        where unsafe MHD_add_response_header(answer, field.name, field.value) == MHD_Result.NO {
            return unsafe sendHeaderFault(exchange, handle)
        }
        if let type = response.contentType,
            unsafe MHD_add_response_header(answer, "Content-Type", type) == MHD_Result.NO
        {
            return unsafe sendHeaderFault(exchange, handle)
        }
        if gate.withLock({ $0.isDraining }) { _ = unsafe MHD_add_response_header(answer, "Connection", "close") }
        _ = unsafe MHD_add_response_header(answer, "Farbell-Request-Id", exchange.id)
        return unsafe MHD_queue_response(handle, UInt32(clamping: response.status), answer)
    }

    /// A handler's header that HTTP does not allow: a fault of ours, or somebody's attempt at splitting answers.
    private func sendHeaderFault(_ exchange: Exchange, _ handle: OpaquePointer) -> MHD_Result {
        log.error(
            "http.failed", "An answer had a header that HTTP does not allow.", ["requestId": .string(exchange.id)])
        return unsafe send(.problem(.internalError), exchange, handle)
    }

    private func refuse(_ stream: EventStream, _ exchange: Exchange, _ handle: OpaquePointer) -> MHD_Result {
        stream.end(.refused)
        let problem = Problem.overloaded("Too many streams are open.", retryAfter: limits.retryAfter)
        return unsafe send(.problem(problem), exchange, handle)
    }

    /// Takes the connection from the library: a second descriptor keeps it open when the library closes its
    /// own. The library must not shut it down before, which MHD_USE_TURBO sees to.
    private func take(
        _ stream: EventStream, _ response: InboundResponse, _ exchange: Exchange, _ handle: OpaquePointer
    ) -> MHD_Result {
        guard let head = head(of: response, exchange) else {
            stream.end(.refused)
            return unsafe sendHeaderFault(exchange, handle)
        }
        let descriptor = unsafe farbell_duplicate(farbell_mhd_descriptor(handle))
        guard descriptor >= 0 else { return unsafe refuse(stream, exchange, handle) }
        // A stream is a request that lasts; the one that opened it ends now.
        gate.withLock { $0.beginStream() }
        let isStarted = SocketCarrier.start(
            stream, descriptor: descriptor, head: head, isChunked: !exchange.isOldVersion, table: streams,
            onFinish: { self.finished() })
        guard isStarted else {
            finished()
            close(descriptor)
            return unsafe refuse(stream, exchange, handle)
        }
        // From now on the timer must not cut what is no longer the library's alone.
        exchange.connection.willClose()
        return MHD_Result.NO
    }

    /// Status line and headers of a stream's answer; nil when a field is not allowed (RFC 9110 section 5.5).
    private func head(of response: InboundResponse, _ exchange: Exchange) -> [UInt8]? {
        var text = "HTTP/1.1 \(response.status) OK\r\nDate: \(DateField.text(time.timestamp))\r\nConnection: close\r\n"
        if !exchange.isOldVersion { text += "Transfer-Encoding: chunked\r\n" }
        var fields = response.headers
        fields.append("Content-Type", response.contentType ?? "text/event-stream")
        fields.append("Farbell-Request-Id", exchange.id)
        for field in fields.fields {
            let isAllowed =
                !field.name.isEmpty && field.name.utf8.allSatisfy { $0 > 32 && $0 < 127 && $0 != UInt8(ascii: ":") }
                && field.value.utf8.allSatisfy { $0 >= 32 && $0 != 127 || $0 == 9 }
            guard isAllowed else { return nil }
            text += "\(field.name): \(field.value)\r\n"
        }
        return Array((text + "\r\n").utf8)
    }
}

/// The `Date` header (RFC 9110 section 6.6.1), where the library does not make it.
enum DateField {
    private static let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    static func text(_ time: Timestamp) -> String {
        let seconds = max(0, time.seconds)
        // Day 0, 1970-01-01, was a Thursday.
        let (day, second) = (seconds / 86_400, seconds % 86_400)
        let (year, month, dayOfMonth) = Timestamp.civil(fromDays: day)
        func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let clock = "\(two(second / 3600)):\(two(second / 60 % 60)):\(two(second % 60))"
        return "\(days[Int(day % 7)]), \(two(dayOfMonth)) \(months[Int(month - 1)]) \(year) \(clock) GMT"
    }
}
