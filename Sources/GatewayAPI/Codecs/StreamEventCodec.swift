internal import Base
internal import Gateway

/// The events of a device's stream: their names and data.
enum StreamEventCodec {
    static func encode(_ event: StreamEvent) -> (name: String, data: [UInt8]) {
        switch event {
        case .hello(let device, let epoch, let cursor):
            let json: JSON = [
                "device": .string(device.text), "epoch": .integer(epoch), "cursor": .integer(cursor),
            ]
            return ("hello", json.serializedBytes)
        case .message(let message): return ("message", MessageCodec.bytes(of: message))
        case .notify(let notification): return ("notify", json(of: notification).serializedBytes)
        case .stored(let event): return (event.kind.rawValue, event.data)
        case .presence(let account, let presence):
            var object: JSONObject = ["account": .string(account.text)]
            PeopleCodec.add(presence, to: &object)
            return ("presence", JSON.object(object).serializedBytes)
        case .entry(let entry, let peer): return ("conversation", ConversationCodec.event(entry, peer: peer))
        case .typing(let peer, let state): return ("conversation", ConversationCodec.event(state, peer: peer))
        case .launch(let launch, let app):
            let json: JSON = ["launch": .string(launch.text), "app": .string(app.text)]
            return ("launch", json.serializedBytes)
        }
    }

    private static func json(of notification: Notification) -> JSON {
        var object: JSONObject = [
            "notification": .string(notification.id.text), "message": .string(notification.message.description),
            "app": .string(notification.app?.text ?? ""), "title": .string(notification.title),
        ]
        if let body = notification.body { object.append("body", .string(body)) }
        object.append("badge", .integer(notification.badge))
        object.append("tap", .string(notification.tap))
        if notification.isAnswerable { object.append("reply", .bool(true)) }
        return .object(object)
    }
}
