internal import Base
internal import Gateway
internal import MailMonitoring

/// Watches one mailbox of each registration over IMAP, or several of its folders with a connection each.
final class IMAPMonitor: Monitor {
    struct Settings: Sendable {
        var server: MailServer
        var authentication = MailAuthentication.password
        var idle = Duration.seconds(540)
        var session = IMAPSession.Options()
        /// Names and patterns of folders, each watched over a connection of its own; nil: `session.mailbox` only.
        var mailboxes: [String]?

        init(
            _ server: MailServer, authentication: MailAuthentication = .password, idle: Duration = .seconds(540),
            session: IMAPSession.Options = .init()
        ) {
            (self.server, self.authentication, self.idle, self.session) = (server, authentication, idle, session)
        }
    }

    let settings: Settings
    private let access: MailAccess
    private let time: any TimeSource
    private let log: Log
    private let readHeader: @Sendable ([UInt8]) -> MessageHeader
    /// Only of registrations whose connections were lost while idling; at most `budgetLimit`.
    private let budgets = Locked<[RegistrationID: IdleBudget]>([:])
    private static let budgetLimit = 100_000

    /// - Parameter transport: asks token servers, over the connections of `pool`.
    init(
        _ settings: Settings, connector: any MailConnector, transport: any HTTPTransport, pool: String = "oauth",
        time: any TimeSource, log: Log, readHeader: @escaping @Sendable ([UInt8]) -> MessageHeader
    ) {
        (self.settings, self.time, self.log, self.readHeader) = (settings, time, log, readHeader)
        access = MailAccess(
            settings.server, settings.authentication, connector: connector, transport: transport, pool: pool,
            time: time)
    }

    var credentialFields: [CredentialField] { access.credentialFields }
    var upstream: String { settings.server.address }

    func fault(in credentials: [String: Secret], of account: AccountID) -> CredentialFault? {
        access.fault(in: credentials, of: account)
    }

    func watch(_ target: MonitorTarget, host: any MonitorHost) async throws {
        guard let patterns = settings.mailboxes else { return try await watch(target, settings.session, host) }
        try await IMAPFolderWatch(patterns: patterns, monitor: self, time: time, log: log).run(target, host)
    }

    /// Watches one folder.
    func watch(_ target: MonitorTarget, _ options: IMAPSession.Options, _ host: any MonitorHost) async throws {
        let watch = try start(target, options)
        let stream = try await connect(target, host)
        defer {
            stream.close()
            end(watch, target)
        }
        let driver = IMAPDriver(stream: stream, host: host, time: time)
        do {
            try await driver.run(&watch.session)
        } catch is CancellationError {
            await uncancelled { [log, farewell = Self.farewell(of: watch)] in await driver.bid(farewell, log: log) }
            throw CancellationError()
        }
    }

    /// In a task of its own: a task keeps the stack it once needed, and this one lives as long as the
    /// connection.
    func connect(_ target: MonitorTarget, _ host: any MonitorHost) async throws -> any MailStream {
        async let stream = access.connect(target, host: host)
        return try await stream
    }

    /// Holds the session outside of the task's stack, which would have room for several copies of it.
    private final class Watch {
        var session: IMAPSession
        init(_ session: IMAPSession) { self.session = session }
    }

    // What follows is never inlined, so that its temporary copies are on the thread's stack and not in the
    // frame of `watch`, which lives for days.

    @inline(never)
    private func start(_ target: MonitorTarget, _ options: IMAPSession.Options) throws -> Watch {
        var cursor: IMAPCursor?
        if let stored = target.cursor {
            guard let decoded = IMAPCursor(stored) else {
                throw MonitorFailure(.cursorInvalid, "the stored cursor is not one of the imap monitor")
            }
            cursor = decoded
        }
        return Watch(
            IMAPSession(
                cursor: cursor, options: options, idle: budget(of: target.registration),
                jitter: { Double.random(in: 0...1) }, readHeader: readHeader))
    }

    @inline(never)
    private func end(_ watch: Watch, _ target: MonitorTarget) { keep(watch.session.idle, of: target.registration) }

    @inline(never)
    private static func farewell(of watch: Watch) -> [UInt8] { watch.session.farewell }

    private func budget(of registration: RegistrationID) -> IdleBudget {
        budgets.withLock { $0[registration] } ?? IdleBudget(settings.idle)
    }

    private func keep(_ budget: IdleBudget, of registration: RegistrationID) {
        budgets.withLock { budgets in
            if budget.learned == nil {
                budgets[registration] = nil
            } else if budgets[registration] != nil || budgets.count < Self.budgetLimit {
                budgets[registration] = budget
            }
        }
    }
}
