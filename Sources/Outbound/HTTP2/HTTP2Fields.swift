internal import Base

/// A request's header as HTTP/2 has it (RFC 9113 sections 8.2 and 8.3).
enum HTTP2Fields {
    /// Whether a field is of a connection, which HTTP/2 does not have (RFC 9113 section 8.2.2), or said in another way.
    private static func isDropped(_ name: String) -> Bool {
        switch name.utf8.count {
        case 4: HeaderBytes.same(name, "host")
        case 6: HeaderBytes.same(name, "expect")
        case 7: HeaderBytes.same(name, "upgrade")
        case 10: HeaderBytes.same(name, "connection") || HeaderBytes.same(name, "keep-alive")
        case 14: HeaderBytes.same(name, "content-length")
        case 16: HeaderBytes.same(name, "proxy-connection")
        case 17: HeaderBytes.same(name, "transfer-encoding")
        default: false
        }
    }

    /// Methods that say how long the body is, also when there is none (RFC 9110 section 8.6).
    private static let bodied: Set<String> = ["POST", "PUT", "PATCH"]

    /// Writes names and values one after another, and where each begins and ends.
    /// - Throws: `HTTPTransportError` for what may not be sent.
    static func write(
        _ exchange: HTTP2Exchange, userAgent: String, to text: inout [UInt8],
        _ spans: inout [(name: Int, value: Int, end: Int)]
    ) throws {
        text.removeAll(keepingCapacity: true)
        spans.removeAll(keepingCapacity: true)
        func add(_ name: String, _ value: String) {
            let start = text.count
            text.append(contentsOf: name.utf8)
            let middle = text.count
            text.append(contentsOf: value.utf8)
            spans.append((start, middle, text.count))
        }
        let request = exchange.order.request
        guard !request.method.isEmpty, request.method.utf8.allSatisfy(HeaderBytes.isToken) else {
            throw HTTPTransportError(.invalidRequest, "the method is no token", surelyNotProcessed: true)
        }
        add(":method", request.method)
        add(":scheme", "https")
        add(":authority", exchange.target.authority)
        add(":path", exchange.target.path)
        var (hasAgent, hasAccept) = (false, false)
        for field in request.headers.fields {
            if isDropped(field.name) { continue }
            hasAgent = hasAgent || HeaderBytes.same(field.name, "user-agent")
            hasAccept = hasAccept || HeaderBytes.same(field.name, "accept")
            add(field.name, HeaderBytes.isPadded(field.value) ? field.value.trimmingSpace : field.value)
            guard let span = spans.last, HeaderBytes.isName(text.span, from: span.name, to: span.value),
                HeaderBytes.isValue(text.span, from: span.value, to: span.end)
            else {
                throw HTTPTransportError(
                    .invalidRequest, "a header field has forbidden characters", surelyNotProcessed: true)
            }
        }
        // As libcurl has it for all other requests.
        if !hasAgent { add("user-agent", userAgent) }
        if !hasAccept { add("accept", "*/*") }
        if !request.body.isEmpty || bodied.contains(request.method) { add("content-length", "\(request.body.count)") }
    }
}
