internal import Base
internal import Cryptography
internal import Gateway

/// A message as ntfy publishes it in JSON (docs.ntfy.sh/publish, "Publish as JSON").
enum NtfyMessage {
    /// Bytes of the longest document. ntfy makes an attachment of a text of more than 4096 bytes; keeping the whole
    /// document below that keeps the text below it too.
    static let limit = 4096

    /// The document in at most `limit` bytes: texts are shortened as `PushText` does.
    /// - Parameter isBrief: says only that there is something, whatever the device wants.
    /// - Returns: nil when even that does not fit.
    /// - Throws: when the device's key cannot be used.
    static func document(
        _ push: Push, _ notification: Notification, topic: NtfyTopic, tags: [String], page: String?, isBrief: Bool
    ) throws -> [UInt8]? {
        if let keys = push.encryption {
            return try sealed(push, keys, frame(push, notification, topic: topic, tags: tags))
        }
        let app = notification.app.map { [$0.text] } ?? []
        var frame = frame(push, notification, topic: topic, tags: tags + app)
        if let page { frame.append("click", .string(page)) }
        if isBrief || push.payload == .wakeup {
            frame.append("message", .string(push.hint))
            let bytes = JSON.object(frame).serializedBytes
            return bytes.count <= limit ? bytes : nil
        }
        let body = notification.body ?? push.hint
        return PushText.fit(title: notification.title, body: body, limit: limit) { title, body in
            var document = frame
            document.append("title", .string(title))
            document.append("message", .string(body ?? ""))
            return JSON.object(document).serializedBytes
        }
    }

    /// Everything but the texts. Messages of one sequence replace each other on the device.
    private static func frame(
        _ push: Push, _ notification: Notification, topic: NtfyTopic, tags: [String]
    ) -> JSONObject {
        var frame: JSONObject = [
            "topic": .string(topic.name), "priority": .integer(priority(push.priority)),
            "sequence_id": .string(sequence(notification.collapse)),
        ]
        if !tags.isEmpty { frame.append("tags", .strings(tags)) }
        return frame
    }

    /// The text is `{"sealed":"…"}`, for a client of ours that subscribes to the topic: ntfy has no field for it.
    private static func sealed(
        _ push: Push, _ keys: Device.Encryption, _ frame: JSONObject
    ) throws -> [UInt8]? {
        func document(_ sealed: String) -> [UInt8] {
            var document = frame
            let text = JSON.object(["sealed": .string(sealed)]).serialized
            document.append("message", .string(text))
            return JSON.object(document).serializedBytes
        }
        let room = limit - document("").count
        return try PushDocument.sealed(of: push, limit: room) { plain in
            try WebPushEncryption.encrypt(plain, p256dh: keys.publicKey, auth: keys.secret)
        }.map(document)
    }

    /// Low makes no sound, high pops up (docs.ntfy.sh/publish, "Message priority").
    static func priority(_ priority: Message.Priority) -> Int {
        switch priority {
        case .low: 2
        case .normal: 3
        case .high: 4
        }
    }

    /// The sequence id of a collapse value: itself, or its hash where it is none.
    static func sequence(_ collapse: String) -> String {
        if NtfyTopic.isName(collapse) { return collapse }
        return (try? SHA256.hash(Array(collapse.utf8))).map { String($0.base64URL.prefix(32)) } ?? "farbell"
    }

    /// Commas separate tags inside ntfy.
    static func isTag(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20)
                    || [0x2B, 0x2D, 0x2E, 0x5F].contains($0)
            }
    }
}
