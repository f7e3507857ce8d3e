package import Base
package import Gateway
internal import MonitorTools

/// The `graph` kind of monitor.
package struct GraphMonitorPlugin: MonitorPlugin {
    package var kind: String { "graph" }

    package init() {}

    private enum Mode: String, CaseIterable { case service, own }

    package func configure(app: AppID, _ reader: ConfigReader, _ context: PluginContext) -> (any Monitor)? {
        let url = reader.url("url", schemes: ["https", "http"], default: "https://graph.microsoft.com/v1.0")
        let pool = "graph/\(app.text)"
        var http = MonitorHTTP(base: url, pool: pool, transport: context.transport, time: context.time)
        http.caFile = reader.optionalFile("caFile")
        http.timeout = reader.seconds("requestSeconds", in: 5...300, default: 30)
        var settings = GraphMonitor.Settings()
        settings.poll = reader.seconds("pollSeconds", in: 10...3_600, default: 30)
        settings.mailboxDomain = reader.optionalString("mailboxDomain")
        settings.allowsAnyMailbox = reader.bool("anyMailbox", default: false)
        let mode = reader.choice("mode", default: Mode.service)
        let oauth = OAuthSettings(reader)
        guard let address = try? WebAddress(url) else {
            reader.report("url", "expected the URL of Graph, such as https://graph.microsoft.com/v1.0")
            return nil
        }
        let isLocal = Self.isLoopback(address.host)
        if !address.isSecure && !isLocal { reader.report("url", "access tokens go over https only") }
        settings.upstream = "\(address.host):\(address.port ?? (address.isSecure ? 443 : 80))"
        switch mode {
        case .own:
            let grants = TokenGrants(oauth, pool: pool, transport: context.transport, time: context.time)
            return GraphMonitor(settings, .own(grants, oauth), http: http, time: context.time)
        case .service:
            guard let tokenURL = oauth.tokenURL, let id = oauth.clientID, let secret = oauth.clientSecret else {
                reader.report("oauth", "a service needs \"tokenURL\", \"clientId\" and \"clientSecret\"")
                return nil
            }
            var client = TokenGrant.Client(tokenURL: tokenURL, id: id, secret: secret)
            (client.scope, client.caFile) = (oauth.scope ?? "https://graph.microsoft.com/.default", oauth.caFile)
            let grant = TokenGrant(
                client, refreshToken: nil, pool: pool, transport: context.transport, time: context.time)
            return GraphMonitor(settings, .service(grant), http: http, time: context.time)
        }
    }

    /// Whether a host is this machine, by its name: `127.evil.example` is not.
    private static func isLoopback(_ host: String) -> Bool {
        let numbers = host.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        return host == "localhost" || host == "[::1]"
            || (numbers.count == 4 && numbers[0] == 127 && numbers.allSatisfy { $0 != nil })
    }
}
