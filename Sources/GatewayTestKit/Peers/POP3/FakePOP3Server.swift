internal import Base

/// A POP3 server with one mailbox a user in memory, strictly (RFC 1939, 2449, 5034): a mailbox is a snapshot while a
/// connection has it open, one connection a mailbox, CRLF and nothing else. Misbehaves on demand.
package final class FakePOP3Server: Sendable {
    package enum Security: Sendable {
        /// TLS from the first byte.
        case implicit
        /// `STLS` before any login.
        case startTLS
        case none
    }

    package struct Configuration: Sendable {
        package var security = Security.implicit
        /// Passwords by user.
        package var users: [String: String] = [:]
        /// A user who opens any mailbox by the authorization identity of PLAIN.
        package var master: (name: String, password: String)?
        /// Whether a user's OAuth token is good.
        package var acceptsToken: @Sendable (_ user: String, _ token: String) -> Bool = { _, _ in false }
        /// SASL mechanisms; empty for a server that knows `USER` and `PASS` only.
        package var mechanisms = ["PLAIN", "XOAUTH2", "OAUTHBEARER"]
        /// Seconds between two logins that the server announces; nil for none.
        package var loginDelay: Int?
        package var offersTop = true

        package init(users: [String: String] = [:]) { self.users = users }
    }

    /// How the server misbehaves from now on.
    package enum Fault: Sendable, Hashable {
        /// The greeting, `-ERR` and a text; the connection is closed.
        case greeting(String)
        /// Any login is answered with `-ERR` and a text.
        case login(String)
        /// Takes commands and answers none.
        case silence
        /// Commands after the login are answered with what is no POP3.
        case nonsense
        /// The answer to `UIDL` has no end.
        case endlessList
        /// The answer to `UIDL` is `-ERR` and a text.
        case list(String)
        /// The list is empty, whatever the mailbox holds.
        case emptyList
        /// The connection is cut after so many answers to `TOP`.
        case cutAfterHeaders(Int)
    }

    package struct Counts: Sendable {
        package var logins = 0
        package var failedLogins = 0
        /// Mailboxes looked at: sessions that ended with `QUIT`.
        package var farewells = 0
        package var headers = 0
    }

    struct Message: Sendable {
        let uid: String
        let bytes: [UInt8]
    }

    /// What all connections share.
    final class Core: Sendable {
        let configuration: Configuration
        let context: TLSServerContext?
        let mailboxes = Locked<[String: [Message]]>([:])
        let open = Locked<Set<String>>([])
        let counter = Locked(Counts())
        let violations = Recorder<String>()
        let fault = Locked<Fault?>(nil)

        init(_ configuration: Configuration, context: TLSServerContext?) {
            (self.configuration, self.context) = (configuration, context)
        }
    }

    private let core: Core
    private let listener: PeerListener

    /// - Throws: `PeerError`.
    package init(_ configuration: Configuration, identity: TestIdentity) throws {
        let context = try TLSServerContext(identity)
        let core = Core(configuration, context: context)
        self.core = core
        let first = configuration.security == .implicit ? context : nil
        listener = try PeerListener(name: "fake-pop3", context: first) { connection in
            POP3Peer(connection, core: core, isEncrypted: first != nil)
        }
    }

    package var port: Int { listener.port }
    package var counts: Counts { core.counter.withLock { $0 } }
    /// What clients did that the protocol forbids.
    package var violations: Recorder<String> { core.violations }
    /// Nil: behaves well.
    package var fault: Fault? {
        get { core.fault.withLock { $0 } }
        set { core.fault.withLock { $0 = newValue } }
    }

    /// Puts a message into a mailbox.
    /// - Parameters:
    ///   - bytes: with CRLF line ends.
    ///   - uid: its unique id.
    ///   - place: where in the list; nil: at its end, as all servers do.
    package func deliver(_ bytes: [UInt8], to user: String, uid: String, at place: Int? = nil) {
        core.mailboxes.withLock { mailboxes in
            let end = mailboxes[user]?.count ?? 0
            mailboxes[user, default: []].insert(Message(uid: uid, bytes: bytes), at: place ?? end)
        }
    }

    /// Removes the messages whose ids are in the set.
    package func remove(_ uids: Set<String>, of user: String) {
        core.mailboxes.withLock { $0[user]?.removeAll { uids.contains($0.uid) } }
    }

    /// The unique ids in a mailbox, in their order.
    package func uids(of user: String) -> [String] { core.mailboxes.withLock { $0[user]?.map(\.uid) ?? [] } }

    /// Cuts all connections.
    package func drop() async throws { try await listener.dropConnections() }
    /// Closes the port and all connections.
    package func stop() { listener.stop() }
}
