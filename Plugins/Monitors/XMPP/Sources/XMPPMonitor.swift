internal import Base
internal import Gateway
internal import XMPPTools

/// Watches the chats of each registration's account over XMPP, as one more device of it.
final class XMPPMonitor: Monitor {
    struct Settings: Sendable {
        var server: XMPPServer
        /// nil: the host's name, unless the user's name has a domain.
        var domain: String?
        var session = XMPPSession.Options()
    }

    let settings: Settings
    private let connector: any XMPPConnector
    private let time: any TimeSource
    private let log: Log
    /// Registrations whose archive is read one entry at a time, because a page of it was too much; at most
    /// `carefulLimit`.
    private let careful = Locked<Set<RegistrationID>>([])
    private static let carefulLimit = 10_000

    init(_ settings: Settings, connector: any XMPPConnector, time: any TimeSource, log: Log) {
        (self.settings, self.connector, self.time, self.log) = (settings, connector, time, log)
    }

    let credentialFields = [CredentialField("username", isSecret: false), CredentialField("password", isSecret: true)]

    var upstream: String {
        let server = settings.server
        return server.host.contains(":") ? "[\(server.host)]:\(server.port)" : "\(server.host):\(server.port)"
    }

    /// A ping and its answer, at the latest.
    var heardEvery: Duration? { settings.session.ping + settings.session.commandTimeout }

    func watch(_ target: MonitorTarget, host: any MonitorHost) async throws {
        var cursor: XMPPCursor?
        if let stored = target.cursor {
            guard let decoded = XMPPCursor(stored) else {
                throw MonitorFailure(.cursorInvalid, "the stored cursor is not one of the xmpp monitor")
            }
            cursor = decoded
        }
        let login = try login(target)
        let page = careful.withLock { $0.contains(target.registration) } ? 1 : XMPPSession.pageLimit
        var session = XMPPSession(cursor: cursor, login: login, options: settings.session, page: page)
        let stream: any XMPPStream
        do {
            stream = try await connector.connect(settings.server)
        } catch let error as XMPPConnectionFailure {
            throw MonitorFailure(.network, error.description)
        }
        defer { stream.close() }
        let driver = XMPPDriver(stream: stream, host: host, time: time) { [careful] in
            careful.withLock { if $0.count < Self.carefulLimit { $0.insert(target.registration) } }
        }
        do {
            try await driver.run(&session)
        } catch is CancellationError {
            if driver.hasBegun.withLock({ $0 }) { await uncancelled { await self.bid(stream) } }
            throw CancellationError()
        }
    }

    /// How long a connection that takes no bytes may hold up the end.
    private static let farewellLimit = Duration.seconds(2)

    /// Ends the stream in order, so that the server does not keep the session for a while.
    private func bid(_ stream: any XMPPStream) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [log] in
                do {
                    try await stream.send(XMPPSession.farewell)
                } catch {
                    log.debug("monitor.logout_failed", "The connection was gone before the end of the stream")
                }
            }
            group.addTask { [time] in
                do {
                    try await time.sleep(for: Self.farewellLimit)
                } catch {
                    // Sent in time.
                }
            }
            await group.next()
            group.cancelAll()
        }
    }

    private func login(_ target: MonitorTarget) throws(MonitorFailure) -> XMPPSession.Login {
        guard let username = target.credentials["username"]?.exposed, !username.isEmpty,
            !username.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F || $0 == UInt8(ascii: "/") })
        else { throw MonitorFailure(.authFailed, "the registration has no usable username") }
        guard let password = target.credentials["password"], !password.isEmpty, !password.bytes.contains(0) else {
            throw MonitorFailure(.authFailed, "the registration has no usable password")
        }
        var (user, domain) = (username, settings.domain ?? settings.server.host)
        if let at = username.lastIndex(of: "@") {
            user = String(username[..<at])
            let named = username[username.index(after: at)...].lowercased()
            // The password is for the domain that was configured and for no other.
            guard settings.domain.map({ $0 == named }) ?? true, !user.isEmpty, !named.isEmpty else {
                throw MonitorFailure(.authFailed, "the username is of another domain")
            }
            domain = named
        }
        return XMPPSession.Login(
            user: user, domain: domain, password: password, resource: "farbell-\(target.registration.text)")
    }
}
