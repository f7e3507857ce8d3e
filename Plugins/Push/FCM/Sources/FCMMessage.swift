internal import Base
internal import Cryptography
internal import Gateway

/// One push in Google's form: the body of a request.
///
/// Messages are data only. With `notification` Android's system tray would show the text itself while the app is
/// in the background, and the app could neither replace nor clear it, nor open a sealed one.
struct FCMMessage: Sendable, Hashable {
    /// Bytes of keys and values under `data`; we count them as JSON, which is never less.
    static let dataLimit = 4096
    /// Google keeps a message no longer than four weeks.
    static let longestLife: Int64 = 2_419_200

    let body: [UInt8]

    /// - Returns: nil when not even the ids fit.
    /// - Throws: `CryptographyError` when the device's key cannot be used.
    init?(_ push: Push, token: String, now: Timestamp) throws {
        guard let data = try Self.data(of: push) else { return nil }
        let life = min(max(0, (push.expires - now).wholeSeconds), Self.longestLife)
        let android: JSONObject = ["priority": Self.isUrgent(push) ? "HIGH" : "NORMAL", "ttl": .string("\(life)s")]
        let message: JSONObject = ["token": .string(token), "data": .object(data), "android": .object(android)]
        body = JSON.object(["message": .object(message)]).serializedBytes
    }

    /// Whether a sleeping device is to be woken. Google takes that right from apps that then show nothing, so
    /// nothing but what is shown asks for it.
    private static func isUrgent(_ push: Push) -> Bool {
        guard case .alert = push.content else { return false }
        return push.priority != .low
    }

    /// Every value is a string: Google refuses anything else.
    private static func data(of push: Push) throws -> JSONObject? {
        if let keys = push.encryption { return try sealed(push, keys) }
        var data: JSONObject = [:]
        switch push.content {
        case .alert(let notification):
            if push.payload == .wakeup {
                data = object(push, notification, title: nil, body: nil)
                return size(data) <= dataLimit ? data : nil
            }
            let fits = PushText.fit(title: notification.title, body: notification.body, limit: dataLimit) {
                data = object(push, notification, title: $0, body: $1)
                return JSON.object(data).serializedBytes
            }
            return fits == nil ? nil : data
        case .clear(let ids, let collapse, let badge):
            let fits = PushDocument.clear(ids, limit: dataLimit) { ids in
                data = [
                    "id": .string(push.id), "clear": .string(ids.map(\.text).joined(separator: ",")),
                    "badge": .string("\(badge)"), "collapse": .string(collapse),
                ]
                return JSON.object(data).serializedBytes
            }
            return fits == nil ? nil : data
        }
    }

    private static func size(_ data: JSONObject) -> Int { JSON.object(data).serializedBytes.count }

    private static func object(_ push: Push, _ notification: Notification, title: String?, body: String?) -> JSONObject
    {
        var data: JSONObject = [
            "id": .string(push.id), "notification": .string(notification.id.text),
            "app": .string(notification.app?.text ?? ""),
        ]
        if let title { data.append("title", .string(title)) }
        if let body { data.append("body", .string(body)) }
        data.append("badge", .string("\(notification.badge)"))
        data.append("collapse", .string(notification.collapse))
        data.append("tap", .string(notification.tap))
        data.append("level", .string(level(of: push.priority)))
        return data
    }

    /// How much a client should disturb: silently, as usual, or through its quiet modes.
    private static func level(of priority: Message.Priority) -> String {
        switch priority {
        case .low: "passive"
        case .normal: "active"
        case .high: "time-sensitive"
        }
    }

    /// The whole document sealed for the device: Google reads no text, and not what the push is about.
    private static func sealed(_ push: Push, _ keys: Device.Encryption) throws -> JSONObject? {
        var data: JSONObject = ["id": .string(push.id), "level": .string(level(of: push.priority)), "sealed": ""]
        let text = try PushDocument.sealed(of: push, limit: dataLimit - size(data)) { plain in
            try WebPushEncryption.encrypt(plain, p256dh: keys.publicKey, auth: keys.secret)
        }
        guard let text else { return nil }
        data["sealed"] = .string(text)
        return data
    }
}
