internal import Base

/// What Google's reference says about a message, without any state.
enum FCMRules {
    struct Refusal: Error, Equatable {
        let status: Int
        let reason: String
        /// The document of the answer.
        let body: String
    }

    /// Bytes of keys and values under `data`.
    static let dataLimit = 4096
    static let longestLife = 2_419_200

    private static let messageKeys: Set<String> = [
        "token", "topic", "condition", "data", "notification", "android", "webpush", "apns", "fcm_options",
    ]
    private static let androidKeys: Set<String> = [
        "collapse_key", "priority", "ttl", "restricted_package_name", "data", "notification", "fcm_options",
        "direct_boot_ok",
    ]

    /// The `message` of a request's body, with its token, after all checks that need no knowledge of devices.
    static func message(_ request: PeerRequest) throws(Refusal) -> (token: String, message: JSON) {
        guard request.headers["Content-Type"]?.split(separator: ";").first?.lowercased() == "application/json" else {
            throw invalid("Invalid content type", field: "")
        }
        if request.headers["Content-Encoding"] != nil { throw invalid("Invalid content encoding", field: "") }
        guard let document = try? JSONParser.parse(request.body), let top = document.object else {
            throw invalid("Invalid JSON payload received.", field: "")
        }
        try known(top, ["message", "validate_only"], at: "")
        guard let message = document["message"], let object = message.object else {
            throw invalid("Invalid value at 'message'", field: "message")
        }
        try known(object, messageKeys, at: "message")
        guard message["topic"] == nil, message["condition"] == nil, let token = message["token"]?.string else {
            throw invalid("Recipient of the message is not set, or not exactly once.", field: "message")
        }
        try data(message["data"], at: "message.data")
        if let android = message["android"] { try self.android(android) }
        if size(message["data"]) > dataLimit {
            throw refusal(400, "INVALID_ARGUMENT", "Android message is too big", code: "INVALID_ARGUMENT")
        }
        guard isToken(token) else { throw badToken }
        return (token, message)
    }

    static var badToken: Refusal {
        refusal(
            400, "INVALID_ARGUMENT", "The registration token is not a valid FCM registration token",
            code: "INVALID_ARGUMENT", field: "message.token")
    }

    private static func android(_ android: JSON) throws(Refusal) {
        guard let object = android.object else { throw invalid("Invalid value at 'message.android'", field: "android") }
        try known(object, androidKeys, at: "message.android")
        if let priority = android["priority"], !["NORMAL", "HIGH"].contains(priority.string?.uppercased()) {
            throw invalid("Invalid value at 'message.android.priority'", field: "message.android.priority")
        }
        if let life = android["ttl"], !isLife(life.string) {
            throw invalid("Invalid value at 'message.android.ttl'", field: "message.android.ttl")
        }
        if let key = android["collapse_key"], key.string == nil {
            throw invalid("Invalid value at 'message.android.collapse_key'", field: "message.android.collapse_key")
        }
        try data(android["data"], at: "message.android.data")
    }

    private static func data(_ data: JSON?, at path: String) throws(Refusal) {
        guard let data else { return }
        guard let members = data.object?.members else { throw invalid("Invalid value at '\(path)'", field: path) }
        for (index, member) in members.enumerated() {
            guard member.value.string != nil else {
                throw invalid(
                    "Invalid value at '\(path)[\(index)].value' (TYPE_STRING)", field: "\(path)[\(index)].value")
            }
            let key = member.key.lowercased()
            guard !key.isEmpty, key != "from", key != "message_type", !key.hasPrefix("google"), !key.hasPrefix("gcm")
            else {
                throw refusal(400, "INVALID_ARGUMENT", "Invalid data payload key: \(key)", code: "INVALID_ARGUMENT")
            }
        }
    }

    private static func size(_ data: JSON?) -> Int {
        (data?.object?.members ?? []).reduce(0) { $0 + $1.key.utf8.count + ($1.value.string?.utf8.count ?? 0) }
    }

    /// A duration of JSON's protocol buffers in seconds, `42s` or `1.5s`.
    private static func isLife(_ text: String?) -> Bool {
        guard let text, text.hasSuffix("s") else { return false }
        let parts = text.dropLast().split(separator: ".", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), parts.allSatisfy({ APNsRules.isNumber(String($0)) }),
            parts.count == 1 || parts[1].utf8.count <= 9
        else { return false }
        return Int(parts[0]).map { $0 <= longestLife } ?? false
    }

    private static func isToken(_ text: String) -> Bool {
        (16...4096).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A) || (0x30...0x39).contains($0)
                    || [0x2D, 0x2E, 0x3A, 0x5F].contains($0)
            }
    }

    private static func known(_ object: JSONObject, _ keys: Set<String>, at path: String) throws(Refusal) {
        guard let unknown = object.keys.first(where: { !keys.contains($0) }) else { return }
        throw invalid("Unknown name \"\(unknown)\" at '\(path)': Cannot find field.", field: path)
    }

    private static func invalid(_ message: String, field: String) -> Refusal {
        refusal(400, "INVALID_ARGUMENT", message, field: field)
    }

    static func refusal(
        _ status: Int, _ word: String, _ message: String, code: String? = nil, field: String? = nil
    ) -> Refusal {
        Refusal(
            status: status, reason: code ?? word,
            body: FCMReplies.error(status, word, message: message, code: code, field: field))
    }
}
