package import Base
internal import Cryptography
package import Gateway

/// UnifiedPush: phones that get their pushes through a server of their own choice. The server's side is Web Push
/// (RFC 8030, RFC 8291), with VAPID where the operator has a key.
package struct UnifiedPushPlugin: PushPlugin {
    /// Pushes under way at once unless configured.
    package static let defaultConcurrency = 64

    package init() {}

    package var kind: String { "unifiedpush" }

    package func configure(name: String, _ reader: ConfigReader, _ context: PluginContext) -> (any PushAdapter)? {
        var settings = WebPushSender.Settings(reader, pool: "unifiedpush:\(name)")
        settings.endpointLimit = UnifiedPushAdapter.endpointLimit
        return UnifiedPushAdapter(
            settings, key: Self.key(reader, context), discovers: reader.bool("discovery", default: false),
            concurrency: reader.integer("concurrency", in: 1...1000, default: Self.defaultConcurrency),
            http: context.transport, time: context.time)
    }

    /// The key that pushes are signed with; nil where none is configured.
    private static func key(_ reader: ConfigReader, _ context: PluginContext) -> VAPIDSigner? {
        guard reader.has("keyFile") || reader.has("subject") else {
            reader.ignore(["keyFile", "subject"])
            return nil
        }
        return VAPIDSigner(reader, time: context.time, log: context.log)
    }
}
