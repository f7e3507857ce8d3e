internal import Base
internal import Cryptography
internal import Gateway

/// One push in Microsoft's form: headers and payload.
struct WNSMessage: Sendable, Hashable {
    /// Bytes of the largest payload.
    static let payloadLimit = 5000
    /// Letters and digits of the longest tag or group.
    static let tagLimit = 16
    /// What all our toasts have as their group: a toast is known by tag and group.
    static let group = "farbell"
    /// Longer lives are cut to this: 30 days.
    static let longestLife: Int64 = 2_592_000

    let payload: [UInt8]
    /// All but `Authorization`.
    let headers: HTTPFields

    /// - Returns: nil when not even the ids fit.
    /// - Throws: `CryptographyError` when the device's key cannot be used.
    init?(_ push: Push, now: Timestamp) throws {
        // 0 is for notifications that must not be stored at all, which we never send.
        let life = min(max(1, (push.expires - now).wholeSeconds), Self.longestLife)
        var headers: HTTPFields = ["X-WNS-TTL": "\(life)", "X-WNS-RequestForStatus": "true"]
        if push.encryption == nil, push.payload == .summary, case .alert(let notification) = push.content {
            guard let toast = Toast.xml(notification, priority: push.priority, limit: Self.payloadLimit) else {
                return nil
            }
            payload = toast
            headers.append("X-WNS-Type", "wns/toast")
            headers.append("Content-Type", "text/xml")
            headers.append("X-WNS-Tag", try Self.tag(of: notification.collapse))
            headers.append("X-WNS-Group", Self.group)
        } else {
            guard let raw = try Self.raw(push) else { return nil }
            payload = raw
            headers.append("X-WNS-Type", "wns/raw")
            headers.append("Content-Type", "application/octet-stream")
            // The newest one waits for a device that is not there; without this none does.
            headers.append("X-WNS-Cache-Policy", "cache")
        }
        self.headers = headers
    }

    /// For the app itself: the push document, sealed where the device has keys.
    private static func raw(_ push: Push) throws -> [UInt8]? {
        guard let keys = push.encryption else { return PushDocument.bytes(of: push, limit: payloadLimit) }
        let frame = JSON.object(["sealed": ""]).serializedBytes.count
        let text = try PushDocument.sealed(of: push, limit: payloadLimit - frame) { plain in
            try WebPushEncryption.encrypt(plain, p256dh: keys.publicKey, auth: keys.secret)
        }
        return text.map { JSON.object(["sealed": .string($0)]).serializedBytes }
    }

    /// A collapse id as a tag, which has at most 16 letters and digits: the first digits of its SHA-256.
    static func tag(of collapse: String) throws(CryptographyError) -> String {
        String(try SHA256.hash(Array(collapse.utf8)).hexadecimal.prefix(tagLimit))
    }
}

/// The XML of a toast.
enum Toast {
    /// A toast with title and text, shortened until it fits; `launch` carries the ids back to the app.
    /// - Returns: nil when it does not fit even without the texts.
    static func xml(_ notification: Notification, priority: Message.Priority, limit: Int) -> [UInt8]? {
        let launch: JSONObject = [
            "notification": .string(notification.id.text), "app": .string(notification.app?.text ?? ""),
            "badge": .integer(notification.badge), "collapse": .string(notification.collapse),
            "tap": .string(notification.tap),
        ]
        let duration = priority == .high ? #" duration="long""# : ""
        let head = #"<toast launch="\#(escaped(JSON.object(launch).serialized))"\#(duration)>"#
        let audio = priority == .low ? #"<audio silent="true"/>"# : ""
        return PushText.fit(
            title: notification.title, body: notification.body, limit: limit, cost: { escaped(String($0)).utf8.count }
        ) { title, body in
            let text = body.map { "<text>\(escaped($0))</text>" } ?? ""
            return Array(
                """
                \(head)<visual><binding template="ToastGeneric"><text>\(escaped(title))</text>\(text)</binding>\
                </visual>\(audio)</toast>
                """.utf8)
        }
    }

    /// A text as XML 1.0 may hold it, in an element or in an attribute in quotes (sections 2.2 and 2.4).
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x26: result += "&amp;"
            case 0x3C: result += "&lt;"
            case 0x3E: result += "&gt;"
            case 0x22: result += "&quot;"
            case 0x27: result += "&apos;"
            // As themselves they become spaces in an attribute.
            case 0x09, 0x0A, 0x0D: result += "&#\(scalar.value);"
            // No XML 1.0 document can hold these, nor in any escaped form.
            case 0..<0x20, 0xFFFE, 0xFFFF: result += "\u{FFFD}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
