internal import Base

/// The routes of senders and consumers.
extension OpenAPI {
    static let queueOperations = sendingOperations + viewOperations + consumerOperations

    private static let sendingOperations = [
        Operation(
            method: "POST", path: "/v1/messages", access: .party,
            summary: """
                Sends a message to each recipient; answered when that is durable. The same id from the same sender \
                to the same recipient within ten minutes is the same message
                """,
            body: "MessageOrder", answers: [(202, .json("SentMessages"))], problems: [404, 507]),
        Operation(
            method: "POST", path: "/v1/messages/batch", access: .party,
            summary: "Sends up to 100 messages; each is accepted or refused for itself", body: "MessageBatch",
            answers: [(202, .json("BatchResults"))]),
        Operation(
            method: "POST", path: "/v1/messages/{id}/reply", access: .party,
            summary: "Answers whoever sent a message; carries its correlation, or else its id",
            body: "ReplyOrder", answers: [(202, .json("SentMessages"))], problems: [507]),
        Operation(
            method: "POST", path: "/v1/taps", access: .device,
            summary: "Says which message a notification is about, by its tap, and which conversation it belongs to",
            body: "Tap", answers: [(200, .json("TapSubject"))], problems: [410]),
        Operation(
            method: "POST", path: "/v1/replies", access: .device,
            summary: "Answers the message of a notification, by its tap, and marks it as read",
            body: "TapReply", answers: [(202, .json("SentMessages"))], problems: [404, 410, 507]),
    ]

    private static let viewOperations = [
        Operation(
            method: "GET", path: "/v1/messages", access: .party,
            summary: "Shows a queue's open messages without locking them", query: ["limit", "after", "queue"],
            answers: [(200, .json("MessagePage"))], problems: [404]),
        Operation(
            method: "GET", path: "/v1/messages/{id}", access: .party,
            summary: "What became of a message; for whoever sent it, and whom it was sent to",
            answers: [(200, .json("Trace"))]),
        Operation(
            method: "POST", path: "/v1/messages/{id}/read", access: .device,
            summary: "Marks a message as read and clears its notification elsewhere", body: "Empty",
            isBodyOptional: true, answers: [(204, .none)]),
        Operation(
            method: "GET", path: "/v1/dead", access: .party, summary: "A queue's dead letters",
            query: ["limit", "after", "queue"], answers: [(200, .json("DeadMessagePage"))], problems: [404]),
        Operation(
            method: "POST", path: "/v1/dead/{id}/redrive", access: .party,
            summary: "Brings a dead letter back to its queue", body: "Empty", isBodyOptional: true,
            answers: [(200, .json("Settled"))]),
    ]

    private static let consumerOperations =
        [
            Operation(
                method: "POST", path: "/v1/messages/receive", access: .party,
                summary: "Takes and locks the next messages, waiting for some if asked to", body: "ReceiveOrder",
                isBodyOptional: true, answers: [(200, .json("ReceivedMessages"))], problems: [404]),
            Operation(
                method: "POST", path: "/v1/messages/{id}/lock", access: .party,
                summary: "Locks one message that was seen by peeking", body: "LockOrder", isBodyOptional: true,
                answers: [(200, .json("ReceivedMessage"))], problems: [409]),
            Operation(
                method: "POST", path: "/v1/messages/settle", access: .party,
                summary: "Settles up to 100 messages, each for itself", body: "Settlements",
                answers: [(200, .json("SettleResults"))]),
        ]
        + [
            ("complete", "It was accepted: the message is done", "Completion"),
            ("abandon", "It could not be accepted: ready again, at once or later", "Abandonment"),
            ("defer", "It is wanted later, by its id", "Completion"),
            ("dead-letter", "Nobody can accept it", "DeadLettering"),
        ].map { verb, summary, body in
            Operation(
                method: "POST", path: "/v1/messages/{id}/\(verb)", access: .party, summary: summary, body: body,
                answers: [(200, .json("Settled"))], problems: [409])
        }
        + [
            Operation(
                method: "POST", path: "/v1/messages/{id}/renew", access: .party,
                summary: "Prolongs a lock from now on", body: "Renewal", answers: [(200, .json("Renewed"))],
                problems: [409])
        ]
}
