internal import Base
internal import Cryptography
internal import Gateway

/// One push in Apple's form: headers and payload.
struct APNsMessage: Sendable, Hashable {
    /// What kind of push it is; the header and the payload must agree.
    enum Kind: String, Sendable {
        case alert
        case background
    }

    /// Bytes of the largest payload.
    static let payloadLimit = 4096
    /// Bytes of the longest `apns-collapse-id`.
    static let collapseLimit = 64

    let kind: Kind
    let payload: [UInt8]
    /// All but `authorization`.
    let headers: HTTPFields

    /// - Parameter idOnly: leaves the texts out: what is sent when Apple found the payload too large.
    /// - Returns: nil when not even the ids fit into a payload.
    init?(_ push: Push, topic: String, idOnly: Bool = false) {
        let collapse: String
        switch push.content {
        case .alert(let notification):
            collapse = notification.collapse
            kind = idOnly || push.payload == .wakeup ? .background : .alert
            guard let payload = Self.payload(of: notification, kind: kind) else { return nil }
            self.payload = payload
        case .clear(let ids, let value, let badge):
            (collapse, kind) = (value, .background)
            guard let payload = Self.clear(ids, collapse: value, badge: badge) else { return nil }
            self.payload = payload
        }
        // Apple refuses background pushes of any other priority.
        let priority = kind == .background || push.priority == .low ? "5" : "10"
        var headers: HTTPFields = [
            "apns-id": push.id, "apns-topic": topic, "apns-push-type": kind.rawValue, "apns-priority": priority,
            "apns-expiration": String(max(0, push.expires.seconds)),
        ]
        if !collapse.isEmpty {
            guard let value = Self.collapseID(collapse) else { return nil }
            headers.append("apns-collapse-id", value)
        }
        self.headers = headers
    }

    /// Apple wants nothing but `content-available` in a background push, so the badge stands with our own.
    private static func payload(of notification: Notification, kind: Kind) -> [UInt8]? {
        var ours: JSONObject = [
            "notification": .string(notification.id.text), "app": .string(notification.app?.text ?? ""),
            "collapse": .string(notification.collapse), "tap": .string(notification.tap),
        ]
        guard kind == .alert else {
            ours.append("badge", .integer(notification.badge))
            let bytes = JSON.object(["aps": ["content-available": 1], "farbell": .object(ours)]).serializedBytes
            return bytes.count <= payloadLimit ? bytes : nil
        }
        return PushText.fit(title: notification.title, body: notification.body, limit: payloadLimit) { title, body in
            var alert: JSONObject = ["title": .string(title)]
            if let body { alert.append("body", .string(body)) }
            let aps: JSONObject = [
                "alert": .object(alert), "badge": .integer(notification.badge), "sound": "default",
                "thread-id": .string(notification.thread),
            ]
            return JSON.object(["aps": .object(aps), "farbell": .object(ours)]).serializedBytes
        }
    }

    private static func clear(_ ids: [NotificationID], collapse: String, badge: Int) -> [UInt8]? {
        PushDocument.clear(ids, limit: payloadLimit) { ids in
            let ours: JSONObject = [
                "clear": .strings(ids.map(\.text)), "collapse": .string(collapse), "badge": .integer(badge),
            ]
            return JSON.object(["aps": ["content-available": 1], "farbell": .object(ours)]).serializedBytes
        }
    }

    /// A value fit for the header; one that is too long or not printable ASCII is replaced by its hash.
    private static func collapseID(_ text: String) -> String? {
        if text.utf8.count <= collapseLimit, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) { return text }
        return (try? SHA256.hash(Array(text.utf8)))?.base64URL
    }
}
