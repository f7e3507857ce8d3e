import Base
import Cryptography
import Gateway
import GatewayTestKit
import WebPush

/// A browser's side of a subscription.
struct Browser {
    let key: AgreementKey
    let auth: [UInt8]
    let address: Channel.Address

    init(_ endpoint: String = "https://push.example/s/1") throws {
        key = try AgreementKey.generate()
        auth = try SecureRandom.bytes(16)
        address = .subscription(endpoint: endpoint, p256dh: key.publicKey.base64URL, auth: auth.base64URL)
    }

    func text(_ request: HTTPRequest) throws -> String {
        String(decoding: try WebPushEncryption.decrypt(request.body, key: key, auth: auth), as: UTF8.self)
    }
}

/// An adapter read from a configuration, as the host makes it.
struct Rig {
    let adapter: any PushAdapter
    let time: ManualTime
    let folder: TemporaryFolder

    /// - Parameter more: further keys of the configuration, such as `,"allowHosts":["localhost"]`.
    init(_ http: any HTTPTransport, more: String = "") throws {
        folder = try TemporaryFolder()
        time = ManualTime(timestamp: SystemTime().timestamp)
        adapter = try WebPushPlugin().adapter(
            #"{"subject":"mailto:a@b.example","keyFile":"key.pem"\#(more)}"#, folder: folder.path, http: http,
            time: time)
    }
}
