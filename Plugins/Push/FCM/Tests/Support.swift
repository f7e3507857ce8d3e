import Base
import FCMPush
import Gateway
import GatewayTestKit

/// An answer of Google's token endpoint.
func grant(_ token: String = "ya29.first", life: Int64 = 3599) -> HTTPResponse {
    let body: JSON = ["access_token": .string(token), "expires_in": .integer(life), "token_type": "Bearer"]
    return HTTPResponse(status: 200, body: body.serializedBytes)
}

/// A refusal of the token endpoint.
func refusedGrant(_ status: Int, _ error: String) -> HTTPResponse {
    HTTPResponse(status: status, body: Array(#"{"error":"\#(error)"}"#.utf8))
}

/// An answer of FCM's.
func google(
    _ status: Int, code: String? = nil, message: String = "", field: String? = nil, quota: String? = nil,
    retryAfter: String? = nil
) -> HTTPResponse {
    let headers: HTTPFields = retryAfter.map { ["Retry-After": $0] } ?? [:]
    let error = FCMReplies.error(
        status, FCMReplies.word(of: status), message: message, code: code, field: field, quota: quota)
    let sent = #"{"name":"projects/farbell-test/messages/1"}"#
    return HTTPResponse(status: status, headers: headers, body: Array((status == 200 ? sent : error).utf8))
}

/// A service that gives out the tokens `t1`, `t2` and so on, and answers messages from a closure.
func service(_ answer: @escaping StubTransport.Answer) -> StubTransport {
    let counts = Locked((grants: 0, messages: 0))
    return StubTransport { request, _ in
        if request.url == Rig.tokenURL {
            let number = counts.withLock { counts in
                counts.grants += 1
                return counts.grants
            }
            return grant("t\(number)")
        }
        let number = counts.withLock { counts in
            counts.messages += 1
            return counts.messages
        }
        return try await answer(request, number)
    }
}

/// An adapter read from a configuration, as the host makes it.
struct Rig {
    static let tokenURL = "https://oauth.example/token"
    /// One for all tests: a key takes its time.
    static let key = Result { try RSAKey() }
    let adapter: any PushAdapter
    let time: ManualTime
    private let folder: TemporaryFolder

    /// - Parameter account: the file of the service account.
    init(_ http: any HTTPTransport, account: [UInt8]? = nil, more: String = "", time: ManualTime? = nil) throws {
        folder = try TemporaryFolder()
        try folder.write(account ?? Self.account().serializedBytes, to: "account.json")
        self.time = time ?? ManualTime(timestamp: SystemTime().timestamp)
        adapter = try FCMPlugin().adapter(
            #"{"serviceAccountFile":"account.json"\#(more)}"#, folder: folder.path, http: http, time: self.time)
    }

    /// The file of a service account, as Google writes it.
    static func account() throws -> JSON {
        let pem = String(decoding: try key.get().privatePEM(), as: UTF8.self)
        return [
            "type": "service_account", "project_id": "farbell-test", "private_key_id": "key1",
            "private_key": .string(pem), "client_email": "sender@farbell-test.iam.gserviceaccount.com",
            "client_id": "1", "auth_uri": "https://accounts.google.com/o/oauth2/auth", "token_uri": .string(tokenURL),
        ]
    }
}

let registration = "dQw4w9WgXcQ:APA91b" + String(repeating: "Zz0_-", count: 26)

/// `Push.sample` to an Android phone.
func push(
    token: String = registration, title: String = "Outlook", body: String? = "New mail from Bob",
    payload: Device.Payload = .summary, priority: Message.Priority = .normal, clear: [NotificationID]? = nil,
    expires: Timestamp = Timestamp(seconds: 4_000_000_000), encryption: Device.Encryption? = nil
) -> Push {
    let plain = Push.sample(
        to: .token(token), title: title, body: body, payload: payload, priority: priority, clear: clear,
        expires: expires)
    return Push(
        id: plain.id, device: plain.device, address: plain.address, content: plain.content, payload: payload,
        priority: priority, expires: expires, encryption: encryption)
}
