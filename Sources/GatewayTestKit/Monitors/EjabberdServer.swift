internal import Base
internal import Glibc

/// A real ejabberd with a configuration, accounts, ports and a database of its own, on loopback, without TLS. It is no
/// node of an Erlang network: no `epmd` runs for it. It needs Debian's `ejabberd`.
package final class EjabberdServer: Sendable {
    package static let password = "correct horse"
    package static let domain = "localhost"
    private static let program = "/usr/bin/erl"
    private static let control = "/usr/sbin/ejabberdctl"

    /// Whether this machine can run it.
    package static var isAvailable: Bool { FileSystem.exists(program) && FileSystem.exists(control) }

    package let port: Int
    /// Where components connect (XEP-0114).
    package let componentPort: Int
    private let users: [String]
    private let folder: TemporaryFolder
    private let process = Locked<ChildProcess?>(nil)

    /// Starts the server.
    /// - Parameters:
    ///   - users: names of its users; all have `password`.
    ///   - component: a component and its secret.
    /// - Throws: `PeerError`, `DeadlineMissed`.
    package init(users: [String], component: (domain: String, secret: String)) async throws {
        folder = try TemporaryFolder()
        (port, componentPort) = (try ServerPort.next(), try ServerPort.next())
        self.users = users
        _ = unsafe mkdir(folder.file("spool"), 0o700)
        try folder.write(Self.configuration(port, componentPort, component), to: "ejabberd.yml")
        try await start()
    }

    deinit { process.withLock { $0 }?.terminate() }

    /// Starts it again after `stop`.
    /// - Throws: `PeerError`, `DeadlineMissed`.
    package func start() async throws {
        let names = users.map { "<<\"\($0)\">>" }.joined(separator: ",")
        let accounts =
            "[ejabberd_auth:try_register(U, <<\"\(Self.domain)\">>, <<\"\(Self.password)\">>) || U <- [\(names)]], "
            + "io:format(\"users are there~n\")"
        var options = ChildProcess.Options(workingFolder: folder.path)
        options.environment = [
            "HOME": folder.path, "PATH": "/usr/bin:/bin", "EJABBERD_CONFIG_PATH": folder.file("ejabberd.yml"),
            "EJABBERD_LOG_PATH": folder.file("ejabberd.log"), "ERL_LIBS": "/usr/lib/x86_64-linux-gnu",
            "ERL_CRASH_DUMP_BYTES": "0",
        ]
        let child = try await ChildProcess(
            Self.program,
            [
                "-noinput", "-mnesia", "dir", "\"\(folder.file("spool"))\"", "-ejabberd", "quiet", "true", "-s",
                "ejabberd", "-eval", accounts,
            ], options)
        process.withLock { $0 = child }
        // Its database is made first: half a minute where others build.
        try await Eventually.wait("ejabberd listens: \(child.errors) \(log)", for: .seconds(120)) {
            if let exit = child.exit { throw PeerError(.process, "ejabberd ended: \(exit) \(child.errors) \(log)") }
            return child.output.contains { $0.contains("users are there") } && DovecotServer.answers(port)
                && DovecotServer.answers(componentPort)
        }
    }

    /// Ends the server and all its connections; accounts and messages stay.
    /// - Throws: `DeadlineMissed`.
    package func stop() async throws {
        guard let child = process.withLock({ $0 }) else { return }
        child.terminate()
        try await child.waitForExit(deadline: .seconds(60))
        process.withLock { $0 = nil }
    }

    /// The server's log, for messages of failed tests.
    package var log: String {
        FileSystem.contents(of: folder.file("ejabberd.log"), limit: 1 << 20)
            .map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    private static func configuration(
        _ port: Int, _ componentPort: Int, _ component: (domain: String, secret: String)
    ) -> String {
        """
        loglevel: info
        hosts:
          - \(domain)
        listen:
          - port: \(port)
            ip: "127.0.0.1"
            module: ejabberd_c2s
            max_stanza_size: 262144
          - port: \(componentPort)
            ip: "127.0.0.1"
            module: ejabberd_service
            hosts:
              "\(component.domain)":
                password: "\(component.secret)"
        access_rules:
          local:
            allow: all
        auth_method: internal
        modules:
          mod_roster: {}
          mod_disco: {}
          mod_ping: {}
          mod_offline: {}
          mod_carboncopy: {}

        """
    }
}
