internal import Base
internal import Cryptography
package import Gateway

/// Web Push with one application server key.
package struct WebPushAdapter: PushAdapter {
    package let concurrency: Int
    private let key: VAPIDSigner
    private let sender: WebPushSender

    init(
        _ settings: WebPushSender.Settings, key: VAPIDSigner, concurrency: Int, http: any HTTPTransport,
        time: any TimeSource
    ) {
        (self.key, self.concurrency) = (key, concurrency)
        sender = WebPushSender(settings, cipher: WebPushCryptography(signer: key), transport: http, time: time)
    }

    package var canClear: Bool { true }

    /// The public key in base64url, which a page gives to the browser as `applicationServerKey`.
    /// Makes the key if there is none yet.
    package func subscriptionKey() throws -> String? { try key.publicKey().base64URL }

    package func fault(in address: Channel.Address) -> String? { sender.fault(in: address) }

    package func send(_ push: Push) async -> PushReport {
        guard let subscription = try? sender.subscription(push.address) else {
            return PushReport(.rejected, reason: "invalid_address", hop: .token)
        }
        if case .clear = push.content, subscription.address.host.hasSuffix("push.apple.com") {
            // Safari takes the permission away from pages that get pushes and show nothing.
            return PushReport(.rejected, reason: "clear_not_allowed")
        }
        return await sender.send(push, to: subscription)
    }
}
