package import Base
package import Gateway
internal import MonitorTools

/// The `ews` kind of monitor.
package struct EWSMonitorPlugin: MonitorPlugin {
    package var kind: String { "ews" }

    package init() {}

    private enum Mode: String, CaseIterable { case service, own }
    private enum Authentication: String, CaseIterable { case ntlm, basic, negotiate, oauth }
    private enum Version: String, CaseIterable {
        case exchange2010SP1 = "Exchange2010_SP1"
        case exchange2010SP2 = "Exchange2010_SP2"
        case exchange2013 = "Exchange2013"
        case exchange2013SP1 = "Exchange2013_SP1"
        case exchange2016 = "Exchange2016"
    }

    package func configure(app: AppID, _ reader: ConfigReader, _ context: PluginContext) -> (any Monitor)? {
        let url = reader.url("url", schemes: ["https", "http"])
        let allowPlaintext = reader.bool("allowPlaintext", default: false)
        let pool = "ews/\(app.text)"
        var endpoint = EWSClient.Endpoint(url: url, pool: pool)
        endpoint.caFile = reader.optionalFile("caFile")
        endpoint.version = reader.choice("version", default: Version.exchange2013).rawValue
        endpoint.timeout = reader.seconds("requestSeconds", in: 5...300, default: 60)
        var settings = EWSMonitor.Settings()
        settings.connections = reader.integer("connections", in: 1...50, default: 3)
        settings.mailboxDomain = reader.optionalString("mailboxDomain")
        settings.allowsAnyMailbox = reader.bool("anyMailbox", default: false)
        settings.stream.capacity = reader.integer("mailboxesPerConnection", in: 1...200, default: 200)
        settings.stream.minutes = reader.integer("connectionMinutes", in: 1...30, default: 30)
        settings.stream.heartbeat = reader.seconds("heartbeatSeconds", in: 30...600, default: 180)
        settings.stream.reconcile = reader.seconds("reconcileSeconds", in: 60...3_600, default: 600)
        let access = access(reader, pool, context)
        guard let address = try? WebAddress(url), let access else {
            if reader.has("url") { reader.report("url", "expected the URL of Exchange.asmx") }
            return nil
        }
        settings.upstream = "\(address.host):\(address.port ?? (address.isSecure ? 443 : 80))"
        let isLocal = Self.isLoopback(address.host)
        if !address.isSecure && !isLocal && !allowPlaintext {
            reader.report(
                "url", "logins would cross the network in the clear; set \"allowPlaintext\":true if that is meant")
        }
        return EWSMonitor(settings, access, endpoint, transport: context.transport, time: context.time)
    }

    /// Who logs in, and how; nil after a fault.
    private func access(_ reader: ConfigReader, _ pool: String, _ context: PluginContext) -> EWSMonitor.Access? {
        let mode = reader.choice("mode", default: Mode.service)
        let authentication = reader.choice("authentication", default: Authentication.ntlm)
        let scheme = HTTPRequest.Authentication.Scheme(rawValue: authentication.rawValue)
        switch (mode, scheme) {
        case (.service, let scheme?):
            let (user, password) = (reader.string("user"), reader.secret("password"))
            return .service(.password(.init(scheme, user: user, password: password)))
        case (.own, let scheme?): return .password(scheme)
        case (.service, nil):
            let oauth = OAuthSettings(reader)
            guard let tokenURL = oauth.tokenURL, let id = oauth.clientID, let secret = oauth.clientSecret else {
                reader.report("oauth", "a service needs \"tokenURL\", \"clientId\" and \"clientSecret\"")
                return nil
            }
            var client = TokenGrant.Client(tokenURL: tokenURL, id: id, secret: secret)
            (client.scope, client.caFile) = (oauth.scope, oauth.caFile)
            return .service(
                .token(
                    TokenGrant(
                        client, refreshToken: nil, pool: pool, transport: context.transport, time: context.time)))
        case (.own, nil):
            let oauth = OAuthSettings(reader)
            return .token(
                TokenGrants(oauth, pool: pool, transport: context.transport, time: context.time), oauth)
        }
    }

    /// Whether a host is this machine, by its name: `127.evil.example` is not.
    private static func isLoopback(_ host: String) -> Bool {
        let numbers = host.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        return host == "localhost" || host == "[::1]"
            || (numbers.count == 4 && numbers[0] == 127 && numbers.allSatisfy { $0 != nil })
    }
}
