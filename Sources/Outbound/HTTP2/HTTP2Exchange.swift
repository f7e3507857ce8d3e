internal import Base

/// One request over HTTP/2 on its way, and what has come of its answer. Used on the loop's thread only.
final class HTTP2Exchange {
    /// How a stream ended.
    enum End: Sendable, Equatable {
        case answered
        /// The server has surely not looked at the request.
        case refused
        case broken
    }

    let order: HTTPOrder
    let target: HTTP2Target
    /// The number of its stream; 0 while it has none.
    var stream: Int32 = 0
    /// Bytes of the request's body that have been taken.
    var sent = 0
    /// The request may have reached the server.
    var hasBegun = false
    /// The answer is complete.
    private(set) var isComplete = false
    /// Something of an answer has come.
    private(set) var hasAnswer = false
    /// The answer is more than is wanted.
    private(set) var isTooLarge = false
    private var status = 0
    private var fields = HTTPFields()
    private var headerBytes = 0
    private var body: [UInt8] = []

    init(_ order: HTTPOrder, _ target: HTTP2Target) { (self.order, self.target) = (order, target) }

    /// Whether the request asks for nothing but an answer (RFC 9110 section 9.2.1): asking again does no harm.
    var isSafe: Bool { order.request.method == "GET" || order.request.method == "HEAD" }

    var response: HTTPResponse { HTTPResponse(status: status, headers: fields, body: body) }

    /// It will be sent on another stream.
    func restart() {
        (stream, sent, isComplete, hasAnswer, isTooLarge) = (0, 0, false, false, false)
        (status, fields, headerBytes, body) = (0, HTTPFields(), 0, [])
    }

    // MARK: The answer

    /// The status of the answer; or of one that comes before it (RFC 9113 section 8.1), whose fields do not count.
    func began(status: Int) {
        (self.status, fields, hasAnswer) = (status, HTTPFields(), true)
    }

    /// False when the answer's header is longer than anybody wants it.
    func append(_ name: String, _ value: String) -> Bool {
        // What each costs in HPACK's reckoning (RFC 7541 section 4.1).
        headerBytes += name.utf8.count + value.utf8.count + 32
        isTooLarge = isTooLarge || headerBytes > HTTPTransfer.headerLimit
        if !isTooLarge { fields.append(name, value) }
        return !isTooLarge
    }

    /// False when the answer's body is longer than the request allows.
    @unsafe func append(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        isTooLarge = isTooLarge || body.count + bytes.count > order.request.responseLimit
        if !isTooLarge { unsafe body.append(contentsOf: bytes) }
        return !isTooLarge
    }

    /// The server has said all.
    func completed() { isComplete = status >= 200 }

    /// What an answer that is not complete means to the sender.
    var failure: HTTPTransportError {
        if isTooLarge {
            return HTTPTransportError(.responseTooLarge, "the answer exceeds the limit", surelyNotProcessed: false)
        }
        return HTTPTransportError(.connectionLost, "the server broke the request off", surelyNotProcessed: !hasBegun)
    }
}
