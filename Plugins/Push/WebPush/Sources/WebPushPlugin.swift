package import Base
package import Gateway

/// Web Push (RFC 8030) with encrypted messages (RFC 8291) and VAPID (RFC 8292): browsers, and whatever
/// else hands out such subscriptions.
package struct WebPushPlugin: PushPlugin {
    /// Pushes under way at once unless configured.
    package static let defaultConcurrency = 200

    package init() {}

    package var kind: String { "webpush" }

    package func configure(name: String, _ reader: ConfigReader, _ context: PluginContext) -> (any PushAdapter)? {
        let subject = reader.string("subject")
        if !subject.isEmpty, let fault = Self.fault(inSubject: subject) { reader.report("subject", fault) }
        let given = reader.string("keyFile")
        let key = ServerKey(file: reader.document.resolve(given), log: context.log)
        // A missing file is made on the first use, not here: configuring changes nothing.
        if !given.isEmpty, let fault = key.faultIfPresent() { reader.report("keyFile", fault) }
        let hosts = reader.strings("allowHosts").map { $0.lowercased() }
        for host in hosts where (try? WebAddress("https://\(host)"))?.host != host {
            reader.report("allowHosts", "'\(host)' is not a host name or address without a port")
        }
        let settings = WebPushSettings(
            subject: subject, caFile: reader.optionalFile("caFile"), allowHosts: hosts, pool: "webpush:\(name)",
            concurrency: reader.integer("concurrency", in: 1...1000, default: Self.defaultConcurrency))
        return WebPushAdapter(settings, key: key, http: context.transport, time: context.time)
    }

    /// Push services write there when something is wrong (RFC 8292 section 2.1).
    private static func fault(inSubject text: String) -> String? {
        let isPrintable = text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
        let isMail = text.hasPrefix("mailto:") && text.contains("@") && text.utf8.count > 9
        let isPage = text.hasPrefix("https://") && (try? WebAddress(text)) != nil
        return isPrintable && (isMail || isPage) ? nil : "expected 'mailto:someone@example.com' or an https:// URL"
    }
}

/// How one adapter sends.
struct WebPushSettings: Sendable, Hashable {
    let subject: String
    let caFile: String?
    /// Hosts that may have a private address and be spoken to without TLS.
    let allowHosts: [String]
    let pool: String
    let concurrency: Int
}
