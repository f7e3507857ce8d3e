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

    enum Fault: Error {
        /// Not even the ids fit into a payload.
        case tooLarge
        /// The device's keys are none.
        case notSealed
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
    static func make(_ push: Push, topic: String, idOnly: Bool = false) -> Result<APNsMessage, Fault> {
        let (kind, collapse, payload): (Kind, String, [UInt8]?)
        switch push.content {
        case .alert(let notification):
            collapse = notification.collapse
            kind = idOnly || push.payload == .wakeup ? .background : .alert
            if kind == .background {
                payload = APNsPayload.wakeup(notification)
            } else if let encryption = push.encryption {
                do { payload = try APNsPayload.sealed(push, notification, encryption) } catch {
                    return .failure(.notSealed)
                }
            } else {
                payload = APNsPayload.alert(notification, push.priority)
            }
        case .clear(let ids, let value, let badge):
            (collapse, kind) = (value, .background)
            payload = APNsPayload.clear(ids, collapse: value, badge: badge)
        }
        guard let payload, let headers = headers(push, kind: kind, topic: topic, collapse: collapse) else {
            return .failure(.tooLarge)
        }
        return .success(APNsMessage(kind: kind, payload: payload, headers: headers))
    }

    private static func headers(_ push: Push, kind: Kind, topic: String, collapse: String) -> HTTPFields? {
        var headers: HTTPFields = [
            "apns-id": push.id, "apns-topic": topic, "apns-push-type": kind.rawValue,
            // Apple refuses background pushes of any other priority.
            "apns-priority": kind == .background || push.priority == .low ? "5" : "10",
            "apns-expiration": String(max(0, push.expires.seconds)),
        ]
        if !collapse.isEmpty {
            guard let value = collapseID(collapse) else { return nil }
            headers.append("apns-collapse-id", value)
        }
        return headers
    }

    /// A value fit for the header; one that is too long or not printable ASCII is replaced by its hash.
    private static func collapseID(_ text: String) -> String? {
        if text.utf8.count <= collapseLimit, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) { return text }
        return (try? SHA256.hash(Array(text.utf8)))?.base64URL
    }
}

/// The JSON of payloads, written as bytes: one is made for every push.
enum APNsPayload {
    private static let limit = APNsMessage.payloadLimit

    /// `{"aps":{"alert":{title,body},…},"farbell":{…}}`; nil when not even the ids fit.
    static func alert(_ notification: Notification, _ priority: Message.Priority) -> [UInt8]? {
        PushText.fit(title: notification.title, body: notification.body, limit: limit) { title, body in
            var json = Array(#"{"aps":{"alert":{"title":"#.utf8)
            json.reserveCapacity(512)
            json.appendJSON(title)
            if let body {
                json.append(contentsOf: #","body":"#.utf8)
                json.appendJSON(body)
            }
            json.append(contentsOf: #"},"badge":"#.utf8)
            json.appendDecimal(Int64(notification.badge))
            json.append(contentsOf: interruption(priority).utf8)
            json.append(contentsOf: #","thread-id":"#.utf8)
            json.appendJSON(notification.thread)
            json.append(contentsOf: "},".utf8)
            appendIDs(of: notification, to: &json)
            json.append(contentsOf: "}}".utf8)
            return json
        }
    }

    /// What the device's keys open and nobody between: no text, no app's name, no id of ours stands beside it. The
    /// app's notification service extension (`mutable-content`) puts the texts in the place of the general one.
    /// - Throws: `CryptographyError` when the device's keys are none.
    static func sealed(
        _ push: Push, _ notification: Notification, _ encryption: Device.Encryption
    ) throws -> [UInt8]? {
        var json = Array(#"{"aps":{"alert":{"title":"#.utf8)
        json.reserveCapacity(1024)
        json.appendJSON(push.hint)
        json.append(contentsOf: #"},"badge":"#.utf8)
        json.appendDecimal(Int64(notification.badge))
        json.append(contentsOf: interruption(push.priority).utf8)
        json.append(contentsOf: #","mutable-content":1},"farbell":{"sealed":""#.utf8)
        let end = #""}}"#
        let sealed = try PushDocument.sealed(of: push, limit: limit - json.count - end.utf8.count) { plain in
            try WebPushEncryption.encrypt(plain, p256dh: encryption.publicKey, auth: encryption.secret)
        }
        guard let sealed else { return nil }
        json.append(contentsOf: sealed.utf8)
        json.append(contentsOf: end.utf8)
        return json
    }

    /// Apple wants nothing but `content-available` in a background push, so the badge stands with our own.
    static func wakeup(_ notification: Notification) -> [UInt8]? {
        var json = Array(#"{"aps":{"content-available":1},"#.utf8)
        json.reserveCapacity(256)
        appendIDs(of: notification, to: &json)
        json.append(contentsOf: #","badge":"#.utf8)
        json.appendDecimal(Int64(notification.badge))
        json.append(contentsOf: "}}".utf8)
        return json.count <= limit ? json : nil
    }

    static func clear(_ ids: [NotificationID], collapse: String, badge: Int) -> [UInt8]? {
        PushDocument.clear(ids, limit: limit) { ids in
            let ours: JSONObject = [
                "clear": .strings(ids.map(\.text)), "collapse": .string(collapse), "badge": .integer(badge),
            ]
            return JSON.object(["aps": ["content-available": 1], "farbell": .object(ours)]).serializedBytes
        }
    }

    /// How much a notification may disturb. `time-sensitive` breaks through a focus where the app has that
    /// entitlement, and is `active` elsewhere.
    private static func interruption(_ priority: Message.Priority) -> String {
        switch priority {
        case .low: #","interruption-level":"passive""#
        case .normal: #","sound":"default","interruption-level":"active""#
        case .high: #","sound":"default","interruption-level":"time-sensitive""#
        }
    }

    /// `"farbell":{…` without the closing brace.
    private static func appendIDs(of notification: Notification, to json: inout [UInt8]) {
        json.append(contentsOf: #""farbell":{"notification":"#.utf8)
        json.appendJSON(notification.id.text)
        json.append(contentsOf: #","app":"#.utf8)
        json.appendJSON(notification.app?.text ?? "")
        json.append(contentsOf: #","collapse":"#.utf8)
        json.appendJSON(notification.collapse)
        json.append(contentsOf: #","tap":"#.utf8)
        json.appendJSON(notification.tap)
    }
}
