internal import Base
internal import Gateway

/// Launches in JSON.
enum LaunchCodec {
    /// - Parameter screen: the address of this launch on the page that shows apps.
    static func json(of answer: LaunchRelay.Answer, screen: String) -> JSON {
        [
            "id": .string(answer.launch.id.text), "app": .string(answer.launch.app.text),
            "session": answer.session.map { .string($0.text) } ?? .null,
            "expires": .timestamp(answer.launch.expires), "action": json(of: answer.action, screen: screen),
        ]
    }

    private static func json(of action: LaunchAction, screen: String) -> JSON {
        switch action {
        case .screen: ["kind": "url", "url": .string(screen), "embed": true]
        case .url(let url): ["kind": "url", "url": .string(url)]
        case .file(let contentType, let name, let body):
            [
                "kind": "file", "contentType": .string(contentType), "name": .string(name),
                // Base64: an .rdp file is UTF-16, which a JSON string would mangle.
                "body": .string(body.base64),
            ]
        }
    }

    /// For whoever brought the ticket.
    static func json(of redeemed: LaunchRelay.Redeemed) -> JSON {
        let launch = redeemed.launch
        var object: JSONObject = [
            "id": .string(launch.id.text), "app": .string(launch.app.text), "name": .string(redeemed.app.name),
            "account": .string(launch.account.text),
        ]
        if let message = launch.message { object.append("message", .string(message.description)) }
        if let item = redeemed.item { object.append("item", .string(item)) }
        object.append("start", json(of: redeemed.start))
        if let token = redeemed.presence {
            object.append("presence", ["token": .string(token.exposed), "instance": .string(launch.id.text)])
        }
        if let key = redeemed.sessionKey { object.append("key", .string(key.exposed)) }
        return .object(object)
    }

    private static func json(of start: LaunchStart) -> JSON {
        switch start {
        case .nothing: return ["kind": "nothing"]
        case .program: return ["kind": "program"]
        case .frame(let url): return ["kind": "frame", "url": .string(url.exposed)]
        case .rfb(let module, let socket, let password):
            var object: JSONObject = [
                "kind": "rfb", "module": .string(module), "socket": .string(socket.exposed),
            ]
            if let password { object.append("password", .string(password.exposed)) }
            return .object(object)
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
