internal import Base
internal import GatewayTestKit
internal import Glibc

/// The gateway as a process of its own, with a folder, a configuration and a log file.
final class GatewayProcess: Sendable {
    struct Settings: Sendable {
        var seed = Seed(accounts: 0)
        /// Such as `imaps://127.0.0.1:993`; nil for an app without a monitor.
        var mailURL: String?
        /// The monitor of the app where that is another.
        var monitor: JSON?
        var apnsURL: String
        var apnsKey: [UInt8]
        var caFile: String
        /// The most there may be between two full comparisons of a mailbox.
        var reconcileSeconds = 300
        var statsSeconds = 0
        /// Whether monitors start at the rate that is the default, instead of as fast as they can.
        var hasDefaultRate = false
        /// The farm of the app, and what the app is to it.
        var farm: JSON?
        var launch: JSON?
        /// How often a device may be rung in a minute; 0: no limit; nil: the default.
        var devicePerMinute: Int?
        /// How long what is announced on a stream has to be acknowledged; nil: the default.
        var ackSeconds: Int?
    }

    static let teamID = "BENCHTEAM1"
    static let keyID = "BENCHKEY01"
    static let topic = "com.example.bench"

    let port: Int
    private let folder: TemporaryFolder
    private let program: String
    private let running: Locked<ChildProcess>
    private var logFile: String { folder.file("gateway.log") }

    /// Seeds the database, starts the program and waits until it is ready.
    /// - Throws: `BenchError`, `PeerError`, `DeadlineMissed`.
    init(_ settings: Settings) async throws {
        folder = try TemporaryFolder()
        port = try ServerPort.next()
        try folder.write(settings.apnsKey, to: "apns.p8")
        try folder.write(Self.configuration(settings, port: port).serialized, to: "farbell.json")
        try await settings.seed.write(
            database: folder.file("farbell.sqlite"), keyFile: folder.file("farbell.key"),
            names: SyntheticIMAPServer.user)
        program = try BenchPaths.gateway()
        running = Locked(try await Self.start(program, folder))
        try await waitUntilReady()
    }

    /// A file takes the log without anybody having to read along.
    private static func start(_ program: String, _ folder: TemporaryFolder) async throws -> ChildProcess {
        try await ChildProcess(
            "/bin/sh",
            [
                "-c", "exec \"$0\" serve --config \"$1\" 2>\"$2\"", program, folder.file("farbell.json"),
                folder.file("gateway.log"),
            ])
    }

    private var child: ChildProcess { running.withLock { $0 } }
    var processID: Int32 { child.processID }

    /// Starts it again on what it has stored, after `stop`.
    /// - Throws: `BenchError`, `PeerError`, `DeadlineMissed`.
    func startAgain() async throws {
        try folder.write("", to: "gateway.log")
        let child = try await Self.start(program, folder)
        running.withLock { $0 = child }
        try await waitUntilReady()
    }

    private func waitUntilReady() async throws {
        try await Eventually.wait("the gateway is ready", for: .seconds(120), every: .milliseconds(20)) {
            if let exit = child.exit { throw BenchError("the gateway ended (\(exit)): \(logTail)") }
            return logText.contains("\"event\":\"gateway.started\"")
        }
    }

    /// Asks it to end and waits; it is killed when that takes too long.
    func stop() async {
        child.terminate()
        do {
            try await child.waitForExit(deadline: .seconds(60))
        } catch {
            Report.progress("the gateway did not end in time and is killed: \(logTail)")
            child.kill()
        }
    }

    private static func configuration(_ settings: Settings, port: Int) -> JSON {
        var app: JSONObject = ["name": "Mail"]
        if let url = settings.mailURL {
            app.append(
                "monitor",
                [
                    "kind": "imap", "url": .string(url), "caFile": .string(settings.caFile),
                    "reconcileSeconds": .integer(settings.reconcileSeconds),
                ])
        }
        if let monitor = settings.monitor { app.append("monitor", monitor) }
        if settings.farm != nil { app.append("farm", "bench") }
        if let launch = settings.launch { app.append("launch", launch) }
        var notify: JSONObject = ["groupSeconds": 0]
        if let limit = settings.devicePerMinute { notify.append("devicePerMinute", .integer(limit)) }
        if let seconds = settings.ackSeconds { notify.append("ackSeconds", .integer(seconds)) }
        return [
            "listen": ["address": "127.0.0.1", "port": .integer(port)],
            "data": ["sqlite": ["path": "farbell.sqlite"]],
            "keyFile": "farbell.key",
            "admin": ["tokenFile": "admin.token"],
            "log": ["format": "json", "level": "info", "statsSeconds": .integer(settings.statsSeconds)],
            "farms": settings.farm.map { ["bench": $0] } ?? [:],
            "apps": ["mail": .object(app)],
            "push": [
                "apple": [
                    "kind": "apns", "teamId": .string(teamID), "keyId": .string(keyID), "keyFile": "apns.p8",
                    "topic": .string(topic), "url": .string(settings.apnsURL), "caFile": .string(settings.caFile),
                ]
            ],
            "notify": .object(notify),
            "limits": settings.hasDefaultRate
                ? ["requestsPerSecond": 1_000_000]
                : ["requestsPerSecond": 1_000_000, "monitorStartsPerSecond": 1000, "monitorConnects": 64],
        ]
    }

    // MARK: The log

    private var logText: String {
        FileSystem.contents(of: logFile, limit: 1 << 30).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    var logTail: String { logText.split(separator: "\n").suffix(5).joined(separator: "\n") }

    /// The events of one name, in order.
    func events(_ name: String) -> [JSON] {
        let bytes = FileSystem.contents(of: logFile, limit: 1 << 30) ?? []
        let wanted = Array("\"event\":\"\(name)\"".utf8)
        return bytes.split(separator: 10).compactMap { line in
            guard line.firstRange(of: wanted) != nil, let json = try? JSONParser.parse(Array(line)),
                json["event"]?.string == name
            else { return nil }
            return json
        }
    }

    /// How many warnings and errors there are, by event; the first of each goes to standard error.
    func complaints() -> [String: Int] {
        var counts: [String: Int] = [:]
        for line in logText.split(separator: "\n")
        where line.contains("\"level\":\"warning\"") || line.contains("\"level\":\"error\"") {
            guard let event = (try? JSONParser.parse(String(line)))?["event"]?.string else { continue }
            if counts[event] == nil { Report.progress("the gateway's log: \(line)") }
            counts[event, default: 0] += 1
        }
        return counts
    }
}
