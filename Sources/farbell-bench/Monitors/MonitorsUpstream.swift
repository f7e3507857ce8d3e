internal import Base
internal import GatewayTestKit

/// A server that is watched, as the benchmark needs it.
protocol MonitorsUpstream: Sendable {
    /// What is watched, such as `EWS mailboxes`.
    var name: String { get }
    /// What the figures hold for.
    var remark: String { get }
    /// The app's monitor in the gateway's configuration.
    var monitor: JSON { get }
    /// Whether registrations hold the user's name and password.
    var hasCredentials: Bool { get }
    /// How many mailboxes or users would hear of news now.
    var watched: Int { get }
    /// Hanging requests in which they would.
    var hanging: Int { get }
    /// What the gateway's requests had wrong.
    var refusals: [String] { get }
    func openConnections() async throws -> Int
    /// The gateway has ended: nobody watches any more.
    func forgetWatchers()
    /// Something new, with this name in its title or text.
    /// - Returns: when those who watch were told.
    /// - Throws: `PeerError`.
    func deliver(_ name: String, to user: Int) async throws -> Moment
    func stop()
}

/// Mailboxes of the synthetic IMAP server.
struct IMAPUpstream: MonitorsUpstream {
    let name = "IMAP mailboxes"
    let remark = "the synthetic server"
    let monitor: JSON
    let hasCredentials = true
    private let imap: SyntheticIMAPServer

    init(_ setup: RingSetup) throws {
        imap = try setup.mailServer()
        monitor = [
            "kind": "imap", "url": .string("imaps://127.0.0.1:\(imap.port)"),
            "caFile": .string(setup.authority.caFile), "reconcileSeconds": 300,
        ]
    }

    var watched: Int { imap.counts.idling }
    var hanging: Int { imap.counts.idling }
    var refusals: [String] { [] }
    func openConnections() -> Int { imap.counts.idling }
    // The server sees its connections end.
    func forgetWatchers() {}
    func deliver(_ name: String, to user: Int) async throws -> Moment {
        try await imap.deliver(to: SyntheticIMAPServer.user(user), header: RingSetup.header(name)).announced
    }
    func stop() { imap.stop() }
}

/// Mailboxes of an Exchange, impersonated by one service account.
struct ExchangeUpstream: MonitorsUpstream {
    private static let domain = "example.org"
    /// Of one connection, at most.
    private static let capacity = 200

    let name = "EWS mailboxes"
    let remark: String
    let monitor: JSON
    let hasCredentials = false
    private let exchange: FakeExchange
    /// Holds the service's password.
    private let folder: TemporaryFolder

    init(_ setup: RingSetup, mailboxes: Int, connections: Int) throws {
        guard mailboxes <= connections * Self.capacity, (1...50).contains(connections) else {
            throw BenchError("\(mailboxes) mailboxes do not fit on \(connections) connections", isUsage: true)
        }
        var options = FakeExchange.Options()
        (options.login, options.hangingLimit, options.heartbeat) = (.ntlm, connections, .seconds(30))
        exchange = try FakeExchange(identity: setup.authority.localhost, options: options)
        folder = try TemporaryFolder()
        try folder.write(options.password, to: "password")
        let each = (mailboxes + connections - 1) / connections
        monitor = [
            "kind": "ews", "url": .string("https://127.0.0.1:\(exchange.port)/EWS/Exchange.asmx"),
            "caFile": .string(setup.authority.caFile), "mode": "service", "authentication": "ntlm",
            "user": .string("EXAMPLE\\\(options.serviceUser)"), "password": ["file": .string(folder.file("password"))],
            "mailboxDomain": .string(Self.domain), "connections": .integer(connections),
            "mailboxesPerConnection": .integer(max(1, each)),
        ]
        remark =
            "one service account with NTLM, at most \(max(1, each)) mailboxes a connection, status events every 30 s"
    }

    var watched: Int { exchange.watchedSubscriptions }
    var hanging: Int { exchange.openStreams }
    var refusals: [String] { exchange.violations }
    func openConnections() async throws -> Int { try await exchange.openConnections() }
    // The fake sees its connections end.
    func forgetWatchers() {}
    func deliver(_ name: String, to user: Int) -> Moment {
        let announced = SystemTime().now
        exchange.deliver(TestNews(name, id: name), to: "\(SyntheticIMAPServer.user(user))@\(Self.domain)")
        return announced
    }
    func stop() { exchange.stop() }
}

/// Users of a Matrix homeserver, each in a room of its own.
struct MatrixUpstream: MonitorsUpstream {
    let name = "Matrix users"
    let remark = "HTTP/2, syncs of 30 s that news end at once, a room for each user whose name is asked for"
    let monitor: JSON
    let hasCredentials = true
    private let matrix: FakeMatrix

    init(_ setup: RingSetup, users: Int) throws {
        let names = (0..<users).map(SyntheticIMAPServer.user)
        matrix = try FakeMatrix(
            users: Dictionary(uniqueKeysWithValues: names.map { ($0, Seed(accounts: 0).mailPassword) }),
            identity: setup.authority.localhost)
        for (number, name) in names.enumerated() {
            matrix.setMembers(of: Self.room(number), ["@\(name):\(FakeMatrix.serverName)"])
        }
        monitor = ["kind": "matrix", "url": .string(matrix.url), "caFile": .string(setup.authority.caFile)]
    }

    private static func room(_ user: Int) -> String { "!room\(user):\(FakeMatrix.serverName)" }

    var watched: Int { matrix.hanging }
    var hanging: Int { matrix.hanging }
    var refusals: [String] { matrix.refusals }
    func openConnections() async throws -> Int { try await matrix.openConnections() }
    func forgetWatchers() { matrix.forgetHanging() }
    func deliver(_ name: String, to user: Int) -> Moment {
        let announced = SystemTime().now
        matrix.send(
            ["msgtype": "m.text", "body": .string(name)], to: Self.room(user),
            from: "@anna:\(FakeMatrix.serverName)", displayName: "Anna Example")
        return announced
    }
    func stop() { matrix.stop() }
}
