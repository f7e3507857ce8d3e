package import Base
package import Gateway
package import MonitorTools

/// What a registration logs in with.
package enum MailAuthentication: Sendable {
    case password
    /// An access token that the registration brings.
    case token
    /// Access tokens for the registration's refresh token.
    case oauth(OAuthSettings)
    case master(MasterUser)

    private enum Name: String, CaseIterable { case password, token, oauth, master }

    /// Reads `authentication`, and `oauth` or `master` where it says so.
    package init(_ reader: ConfigReader) {
        let name = reader.choice("authentication", default: Name.password)
        for (key, owner) in [("oauth", Name.oauth), ("master", .master)] where reader.has(key) && name != owner {
            reader.ignore([key])
            reader.report(key, "belongs to \"authentication\":\"\(owner.rawValue)\"")
        }
        switch name {
        case .password: self = .password
        case .token: self = .token
        case .oauth: self = .oauth(OAuthSettings(reader))
        case .master:
            let master = reader.object("master") { MasterUser($0) }
            if master == nil { reader.report(nil, "the key 'master' is missing") }
            self = .master(master ?? MasterUser(user: "", password: Secret("")))
        }
    }
}

/// Logs registrations in to one mail server.
package final class MailAccess: Sendable {
    package let server: MailServer
    package let authentication: MailAuthentication
    private let connector: any MailConnector
    private let time: any TimeSource
    private let grants: TokenGrants?
    private let gate = Locked(MasterGate())

    /// - Parameters:
    ///   - transport: asks token servers.
    ///   - pool: the connections to them.
    package init(
        _ server: MailServer, _ authentication: MailAuthentication, connector: any MailConnector,
        transport: any HTTPTransport, pool: String, time: any TimeSource
    ) {
        (self.server, self.authentication) = (server, authentication)
        (self.connector, self.time) = (connector, time)
        grants =
            if case .oauth(let settings) = authentication {
                TokenGrants(settings, pool: pool, transport: transport, time: time)
            } else {
                nil
            }
    }

    package var credentialFields: [CredentialField] {
        let username = CredentialField("username", isSecret: false)
        return switch authentication {
        case .password: [username, CredentialField("password", isSecret: true)]
        case .token: [username, CredentialField("token", isSecret: true)]
        case .oauth(let settings): [username] + settings.credentialFields
        case .master(let master):
            master.allow.isEmpty ? [] : [CredentialField("username", isSecret: false, isRequired: false)]
        }
    }

    package func fault(in credentials: [String: Secret], of account: AccountID) -> CredentialFault? {
        switch authentication {
        case .password, .token: return nil
        case .oauth(let settings): return settings.fault(in: credentials)
        case .master(let master):
            do throws(MailCredentialFault) {
                _ = try master.mailbox(of: account, credentials)
                return nil
            } catch {
                return CredentialFault("username", error.message)
            }
        }
    }

    /// Connects and logs in.
    /// - Parameter host: is told of another refresh token.
    /// - Throws: `MonitorFailure`; `CancellationError`.
    package func connect(_ target: MonitorTarget, host: any MonitorHost) async throws -> any MailStream {
        switch authentication {
        case .password:
            return try await connect(
                .password(username: text("username", target), password: secret("password", target)))
        case .token:
            return try await connect(.token(username: text("username", target), token: secret("token", target)))
        case .oauth:
            let username = try text("username", target)
            guard let grant = try grants?.grant(of: target, host: host) else {
                throw MonitorFailure(.authFailed, "the app has no OAuth settings")
            }
            return try await grant.authorized { token in
                try await connect(.token(username: username, token: token.secret))
            }
        case .master(let master): return try await connect(master, target)
        }
    }

    private func connect(_ master: MasterUser, _ target: MonitorTarget) async throws -> any MailStream {
        let mailbox: String
        do throws(MailCredentialFault) {
            mailbox = try master.mailbox(of: target.account, target.credentials)
        } catch {
            throw MonitorFailure(.authFailed, "the mailbox named \(error.message)")
        }
        if let end = gate.withLock({ $0.closed(now: time.now) }) {
            throw MonitorFailure(.throttled(until: end), "the server refuses the master user; is its password right?")
        }
        do {
            let stream = try await connect(master.credentials(for: mailbox))
            gate.withLock { $0.succeeded(mailbox, now: time.now) }
            return stream
        } catch let failure as MonitorFailure where failure.code == .authFailed {
            // No word of the owner's can cure it, so it is no refusal of theirs.
            gate.withLock { $0.refused(mailbox, now: time.now) }
            throw MonitorFailure(
                .throttled(until: time.now + MasterGate.pause), "the master user was refused: \(failure.message)")
        }
    }

    private func connect(_ credentials: MailLogin.Credentials) async throws -> any MailStream {
        try await connector.connect(
            MailLogin(
                service: server.service, host: server.host, port: server.port, encryption: server.encryption,
                caFile: server.caFile, credentials: credentials, timeout: server.connectTimeout))
    }

    private func text(_ field: String, _ target: MonitorTarget) throws -> String { try secret(field, target).exposed }

    private func secret(_ field: String, _ target: MonitorTarget) throws -> Secret {
        guard let secret = target.credentials[field], !secret.isEmpty else {
            throw MonitorFailure(.authFailed, "the registration has no \(field)")
        }
        return secret
    }
}
