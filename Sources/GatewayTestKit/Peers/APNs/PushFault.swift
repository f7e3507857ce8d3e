internal import Base

/// What a push service does with one good push.
package indirect enum PushFault: Sendable {
    /// The push is accepted.
    case accept
    /// An error answer; for a reason see Apple's table.
    case status(Int, reason: String, retryAfter: Int? = nil)
    /// 410 Unregistered with the time the token died, in milliseconds.
    case gone(timestampMilliseconds: Int64)
    /// Accepts, and after so many further streams (with 0: at once, this one unanswered) sends GOAWAY.
    case goAway(afterStreams: Int)
    /// REFUSED_STREAM: surely not processed.
    case refuseStream
    /// Never answered.
    case hang
    /// RST_STREAM with INTERNAL_ERROR; the push is lost.
    case reset
    /// The same, but the push was accepted: a repeat is a duplicate.
    case acceptThenReset
    /// An error answer whose body is no JSON.
    case garbageBody(Int)
    /// Bytes on the connection that are no HTTP/2.
    case garbage
    /// Accepts; 200 ends with an empty DATA frame.
    case emptyDataFrame
    /// Waits, then does the other.
    case delayed(Duration, PushFault)
    /// Accepts and lowers SETTINGS_MAX_CONCURRENT_STREAMS.
    case streamLimit(Int)
    /// The TCP connection is cut.
    case dropConnection

    /// Accepts after a delay.
    package static func delay(milliseconds: Int) -> PushFault { .delayed(.milliseconds(milliseconds), .accept) }

    /// Whether the push counts as taken.
    var accepts: Bool {
        switch self {
        case .accept, .acceptThenReset, .emptyDataFrame, .streamLimit: true
        case .goAway(let count): count > 0
        case .delayed(_, let fault): fault.accepts
        default: false
        }
    }
}

/// Apple's answers in HTTP.
enum APNsReplies {
    /// The reply for a push that passed all checks; status 0 for one that gets no answer.
    static func reply(to fault: PushFault?, id: String, proven: Int) -> (reply: PeerReply, status: Int, reason: String)
    {
        var accepted = PeerReply.answer(200, headers: ["apns-id": id, "apns-unique-id": id])
        accepted.provenStreamLimit = proven
        switch fault {
        case nil, .accept: return (accepted, 200, "")
        case .status(let status, let reason, let retryAfter):
            return (answer(status, reason, id: id, retryAfter: retryAfter), status, reason)
        case .gone(let milliseconds):
            return (answer(410, "Unregistered", id: id, timestamp: milliseconds), 410, "Unregistered")
        case .goAway(let count):
            accepted.goAwayAfter = count
            return (accepted, count > 0 ? 200 : 0, "goAway")
        case .refuseStream: return (PeerReply(.refuse), 0, "refuseStream")
        case .hang: return (PeerReply(.hang), 0, "hang")
        case .reset, .acceptThenReset: return (PeerReply(.reset), 0, "reset")
        case .garbageBody(let status):
            let body = Array("<html>\u{0}oops".utf8)
            return (PeerReply.answer(status, headers: ["apns-id": id], body: body), status, "garbageBody")
        case .garbage: return (PeerReply(.rawBytes(Array("SSH-2.0-surprise\r\n\r\n".utf8))), 0, "garbage")
        case .emptyDataFrame:
            accepted.sendsEmptyData = true
            return (accepted, 200, "")
        case .delayed(let duration, let inner):
            var result = reply(to: inner, id: id, proven: proven)
            result.reply.delay = result.reply.delay + duration
            return result
        case .streamLimit(let limit):
            accepted.streamLimit = limit
            return (accepted, 200, "")
        case .dropConnection: return (PeerReply(.drop), 0, "dropConnection")
        }
    }

    static func refusal(_ refusal: APNsRules.Refusal, id: String, goneSince: Timestamp?) -> PeerReply {
        let timestamp = refusal.status == 410 ? goneSince?.milliseconds : nil
        return answer(refusal.status, refusal.reason, id: id, timestamp: timestamp)
    }

    private static func answer(
        _ status: Int, _ reason: String, id: String, retryAfter: Int? = nil, timestamp: Int64? = nil
    ) -> PeerReply {
        var body: JSON = ["reason": .string(reason)]
        if let timestamp { body = ["reason": .string(reason), "timestamp": .integer(timestamp)] }
        var headers: HTTPFields = ["apns-id": id]
        if let retryAfter { headers.append("retry-after", "\(retryAfter)") }
        return .answer(status, headers: headers, body: body.serializedBytes)
    }
}
