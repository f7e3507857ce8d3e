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
        adapter = try APNsPlugin().adapter(text, folder: folder.path, http: http, time: time)
    }
}

extension Push {
    /// The same to a device with keys of its own.
    func sealed(_ keys: Device.Encryption, locale: String?) -> Push {
        Push(
            id: id, device: device, address: address, content: content, payload: payload, priority: priority,
            expires: expires, encryption: keys, locale: locale)
    }
}

let deviceToken = String(repeating: "0af1", count: 16)

/// `Push.sample` to an iPhone.
func push(
    id: String = "11111111-2222-4333-8444-555555555555", token: String = deviceToken, title: String = "Outlook",
    body: String? = "New mail from Bob", payload: Device.Payload = .summary, priority: Message.Priority = .normal,
    collapse: String = "c1", clear: [NotificationID]? = nil
) -> Push {
    .sample(
        to: .token(token), id: id, title: title, body: body, payload: payload, priority: priority, collapse: collapse,
        clear: clear, expires: Timestamp(seconds: 1_800_000_000))
}
