internal import Base

/// A strict fake of Exchange Web Services for streaming monitors: `Subscribe`, `Unsubscribe`, `GetStreamingEvents`,
/// `SyncFolderItems` and `GetItem`. It refuses what Exchange would refuse, and notes that in `violations`.
///
/// After Microsoft's reference of the operations
/// (learn.microsoft.com/exchange/client-developer/web-service-reference/ews-operations-in-exchange).
package final class FakeExchange: Sendable {
    package enum Login: Sendable { case basic, ntlm, bearer }

    package struct Options: Sendable {
        package var login = Login.basic
        /// The account with the role ApplicationImpersonation.
        package var serviceUser = "svc"
        /// Every user's; with `bearer`, the service's token.
        package var password = "svc-secret"
        /// Hanging answers of one caller; one more is refused (HangingConnectionLimit is 3 in Exchange 2013).
        package var hangingLimit = 3
        /// Between two status events.
        package var heartbeat: Duration = .milliseconds(200)
        package init() {}
    }

    /// What a request gets instead of the right answer.
    package enum Fault: Sendable {
        /// A SOAP fault; `ErrorServerBusy` has a pause with it.
        case soap(code: String, backOffMilliseconds: Int? = nil)
        /// The operation's own answer, with this response code.
        case response(code: String)
        case http(status: Int, retryAfter: Int? = nil)
    }

    let core: ExchangeCore
    private let peer: HTTPPeer

    /// - Throws: `PeerError`.
    package init(identity: TestIdentity? = nil, options: Options = Options()) throws {
        let core = ExchangeCore(options)
        self.core = core
        var server = HTTPPeer.Options()
        server.protocols = ["http/1.1"]
        peer = try HTTPPeer(name: "exchange", identity: identity, options: server) { core.answer($0) }
        let loop = peer.listener.loop
        loop.perform { Self.beat(core, loop) }
    }

    deinit { stop() }

    package func stop() {
        core.state.withLock { $0.isStopped = true }
        peer.stop()
    }

    package var port: Int { peer.port }
    /// Logins tried, good and bad.
    package var attempts: Int { core.state.withLock { $0.attempts } }
    /// What requests had wrong.
    package var violations: [String] { core.state.withLock { $0.violations } }
    /// The most subscriptions that one streaming request has named, and the streaming requests answered.
    package var largestStream: Int { core.state.withLock { $0.largestStream } }
    package var openStreams: Int { core.state.withLock { state in state.streams.count { $0.stream.isOpen } } }
    /// Subscriptions that a hanging answer tells of.
    package var watchedSubscriptions: Int { core.hanging().reduce(0) { $0 + $1.ids.count } }
    /// How many connections are open.
    /// - Throws: `PeerError` when it has been stopped.
    package func openConnections() async throws -> Int { try await peer.listener.openConnections() }
    package func count(of operation: String) -> Int { core.state.withLock { $0.operations[operation] ?? 0 } }

    // MARK: Mailboxes

    /// Puts a message into a mailbox's inbox and returns its item id.
    @discardableResult
    package func deliver(_ news: TestNews, to mailbox: String, isRead: Bool = false) -> String {
        core.change(mailbox, event: "NewMailEvent") { $0.deliver(news, isRead: isRead) }
    }

    package func markRead(_ id: String, in mailbox: String) {
        core.change(mailbox, event: "ModifiedEvent") { $0.markRead(id) }
    }

    package func remove(_ id: String, from mailbox: String) {
        core.change(mailbox, event: "DeletedEvent") { $0.remove(id) }
    }

    /// An event without a change.
    package func wake(_ mailbox: String) { core.change(mailbox, event: "ModifiedEvent") { _ in } }

    /// The mailbox's sync states mean nothing any more.
    package func forgetSyncStates(of mailbox: String) {
        core.state.withLock { $0.mailboxes[mailbox, default: FakeMailbox()].generation += 1 }
    }

    // MARK: Faults

    /// For the next requests of an operation, in turn.
    package func add(_ faults: [Fault], for operation: String) {
        core.state.withLock { $0.faults[operation, default: []] += faults }
    }

    /// For every request, until it is nil again.
    package func setStanding(_ fault: Fault?) { core.state.withLock { $0.standing = fault } }
    package func setLosesWakeUps(_ loses: Bool) { core.state.withLock { $0.losesWakeUps = loses } }
    /// Nothing is answered, and nothing comes on open streams.
    package func setSilent(_ silent: Bool) { core.state.withLock { $0.isSilent = silent } }
    package func setNonsense(_ nonsense: Bool) {
        core.state.withLock { $0.talksNonsense = nonsense }
        if nonsense { for hanging in core.hanging() { hanging.stream.send("<soap:Envelope><oops") } }
    }

    /// The time of all hanging answers is over: `ConnectionStatus` says `Closed`, and the body ends.
    package func endStreams() {
        for hanging in core.hanging() {
            hanging.stream.send(ExchangeWriter.streaming(status: "Closed"))
            hanging.stream.finish()
        }
    }

    /// Another server takes over: all subscriptions and cookies are void, all connections cut.
    package func failOver() async throws {
        core.state.withLock { state in
            state.generation += 1
            (state.subscriptions, state.streams) = ([:], [])
        }
        try await peer.listener.dropConnections()
    }

    /// All connections are cut; the subscriptions live on.
    package func cutConnections() async throws {
        core.state.withLock { $0.streams = [] }
        try await peer.listener.dropConnections()
    }

    /// Away: every connection is cut.
    package func setRunning(_ running: Bool) async throws {
        core.state.withLock { state in
            state.isDown = !running
            if !running { (state.subscriptions, state.streams) = ([:], []) }
        }
        if !running { try await peer.listener.dropConnections() }
    }

    private static func beat(_ core: ExchangeCore, _ loop: EventLoop) {
        guard !core.state.withLock({ $0.isStopped }) else { return }
        for hanging in core.hanging() where !core.state.withLock({ $0.isSilent }) {
            hanging.stream.send(
                ExchangeWriter.streaming(hanging.ids.map { ExchangeWriter.notification($0, event: "StatusEvent") }))
        }
        loop.after(core.options.heartbeat) { beat(core, loop) }
    }
}
