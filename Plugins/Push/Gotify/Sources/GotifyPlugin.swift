package import Base
package import Gateway

/// Gotify (https://gotify.net): pushes to people who run its server and have made an application for us there.
package struct GotifyPlugin: PushPlugin {
    /// Pushes under way at once unless configured.
    package static let defaultConcurrency = 16

    package init() {}

    package var kind: String { "gotify" }

    package func configure(name: String, _ reader: ConfigReader, _ context: PluginContext) -> (any PushAdapter)? {
        GotifyAdapter(
            url: reader.url("url", schemes: ["https", "http"]), caFile: reader.optionalFile("caFile"),
            pool: "gotify:\(name)",
            concurrency: reader.integer("concurrency", in: 1...1000, default: Self.defaultConcurrency), context)
    }
}
