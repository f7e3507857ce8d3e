internal import Base

// Apple's error answers as faults.
extension HTTPFault {
    /// An error answer in Apple's form; for reasons see Apple's table.
    /// - Parameter retryAfter: seconds.
    package static func status(_ status: Int, reason: String, retryAfter: Int? = nil) -> HTTPFault {
        .status(status, retryAfter: retryAfter.map { "\($0)" }, body: APNsReplies.body(reason))
    }

    /// 410 with the time the token died, in milliseconds.
    /// - Parameter reason: `Unregistered` or `ExpiredToken`.
    package static func gone(timestampMilliseconds: Int64, reason: String = "Unregistered") -> HTTPFault {
        .status(410, body: APNsReplies.body(reason, timestamp: timestampMilliseconds))
    }
}

/// Apple's answers in HTTP.
enum APNsReplies {
    /// The body of an error.
    /// - Parameter timestamp: milliseconds since 1970; only with 410.
    static func body(_ reason: String, timestamp: Int64? = nil) -> String {
        var body: JSONObject = ["reason": .string(reason)]
        if let timestamp { body.append("timestamp", .integer(timestamp)) }
        return JSON.object(body).serialized
    }

    /// The reply for a push that passed all checks; status 0 for one that gets no answer.
    static func reply(to fault: HTTPFault, id: String, proven: Int) -> (reply: PeerReply, status: Int, reason: String) {
        var accepted = PeerReply.answer(200, headers: ["apns-id": id, "apns-unique-id": id])
        accepted.provenStreamLimit = proven
        var reply = fault.reply(accepted)
        guard fault.word.isEmpty, case .answer(let status, var headers, let body) = reply.action else {
            return (reply, 0, fault.word)
        }
        if headers["apns-id"] == nil {
            headers.append("apns-id", id)
            reply.action = .answer(status: status, headers: headers, body: body)
        }
        if status == 200 { return (reply, status, "") }
        return (reply, status, (try? JSONParser.parse(body))?["reason"]?.string ?? "garbageBody")
    }

    static func refusal(_ refusal: APNsRules.Refusal, id: String, goneSince: Timestamp?) -> PeerReply {
        let timestamp = refusal.status == 410 ? goneSince?.milliseconds : nil
        let text = body(refusal.reason, timestamp: timestamp)
        return .answer(refusal.status, headers: ["apns-id": id], body: Array(text.utf8))
    }
}
