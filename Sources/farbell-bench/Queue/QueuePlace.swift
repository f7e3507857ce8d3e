internal import Base
internal import GatewayTestKit
internal import Glibc

/// A queue's folder, ports and configuration.
final class QueuePlace: Sendable {
    struct Command: Sendable {
        let program: String
        let arguments: [String]
        var environment: [String: String]?
    }

    static let rabbitmq = "/usr/lib/rabbitmq/bin/rabbitmq-server"
    /// The role that owns PostgreSQL's tables; where the benchmark is root also the user it runs as.
    static let role = "postgres"
    /// The folder of PostgreSQL's programs, which are not on the PATH.
    static let postgresql: String? = (13...30).reversed().map { "/usr/lib/postgresql/\($0)/bin" }
        .first { FileSystem.exists("\($0)/initdb") }

    let port: Int
    let folder: TemporaryFolder
    private let peer: QueuePeer
    /// Erlang's registry of names, which RabbitMQ would else start as a daemon that stays.
    private let names: ChildProcess?
    private let namesPort: Int
    private let distributionPort: Int

    /// - Throws: `BenchError`, `PeerError`, `DeadlineMissed`.
    init(_ peer: QueuePeer) async throws {
        self.peer = peer
        folder = try TemporaryFolder()
        (port, namesPort, distributionPort) = (try ServerPort.next(), try ServerPort.next(), try ServerPort.next())
        names =
            peer == .rabbitmq
            ? try await ChildProcess("epmd", ["-port", "\(namesPort)", "-address", "127.0.0.1"]) : nil
        guard FileSystem.createFolder(folder.file("data")) else {
            throw BenchError("cannot make a folder: \(FileSystem.lastError)")
        }
        switch peer {
        case .farbell: try prepareFarbell()
        case .postgresql, .postgresqlOpen: try await preparePostgreSQL()
        case .rabbitmq: try folder.write("[].\n", to: "plugins")
        case .beanstalkd, .redis, .floor: break
        }
    }

    /// - Parameter hurries: without syncing, where the program can.
    /// - Throws: `BenchError` when the gateway was not built.
    func command(hurries: Bool) throws -> Command {
        let data = folder.file("data")
        switch peer {
        case .farbell:
            // A file takes the log without anybody having to read along.
            return Command(
                program: "/bin/sh",
                arguments: [
                    "-c", "exec \"$0\" serve --config \"$1\" 2>\"$2\"", try BenchPaths.gateway(),
                    folder.file("farbell.json"), folder.file("log"),
                ])
        case .beanstalkd:
            return Command(
                program: "beanstalkd",
                arguments: ["-l", "127.0.0.1", "-p", "\(port)", "-b", data, hurries ? "-F" : "-f0"])
        case .redis:
            return Command(
                program: "redis-server",
                arguments: [
                    "--bind", "127.0.0.1", "--port", "\(port)", "--dir", data, "--save", "", "--appendonly", "yes",
                    "--appendfsync", hurries ? "no" : "always", "--logfile", folder.file("log"),
                ])
        case .rabbitmq: return rabbitMQ(data)
        case .floor: return Command(program: try BenchPaths.floor(), arguments: ["\(port)", "\(data)/floor.sqlite"])
        case .postgresql, .postgresqlOpen:
            return Self.asRole(
                "\(Self.postgresql ?? "")/postgres",
                ["-D", data] + Self.settings.flatMap { ["-c", $0] } + [
                    "-c", "port=\(port)", "-c", "synchronous_commit=\(hurries ? "off" : "on")",
                ])
        }
    }

    /// The lines of its log file, if it writes one.
    var log: [String] {
        (FileSystem.contents(of: folder.file("log"), limit: 1 << 24) ?? []).split(separator: 10)
            .map { String(decoding: $0, as: UTF8.self) }
    }

    // MARK: Farbell

    static let app = "bench"
    var keyFile: String { folder.file("app.key") }

    private func prepareFarbell() throws {
        try folder.write("farbell-bench-app-key-0123456789abcdefghij\n", to: "app.key")
        let configuration: JSON = [
            "listen": ["address": "127.0.0.1", "port": .integer(port)],
            "data": ["sqlite": ["path": "data/farbell.sqlite"]],
            "keyFile": "farbell.key",
            "admin": ["tokenFile": "admin.token"],
            "log": ["format": "json", "level": "warning", "statsSeconds": 0],
            "apps": [.init(Self.app): ["name": "Bench", "key": ["file": "app.key"]]],
            "limits": ["requestsPerSecond": 1_000_000, "queueMessages": 4_000_000],
        ]
        try folder.write(configuration.serialized, to: "farbell.json")
    }

    // MARK: RabbitMQ

    private func rabbitMQ(_ data: String) -> Command {
        Command(
            program: Self.rabbitmq, arguments: [],
            environment: [
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": folder.path,
                "RABBITMQ_NODENAME": "farbell-bench@localhost", "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
                "RABBITMQ_NODE_PORT": "\(port)", "RABBITMQ_DIST_PORT": "\(distributionPort)",
                "ERL_EPMD_PORT": "\(namesPort)", "ERL_EPMD_ADDRESS": "127.0.0.1", "RABBITMQ_MNESIA_BASE": data,
                "RABBITMQ_LOG_BASE": data, "RABBITMQ_PID_FILE": folder.file("pid"),
                "RABBITMQ_ENABLED_PLUGINS_FILE": folder.file("plugins"), "RABBITMQ_CONFIG_FILE": folder.file("none"),
                "RABBITMQ_CONF_ENV_FILE": folder.file("none"), "RABBITMQ_GENERATED_CONFIG_DIR": folder.file("made"),
                // The shell script becomes the server then, instead of watching over it.
                "RABBITMQ_ALLOW_INPUT": "1",
            ])
    }

    // MARK: PostgreSQL

    private static let settings = [
        "listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200", "shared_buffers=512MB",
        "max_wal_size=4GB", "fsync=on",
    ]

    /// A lease as columns, and room in each page for their new versions.
    private static let table = """
        CREATE TABLE queue (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
        locked_until timestamptz NOT NULL DEFAULT '-infinity', delivery integer NOT NULL DEFAULT 0, \
        body bytea NOT NULL) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01)

        """

    /// PostgreSQL refuses to run as root.
    private static func asRole(_ program: String, _ arguments: [String]) -> Command {
        guard geteuid() == 0 else { return Command(program: program, arguments: arguments) }
        return Command(
            program: "setpriv",
            arguments: ["--reuid", role, "--regid", role, "--clear-groups", "--pdeathsig", "KILL", "--", program]
                + arguments)
    }

    private func preparePostgreSQL() async throws {
        guard let programs = Self.postgresql else { throw BenchError("PostgreSQL is missing") }
        let data = folder.file("data")
        if geteuid() == 0 {
            guard let user = unsafe getpwnam(Self.role) else { throw BenchError("there is no user \(Self.role)") }
            let (owner, group) = unsafe (user.pointee.pw_uid, user.pointee.pw_gid)
            guard unsafe chmod(folder.path, 0o711) == 0 && chown(data, owner, group) == 0 else {
                throw BenchError("cannot give a folder away: \(FileSystem.lastError)")
            }
        }
        for (program, arguments, input) in [
            ("initdb", ["-D", data, "-A", "trust", "-U", Self.role, "--no-locale", "-E", "UTF8"], ""),
            ("postgres", ["--single", "-D", data, "postgres"], Self.table),
        ] {
            let command = Self.asRole("\(programs)/\(program)", arguments)
            let result = try await ChildProcess.run(
                command.program, command.arguments, input: input, deadline: .seconds(120))
            guard result.exit == .code(0) else { throw BenchError("\(program) failed: \(result.errors)") }
        }
    }
}
