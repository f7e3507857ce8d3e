internal import Base
internal import Gateway
internal import MonitorTools

/// Watches inboxes on Exchange: in the name of a service account, which impersonates them and shares connections among
/// up to 200 mailboxes each, or with each owner's login and connection.
final class EWSMonitor: Monitor {
    /// Who logs in.
    enum Access: Sendable {
        /// One login of the configuration for all mailboxes.
        case service(EWSClient.Login)
        /// The owner's name and password.
        case password(HTTPRequest.Authentication.Scheme)
        /// The owner's refresh token.
        case token(TokenGrants, OAuthSettings)
    }

    struct Settings: Sendable {
        var upstream = ""
        /// Hanging connections of the service account.
        var connections = 3
        /// What stands behind an account's name to be its address; nil where names are addresses.
        var mailboxDomain: String?
        /// Registrations may name a mailbox that is not their account's own.
        var allowsAnyMailbox = false
        var stream = StreamGroup.Settings()
    }

    let settings: Settings
    private let access: Access
    private let endpoint: EWSClient.Endpoint
    private let transport: any HTTPTransport
    private let time: any TimeSource
    private let groups: [StreamGroup]
    private let gate: LoginGate

    init(
        _ settings: Settings, _ access: Access, _ endpoint: EWSClient.Endpoint, transport: any HTTPTransport,
        time: any TimeSource
    ) {
        (self.settings, self.access, self.endpoint) = (settings, access, endpoint)
        (self.transport, self.time) = (transport, time)
        groups = (0..<settings.connections).map { _ in StreamGroup(settings.stream, time: time) }
        gate = LoginGate(time: time)
    }

    var upstream: String { settings.upstream }

    var credentialFields: [CredentialField] {
        switch access {
        case .service:
            settings.allowsAnyMailbox ? [CredentialField("mailbox", isSecret: false, isRequired: false)] : []
        case .password: [CredentialField("username", isSecret: false), CredentialField("password", isSecret: true)]
        case .token(_, let settings):
            [CredentialField("mailbox", isSecret: false, isRequired: false)] + settings.credentialFields
        }
    }

    func fault(in credentials: [String: Secret], of account: AccountID) -> CredentialFault? {
        if case .token(_, let settings) = access, let fault = settings.fault(in: credentials) { return fault }
        if let mailbox = credentials["mailbox"]?.exposed, !Self.isAddress(mailbox) {
            return CredentialFault("mailbox", "expected a mail address")
        }
        return nil
    }

    /// Keeps the shared connections up.
    func run() async throws {
        guard case .service(let login) = access else {
            while true { try await time.sleep(for: .seconds(86_400)) }
        }
        let client = client(login, gate)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for group in groups { tasks.addTask { try await group.run(client) } }
            try await tasks.waitForAll()
        }
    }

    func watch(_ target: MonitorTarget, host: any MonitorHost) async throws {
        var cursor: EWSCursor?
        if let stored = target.cursor {
            guard let decoded = EWSCursor(stored) else {
                throw MonitorFailure(.cursorInvalid, "the stored cursor is not one of the ews monitor")
            }
            cursor = decoded
        }
        switch access {
        case .service(let login):
            let mailbox = try mailbox(of: target)
            try await watchShared(client(login, gate), mailbox, cursor, host)
        case .password(let scheme):
            guard let user = target.credentials["username"]?.exposed, !user.isEmpty,
                let password = target.credentials["password"], !password.isEmpty
            else { throw MonitorFailure(.authFailed, "the registration has no username or no password") }
            let login = EWSClient.Login.password(.init(scheme, user: user, password: password))
            try await watchAlone(client(login), cursor, host)
        case .token(let grants, _):
            try await watchAlone(client(.token(try grants.grant(of: target, host: host))), cursor, host)
        }
    }

    private func client(_ login: EWSClient.Login, _ gate: LoginGate? = nil) -> EWSClient {
        EWSClient(endpoint: endpoint, login: login, gate: gate, transport: transport, time: time)
    }

    private func watchShared(
        _ client: EWSClient, _ mailbox: String, _ cursor: EWSCursor?, _ host: any MonitorHost
    ) async throws {
        let group = groups.first { !$0.isFull } ?? groups[0]
        try await MailboxWatch(client: client, group: group, mailbox: mailbox, host: host, time: time).run(cursor)
    }

    /// Beside a connection of its own.
    private func watchAlone(_ client: EWSClient, _ cursor: EWSCursor?, _ host: any MonitorHost) async throws {
        let group = StreamGroup(settings.stream, time: time)
        let watch = MailboxWatch(client: client, group: group, mailbox: nil, host: host, time: time)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run(client) }
            tasks.addTask { try await watch.run(cursor) }
            defer { tasks.cancelAll() }
            try await tasks.next()
        }
    }

    /// The address a registration's mailbox has.
    private func mailbox(of target: MonitorTarget) throws -> String {
        let named = settings.allowsAnyMailbox ? target.credentials["mailbox"]?.exposed : nil
        let account = target.account.text
        let own = account.contains("@") ? account : settings.mailboxDomain.map { "\(account)@\($0)" } ?? account
        let mailbox = named ?? own
        guard Self.isAddress(mailbox) else {
            throw MonitorFailure(.sourceGone, "the account's name is no mail address: set \"mailboxDomain\"")
        }
        return mailbox
    }

    static func isAddress(_ text: String) -> Bool {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        return parts.count == 2 && parts.allSatisfy { !$0.isEmpty } && text.utf8.count <= 320
            && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != 0x3C && $0 != 0x3E && $0 != 0x22 }
    }
}
