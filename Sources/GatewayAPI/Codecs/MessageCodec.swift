internal import Base
internal import Gateway

/// Messages in JSON.
enum MessageCodec {
    /// As on the stream.
    static func bytes(of message: Message) -> [UInt8] {
        var text = JSONText(capacity: capacity(message))
        text.object { write(message, to: &$0) }
        return text.bytes
    }

    /// What a message takes, roughly.
    private static func capacity(_ message: Message) -> Int {
        320 + message.body.count + message.header.count * 64
    }

    /// What every view of a message has.
    private static func write(_ message: Message, to text: inout JSONText) {
        text.add("id", write: message.key.write)
        text.add("seq", message.key.seq)
        text.add("queue", message.address)
        if let app = message.app { text.add("app", app.text) }
        text.object("header") { text in
            if message.header.isEmpty { return }
            for (name, value) in message.header.sorted(by: { $0.key < $1.key }) { text.add(foreign: name, value) }
        }
        if let subject = message.subject { text.add("subject", subject) } else { text.addNull("subject") }
        text.add("body", utf8: message.body)
        text.add("sender", message.sender)
        text.add("enqueued", message.enqueued)
        if let correlation = message.correlation { text.add("correlation", correlation) }
        if let group = message.group { text.add("group", group) }
        if !message.attachments.isEmpty { ConversationCodec.write(message.attachments, to: &text) }
        if let entry = message.entry { text.add("entry", entry) }
    }

    // MARK: Lists

    /// One page of a queue's messages; one more than the page holds shows that there is a next one.
    static func page(
        _ messages: [Message], limit: Int, _ write: (Message, inout JSONText) -> Void
    ) -> [UInt8] {
        let page = messages.prefix(limit)
        var text = JSONText(capacity: page.reduce(64) { $0 + capacity($1) })
        text.object { text in
            text.array("items") { text in
                for message in page { text.object { write(message, &$0) } }
            }
            if messages.count > limit, let last = page.last {
                text.add("next", String(last.key.seq))
            } else {
                text.addNull("next")
            }
        }
        return text.bytes
    }

    /// As in a list: with what the queue knows of it.
    static func writeView(_ message: Message, to text: inout JSONText) {
        write(message, to: &text)
        text.add("priority", message.priority.rawValue)
        text.add("state", message.state.rawValue)
        if let expires = message.expires { text.add("expires", expires) }
        if let due = message.notBefore { text.add("notBefore", due) }
    }

    /// As among the dead letters: with who had it last, and why it is dead.
    static func writeDead(_ message: Message, to text: inout JSONText) {
        writeView(message, to: &text)
        text.add("reason", message.settledReason ?? "")
        if let consumer = message.consumer { text.add("consumer", consumer) }
        text.add("deliveries", Int64(message.deliveries))
        text.add("at", message.settled ?? message.enqueued)
    }

    // MARK: For consumers

    /// What a consumer gets.
    /// - Parameter isSettled: the messages were settled with the hand-over; no time is left on their locks.
    static func handedOver(_ messages: [HandedOver], isSettled: Bool = false) -> [UInt8] {
        var text = JSONText(capacity: messages.reduce(32) { $0 + capacity($1.message) })
        text.object { text in
            text.array("messages") { text in
                for handed in messages {
                    text.object { write(handed, remaining: isSettled ? .zero : handed.remaining, to: &$0) }
                }
            }
        }
        return text.bytes
    }

    static func handedOver(_ handed: HandedOver) -> [UInt8] {
        var text = JSONText(capacity: capacity(handed.message))
        text.object { write(handed, remaining: handed.remaining, to: &$0) }
        return text.bytes
    }

    private static func write(_ handed: HandedOver, remaining: Duration, to text: inout JSONText) {
        write(handed.message, to: &text)
        ReceiptToken(handed.lock).write(remaining: remaining, to: &text)
    }

    // MARK: What became of one

    /// Accepted, announced to each device, settled or dead.
    /// - Parameters:
    ///   - message: as it is stored.
    ///   - state: as the queue knows it, which knows of locks too; nil for one that is not in it any more.
    static func trace(of message: Message, state: Message.State?, _ deliveries: [DeliveryRecord]) -> JSON {
        var history = [(at: message.enqueued, json: step(at: message.enqueued, "accepted"))]
        if let due = message.notBefore, message.deliveries == 0 {
            history.append((message.enqueued, step(at: message.enqueued, "scheduled", detail: due.description)))
        }
        for delivery in deliveries {
            let json = step(
                at: delivery.at, delivery.outcome.rawValue, device: delivery.device.text, detail: delivery.detail)
            history.append((delivery.at, json))
        }
        if let delivered = message.delivered { history.append((delivered, step(at: delivered, "delivered"))) }
        if let settled = message.settled {
            let json = step(
                at: settled, message.state.rawValue, consumer: message.consumer, detail: message.settledReason)
            history.append((settled, json))
        }
        // A stable order: at the same moment what was noted first stands first.
        let sorted = history.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }
        return [
            "id": .string(message.key.description), "state": .string((state ?? message.state).rawValue),
            "history": .array(sorted.map(\.element.json)),
        ]
    }

    private static func step(
        at: Timestamp, _ state: String, device: String? = nil, consumer: String? = nil, detail: String? = nil
    ) -> JSON {
        var object: JSONObject = ["at": .timestamp(at), "state": .string(state)]
        if let device { object.append("device", .string(device)) }
        if let consumer { object.append("consumer", .string(consumer)) }
        if let detail { object.append("detail", .string(detail)) }
        return .object(object)
    }
}
