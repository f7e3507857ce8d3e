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
        let hasNotices = reader.has("notifications")
        settings.notifiedPoll = reader.seconds("pollSeconds", in: 10...3_600, default: hasNotices ? 300 : 30)
        // Until Graph tells by itself, nobody waits longer than without notifications.
        settings.poll = hasNotices ? min(settings.notifiedPoll, .seconds(30)) : settings.notifiedPoll
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
        let notices = reader.object("notifications") { reader in
            notificationURL(app, reader, context, isLocal: isLocal).map {
                GraphNotices(url: $0, http: http, time: context.time, log: context.log.with(["app": .string(app.text)]))
            }
        }
        settings.upstream = "\(address.host):\(address.port ?? (address.isSecure ? 443 : 80))"
        switch mode {
        case .own:
            let grants = TokenGrants(oauth, pool: pool, transport: context.transport, time: context.time)
            return GraphMonitor(settings, .own(grants, oauth), http: http, time: context.time, notices: notices ?? nil)
        case .service:
            guard let tokenURL = oauth.tokenURL, let id = oauth.clientID, let secret = oauth.clientSecret else {
                reader.report("oauth", "a service needs \"tokenURL\", \"clientId\" and \"clientSecret\"")
                return nil
            }
            var client = TokenGrant.Client(tokenURL: tokenURL, id: id, secret: secret)
            (client.scope, client.caFile) = (oauth.scope ?? "https://graph.microsoft.com/.default", oauth.caFile)
            let grant = TokenGrant(
                client, refreshToken: nil, pool: pool, transport: context.transport, time: context.time)
            return GraphMonitor(settings, .service(grant), http: http, time: context.time, notices: notices ?? nil)
        }
    }

    /// Where Graph is to call.
    /// - Parameter isLocal: Graph is this machine: a test's, which calls without TLS too.
    private func notificationURL(
        _ app: AppID, _ reader: ConfigReader, _ context: PluginContext, isLocal: Bool
    ) -> String? {
        guard
            let url = reader.optionalURL("url", schemes: ["https", "http"]) ?? context.hookBase.map({ $0 + app.text })
        else {
            reader.report("url", "expected the public URL of /hooks/\(app.text)")
            return nil
        }
        // Graph takes no other (learn.microsoft.com/graph/api/resources/subscription).
        if !url.hasPrefix("https://") && !isLocal {
            reader.report(
                "url", "Graph calls https only: set \"publicURL\", or the public URL of /hooks/\(app.text) here")
        }
        return url
    }

    /// Whether a host is this machine, by its name: `127.evil.example` is not.
    private static func isLoopback(_ host: String) -> Bool {
        let numbers = host.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        return host == "localhost" || host == "[::1]"
            || (numbers.count == 4 && numbers[0] == 127 && numbers.allSatisfy { $0 != nil })
    }
}
