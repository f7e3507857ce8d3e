package import Base
package import Gateway

/// Windows Push Notification Services, for apps on Windows.
package struct WNSPlugin: PushPlugin {
    /// Where apps of the Microsoft Store get their access token.
    package static let storeTokenURL = "https://login.live.com/accesstoken.srf"
    /// Where apps registered with Microsoft Entra ID get theirs: this, the tenant, and the rest of the path.
    package static let entraURL = "https://login.microsoftonline.com"
    /// Pushes under way at once.
    package static let defaultConcurrency = 64

    package init() {}

    package var kind: String { "wns" }

    package func configure(name: String, _ reader: ConfigReader, _ context: PluginContext) -> (any PushAdapter)? {
        let tenant = reader.optionalString("tenantId")
        let client = reader.string("clientId")
        if let tenant {
            if !Self.isTenant(tenant) { reader.report("tenantId", "expected a tenant's id or domain") }
            if !client.isEmpty, !Self.isUUID(client) {
                reader.report("clientId", "with a 'tenantId' this is the application id: a UUID")
            }
        } else if !client.isEmpty, !client.hasPrefix("ms-app://") {
            reader.report("clientId", "without a 'tenantId' this is the package SID, which begins with ms-app://")
        }
        let secret = reader.secret("clientSecret")
        let hosts = reader.strings("allowHosts").map { $0.lowercased() }
        for host in hosts where (try? WebAddress("https://\(host)"))?.host != host {
            reader.report("allowHosts", "'\(host.printable)' is not a host name or address without a port")
        }
        let usual = tenant.map { "\(Self.entraURL)/\($0)/oauth2/v2.0/token" } ?? Self.storeTokenURL
        let credential = WNSCredential(
            client: client, secret: secret, isEntra: tenant != nil,
            tokenURL: reader.url("tokenURL", schemes: ["https"], default: usual))
        let settings = WNSSettings(
            allowHosts: hosts, caFile: reader.optionalFile("caFile"), pool: "wns:\(name)")
        return WNSAdapter(settings, credential, http: context.transport, time: context.time)
    }

    private static func isTenant(_ text: String) -> Bool {
        (1...253).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20) || $0 == 0x2D || $0 == 0x2E
            }
    }

    private static func isUUID(_ text: String) -> Bool {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        return parts.map(\.utf8.count) == [8, 4, 4, 4, 12]
            && parts.allSatisfy { $0.utf8.allSatisfy { $0.hexadecimalDigit != nil } }
    }
}

/// How one adapter sends.
struct WNSSettings: Sendable, Hashable {
    /// Hosts besides Microsoft's that a channel may be at.
    let allowHosts: [String]
    let caFile: String?
    let pool: String
}

/// Who we are at one of Microsoft's two token services (OAuth 2 client credentials, RFC 6749 section 4.4).
struct WNSCredential: Sendable {
    let client: String
    let secret: Secret
    /// Microsoft Entra ID, else the older service for apps of the Store.
    let isEntra: Bool
    let tokenURL: String

    /// The body of the request for an access token.
    var form: [UInt8] {
        let scope = isEntra ? "https://wns.windows.com/.default" : "notify.windows.com"
        return TokenEndpoint.form([
            ("grant_type", "client_credentials"), ("client_id", client), ("client_secret", secret.exposed),
            ("scope", scope),
        ])
    }
}
