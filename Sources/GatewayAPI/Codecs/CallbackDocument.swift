package import Base
package import Gateway

/// What an application's callback carries: `{type:"message"|"receipt"|"presence"|"read"|"edit"|"withdraw", …}`.
package enum CallbackDocument {
    /// The document of a message in an application's queue; for a receipt, what it says of which message.
    package static func document(of message: Message, attempt: Int) -> JSON {
        // What the gateway itself tells an application stands there as from the application: whoever else sends a
        // message with such a header has sent a message.
        guard message.sender == message.address else { return self.message(message, attempt) }
        return switch message.header["type"] {
        case "receipt": receipt(message)
        case "presence": presence(message)
        case "read", "edit", "withdraw": change(message)
        default: self.message(message, attempt)
        }
    }

    /// What is to be echoed before anything else is sent.
    package static func challenge(_ text: String) -> JSON { ["type": "challenge", "challenge": .string(text)] }

    private static func message(_ message: Message, _ attempt: Int) -> JSON {
        var header = JSONObject()
        for (name, value) in message.header.sorted(by: { $0.key < $1.key }) { header.append(name, .string(value)) }
        var document: JSONObject = [
            "type": "message", "id": .string(message.key.description), "queue": .string(message.address.description),
            "sender": .string(message.sender.description), "enqueued": .timestamp(message.enqueued),
            "header": .object(header),
            "subject": message.subject.map { .string($0) } ?? .null,
            "body": .string(String(decoding: message.body, as: UTF8.self)), "attempt": .integer(attempt),
        ]
        for (name, value) in [
            ("app", message.app?.text), ("correlation", message.correlation), ("group", message.group),
        ] {
            if let value { document.append(name, .string(value)) }
        }
        if !message.attachments.isEmpty {
            document.append("attachments", ConversationCodec.json(message.attachments))
        }
        if let entry = message.entry { document.append("entry", .integer(entry)) }
        return .object(document)
    }

    /// What somebody has done in a conversation with the application.
    private static func change(_ message: Message) -> JSON {
        let type = message.header["type"] ?? ""
        var document: JSONObject = ["type": .string(type), "from": .string(message.header["from"] ?? "")]
        if let id = message.header["message"] { document.append("message", .string(id)) }
        if let number = message.header["upTo"].flatMap({ Int64($0) }) { document.append("upTo", .integer(number)) }
        if type == "edit" {
            document.append("subject", message.subject.map { .string($0) } ?? .null)
            document.append("body", .string(String(decoding: message.body, as: UTF8.self)))
        }
        document.append("at", .timestamp(message.enqueued))
        return .object(document)
    }

    private static func presence(_ message: Message) -> JSON {
        var document: JSONObject = ["type": "presence"]
        for name in ["account", "status", "text", "lastSeen"] {
            if let value = message.header[name] { document.append(name, .string(value)) }
        }
        document.append("at", .timestamp(message.enqueued))
        return .object(document)
    }

    private static func receipt(_ message: Message) -> JSON {
        var document: JSONObject = [
            "type": "receipt", "message": .string(message.header["message"] ?? ""),
            "state": .string(message.header["state"] ?? ""), "at": .timestamp(message.enqueued),
        ]
        for (name, value) in [("correlation", message.correlation), ("device", message.header["device"])] {
            if let value { document.append(name, .string(value)) }
        }
        return .object(document)
    }
}
