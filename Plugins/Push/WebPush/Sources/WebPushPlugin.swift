package import Base
internal import Cryptography
package import Gateway

/// Web Push (RFC 8030) with encrypted messages (RFC 8291) and VAPID (RFC 8292): browsers, and whatever
/// else hands out such subscriptions.
package struct WebPushPlugin: PushPlugin {
    /// Pushes under way at once unless configured.
    package static let defaultConcurrency = 200

    package init() {}

    package var kind: String { "webpush" }

    package func configure(name: String, _ reader: ConfigReader, _ context: PluginContext) -> (any PushAdapter)? {
        return WebPushAdapter(
            WebPushSender.Settings(reader, pool: "webpush:\(name)"),
            key: VAPIDSigner(reader, time: context.time, log: context.log),
            concurrency: reader.integer("concurrency", in: 1...1000, default: Self.defaultConcurrency),
            http: context.transport, time: context.time)
    }
}
