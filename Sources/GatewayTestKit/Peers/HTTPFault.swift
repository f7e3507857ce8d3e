internal import Base

/// What an HTTP service does with one good request instead of accepting it.
package indirect enum HTTPFault: Sendable {
    case accept
    case status(Int, retryAfter: String? = nil, body: String = "")
    case redirect(Int, location: String)
    case hang
    /// The connection is cut (HTTP/2: RST_STREAM); the request is lost.
    case reset
    /// The same, but the request was accepted: a repeat is a duplicate.
    case acceptThenReset
    /// Bytes that are no HTTP.
    case garbage
    case delayed(Duration, HTTPFault)

    /// Whether the request counts as taken.
    var accepts: Bool {
        switch self {
        case .accept, .acceptThenReset: true
        case .delayed(_, let fault): fault.accepts
        default: false
        }
    }

    /// The reply; `accepted` is the service's normal one.
    func reply(_ accepted: PeerReply) -> PeerReply {
        switch self {
        case .accept: return accepted
        case .status(let status, let retryAfter, let body):
            var headers: HTTPFields = ["Content-Type": "text/plain"]
            if let retryAfter { headers.append("Retry-After", retryAfter) }
            return .answer(status, headers: headers, body: Array(body.utf8))
        case .redirect(let status, let location): return .answer(status, headers: ["Location": location])
        case .hang: return PeerReply(.hang)
        case .reset, .acceptThenReset: return PeerReply(.reset)
        case .garbage: return PeerReply(.rawBytes(Array("SSH-2.0-surprise\r\n\r\n".utf8)))
        case .delayed(let duration, let fault):
            var reply = fault.reply(accepted)
            reply.delay = reply.delay + duration
            return reply
        }
    }
}

/// Queues of faults by address, for any, and a standing one.
package struct FaultScript: Sendable {
    private var queues: [String: [HTTPFault]] = [:]
    private var queue: [HTTPFault] = []
    package var standing: HTTPFault?

    package init() {}

    /// - Parameter address: nil for whichever request comes next.
    package mutating func add(_ faults: [HTTPFault], for address: String?) {
        if let address { queues[address, default: []] += faults } else { queue += faults }
    }

    package mutating func next(for address: String) -> HTTPFault {
        if queues[address]?.isEmpty == false { return queues[address]?.removeFirst() ?? .accept }
        return queue.isEmpty ? standing ?? .accept : queue.removeFirst()
    }
}
