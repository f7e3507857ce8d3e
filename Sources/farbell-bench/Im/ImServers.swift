internal import Base
internal import GatewayTestKit
internal import Glibc

/// A server that people talk through, on loopback without TLS. Its users are `u00000` and so on.
protocol ImServer: Sendable {
    /// As `farbell-load` calls it.
    var protocolName: String { get }
    var port: Int { get }
    var processID: Int32 { get }
    /// What users log in with.
    var secret: String { get }
    func stop() async
}

/// Farbell with an account and a device for each user; nothing else is configured.
struct ImFarbell: ImServer {
    private let setup: RingSetup
    private let gateway: GatewayProcess

    /// - Throws: `BenchError`, `PeerError`, `DeadlineMissed`.
    init(_ users: Int) async throws {
        setup = try RingSetup()
        gateway = try await setup.talkingGateway(accounts: users)
    }

    var protocolName: String { "farbell" }
    var port: Int { gateway.port }
    var processID: Int32 { gateway.processID }
    /// The tokens of devices end in the user's number.
    var secret: String { String(Seed.token(0).dropLast()) }

    func stop() async {
        for (event, count) in gateway.complaints().sorted(by: { $0.key < $1.key }) {
            Report.progress("im: farbell's log has \(count) lines \(event)")
        }
        await gateway.stop()
        setup.apns.stop()
    }
}

/// Prosody 0.12 with its accounts in files; without archive and offline storage, so that nothing but the exchange is measured.
final class ImProsody: ImServer {
    let port: Int
    let secret = "correct horse"
    private let folder: TemporaryFolder
    private let child: ChildProcess

    /// - Throws: `PeerError`, `DeadlineMissed`.
    init(_ users: Int) async throws {
        folder = try TemporaryFolder()
        port = try ServerPort.next()
        guard FileSystem.createFolder(folder.file("data/localhost/accounts")) else {
            throw BenchError("no folder for Prosody: \(FileSystem.lastError)")
        }
        for number in 0..<users {
            try folder.write(
                "return { [\"password\"] = \"\(secret)\"; };\n",
                to: "data/localhost/accounts/\(SyntheticIMAPServer.user(number)).dat")
        }
        let settings = """
            run_as_root = true
            pidfile = "\(folder.path)/prosody.pid"
            data_path = "\(folder.path)/data"
            log = { warn = "\(folder.path)/prosody.log" }
            interfaces = { "127.0.0.1" }
            c2s_ports = { \(port) }
            modules_enabled = { "saslauth" }
            modules_disabled = { "s2s", "offline", "tls" }
            c2s_require_encryption = false
            allow_unencrypted_plain_auth = true
            authentication = "internal_plain"
            VirtualHost "localhost"

            """
        child = try await ChildProcess(
            "/usr/bin/prosody", ["--config", folder.write(settings, to: "prosody.cfg.lua"), "-F"])
        try await Eventually.wait("prosody listens: \(child.errors)", for: .seconds(30)) { DovecotServer.answers(port) }
    }

    var protocolName: String { "xmpp" }
    var processID: Int32 { child.processID }
    func stop() async { child.kill() }
}

/// ejabberd with users that need not be there before, and without modules. Its usual backlog of five connections would
/// make each further one of a crowd that logs in at once wait for a second.
final class ImEjabberd: ImServer {
    private static let program = "/usr/bin/erl"
    static var isAvailable: Bool {
        FileSystem.exists(program) && FileSystem.exists("/usr/sbin/ejabberdctl")
    }

    let port: Int
    let secret = "correct horse"
    private let folder: TemporaryFolder
    private let child: ChildProcess

    /// - Throws: `PeerError`, `DeadlineMissed`.
    init() async throws {
        folder = try TemporaryFolder()
        port = try ServerPort.next()
        guard FileSystem.createFolder(folder.file("spool")) else {
            throw BenchError("no folder for ejabberd: \(FileSystem.lastError)")
        }
        let settings = """
            loglevel: warning
            hosts:
              - localhost
            listen:
              - port: \(port)
                ip: "127.0.0.1"
                module: ejabberd_c2s
                backlog: 1024
            auth_method: anonymous
            anonymous_protocol: login_anon
            allow_multiple_connections: true
            access_rules:
              local:
                allow: all
            modules: {}

            """
        var options = ChildProcess.Options(workingFolder: folder.path)
        options.environment = [
            "HOME": folder.path, "PATH": "/usr/bin:/bin", "ERL_CRASH_DUMP_BYTES": "0",
            "EJABBERD_CONFIG_PATH": try folder.write(settings, to: "ejabberd.yml"),
            "EJABBERD_LOG_PATH": folder.file("ejabberd.log"), "ERL_LIBS": "/usr/lib/x86_64-linux-gnu",
        ]
        child = try await ChildProcess(
            Self.program,
            [
                "-noinput", "+P", "250000", "-mnesia", "dir", "\"\(folder.file("spool"))\"", "-ejabberd", "quiet",
                "true", "-s", "ejabberd",
            ],
            options)
        try await Eventually.wait("ejabberd listens: \(child.errors)", for: .seconds(120)) {
            if let exit = child.exit { throw BenchError("ejabberd ended: \(exit) \(child.output) \(child.errors)") }
            return DovecotServer.answers(port)
        }
    }

    var protocolName: String { "xmpp" }
    var processID: Int32 { child.processID }
    func stop() async { child.kill() }
}
