internal import Base
internal import Cryptography
internal import Gateway

/// A message as Gotify takes it (`POST /message`).
enum GotifyMessage {
    /// Bytes of the longest document. Gotify names no limit; its databases keep at least 64 KiB of a text.
    static let limit = 16_384
    /// Ours among the extras: Gotify wants `top::sub`.
    static let extra = "farbell::push"

    /// The document in at most `limit` bytes: texts are shortened as `PushText` does.
    /// - Parameter isBrief: says only that there is something, whatever the device wants.
    /// - Returns: nil when even that does not fit.
    /// - Throws: when the device's key cannot be used.
    static func document(
        _ push: Push, _ notification: Notification, page: String?, isBrief: Bool
    ) throws -> [UInt8]? {
        let hint = push.hint
        // The text is shown as it is: no sender may put pictures or links into it.
        var extras: JSONObject = ["client::display": ["contentType": "text/plain"]]
        if let keys = push.encryption {
            let sealed = try PushDocument.sealed(of: push, limit: PushDocument.sealedLimit) { plain in
                try WebPushEncryption.encrypt(plain, p256dh: keys.publicKey, auth: keys.secret)
            }
            guard let sealed else { return nil }
            extras.append(extra, ["sealed": .string(sealed)])
            return render(push, title: nil, message: hint, extras)
        }
        if let page { extras.append("client::notification", ["click": ["url": .string(page)]]) }
        extras.append(
            extra,
            [
                "notification": .string(notification.id.text), "app": .string(notification.app?.text ?? ""),
                "badge": .integer(notification.badge), "collapse": .string(notification.collapse),
                "tap": .string(notification.tap),
            ])
        if isBrief || push.payload == .wakeup { return render(push, title: nil, message: hint, extras) }
        return PushText.fit(title: notification.title, body: notification.body ?? hint, limit: limit) { title, body in
            // Gotify refuses a message without a text.
            render(push, title: title, message: body ?? "", extras)
        }
    }

    private static func render(_ push: Push, title: String?, message: String, _ extras: JSONObject) -> [UInt8] {
        var document: JSONObject = [:]
        if let title { document.append("title", .string(title)) }
        document.append("message", .string(message))
        document.append("priority", .integer(priority(push.priority)))
        document.append("extras", .object(extras))
        return JSON.object(document).serializedBytes
    }

    /// What Gotify's app does: from 1 an icon, from 4 a sound, from 8 a sound and vibration.
    static func priority(_ priority: Message.Priority) -> Int {
        switch priority {
        case .low: 2
        case .normal: 5
        case .high: 8
        }
    }
}
