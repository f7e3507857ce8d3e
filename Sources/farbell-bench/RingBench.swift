internal import Base
internal import GatewayTestKit

/// `ring`: the way from mail to push.
struct RingBench: Sendable {
    static let options: Set<String> = [
        "parts", "mailboxes", "rate", "seconds", "idle-mailboxes", "idle-seconds", "peer-processes", "peer-connections",
        "peer-rounds", "dovecot-mailboxes", "dovecot-mails", "reconcile-seconds",
    ]
    private static let parts = ["latency", "idle", "peers", "dovecot"]

    // The bars of the design.
    private static let medianBar = Duration.milliseconds(5)
    private static let tailBar = Duration.milliseconds(20)
    private static let memoryBar = 60.0
    private static let processorBar = 0.02

    private let parts: Set<String>
    private let isQuick: Bool
    private let latency: RingLatency
    private let idle: RingIdle
    private let idleMailboxes: [Int]
    private let peers: RingPeers
    private let dovecot: RingDovecot

    /// - Throws: `BenchError` (usage).
    init(_ options: BenchOptions) throws {
        isQuick = options.isQuick
        parts = try options.words("parts", Self.parts, quick: ["latency", "idle"])
        latency = RingLatency(
            mailboxes: max(1, try options.number("mailboxes", 1000, quick: 20)),
            perSecond: max(1, try options.number("rate", 100, quick: 20)),
            seconds: max(1, try options.number("seconds", 30, quick: 2)))
        idle = RingIdle(seconds: max(1, try options.number("idle-seconds", 30, quick: 1)))
        idleMailboxes = try options.numbers("idle-mailboxes", [1000, 10_000], quick: [50])
        peers = RingPeers(
            processes: try options.number("peer-processes", 20, quick: 2),
            connections: try options.number("peer-connections", 200, quick: 5),
            rounds: try options.number("peer-rounds", 5, quick: 1))
        dovecot = RingDovecot(
            mailboxes: max(1, try options.number("dovecot-mailboxes", 100, quick: 5)),
            mails: try options.number("dovecot-mails", 900, quick: 10),
            reconcileSeconds: try options.number("reconcile-seconds", 30, quick: 30))
    }

    /// - Returns: whether nothing was missed or doubled, and, unless it was a quick run, every bar was met.
    func run() async throws -> Bool {
        Report.begin("Farbell ring", isQuick: isQuick)
        let setup = try RingSetup()
        defer { setup.apns.stop() }
        var isGood = true
        if parts.contains("latency") {
            let probe = isQuick ? nil : try await MachineProbe.run()
            isGood = report(try await latency.run(setup), probe) && isGood
        }
        if parts.contains("idle") || parts.contains("peers") { isGood = try await compare(setup) && isGood }
        if parts.contains("dovecot") { isGood = try await missing(setup) && isGood }
        return isGood
    }

    private func report(
        _ result: RingLatency.Result, _ probe: (wake: Distribution, sync: Distribution)?
    ) -> Bool {
        let tally = result.tally
        Report.print(
            "\nOwn latency: \(result.mails) mails at \(latency.perSecond)/s over \(result.mailboxes) mailboxes, from EXISTS"
                + " to …, in ms")
        Report.print(
            Report.table(
                ["to", "p50", "p95", "p99", "max", "bar p50", "bar p99", "verdict"],
                [("push accepted", tally.pushed), ("durably recorded", tally.recorded)].map { name, times in
                    [name] + times.cells + ["5", "20", Report.verdict(Self.meets(times))]
                } + Self.rows(probe)))
        Report.print(
            "missed \(tally.missed), doubled \(tally.doubled), without a record \(tally.unrecorded), refused by the push"
                + " service \(result.refused); \(Report.decimal(result.processorShare * 100)) % of a core; warnings and"
                + " errors in the log: \(result.complaints.isEmpty ? "none" : "\(result.complaints)")")
        let isComplete = tally.missed == 0 && tally.doubled == 0 && tally.unrecorded == 0
        return isComplete && (isQuick || Self.meets(tally.pushed) && Self.meets(tally.recorded))
    }

    private static func rows(_ probe: (wake: Distribution, sync: Distribution)?) -> [[String]] {
        guard let probe else { return [] }
        return [
            ("the machine: a sleeper wakes late by", probe.wake), ("the machine: a sync of 4 KiB takes", probe.sync),
        ]
        .map { [$0.0] + $0.1.cells + ["", "", "before the run"] }
    }

    private static func meets(_ times: Distribution) -> Bool {
        times.count > 0 && times.percentile(0.5) <= medianBar && times.percentile(0.99) <= tailBar
    }

    private func compare(_ setup: RingSetup) async throws -> Bool {
        var rows: [[String]] = []
        var isGood = true
        var each: Double?
        if parts.contains("idle") {
            let base = try await idle.run(0, setup)
            Report.print(
                "\nThe gateway without a mailbox: \(base.memory.resident) KiB resident,"
                    + " \(Report.decimal(base.processorShare * 100, 2)) % of a core")
            for count in idleMailboxes where count > 0 {
                let result = try await idle.run(count, setup)
                let kibibytes = Double(result.memory.resident - base.memory.resident) / Double(count)
                let isMet = kibibytes <= Self.memoryBar && result.processorShare < Self.processorBar
                each = kibibytes
                isGood = isGood && (isMet || isQuick)
                rows.append([
                    "Farbell", "\(count)", Report.decimal(kibibytes), "1",
                    Report.decimal(result.processorShare * 100, 2),
                    "see above", "-",
                    "watching after \(Report.decimal(result.startSeconds)) s; \(Report.verdict(isMet))",
                ])
            }
        }
        if parts.contains("peers") {
            for result in try await peers.run(setup) {
                let kibibytes = Double(result.memory.resident) / Double(max(1, result.mailboxes))
                rows.append([
                    result.name, "\(result.mailboxes)", Report.decimal(kibibytes),
                    each.map { Report.decimal(kibibytes / $0) } ?? "-", "-",
                    result.noticed.count == 0 ? "-" : result.noticed.cells[0] + " / " + result.noticed.cells[2],
                    "\(result.missed)",
                    "\(Report.decimal(Double(result.memory.exclusive) / Double(max(1, result.mailboxes)))) KiB its own"
                        + (result.remark.isEmpty ? "" : "; \(result.remark)"),
                ])
            }
        }
        Report.print(
            "\nIdle mailboxes with TLS (bars: 60 KiB each, 2 % of a core); noticing is EXISTS to the program's own line, no push"
        )
        Report.print(
            Report.table(
                [
                    "who", "mailboxes", "KiB each", "times Farbell", "% of a core", "noticed p50 / p99 ms", "missed",
                    "remark",
                ],
                rows))
        return isGood
    }

    private func missing(_ setup: RingSetup) async throws -> Bool {
        guard DovecotServer.isAvailable else {
            Report.print("\nDovecot: not measured; it needs dovecot-imapd and root.")
            return true
        }
        var results: [RingDovecot.Result] = []
        try await RingDovecot.withRoom(for: dovecot.mailboxes) {
            results.append(try await dovecot.run(hibernateSeconds: nil, setup))
            results.append(try await dovecot.run(hibernateSeconds: 2, setup))
        }
        Report.print(
            "\nDovecot: \(dovecot.mails) mails to \(dovecot.mailboxes) mailboxes, from dovecot-lda's end to push accepted, in"
                + " ms; compared in full every \(dovecot.reconcileSeconds) s")
        Report.print(
            Report.table(
                ["Dovecot", "missed", "doubled", "p50", "p95", "p99", "max"],
                results.map { result in
                    [
                        result.hibernates ? "with imap-hibernate (2 s)" : "without imap-hibernate",
                        "\(result.tally.missed)", "\(result.tally.doubled)",
                    ] + result.tally.pushed.cells
                }))
        return results.allSatisfy { $0.tally.missed == 0 && $0.tally.doubled == 0 }
    }
}
