internal import Base
internal import Gateway

/// Launches in JSON.
enum LaunchCodec {
    static func json(of answer: LaunchRelay.Answer) -> JSON {
        [
            "id": .string(answer.launch.id.text), "app": .string(answer.launch.app.text),
            "session": answer.session.map { .string($0.text) } ?? .null,
            "expires": .timestamp(answer.launch.expires), "action": json(of: answer.action),
        ]
    }

    private static func json(of action: LaunchAction) -> JSON {
        switch action {
        case .url(let url): ["kind": "url", "url": .string(url)]
        case .file(let contentType, let name, let body):
            [
                "kind": "file", "contentType": .string(contentType), "name": .string(name),
                // Base64: an .rdp file is UTF-16, which a JSON string would mangle.
                "body": .string(body.base64),
            ]
        }
    }

    /// For the administrator: without ticket and action.
    static func json(of launch: Launch) -> JSON {
        var object: JSONObject = [
            "id": .string(launch.id.text), "account": .string(launch.account.text),
            "device": .string(launch.device.text), "app": .string(launch.app.text),
        ]
        if let message = launch.message { object.append("message", .string(message.description)) }
        object.append("fromTap", .bool(launch.fromTap))
        object.append("state", .string(launch.state.rawValue))
        object.append("created", .timestamp(launch.created))
        object.append("expires", .timestamp(launch.expires))
        return .object(object)
    }
}
