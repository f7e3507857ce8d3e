package import Base
package import Gateway

/// How the registrations of one app get access tokens (RFC 6749): by refresh tokens of their owners, or by one
/// credential of the app. What the configuration gives, a registration need not give and cannot change.
package struct OAuthSettings: Sendable {
    package var tokenURL: String?
    package var clientID: String?
    package var clientSecret: Secret?
    /// Nil: the server's default, or what the refresh token was made for.
    package var scope: String?
    package var caFile: String?
    /// Hosts of a registration's token URL that may be private addresses and do without TLS.
    package var allowHosts: [String] = []

    package init() {}

    /// Reads the key `oauth` of a monitor's configuration: `tokenURL`, `clientId`, `clientSecret`, `scope`, `caFile`
    /// and `allowHosts`, all optional.
    package init(_ reader: ConfigReader) {
        let read = reader.object("oauth") { reader in
            var settings = OAuthSettings()
            settings.tokenURL = reader.optionalURL("tokenURL", schemes: ["https", "http"])
            settings.clientID = reader.optionalString("clientId")
            settings.clientSecret = reader.optionalSecret("clientSecret")
            settings.scope = reader.optionalString("scope")
            settings.caFile = reader.optionalFile("caFile")
            settings.allowHosts = reader.hosts("allowHosts")
            // Or a registration could have our client's secret sent to a server of its own.
            if settings.tokenURL == nil, settings.clientSecret != nil {
                reader.report("clientSecret", "needs \"tokenURL\" beside it: it is sent nowhere else")
            }
            return settings
        }
        self = read ?? OAuthSettings()
    }

    /// The names under which a registration's fields arrive in `MonitorTarget.credentials`.
    package enum Field {
        package static let tokenURL = "oauth.tokenURL"
        package static let clientID = "oauth.clientId"
        package static let clientSecret = "oauth.clientSecret"
        package static let refreshToken = "oauth.refreshToken"
    }

    /// What a registration must give for a refresh grant.
    package var credentialFields: [CredentialField] {
        var fields: [CredentialField] = []
        if tokenURL == nil { fields.append(CredentialField(Field.tokenURL, isSecret: false, isIdentity: false)) }
        if clientID == nil { fields.append(CredentialField(Field.clientID, isSecret: false, isIdentity: false)) }
        // Where the configuration names the client, its secret is the configuration's matter too.
        if clientID == nil && clientSecret == nil {
            fields.append(CredentialField(Field.clientSecret, isSecret: true, isRequired: false))
        }
        return fields + [CredentialField(Field.refreshToken, isSecret: true)]
    }

    /// What is wrong with a registration's fields; nil for nothing.
    package func fault(in credentials: [String: Secret]) -> CredentialFault? {
        guard tokenURL == nil, let url = credentials[Field.tokenURL]?.exposed else { return nil }
        do throws(WebAddress.Fault) {
            _ = try WebAddress(url, secureUnlessIn: allowHosts)
            return nil
        } catch {
            return CredentialFault(Field.tokenURL, error.description)
        }
    }

    /// A registration's refresh grant.
    /// - Throws: `MonitorFailure` with `authFailed` where fields are missing or wrong.
    func refreshGrant(_ credentials: [String: Secret]) throws(MonitorFailure) -> (TokenGrant.Client, Secret) {
        if let fault = fault(in: credentials) { throw MonitorFailure(.authFailed, "\(fault.field): \(fault.message)") }
        func text(_ own: String?, _ name: String) throws(MonitorFailure) -> String {
            if let own { return own }
            guard let value = credentials[name]?.exposed, !value.isEmpty else {
                throw MonitorFailure(.authFailed, "the registration has no \(name)")
            }
            return value
        }
        var client = TokenGrant.Client(
            tokenURL: try text(tokenURL, Field.tokenURL), id: try text(clientID, Field.clientID),
            secret: clientSecret ?? (clientID == nil ? credentials[Field.clientSecret] : nil))
        if tokenURL == nil { client.destination = .publicExcept(hosts: allowHosts) }
        (client.scope, client.caFile) = (scope, caFile)
        return (client, Secret(try text(nil, Field.refreshToken)))
    }
}
