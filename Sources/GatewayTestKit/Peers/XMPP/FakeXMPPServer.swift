internal import Base
internal import XML

/// An XMPP server for one account, strict about what its client says: direct TLS, SASL PLAIN, an archive (XEP-0313),
/// carbons (XEP-0280). Misbehaves on demand.
package final class FakeXMPPServer: Sendable {
    package static let domain = "localhost"
    package static let user = "alice"
    package static let password = "correct horse"
    static let address = "\(user)@\(domain)"

    /// What all connections share.
    final class Core: @unchecked Sendable {
        // Sendable: touched on the loop's thread alone; others only pass the reference.
        struct Entry {
            let id: String
            let stamp: String
            let message: XMLElement
        }

        var archive: [Entry] = []
        var sessions: [ObjectIdentifier: XMPPServerSession] = [:]
        var losesWakeUps = false
        var isDown = false
        var isSilent = false
        var isThrottled = false
        var talksNonsense = false
        /// Ids up to this number are forgotten.
        var forgotten = 0
        var logins = 0
        var lastStamp = 0
        let violations = Recorder<String>()
        let queries = Recorder<String>()

        /// Keeps a message and tells the devices of it.
        func add(_ message: XMLElement) {
            lastStamp += 1
            let seconds = Timestamp("2026-11-21T08:00:00Z").map { $0 + .seconds(lastStamp) }
            archive.append(Entry(id: "a\(lastStamp)", stamp: seconds?.description ?? "", message: message))
            if !losesWakeUps { tell(message) }
        }

        func tell(_ message: XMLElement) {
            for session in sessions.values { session.tell(message) }
        }
    }

    /// Tests deliver what no reader of ours would take.
    private static var limits: XMLLimits {
        var limits = XMLLimits.document()
        (limits.depth, limits.attributes, limits.names) = (1 << 20, 1 << 20, 1 << 20)
        (limits.tokenBytes, limits.nameBytes) = (8 << 20, 8 << 20)
        return limits
    }

    private let core = Core()
    private let listener: PeerListener

    /// - Throws: `PeerError`.
    package init(identity: TestIdentity) throws {
        listener = try PeerListener(name: "fake-xmpp", context: try TLSServerContext(identity)) { [core] connection in
            XMPPServerSession(connection, core: core)
        }
    }

    package var port: Int { listener.port }
    /// What clients did that the protocol forbids.
    package var violations: Recorder<String> { core.violations }
    /// Where each question to the archive began: `after:ID`, `start:TIME`, `before`, or nothing.
    package var queries: Recorder<String> { core.queries }

    package func stop() { listener.stop() }

    /// Somebody writes to the account, or another device of the account writes: archived and told.
    /// - Parameter message: in the namespace `jabber:client`.
    /// - Throws: `PeerError` for what is no XML, or when the server has stopped.
    package func deliver(_ message: String) async throws {
        let element = try XMLElement(parsing: message.utf8, limits: Self.limits)
        try await listener.loop.call { [core] in core.add(element) }
    }

    /// The same without keeping it: a wake-up, or a forgery.
    /// - Throws: as `deliver`.
    package func tell(_ message: String) async throws {
        let element = try XMLElement(parsing: message.utf8, limits: Self.limits)
        try await listener.loop.call { [core] in core.tell(element) }
    }

    /// Bytes as they are, to all devices.
    /// - Throws: `PeerError` when the server has stopped.
    package func inject(_ text: String) async throws {
        try await listener.loop.call { [core] in for session in core.sessions.values { session.inject(text) } }
    }

    /// - Throws: `PeerError` when the server has stopped.
    package func setLosesWakeUps(_ loses: Bool) async throws {
        try await listener.loop.call { [core] in core.losesWakeUps = loses }
    }

    /// Cuts all connections, and each new one at once.
    /// - Throws: `PeerError` when the server has stopped.
    package func setRunning(_ running: Bool) async throws {
        try await listener.loop.call { [core] in core.isDown = !running }
        if !running { try await listener.dropConnections() }
    }

    /// Takes everything and says nothing.
    /// - Throws: `PeerError` when the server has stopped.
    package func setSilent(_ silent: Bool) async throws {
        try await listener.loop.call { [core] in core.isSilent = silent }
    }

    /// Ends all streams, and each new one, with `resource-constraint`.
    /// - Throws: `PeerError` when the server has stopped.
    package func setThrottled(_ throttled: Bool) async throws {
        try await listener.loop.call { [core] in
            core.isThrottled = throttled
            if throttled { for session in core.sessions.values { session.end("resource-constraint") } }
        }
    }

    /// Says what is no XML, now and to each new connection.
    /// - Throws: `PeerError` when the server has stopped.
    package func setNonsense(_ nonsense: Bool) async throws {
        try await listener.loop.call { [core] in
            core.talksNonsense = nonsense
            if nonsense { for session in core.sessions.values { session.inject("<a></b>") } }
        }
    }

    /// The archive forgets what it has so far.
    /// - Throws: `PeerError` when the server has stopped.
    package func forgetArchive() async throws {
        try await listener.loop.call { [core] in
            core.forgotten = core.lastStamp
            core.archive = []
        }
    }

    /// - Throws: `PeerError` when the server has stopped.
    package func logins() async throws -> Int { try await listener.loop.call { [core] in core.logins } }
}
