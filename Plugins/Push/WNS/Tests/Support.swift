import Base
import Gateway
import GatewayTestKit
import WNSPush

/// An answer of a token service.
func grant(_ token: String, life: Int64 = 86_400) -> HTTPResponse {
    let body: JSON = ["access_token": .string(token), "expires_in": .integer(life), "token_type": "bearer"]
    return HTTPResponse(status: 200, body: body.serializedBytes)
}

/// An answer of WNS.
func windows(
    _ status: Int = 200, _ word: String? = "received", connection: String? = "connected", more: HTTPFields = [:]
) -> HTTPResponse {
    var headers = more
    if let word { headers.append("X-WNS-Status", word) }
    if let connection { headers.append("X-WNS-DeviceConnectionStatus", connection) }
    return HTTPResponse(status: status, headers: headers)
}

/// A service that gives out the tokens `t1`, `t2` and so on, and answers notifications from a closure.
func service(_ answer: @escaping StubTransport.Answer) -> StubTransport {
    let counts = Locked((grants: 0, pushes: 0))
    return StubTransport { request, _ in
        if request.url.hasPrefix("https://login.") {
            let number = counts.withLock { counts in
                counts.grants += 1
                return counts.grants
            }
            return grant("t\(number)")
        }
        let number = counts.withLock { counts in
            counts.pushes += 1
            return counts.pushes
        }
        return try await answer(request, number)
    }
}

/// An adapter read from a configuration, as the host makes it.
struct Rig {
    static let sid = "ms-app://s-1-15-2-1234567890"
    static let application = "0a1b2c3d-0001-0002-0003-0123456789ab"
    static let secret = "s3cr&t=+/"
    let adapter: any PushAdapter
    let time: ManualTime

    /// - Parameters:
    ///   - tenant: with one, Entra's token service.
    ///   - more: further keys of the configuration, such as `,"allowHosts":["localhost"]`.
    init(_ http: any HTTPTransport, tenant: String? = nil, more: String = "") throws {
        time = ManualTime(timestamp: SystemTime().timestamp)
        let tenantKey = tenant.map { #","tenantId":"\#($0)""# } ?? ""
        adapter = try WNSPlugin().adapter(
            #"{"clientId":"\#(tenant == nil ? Self.sid : Self.application)","clientSecret":{"env":"S"}\#(tenantKey)\#(more)}"#,
            folder: ".", http: http, time: time, environment: ["S": Self.secret])
    }
}

let channel = "https://wns2-by3p.notify.windows.com/?token=AwYAAAB%2fQAhYEiAESPobjHzQcwGCTjHu%2f"

/// `Push.sample` to a computer.
func push(
    to url: String = channel, title: String = "Outlook", body: String? = "New mail from Bob",
    payload: Device.Payload = .summary, priority: Message.Priority = .normal, clear: [NotificationID]? = nil,
    expires: Timestamp = Timestamp(seconds: 4_000_000_000), encryption: Device.Encryption? = nil
) -> Push {
    let plain = Push.sample(
        to: .url(url), title: title, body: body, payload: payload, priority: priority, clear: clear, expires: expires)
    return Push(
        id: plain.id, device: plain.device, address: plain.address, content: plain.content, payload: payload,
        priority: priority, expires: expires, encryption: encryption)
}
