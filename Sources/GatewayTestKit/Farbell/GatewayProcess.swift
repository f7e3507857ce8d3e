package import Base
internal import FoundationEssentials

/// The built `farbell` with a folder, a configuration and a port of its own.
package final class GatewayProcess: Sendable {
    /// The program, beside the tests' own executable or where `swift build` puts it.
    package static var program: String {
        let own = FileSystem.folder(
            of: (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? "")
        let beside = "\(own)/farbell"
        if FileSystem.exists(beside) { return beside }
        let root = #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
        return "/\(root)/.build/debug/farbell"
    }

    package let folder: TemporaryFolder
    package let port: Int
    package let log = GatewayLog()
    /// What must never stand in the log.
    private let secrets = Locked<[String]>([])
    private let child = Locked<ChildProcess?>(nil)
    private let wrapper: [String]

    /// Prepares a gateway; nothing runs yet.
    /// - Parameter wrapper: a program with arguments that ends by replacing itself with what follows.
    /// - Throws: `PeerError`.
    package init(wrapper: [String] = []) throws {
        folder = try TemporaryFolder()
        port = try ServerPort.next()
        self.wrapper = wrapper
    }

    /// The configuration file.
    package var configuration: String { folder.file("farbell.json") }

    /// Writes the configuration: `sections`, and what every gateway under test has.
    /// - Throws: `PeerError`.
    package func configure(_ sections: JSON) throws {
        let base: JSON = [
            "listen": ["address": "127.0.0.1", "port": .integer(port)],
            "data": ["sqlite": ["path": "data/farbell.sqlite"]],
            "keyFile": "data/farbell.key",
            "admin": ["tokenFile": "data/admin.token"],
            "log": ["format": "json", "level": "info", "statsSeconds": 1],
        ]
        var object = base.object ?? [:]
        for member in sections.object?.members ?? [] { object[member.key] = member.value }
        try folder.write(JSON.object(object).serialized, to: "farbell.json")
    }

    /// Makes a text one that must not stand in the log.
    package func keepSecret(_ text: String) { secrets.withLock { $0.append(text) } }

    /// The secrets that stand in the log or in what else the gateway wrote, with the line.
    package var leaks: [String] {
        let texts = log.texts
        return secrets.withLock { $0 }.flatMap { secret in texts.filter { $0.contains(secret) } }
    }

    /// Starts a second gateway on the same configuration, which waits until this one has ended. It is the process of
    /// this object from then on.
    /// - Returns: the first one.
    /// - Throws: `PeerError`.
    package func launchStandby() async throws -> ChildProcess? {
        let first = process
        try await launch(options: ["--standby"])
        return first
    }

    /// Starts `farbell serve` without waiting.
    /// - Parameters:
    ///   - variables: what is added to its environment.
    ///   - options: further words of the command.
    /// - Throws: `PeerError`.
    package func launch(variables: [String: String] = [:], options: [String] = []) async throws {
        let settings = variables.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        // `env` replaces itself by the program.
        let added = settings.isEmpty ? [] : ["/usr/bin/env"] + settings
        let words = wrapper + added + [Self.program, "serve", "--config", configuration] + options
        let child = try await ChildProcess(words[0], Array(words.dropFirst()))
        child.closeInput()
        log.follow(child)
        self.child.withLock { $0 = child }
    }

    /// Starts `farbell serve` and returns when it is ready.
    /// - Throws: `PeerError`, `DeadlineMissed`.
    package func start(deadline: Duration = .seconds(30)) async throws {
        try await launch()
        try await waitUntilReady(deadline: deadline)
    }

    /// Returns when `/readyz` says so.
    package func waitUntilReady(deadline: Duration = .seconds(30)) async throws {
        try await Eventually.wait(
            "the gateway to be ready: \(log.texts.suffix(5))", for: deadline, every: .milliseconds(20)
        ) {
            if let exit = process?.exit {
                throw PeerError(.process, "farbell ended with \(exit): \(log.texts.suffix(20).joined(separator: "\n"))")
            }
            return (try? await PlainHTTP.send("GET", "/readyz", port: port))?.status == 200
        }
    }

    /// The running process.
    package var process: ChildProcess? { child.withLock { $0 } }

    /// Asks the gateway to end and waits until it has.
    /// - Throws: `DeadlineMissed`.
    @discardableResult
    package func stop(deadline: Duration = .seconds(40)) async throws -> ChildProcess.Exit? {
        guard let process else { return nil }
        process.terminate()
        return try await process.waitForExit(deadline: deadline)
    }

    /// Ends it with SIGKILL, as a power cut would.
    /// - Throws: `DeadlineMissed`.
    package func kill() async throws {
        guard let process else { return }
        process.kill()
        try await process.waitForExit()
    }

    /// Runs another command of the program with this configuration.
    /// - Throws: `PeerError`, `DeadlineMissed`.
    package func run(
        _ arguments: String..., input: String? = nil, deadline: Duration = .seconds(40)
    ) async throws -> (exit: ChildProcess.Exit, output: [String], errors: [String]) {
        try await ChildProcess.run(
            Self.program, arguments + ["--config", configuration], input: input, deadline: deadline)
    }

    /// Bytes of memory the process has had at most.
    package var peakMemory: Int? {
        guard let process, let bytes = FileSystem.contents(of: "/proc/\(process.processID)/status", limit: 65_536)
        else {
            return nil
        }
        let line = String(decoding: bytes, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return line.flatMap { $0.split(separator: " ").dropFirst().first }.flatMap { Int($0) }.map { $0 * 1024 }
    }
}
