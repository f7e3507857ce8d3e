internal import Base
internal import GatewayTestKit

/// `monitors`: many users' mailboxes and chats in one process.
struct MonitorsBench: Sendable {
    static let options: Set<String> = [
        "parts", "mailboxes", "idle-seconds", "rate", "seconds", "peer-processes", "peer-connections", "peer-rounds",
        "ews-mailboxes", "ews-connections", "matrix-users", "http-rate", "http-seconds",
    ]
    private static let parts = ["imap", "peers", "ews", "matrix"]

    // The bars of the design.
    private static let memoryBar = 60.0
    private static let processorBar = 0.02
    private static let medianBar = Duration.milliseconds(5)
    private static let tailBar = Duration.milliseconds(20)
    private static let restartBar = 60.0
    /// The bar for the processor is for so many mailboxes.
    private static let processorMailboxes = 10_000.0
    /// goimapnotify 2.4, 1000 mailboxes with TLS, measured once on this kind of machine: Debian has no package of it.
    private static let goimapnotify = 97.0

    private let parts: Set<String>
    private let isQuick: Bool
    private let imap: MonitorsRun
    private let peers: RingPeers
    private let ews: MonitorsRun
    private let ewsConnections: Int
    private let matrix: MonitorsRun

    /// - Throws: `BenchError` (usage).
    init(_ options: BenchOptions) throws {
        isQuick = options.isQuick
        parts = try options.words("parts", Self.parts, quick: ["imap"])
        let idleSeconds = max(1, try options.number("idle-seconds", 30, quick: 1))
        func run(_ users: Int, _ load: SteadyLoad) -> MonitorsRun {
            MonitorsRun(users: max(1, users), idleSeconds: idleSeconds, load: load)
        }
        imap = run(
            try options.number("mailboxes", 10_000, quick: 20),
            SteadyLoad(
                perSecond: max(1, try options.number("rate", 100, quick: 20)),
                seconds: max(1, try options.number("seconds", 30, quick: 1))))
        peers = RingPeers(
            processes: try options.number("peer-processes", 20, quick: 2),
            connections: try options.number("peer-connections", 200, quick: 5),
            rounds: try options.number("peer-rounds", 5, quick: 1))
        ewsConnections = max(1, try options.number("ews-connections", 10, quick: 10))
        let slower = SteadyLoad(
            perSecond: max(1, try options.number("http-rate", 50, quick: 20)),
            seconds: max(1, try options.number("http-seconds", 10, quick: 1)))
        ews = run(try options.number("ews-mailboxes", 2_000, quick: 20), slower)
        matrix = run(try options.number("matrix-users", 1_000, quick: 20), slower)
    }

    /// - Returns: whether nothing was missed or doubled, and, unless it was a quick run, every bar was met.
    func run() async throws -> Bool {
        Report.begin("Farbell monitors", isQuick: isQuick)
        let setup = try RingSetup()
        defer { setup.apns.stop() }
        var isGood = true
        var each: Double?
        if parts.contains("imap") {
            let server = try IMAPUpstream(setup)
            defer { server.stop() }
            let result = try await imap.run(server, setup)
            each = result.idleKibibytes
            isGood = report(result) && isGood
        }
        if parts.contains("peers") {
            compare(try await peers.run(setup), each)
        }
        if parts.contains("ews") {
            let exchange = try ExchangeUpstream(setup, mailboxes: ews.users, connections: ewsConnections)
            isGood = try await measure(ews, exchange, setup) && isGood
        }
        if parts.contains("matrix") {
            let server = try MatrixUpstream(setup, users: matrix.users)
            isGood = try await measure(matrix, server, setup) && isGood
        }
        return isGood
    }

    private func measure(
        _ part: MonitorsRun, _ upstream: some MonitorsUpstream, _ setup: RingSetup
    ) async throws -> Bool {
        defer { upstream.stop() }
        return try await part.run(upstream, setup).report(upstream, perSecond: part.load.perSecond)
    }

    private func report(_ result: MonitorsRun.Result) -> Bool {
        let scale = Self.processorMailboxes / Double(result.users)
        let idle = result.idleShare * scale
        let rows: [(what: String, value: String, bar: String, isMet: Bool?)] = [
            ("idle: KiB a mailbox", Report.decimal(result.idleKibibytes), "60", result.idleKibibytes <= Self.memoryBar),
            (
                "idle: % of a core for 10,000", Report.decimal(idle * 100, 2), "2",
                idle < Self.processorBar
            ),
            ("\(imap.load.perSecond) items/s: KiB a mailbox", Report.decimal(result.busyKibibytes), "", nil),
            ("\(imap.load.perSecond) items/s: % of a core", Report.decimal(result.busyShare * 100, 2), "", nil),
            (
                "EXISTS to push accepted: p50 ms", result.tally.pushed.cells[0], "5",
                result.tally.pushed.count > 0 && result.tally.pushed.percentile(0.5) <= Self.medianBar
            ),
            (
                "EXISTS to push accepted: p99 ms", result.tally.pushed.cells[2], "20",
                result.tally.pushed.count > 0 && result.tally.pushed.percentile(0.99) <= Self.tailBar
            ),
            ("first start: all watching after s", Report.decimal(result.startSeconds), "", nil),
            (
                "restart, default limits: all watching after s", Report.decimal(result.restartSeconds), "60",
                result.restartSeconds <= Self.restartBar
            ),
        ]
        Report.print("\n\(result.users) IMAP mailboxes with TLS, at the synthetic server")
        Report.print(
            Report.table(
                ["what", "Farbell", "bar", "verdict"],
                rows.map { [$0.what, $0.value, $0.bar, $0.isMet.map(Report.verdict) ?? ""] }))
        Report.print(
            "missed \(result.tally.missed), doubled \(result.tally.doubled); the gateway without a mailbox:"
                + " \(result.baseKibibytes) KiB; after the restart \(result.rungAgain) rang again; warnings and errors in"
                + " the log: \(result.complaints.isEmpty ? "none" : "\(result.complaints)")")
        let isComplete = result.tally.missed == 0 && result.tally.doubled == 0 && result.rungAgain == 0
        return isComplete && (isQuick || rows.allSatisfy { $0.isMet ?? true })
    }

    private func compare(_ results: [RingPeers.Result], _ each: Double?) {
        func times(_ kibibytes: Double) -> String { each.map { Report.decimal(kibibytes / $0) } ?? "-" }
        var rows = [
            ["Farbell", "\(imap.users)", each.map { Report.decimal($0) } ?? "-", "1", "see above", "-", ""]
        ]
        rows.append([
            "goimapnotify", "1000", Report.decimal(Self.goimapnotify), times(Self.goimapnotify), "-", "-",
            "the figure to beat; measured once, not in this run",
        ])
        for result in results {
            let kibibytes = Double(result.memory.resident) / Double(max(1, result.mailboxes))
            rows.append([
                result.name, "\(result.mailboxes)", Report.decimal(kibibytes), times(kibibytes),
                result.noticed.count == 0 ? "-" : result.noticed.cells[0] + " / " + result.noticed.cells[2],
                // Who noticed nothing at all was not measured, such as fetchmail, which wants texts.
                result.noticed.count == 0 ? "-" : "\(result.missed)",
                "\(Report.decimal(Double(result.memory.exclusive) / Double(max(1, result.mailboxes)))) KiB its own"
                    + (result.remark.isEmpty ? "" : "; \(result.remark)"),
            ])
        }
        Report.print("\nBeside others, idle mailboxes with TLS; noticing is EXISTS to the program's own line, no push")
        Report.print(
            Report.table(
                ["who", "mailboxes", "KiB each", "times Farbell", "noticed p50 / p99 ms", "missed", "remark"], rows))
    }
}
