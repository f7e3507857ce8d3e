package import Base

/// What plugins get besides their own configuration.
package struct PluginContext: Sendable {
    /// Sends requests to whatever server a plugin talks to.
    package let transport: any HTTPTransport
    package let time: any TimeSource
    package let log: Log
    /// What a tap's token stands behind to be the page that a notification opens in a browser; nil while that is not
    /// known.
    package var tapPage: String?
    /// What an app's id stands behind to be the public URL that servers call (`InboundMonitor`); nil while that is not
    /// known.
    package var hookBase: String?

    /// The transport for answers that go on; nil where it offers none.
    package var streams: (any HTTPStreamTransport)? { transport as? any HTTPStreamTransport }

    package init(transport: any HTTPTransport, time: any TimeSource, log: Log, tapPage: String? = nil) {
        (self.transport, self.time, self.log, self.tapPage) = (transport, time, log, tapPage)
    }

    /// The page that a tapped notification opens in a browser; nil without a tap, or where pages are not known.
    package func page(ofTap tap: String) -> String? { tap.isEmpty ? nil : tapPage.map { $0 + tap } }
}

/// A kind of monitor, as a plugin offers it.
package protocol MonitorPlugin: Sendable {
    /// The value of `kind` in the configuration.
    var kind: String { get }
    /// Reads the plugin's own keys of `apps.<id>.monitor` and returns the monitor of that app. Must not
    /// connect, start threads or read mailboxes. Faults are reported to the reader; nil only after one.
    func configure(app: AppID, _ reader: ConfigReader, _ context: PluginContext) -> (any Monitor)?
}

/// A field of a registration's credentials.
package struct CredentialField: Sendable, Hashable {
    /// A field of a nested object has a dot in its name: `oauth.clientId` is `{"oauth":{"clientId":…}}`.
    package let name: String
    package let isSecret: Bool
    package let isRequired: Bool
    /// Whether another value means another mailbox, so that the stored cursor is of no use.
    package let isIdentity: Bool

    /// - Parameter isIdentity: nil: whatever is no secret.
    package init(_ name: String, isSecret: Bool, isRequired: Bool = true, isIdentity: Bool? = nil) {
        (self.name, self.isSecret, self.isRequired) = (name, isSecret, isRequired)
        self.isIdentity = isIdentity ?? !isSecret
    }
}

/// What is wrong with a registration's credentials, before any server was asked.
package struct CredentialFault: Sendable, Hashable {
    package let field: String
    /// Never shows the value.
    package let message: String

    package init(_ field: String, _ message: String) { (self.field, self.message) = (field, message) }
}

/// The monitor of one app: watches its registrations.
package protocol Monitor: Sendable {
    /// What a registration must give, in the order a form would ask. An empty list: no credentials.
    var credentialFields: [CredentialField] { get }
    /// What is wrong with an account's credentials, as far as that can be told without connecting; nil (the default)
    /// for nothing. Required and unknown fields have been checked before.
    func fault(in credentials: [String: Secret], of account: AccountID) -> CredentialFault?
    /// What the start rate and connects in flight are bounded by: usually `host:port` of the server.
    var upstream: String { get }
    /// How often a registration that is watched hears its server at the least: a look, a ping or a renewed wait, each
    /// followed by `heard`. After twice as long without, the host raises the alarm and starts the watch anew. Nil (the
    /// default): a watch may be silent for as long as it likes.
    var heardEvery: Duration? { get }
    /// Work for all registrations of the app together (a shared connection, a listener). Runs beside
    /// `watch`; the default waits until it is cancelled.
    func run() async throws
    /// Watches one registration until cancelled. Never returns otherwise: it throws a `MonitorFailure`
    /// and the host decides when to call again, with the cursor stored last.
    func watch(_ target: MonitorTarget, host: any MonitorHost) async throws
}

extension Monitor {
    package func fault(in credentials: [String: Secret], of account: AccountID) -> CredentialFault? { nil }
    package var heardEvery: Duration? { nil }

    package func run() async throws {
        while true { try await Task.sleep(for: .seconds(86_400)) }
    }
}

/// What a monitor needs to know of a registration.
package struct MonitorTarget: Sendable {
    package let registration: RegistrationID
    package let account: AccountID
    /// By field name; secrets among them.
    package let credentials: [String: Secret]
    /// The cursor of the last committed batch; nil on the very first run, which only sets a baseline.
    package let cursor: [UInt8]?

    package init(
        registration: RegistrationID, account: AccountID, credentials: [String: Secret], cursor: [UInt8]?
    ) {
        (self.registration, self.account) = (registration, account)
        (self.credentials, self.cursor) = (credentials, cursor)
    }
}

/// What a monitor reports to.
package protocol MonitorHost: Sendable {
    /// Stores the batch's items and cursor in one transaction and returns when that is durable; the
    /// caller waits, which is the back-pressure. Items already known are dropped; while the target's
    /// cursor was nil, items are stored as known and ring for nothing.
    /// - Throws: `CancellationError`, or the store's failure.
    func emit(_ batch: MonitorBatch) async throws
    /// The monitor is logged in and would see news from now on.
    func watching()
    /// Lower bound on liveness: call when the server has been heard (a batch does so by itself).
    func heard()
    /// Stores another value of one credential, which the app's server gave for the old one (a refresh token that is
    /// good once). The monitor goes on; its next start gets the new value. The default does nothing.
    /// - Throws: `CancellationError`, or the store's failure.
    func replaced(_ field: String, with value: Secret) async throws
}

extension MonitorHost {
    package func replaced(_ field: String, with value: Secret) async throws {}
}

/// What a monitor saw, with the cursor that says so.
package struct MonitorBatch: Sendable, Hashable {
    package enum Change: Sendable, Hashable {
        case new(Item)
        /// Read elsewhere.
        case seen(key: String)
        /// Deleted, moved or withdrawn.
        case gone(key: String)
    }

    package var changes: [Change]
    /// At most 64 KiB; opaque, and versioned by the monitor itself.
    package var cursor: [UInt8]

    /// A larger cursor is refused as a fault of the monitor.
    package static let cursorLimit = 65_536

    package init(changes: [Change] = [], cursor: [UInt8]) { (self.changes, self.cursor) = (changes, cursor) }
}

/// One piece of news.
package struct Item: Sendable, Hashable {
    /// Stable and unique in its registration, such as `uidvalidity/uid`.
    package var key: String
    /// The same content seen twice (two folders) has the same one, such as a Message-ID.
    package var contentKey: String?
    /// What belongs together, such as a thread or a room.
    package var threadKey: String?
    /// Who it is from, for display: decoded, without control characters.
    package var sender: String?
    /// The sender's address, to recognise the account's own messages.
    package var senderAddress: String?
    package var title: String?
    /// The text or its beginning, where the source gives it away cheaply.
    package var preview: String?
    package var time: Timestamp?
    package var priority: Message.Priority = .normal

    package init(
        key: String, contentKey: String? = nil, threadKey: String? = nil, sender: String? = nil,
        senderAddress: String? = nil, title: String? = nil, preview: String? = nil, time: Timestamp? = nil
    ) {
        (self.key, self.contentKey, self.threadKey) = (key, contentKey, threadKey)
        (self.sender, self.senderAddress, self.title) = (sender, senderAddress, title)
        (self.preview, self.time) = (preview, time)
    }
}

/// Why a monitor stopped watching; the host derives all waiting from it.
package struct MonitorFailure: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        /// The credentials were refused: never tried again until they change.
        case authFailed
        /// The server cannot check them now.
        case authTemporary
        /// The server asks for a pause.
        case throttled(until: Moment)
        case network
        /// The mailbox, room or feed is not there.
        case sourceGone
        /// The stored cursor means nothing to the server any more: watch again from a new baseline.
        case cursorInvalid
        /// The server says what the protocol does not allow.
        case protocolViolation

        package var name: String {
            switch self {
            case .authFailed: "auth_failed"
            case .authTemporary: "auth_temporary"
            case .throttled: "throttled"
            case .network: "network"
            case .sourceGone: "source_gone"
            case .cursorInvalid: "cursor_invalid"
            case .protocolViolation: "protocol_violation"
            }
        }
    }

    package let code: Code
    /// What to tell the operator: bounded, without control characters, secrets and mail text.
    package let message: String

    package init(_ code: Code, _ message: String) { (self.code, self.message) = (code, message) }

    package var description: String { "\(code.name): \(message)" }
}
