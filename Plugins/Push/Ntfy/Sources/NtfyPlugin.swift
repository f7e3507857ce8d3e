package import Base
package import Gateway

/// ntfy (https://ntfy.sh, or a server of one's own): pushes to topics that people subscribe to in its apps.
package struct NtfyPlugin: PushPlugin {
    /// Pushes under way at once unless configured: a server lets 60 requests through and then one in five seconds.
    package static let defaultConcurrency = 16

    package init() {}

    package var kind: String { "ntfy" }

    package func configure(name: String, _ reader: ConfigReader, _ context: PluginContext) -> (any PushAdapter)? {
        let settings = NtfySettings(
            url: reader.url("url", schemes: ["https", "http"]), token: reader.optionalSecret("token"),
            tags: reader.strings("tags"), allowHosts: reader.hosts("allowHosts"),
            caFile: reader.optionalFile("caFile"), pool: "ntfy:\(name)",
            concurrency: reader.integer("concurrency", in: 1...1000, default: Self.defaultConcurrency))
        for tag in settings.tags where !NtfyMessage.isTag(tag) {
            reader.report("tags", "a tag has 1 to 64 letters, digits, '_', '-', '+' and '.'")
        }
        if let token = settings.token, !token.isEmpty, !token.bytes.allSatisfy({ (0x21...0x7E).contains($0) }) {
            reader.report("token", "a token has no spaces and only ASCII characters")
        }
        return NtfyAdapter(settings, context)
    }
}

/// How one adapter sends.
struct NtfySettings: Sendable {
    /// The operator's server, without a slash at the end.
    let url: String
    let token: Secret?
    /// Tags of every message.
    let tags: [String]
    /// Hosts of topics that devices bring as URLs, which may have a private address and be spoken to without TLS.
    let allowHosts: [String]
    let caFile: String?
    let pool: String
    let concurrency: Int
}
