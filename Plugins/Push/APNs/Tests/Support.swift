import APNsPush
import Base
import Cryptography
import Gateway
import GatewayTestKit

/// An answer in Apple's form.
func apple(_ status: Int, _ reason: String? = nil, timestamp: Int64? = nil, retryAfter: String? = nil) -> HTTPResponse {
    var body: JSONObject = [:]
    if let reason { body.append("reason", .string(reason)) }
    if let timestamp { body.append("timestamp", .integer(timestamp)) }
    let headers: HTTPFields = retryAfter.map { ["Retry-After": $0] } ?? [:]
    return HTTPResponse(status: status, headers: headers, body: reason == nil ? [] : JSON.object(body).serializedBytes)
}

/// An adapter read from a configuration, as the host makes it.
struct Rig {
    static let team = "TEAM123456"
    static let keyID = "KEY1234567"
    let adapter: any PushAdapter
    let time: ManualTime
    let key: ES256Key
    private let folder: TemporaryFolder

    /// - Parameter more: further keys of the configuration, such as `,"url":"…"`.
    init(_ http: any HTTPTransport, pem: Secret? = nil, more: String = "") throws {
        folder = try TemporaryFolder()
        let secret = try pem ?? ES256Key.generate().pem()
        key = try ES256Key(pem: secret)
        try folder.write(secret.bytes, to: "key.p8")
        time = ManualTime(timestamp: SystemTime().timestamp)
        let text =
            #"{"teamId":"\#(Self.team)","keyId":"\#(Self.keyID)","keyFile":"key.p8","topic":"com.example.client"\#(more)}"#
        adapter = try configure(text, folder: folder.path, http: http, time: time)
    }
}

struct NoAdapter: Error {}

/// - Throws: `ConfigError` with all faults.
func configure(
    _ text: String, folder: String, http: any HTTPTransport, time: any TimeSource
) throws -> any PushAdapter {
    let context = PluginContext(transport: http, time: time, log: Log(sink: NullLogSink()))
    let document = ConfigDocument(file: "\(folder)/config.json", text: Array(text.utf8), environment: [:])
    let adapter = try document.read { APNsPlugin().configure(name: "apple", $0, context) }
    guard let adapter else { throw NoAdapter() }
    return adapter
}

let deviceToken = String(repeating: "0af1", count: 16)

/// A push, by default an alert as a mail monitor would cause it.
func push(
    id: String = "11111111-2222-4333-8444-555555555555", token: String = deviceToken, title: String = "Outlook",
    body: String? = "New mail from Bob", payload: Device.Payload = .summary, priority: Message.Priority = .normal,
    collapse: String = "c1", clear: [NotificationID]? = nil
) -> Push {
    let message = MessageKey(queue: 1, seq: 2)
    let notification = Notification(
        id: "n1", account: "alice", device: "d1", app: "oa", message: message, messages: [message], title: title,
        body: body, badge: 3, collapse: collapse, thread: "oa/t1", tap: "tap1")
    return Push(
        id: id, device: "d1", address: .token(token),
        content: clear.map { .clear($0, collapse: collapse, badge: 0) } ?? .alert(notification), payload: payload,
        priority: priority, expires: Timestamp(seconds: 1_800_000_000))
}
