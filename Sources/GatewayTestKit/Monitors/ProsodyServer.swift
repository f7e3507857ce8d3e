internal import Base
internal import Glibc

/// A real Prosody 0.12 with a configuration, accounts and ports of its own, on loopback. It needs Debian's `prosody`,
/// and root only because the tests run as root. Stopped when this object goes.
package final class ProsodyServer: Sendable {
    package static let password = "correct horse"
    package static let domain = "localhost"
    private static let program = "/usr/bin/prosody"

    /// Whether this machine can run it.
    package static var isAvailable: Bool { FileSystem.exists(program) }

    /// Plain text, with STARTTLS offered and PLAIN allowed without it.
    package let port: Int
    /// TLS from the first byte.
    package let tlsPort: Int
    /// Where components connect (XEP-0114).
    package let componentPort: Int
    private let folder: TemporaryFolder
    private let process = Locked<ChildProcess?>(nil)

    /// Starts the server.
    /// - Parameters:
    ///   - users: names of its users; all have `password`.
    ///   - identity: its certificate.
    ///   - component: a component and its secret; nil: none.
    /// - Throws: `PeerError`, `DeadlineMissed`.
    package init(
        users: [String], identity: TestIdentity, component: (domain: String, secret: String)? = nil
    ) async throws {
        folder = try TemporaryFolder()
        (port, tlsPort, componentPort) = (try ServerPort.next(), try ServerPort.next(), try ServerPort.next())
        for name in ["data", "data/localhost", "data/localhost/accounts"] {
            _ = unsafe mkdir(folder.file(name), 0o700)
        }
        for user in users {
            try folder.write(
                "return { [\"password\"] = \"\(Self.password)\"; };\n", to: "data/localhost/accounts/\(user).dat")
        }
        var configuration = Self.configuration(folder.path, port, tlsPort, identity)
        if let component {
            configuration =
                "component_ports = { \(componentPort) }\ncomponent_interfaces = { \"127.0.0.1\" }\n" + configuration
                + "Component \"\(component.domain)\"\n  component_secret = \"\(component.secret)\"\n"
        }
        try folder.write(configuration, to: "prosody.cfg.lua")
        try await start()
    }

    deinit { process.withLock { $0 }?.terminate() }

    /// Starts it again after `stop`.
    /// - Throws: `PeerError`, `DeadlineMissed`.
    package func start() async throws {
        // As itself and in the foreground: it has no other way to start than this.
        let child = try await ChildProcess(Self.program, ["--config", folder.file("prosody.cfg.lua"), "-F"])
        process.withLock { $0 = child }
        try await Eventually.wait("prosody listens: \(child.errors) \(log)") {
            if let exit = child.exit { throw PeerError(.process, "prosody ended: \(exit) \(child.errors) \(log)") }
            return DovecotServer.answers(port) && DovecotServer.answers(tlsPort)
        }
    }

    /// Ends the server and all its connections; accounts and archives stay.
    /// - Throws: `DeadlineMissed`.
    package func stop() async throws {
        guard let child = process.withLock({ $0 }) else { return }
        child.terminate()
        // Its handler runs with Lua's next instruction. A signal that comes after the last one before `epoll_wait` waits
        // there for the next timer, which may be 5 minutes away (Debian's 0.12.3): a connection is an event as well.
        try await Eventually.wait("the end of prosody: \(log)", for: .seconds(60), every: .milliseconds(50)) {
            child.exit != nil || !DovecotServer.answers(port)
        }
        try await child.waitForExit(deadline: .seconds(60))
        process.withLock { $0 = nil }
    }

    /// The server's log, for messages of failed tests.
    package var log: String {
        FileSystem.contents(of: folder.file("prosody.log"), limit: 1 << 20).map { String(decoding: $0, as: UTF8.self) }
            ?? ""
    }

    private static func configuration(_ folder: String, _ port: Int, _ tlsPort: Int, _ identity: TestIdentity) -> String
    {
        """
        run_as_root = true
        pidfile = "\(folder)/prosody.pid"
        data_path = "\(folder)/data"
        log = { info = "\(folder)/prosody.log" }
        interfaces = { "127.0.0.1" }
        c2s_ports = { \(port) }
        c2s_direct_tls_ports = { \(tlsPort) }
        modules_enabled = { "roster", "saslauth", "tls", "disco", "ping", "mam", "carbons" }
        modules_disabled = { "s2s", "offline" }
        c2s_require_encryption = false
        allow_unencrypted_plain_auth = true
        authentication = "internal_plain"
        default_archive_policy = true
        max_archive_query_results = 100
        ssl = { certificate = "\(identity.certificateFile)", key = "\(identity.keyFile)" }
        VirtualHost "\(domain)"

        """
    }
}
