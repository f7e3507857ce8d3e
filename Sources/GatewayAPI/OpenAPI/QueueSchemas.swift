internal import Base
internal import Gateway

extension OpenAPI {
    /// What every view of a message has.
    private static let messageFields: [(String, JSON)] = [
        ("id", Schema.string), ("seq", Schema.integer), ("queue", Schema.string), ("app?", Schema.string),
        ("header", Schema.stringMap), ("subject", Schema.nullableString), ("body", Schema.string),
        ("sender", Schema.string("The queue an answer goes to")), ("enqueued", Schema.time),
        ("correlation?", Schema.string), ("group?", Schema.string), ("attachments?", Schema.named("Attachments")),
        ("entry?", Schema.integer),
    ]
    private static let viewFields =
        messageFields + [
            ("priority", Schema.words(Message.Priority.self)), ("state", Schema.words(Message.State.self)),
            ("expires?", Schema.time), ("notBefore?", Schema.time),
        ]
    /// What a message is sent with, but for where to.
    private static let orderFields: [(String, JSON)] = [
        ("from?", Schema.words(SendOrder.Origin.self)), ("id?", Schema.string("The sender's own, against repeats")),
        ("app?", Schema.string), ("header?", Schema.stringMap), ("subject?", Schema.string), ("body", Schema.string),
        ("priority?", Schema.words(Message.Priority.self)), ("ttlSeconds?", Schema.integer(1...31_536_000)),
        ("notBefore?", Schema.string("RFC 3339; not seen before")),
        ("group?", Schema.string("Messages of one group are given out one after the other")),
        ("collapse?", Schema.string("Replaces an older one with the same value that nobody has taken")),
        ("correlation?", Schema.string), ("receipts?", Schema.words(SendCodec.receiptWords)),
        ("attachments?", Schema.named("Attachments")),
    ]

    static let queues: KeyValuePairs<String, JSON> = [
        "Target": Schema.oneOf(
            Schema.object(["account": Schema.string]), Schema.object(["device": Schema.string]),
            Schema.object(["tag": Schema.string]), Schema.object(["app": Schema.string])),
        "MessageOrder": Schema.object(
            [("to", Schema.oneOf(Schema.named("Target"), Schema.array(Schema.named("Target"))))] + orderFields),
        "ReplyOrder": Schema.object(orderFields),
        "Tap": Schema.object(["tap": Schema.string("Of the push or the notify event")]),
        "TapSubject": Schema.object([
            "message": Schema.string, "peer?": Schema.string("The conversation, such as account/bob"),
        ]),
        "TapReply": Schema.object([
            "tap": Schema.string("Of the push or the notify event"), "body": Schema.string,
            "id?": Schema.string("The same one within ten minutes is the same answer"),
        ]),
        "MessageBatch": Schema.object(["messages": Schema.array(Schema.named("MessageOrder"))]),
        "SentMessage": Schema.object([
            "id": Schema.string, "to": Schema.string("The recipient's queue, such as account/alice"),
            "seq": Schema.integer, "state": Schema.words(Sent.State.self),
        ]),
        "SentMessages": Schema.object(["messages": Schema.array(Schema.named("SentMessage"))]),
        "BatchResults": Schema.object([
            "results": Schema.array(
                Schema.oneOf(
                    Schema.named("SentMessages"),
                    Schema.object([
                        "code": Schema.string, "detail": Schema.string, "field?": Schema.string,
                        "status": Schema.integer,
                    ])))
        ]),
        "Message": Schema.object(viewFields),
        "MessagePage": Schema.page("Message"),
        "DeadMessage": Schema.object(
            viewFields + [
                ("reason", Schema.string), ("consumer?", Schema.string("Who had it last")),
                ("deliveries", Schema.integer), ("at", Schema.time),
            ]),
        "DeadMessagePage": Schema.page("DeadMessage"),
        "Trace": Schema.object([
            "id": Schema.string, "state": Schema.words(Message.State.self),
            "history": Schema.array(
                Schema.object([
                    "at": Schema.time, "state": Schema.words(traceStates), "device?": Schema.string,
                    "consumer?": Schema.string, "detail?": Schema.string,
                ])),
        ]),
    ]

    /// What a message's history may say: accepted, what became of announcing it, where it stands.
    private static let traceStates: [String] =
        ["accepted", "delivered"] + DeliveryRecord.Outcome.allCases.map(\.rawValue)
        + Message.State.allCases.map(\.rawValue)

    static let consumers: KeyValuePairs<String, JSON> = [
        "ReceiveOrder": Schema.object([
            "queue?": Schema.string("The caller's own without it"), "max?": Schema.integer(1...TakeOrder.maxLimit),
            "waitSeconds?": Schema.integer(0...60), "lockSeconds?": Schema.integer(1...300),
            "mode?": Schema.words(["lock", "delete"]), "deferred?": Schema.array(Schema.string),
        ]),
        "LockOrder": Schema.object(["queue?": Schema.string, "lockSeconds?": Schema.integer(1...300)]),
        "Receipt": Schema.object([
            "token": Schema.string, "remainingMilliseconds": Schema.integer,
            "delivery": Schema.integer,
        ]),
        "ReceivedMessage": Schema.object(messageFields + [("receipt", Schema.named("Receipt"))]),
        "ReceivedMessages": Schema.object(["messages": Schema.array(Schema.named("ReceivedMessage"))]),
        "Completion": Schema.object(["token": Schema.string]),
        "Abandonment": Schema.object([
            "token": Schema.string, "delaySeconds?": Schema.integer(SettleRequest.delaySeconds),
        ]),
        "DeadLettering": Schema.object(["token": Schema.string, "reason?": Schema.string]),
        "Renewal": Schema.object(["token": Schema.string, "lockSeconds?": Schema.integer(1...300)]),
        "Settled": Schema.object(["id": Schema.string, "state": Schema.words(Message.State.self)]),
        "Renewed": Schema.object([
            "id": Schema.string, "state": Schema.constant("locked"), "receipt": Schema.named("Receipt"),
        ]),
        "Settlements": Schema.object([
            "settlements": Schema.array(
                Schema.object([
                    "id": Schema.string, "token": Schema.string, "as": Schema.words(SettleRequest.Verb.self),
                    "delaySeconds?": Schema.integer(SettleRequest.delaySeconds), "reason?": Schema.string,
                    "lockSeconds?": Schema.integer(1...300),
                ]))
        ]),
        "SettleResults": Schema.object([
            "results": Schema.array(
                Schema.object([
                    "id": Schema.string, "state?": Schema.words(Message.State.self),
                    "receipt?": Schema.named("Receipt"), "code?": Schema.string, "detail?": Schema.string,
                ]))
        ]),
    ]
}
