internal import Base
internal import Gateway

/// Messages in JSON.
enum MessageCodec {
    /// As on the stream.
    static func json(of message: Message) -> JSON { .object(object(of: message)) }

    /// As in a list: with what the queue knows of it.
    static func view(of message: Message) -> JSON {
        var object = object(of: message)
        object.append("priority", .string(message.priority.rawValue))
        object.append("state", .string(message.state.rawValue))
        if let expires = message.expires { object.append("expires", .timestamp(expires)) }
        return .object(object)
    }

    private static func object(of message: Message) -> JSONObject {
        var header = JSONObject()
        for (name, value) in message.header.sorted(by: { $0.key < $1.key }) { header.append(name, .string(value)) }
        var object: JSONObject = [
            "id": .string(message.key.description), "seq": .integer(message.key.seq),
            "queue": .string(message.address.description),
        ]
        if let app = message.app { object.append("app", .string(app.text)) }
        object.append("header", .object(header))
        object.append("subject", message.subject.map { .string($0) } ?? .null)
        object.append("body", .string(String(decoding: message.body, as: UTF8.self)))
        object.append("sender", .string(message.sender.description))
        object.append("enqueued", .timestamp(message.enqueued))
        return object
    }

    /// What became of a message: accepted, announced to each device, settled.
    static func trace(of message: Message, _ deliveries: [DeliveryRecord]) -> JSON {
        var history: [(at: Timestamp, json: JSON)] = [
            (message.enqueued, step(at: message.enqueued, state: "accepted", device: nil, detail: nil))
        ]
        for delivery in deliveries {
            history.append(
                (
                    delivery.at,
                    step(
                        at: delivery.at, state: delivery.outcome.rawValue, device: delivery.device,
                        detail: delivery.detail)
                ))
        }
        if let settled = message.settled {
            history.append(
                (
                    settled,
                    step(at: settled, state: message.state.rawValue, device: nil, detail: message.settledReason)
                ))
        }
        // A stable order: at the same moment what was noted first stands first.
        let sorted = history.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }
        return [
            "id": .string(message.key.description), "state": .string(message.state.rawValue),
            "history": .array(sorted.map(\.element.json)),
        ]
    }

    private static func step(at: Timestamp, state: String, device: DeviceID?, detail: String?) -> JSON {
        var object: JSONObject = ["at": .timestamp(at), "state": .string(state)]
        if let device { object.append("device", .string(device.text)) }
        if let detail { object.append("detail", .string(detail)) }
        return .object(object)
    }
}
