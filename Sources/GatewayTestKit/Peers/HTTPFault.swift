internal import Base

/// What an HTTP service does with one good request instead of accepting it. Every fake takes these; what only
/// one service has, such as Apple's bodies, stands in an extension beside its fake.
package indirect enum HTTPFault: Sendable {
    case accept
    /// An answer of this status; `retryAfter` is the header's value, seconds or a date.
    case status(Int, retryAfter: String? = nil, body: String = "")
    case redirect(Int, location: String)
    /// Never answered.
    case hang
    /// HTTP/2: RST_STREAM with INTERNAL_ERROR; HTTP/1.1: the connection is cut. The request is lost.
    case reset
    /// The same, but the request was accepted: a repeat is a duplicate.
    case acceptThenReset
    /// The connection is cut with a TCP reset, whatever else is under way on it; the request is lost.
    case dropConnection
    /// The same, but the request was accepted.
    case acceptThenDrop
    /// REFUSED_STREAM: surely not processed. HTTP/1.1: the connection is cut.
    case refuseStream
    /// Accepts, and after so many further streams sends GOAWAY; with 0 at once, and this request is above
    /// GOAWAY's last stream id and lost. HTTP/1.1: `Connection: close` on the answer.
    case goAway(afterStreams: Int)
    /// Accepts, and SETTINGS_MAX_CONCURRENT_STREAMS of the connection is this from now on.
    case streamLimit(Int)
    /// Bytes that are no HTTP, instead of anything else on the connection.
    case garbage
    /// An empty DATA frame that does not end the stream comes before what the other has to say (HTTP/2).
    case afterEmptyData(HTTPFault)
    case delayed(Duration, HTTPFault)

    /// Accepts after an empty DATA frame.
    package static let emptyDataFrame = HTTPFault.afterEmptyData(.accept)
    /// An answer whose body is nothing a client could read.
    package static func garbageBody(_ status: Int) -> HTTPFault { .status(status, body: "<html>\u{0}oops") }
    /// Accepts after a delay.
    package static func delay(milliseconds: Int) -> HTTPFault { .delayed(.milliseconds(milliseconds), .accept) }

    /// Whether the request counts as taken.
    var accepts: Bool {
        switch self {
        case .accept, .acceptThenReset, .acceptThenDrop, .streamLimit: true
        case .goAway(let count): count > 0
        case .delayed(_, let fault), .afterEmptyData(let fault): fault.accepts
        case .status, .redirect, .hang, .reset, .dropConnection, .refuseStream, .garbage: false
        }
    }

    /// The reply; `accepted` is the service's normal one.
    func reply(_ accepted: PeerReply) -> PeerReply {
        var reply = accepted
        switch self {
        case .accept: break
        case .status(let status, let retryAfter, let body):
            var headers: HTTPFields = ["Content-Type": "text/plain"]
            if let retryAfter { headers.append("Retry-After", retryAfter) }
            return .answer(status, headers: headers, body: Array(body.utf8))
        case .redirect(let status, let location): return .answer(status, headers: ["Location": location])
        case .hang: return PeerReply(.hang)
        case .reset, .acceptThenReset: return PeerReply(.reset)
        case .dropConnection, .acceptThenDrop: return PeerReply(.drop)
        case .refuseStream: return PeerReply(.refuse)
        case .goAway(let count): reply.goAwayAfter = count
        case .streamLimit(let limit): reply.streamLimit = limit
        case .garbage: return PeerReply(.rawBytes(Array("SSH-2.0-surprise\r\n\r\n".utf8)))
        case .afterEmptyData(let fault):
            reply = fault.reply(accepted)
            reply.sendsEmptyData = true
        case .delayed(let duration, let fault):
            reply = fault.reply(accepted)
            reply.delay = reply.delay + duration
        }
        return reply
    }

    /// The word a fake records for a request it did not answer; empty for one it answered.
    var word: String {
        switch self {
        case .hang: "hang"
        case .reset, .acceptThenReset: "reset"
        case .dropConnection, .acceptThenDrop: "dropConnection"
        case .refuseStream: "refuseStream"
        case .goAway(let count): count > 0 ? "" : "goAway"
        case .garbage: "garbage"
        case .delayed(_, let fault), .afterEmptyData(let fault): fault.word
        case .accept, .status, .redirect, .streamLimit: ""
        }
    }
}

/// Queues of faults by address, for any, and standing ones.
package struct FaultScript: Sendable {
    private var queues: [String: [HTTPFault]] = [:]
    private var queue: [HTTPFault] = []
    private var standings: [String: HTTPFault] = [:]
    /// What happens to every request whose queues are empty; nil: it is accepted.
    package var standing: HTTPFault?

    package init() {}

    /// - Parameter address: nil for whichever request comes next.
    package mutating func add(_ faults: [HTTPFault], for address: String?) {
        if let address { queues[address, default: []] += faults } else { queue += faults }
    }

    /// What happens to every request for one address, after its queue and before that for any; nil ends it.
    package mutating func setStanding(_ fault: HTTPFault?, for address: String) { standings[address] = fault }

    package mutating func next(for address: String) -> HTTPFault {
        if !queues.isEmpty, queues[address]?.isEmpty == false { return queues[address]?.removeFirst() ?? .accept }
        if !standings.isEmpty, let fault = standings[address] { return fault }
        return queue.isEmpty ? standing ?? .accept : queue.removeFirst()
    }
}
