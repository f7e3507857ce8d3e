package import Base

/// The answer to a request. The server adds `Farbell-Request-Id`, `Date` and the length.
package struct InboundResponse: Sendable {
    package enum Body: Sendable {
        case bytes([UInt8])
        /// Server-sent events, until either side ends them.
        case stream(EventStream)
    }

    /// 200...599.
    package var status: Int
    /// Apart from `headers` because nearly every answer has it; nil for none.
    package var contentType: String?
    package var headers: HTTPFields
    package var body: Body

    package init(status: Int, contentType: String? = nil, headers: HTTPFields = [:], body: [UInt8] = []) {
        (self.status, self.contentType, self.headers, self.body) = (status, contentType, headers, .bytes(body))
    }

    private init(stream: EventStream) {
        (status, contentType, body) = (200, "text/event-stream", .stream(stream))
        // The last keeps nginx from collecting events in its buffer.
        headers = ["Cache-Control": "no-store", "X-Accel-Buffering": "no"]
    }

    /// An answer without a body.
    package static func empty(_ status: Int = 204) -> InboundResponse { InboundResponse(status: status) }

    package static func json(_ json: JSON, status: Int = 200, headers: HTTPFields = [:]) -> InboundResponse {
        .json(bytes: json.serializedBytes, status: status, headers: headers)
    }

    /// JSON that is serialised already.
    package static func json(bytes: [UInt8], status: Int = 200, headers: HTTPFields = [:]) -> InboundResponse {
        InboundResponse(status: status, contentType: "application/json", headers: headers, body: bytes)
    }

    /// - Parameter contentType: a type that the text is UTF-8 in.
    package static func text(
        _ text: String, status: Int = 200, contentType: String = "text/plain; charset=utf-8"
    ) -> InboundResponse {
        InboundResponse(status: status, contentType: contentType, body: Array(text.utf8))
    }

    package static func stream(_ stream: EventStream) -> InboundResponse { InboundResponse(stream: stream) }

    package static func problem(_ problem: Problem) -> InboundResponse {
        InboundResponse(
            status: problem.status, contentType: "application/problem+json", headers: problem.headers,
            body: problem.json.serializedBytes)
    }
}

/// Answers requests.
package protocol RequestHandler: Sendable {
    /// Called on one of the server's few threads: answer in place only what needs no waiting, and hand
    /// everything else over with `.later` or `.whenDone`.
    /// - Throws: a `Problem` to answer with it; anything else is logged and answered with 500.
    func answer(_ request: InboundRequest) throws -> Answer
}

/// What a handler says to a request.
package enum Answer: Sendable {
    /// The answer is here; nothing was waited for. The fast way.
    case now(InboundResponse)
    /// The answer takes time: the closure runs in a task of the server's. It is cancelled when a shutdown
    /// has waited long enough. Throws as `RequestHandler.answer` does.
    case later(@Sendable () async throws -> InboundResponse)
    /// Something else than a task has the answer, such as the completion of a work queue or a waiter: the
    /// closure runs at once, on the server's thread, must not wait, and hands the responder on. Cheaper than
    /// `.later`: no task, and one wake-up of the connection's thread. At a shutdown `Responder.onCancel` is
    /// called at once; what is not answered within `ServerLimits.drainTimeout` is answered with 503.
    case whenDone(start: @Sendable (Responder) -> Void)
}
