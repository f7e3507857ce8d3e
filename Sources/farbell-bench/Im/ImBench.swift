internal import Base
internal import GatewayTestKit

/// `im`: people in conversation over connections that stay; beside XMPP servers with the same load in the same run.
struct ImBench: Sendable {
    static let options: Set<String> = ["peers", "users", "rate", "seconds", "connections", "body", "pushes", "rounds"]
    private static let peers = ["farbell", "prosody", "ejabberd"]
    // The bars of issue 7.
    private static let medianBar = 3.0
    private static let tailBar = 15.0

    private let peers: Set<String>
    private let isQuick: Bool
    private let load: ImLoad
    /// Of Farbell; the one in the middle by its p99 counts, and all are shown.
    private let rounds: Int
    private let pushes: ImPushes

    /// - Throws: `BenchError` (usage).
    init(_ options: BenchOptions) throws {
        isQuick = options.isQuick
        peers = try options.words("peers", Self.peers, quick: Self.peers)
        let users = max(2, try options.number("users", 1000, quick: 20))
        load = ImLoad(
            users: users + users % 2, rate: max(1, try options.number("rate", 2000, quick: 100)),
            seconds: max(1, try options.number("seconds", 20, quick: 2)),
            connections: max(1, try options.number("connections", 32, quick: 4)),
            body: try options.number("body", 200, quick: 200))
        rounds = max(1, try options.number("rounds", 3, quick: 1))
        pushes = ImPushes(messages: try options.number("pushes", 1000, quick: 10))
    }

    /// - Returns: whether no message was missing or doubled and, unless it was a quick run, Farbell met its bars.
    func run() async throws -> Bool {
        Report.begin("Farbell im", isQuick: isQuick)
        let probe = isQuick ? nil : try await MachineProbe.run()
        var rows: [[String]] = []
        var isGood = true
        for name in Self.peers where peers.contains(name) {
            let results = try await results(name)
            rows += results.map { row(name, $0) }
            guard name == "farbell" else { continue }
            let middle = results.sorted { $0.p99 < $1.p99 }[results.count / 2]
            isGood = results.allSatisfy(\.isComplete) && (isMet(middle) || isQuick)
        }
        report(rows, probe)
        if pushes.messages > 0, peers.contains("farbell") {
            Report.progress("im: \(pushes.messages) messages to people with no page open")
            isGood = report(try await pushes.run()) && isGood
        }
        return isGood
    }

    /// - Returns: whether all were pushed once and, unless it was a quick run, the bar was met.
    private func report(_ result: ImPushes.Result) -> Bool {
        let isMet = result.pushed.percentile(0.5) <= ImPushes.bar
        Report.print(
            "\nWith no page open, from the sender's request to …, in ms: \(pushes.messages) messages, one every"
                + " \(Report.decimal(ImPushes.pause.inSeconds * 1000, 0)) ms, each to a person of its own. Bar: p50 10")
        Report.print(
            Report.table(
                ["to", "p50", "p95", "p99", "max", "verdict"],
                [
                    ["the request's answer"] + result.answered.cells + [""],
                    ["push accepted"] + result.pushed.cells + [Report.verdict(isMet)],
                ]))
        Report.print("not pushed \(result.missing), pushed twice \(result.doubled)")
        return result.missing == 0 && result.doubled == 0 && (isMet || isQuick)
    }

    /// - Returns: one for each round; none where the server is not installed.
    private func results(_ name: String) async throws -> [ImLoad.Result] {
        var results: [ImLoad.Result] = []
        for round in 1...(name == "farbell" ? rounds : 1) {
            guard let server = try await Self.server(name, load) else {
                Report.print("\n\(name): not measured; it is not installed (Scripts/install --bench).")
                return []
            }
            Report.progress(
                "im: \(name), round \(round): \(load.users) users, \(load.rate) messages a second for"
                    + " \(load.seconds) s")
            results.append(try await load.run(server))
            await server.stop()
        }
        return results
    }

    private func isMet(_ result: ImLoad.Result) -> Bool {
        result.p50 <= Self.medianBar && result.p99 <= Self.tailBar
    }

    private static func server(_ name: String, _ load: ImLoad) async throws -> (any ImServer)? {
        switch name {
        case "prosody": ProsodyServer.isAvailable ? try await ImProsody(load.users) : nil
        case "ejabberd": ImEjabberd.isAvailable ? try await ImEjabberd() : nil
        default: try await ImFarbell(load.users)
        }
    }

    private func row(_ name: String, _ result: ImLoad.Result) -> [String] {
        func milliseconds(_ value: Double) -> String { Report.decimal(value, 2) }
        let isOurs = name == "farbell"
        return [
            name, Report.decimal(result.perSecond, 0), milliseconds(result.p50), milliseconds(result.p99),
            milliseconds(result.max), isOurs ? milliseconds(result.acceptedP99) : "-",
            isOurs ? "yes: synced before the answer" : "no: in memory", "\(result.missing)", "\(result.doubled)",
            Report.decimal(result.serverMicroseconds, 0), Report.decimal(result.clientShare * 100, 0),
            Report.decimal(result.stolenShare * 100, 1), isOurs ? Report.verdict(isMet(result)) : "",
        ]
    }

    private func report(_ rows: [[String]], _ probe: (wake: Distribution, sync: Distribution)?) {
        Report.print(
            "\n\(load.users) users in conversation, \(load.rate) messages a second for \(load.seconds) s, \(load.body)"
                + " bytes each; from when a message is due until its receiver has read it, in ms. Bars: p50 3, p99 15")
        Report.print(
            Report.table(
                [
                    "server", "a second", "p50", "p99", "max", "accepted p99", "durable before it is acknowledged",
                    "missing",
                    "doubled", "server us each", "client % of a core", "stolen %", "verdict",
                ],
                rows))
        guard let probe else { return }
        Report.print(
            "the machine before the run: a sleeper wakes late by p99 \(probe.wake.cells[2]) ms, a sync of 4 KiB takes p50"
                + " \(probe.sync.cells[0]) and p99 \(probe.sync.cells[2]) ms")
    }
}

/// The load that each server gets, by `farbell-load`.
struct ImLoad: Sendable {
    let users: Int
    let rate: Int
    let seconds: Int
    /// Over which Farbell's users send.
    let connections: Int
    let body: Int

    struct Result: Sendable {
        let perSecond: Double
        /// Milliseconds.
        let p50: Double
        let p99: Double
        let max: Double
        let acceptedP99: Double
        let missing: Int64
        let doubled: Int64
        let serverMicroseconds: Double
        let clientShare: Double
        /// Of the processors' time, by the machine under this one.
        let stolenShare: Double

        var isComplete: Bool { missing == 0 && doubled == 0 }
    }

    /// - Throws: `BenchError`, `PeerError`, `DeadlineMissed`.
    func run(_ server: any ImServer) async throws -> Result {
        let folder = try TemporaryFolder()
        let secret = try folder.write("\(server.secret)\n", to: "secret")
        let child = try await ChildProcess(
            try BenchPaths.load(),
            [
                server.protocolName, "talk", "--port", "\(server.port)", "--clients", "\(users)", "--rate", "\(rate)",
                "--seconds", "\(seconds)", "--batch", "\(connections)", "--body", "\(body)", "--secret-file", secret,
            ])
        try await child.waitForLine("that all are logged in", deadline: .seconds(120)) { $0.contains("ready") }
        let before = ProcessMeter.treeTime(of: server.processID)
        let ticks = MachineProbe.ticks
        let exit = try await child.waitForExit(deadline: .seconds(seconds + 60))
        let used = ProcessMeter.treeTime(of: server.processID) - before
        guard exit == .code(0), let line = child.output.last, let json = try? JSONParser.parse(line) else {
            throw BenchError("\(server.protocolName): \(child.errors.suffix(3).joined(separator: "; "))")
        }
        func number(_ name: String) -> Double { json[name]?.number ?? .nan }
        return Result(
            perSecond: number("perSecond"), p50: number("p50") / 1000, p99: number("p99") / 1000,
            max: number("max") / 1000, acceptedP99: number("acceptedP99") / 1000,
            missing: json["missing"]?.integer ?? -1, doubled: json["doubled"]?.integer ?? -1,
            serverMicroseconds: used.inSeconds * 1_000_000 / number("messages"), clientShare: number("clientShare"),
            stolenShare: MachineProbe.ticks.stolenShare(since: ticks))
    }
}
