import Base
import FoundationEssentials
import Glibc
import Outbound

/// A server in a process of its own, ended by its id when the last reference goes.
final class PeerProcess: Sendable {
    struct DidNotStart: Error { let command: [String] }

    let process: pid_t
    private let input: Int32
    private let output: Int32

    /// Starts run here, one at a time: they block, and a process started between `pipe` and `fcntl` of another
    /// would keep its pipe open.
    private static let starting = WorkThread(name: "peers")

    /// - Parameter command: program and arguments; the program is looked up in PATH.
    convenience init(_ command: [String]) async throws {
        let (process, input, output) = try await Self.starting.run { try Self.start(command) }
        self.init(process: process, input: input, output: output)
    }

    private init(process: pid_t, input: Int32, output: Int32) {
        (self.process, self.input, self.output) = (process, input, output)
    }

    private static func start(_ command: [String]) throws -> (pid_t, Int32, Int32) {
        var fromParent: [Int32] = [0, 0]
        var toParent: [Int32] = [0, 0]
        guard unsafe pipe(&fromParent) == 0, unsafe pipe(&toParent) == 0 else {
            throw DidNotStart(command: command)
        }
        for descriptor in fromParent + toParent { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        unsafe posix_spawn_file_actions_adddup2(&actions, fromParent[0], 0)
        unsafe posix_spawn_file_actions_adddup2(&actions, toParent[1], 1)
        var arguments = unsafe command.map { unsafe strdup($0) } + [nil]
        var process: pid_t = 0
        let status = unsafe posix_spawnp(&process, command[0], &actions, nil, &arguments, environ)
        unsafe arguments.forEach { unsafe free($0) }
        unsafe posix_spawn_file_actions_destroy(&actions)
        Glibc.close(fromParent[0])
        Glibc.close(toParent[1])
        guard status == 0 else { throw DidNotStart(command: command) }
        return (process, fromParent[1], toParent[0])
    }

    deinit {
        Glibc.close(input)
        kill(process, SIGKILL)
        var status: Int32 = 0
        unsafe waitpid(process, &status, 0)
        Glibc.close(output)
    }

    /// The first line it prints, a number.
    func port() async throws -> Int {
        let text = try await Self.starting.run { [output] in Self.line(output) }
        guard let port = Int(text) else { throw DidNotStart(command: []) }
        return port
    }

    /// The port of its first listening socket by IPv4, for servers that choose one and do not tell; `nil` while
    /// there is none. From `/proc`, see proc(5) and proc_net_tcp(5): the state is 0A, the address in hexadecimal.
    func listeningPort() -> Int? {
        let files = FileManager.default
        let folder = "/proc/\(process)/fd"
        let sockets = (try? files.contentsOfDirectory(atPath: folder))?.compactMap {
            try? files.destinationOfSymbolicLink(atPath: "\(folder)/\($0)")
        }
        guard let sockets, let table = files.contents(atPath: "/proc/\(process)/net/tcp") else { return nil }
        for line in String(decoding: table, as: UTF8.self).split(separator: "\n").dropFirst() {
            let fields = line.split(separator: " ")
            guard fields.count > 9, fields[3] == "0A", sockets.contains("socket:[\(fields[9])]") else { continue }
            return fields[1].split(separator: ":").last.flatMap { Int($0, radix: 16) }
        }
        return nil
    }

    /// Runs a command to its end.
    static func run(_ command: [String]) async throws {
        let process = try await PeerProcess(command)
        _ = try await starting.run { Self.line(process.output) }
    }

    /// Reads to the end of the line or of the output.
    private static func line(_ descriptor: Int32) -> String {
        var text: [UInt8] = []
        var byte: UInt8 = 0
        while unsafe read(descriptor, &byte, 1) == 1, byte != UInt8(ascii: "\n") { text.append(byte) }
        return String(decoding: text, as: UTF8.self)
    }
}

/// One of the scripts in `Peers`, started.
struct Peer {
    let process: PeerProcess
    let port: Int

    init(_ script: String, _ arguments: [String] = []) async throws {
        let folder = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        process = try await PeerProcess(["python3", "\(folder)/Peers/\(script)"] + arguments)
        port = try await process.port()
    }
}

/// A certificate authority with a server and a client certificate, made for one test and removed after it.
final class TestAuthority: Sendable {
    let folder: String
    var ca: String { folder + "/ca.pem" }
    var certificate: String { folder + "/server.pem" }
    var key: String { folder + "/server.key" }
    /// Certificate and key in one file.
    var client: String { folder + "/client.pem" }
    var serverArguments: [String] { ["--cert", certificate, "--key", key] }

    init() async throws {
        folder = "\(FileManager.default.temporaryDirectory.path)/farbell-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let new = [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        ]
        try await PeerProcess.run(
            new + ["-keyout", folder + "/ca.key", "-out", ca, "-subj", "/CN=Test CA", "-batch"])
        for (name, extra) in [
            ("server", "subjectAltName=DNS:localhost,IP:127.0.0.1"), ("client", "keyUsage=digitalSignature"),
        ] {
            try await PeerProcess.run(
                new + [
                    "-CA", ca, "-CAkey", folder + "/ca.key", "-keyout", "\(folder)/\(name).key",
                    "-out", "\(folder)/\(name).pem", "-subj", "/CN=\(name)", "-addext", extra, "-batch",
                    "-addext", "basicConstraints=critical,CA:FALSE",
                ])
        }
        let joined =
            try String(contentsOfFile: client, encoding: .utf8)
            + String(contentsOfFile: folder + "/client.key", encoding: .utf8)
        try joined.write(toFile: client, atomically: true, encoding: .utf8)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }
}

/// Waits for a condition, with a deadline.
func eventually(_ limit: Duration = .seconds(10), _ condition: () async throws -> Bool) async throws -> Bool {
    let end = ContinuousClock.now + limit
    while ContinuousClock.now < end {
        if try await condition() { return true }
        try await Task.sleep(for: .milliseconds(5))
    }
    return try await condition()
}

extension MailConnection {
    /// Waits as long as it takes.
    func receive() async throws -> [UInt8] {
        guard let bytes = try await receive(until: .distantFuture) else { throw DeadlineInTheFuture() }
        return bytes
    }

    struct DeadlineInTheFuture: Error {}
}

extension HTTPResponse {
    var text: String { String(decoding: body, as: UTF8.self) }
}
