internal import Base
internal import GatewayTestKit

/// `launch`: from the tap to the app's window, and what of that is Farbell's; from a client's report to the decision.
struct LaunchBench: Sendable {
    static let options: Set<String> = ["parts", "cold", "started", "raised", "accounts", "rounds"]
    private static let parts = ["novnc", "xpra", "presence"]
    /// Farbell's own share of a launch, of the median (issue 6).
    private static let bar = Duration.milliseconds(20)

    private let parts: Set<String>
    private let isQuick: Bool
    private let counts: [(LaunchFarm.Case, Int)]
    private let presence: PresenceDecisions

    /// - Throws: `BenchError` (usage).
    init(_ options: BenchOptions) throws {
        isQuick = options.isQuick
        parts = try options.words("parts", Self.parts, quick: Self.parts)
        counts = [
            (.cold, try options.number("cold", 5, quick: 1)), (.started, try options.number("started", 20, quick: 2)),
            (.raised, try options.number("raised", 20, quick: 2)),
        ]
        presence = PresenceDecisions(
            accounts: max(1, try options.number("accounts", 100, quick: 5)),
            rounds: max(1, try options.number("rounds", 10, quick: 1)))
    }

    /// - Returns: whether every decision was made and, unless it was a quick run, the bar was met.
    /// - Throws: `BenchError`, `DeadlineMissed` where an app did not come up.
    func run() async throws -> Bool {
        Report.begin("Farbell launch", isQuick: isQuick)
        let setup = try RingSetup()
        defer { setup.apns.stop() }
        var isGood = true
        var rows: [[String]] = []
        for farm in LaunchFarm.Kind.allCases where parts.contains(farm.rawValue) {
            if let reason = farm.missing {
                Report.print("\n\(farm.rawValue): not measured; \(reason).")
                continue
            }
            for (kind, samples) in try await LaunchFarm(farm).run(counts, setup) where !samples.isEmpty {
                let own = Distribution(samples.map(\.own))
                let isMet = own.percentile(0.5) <= Self.bar
                isGood = isGood && (isMet || isQuick)
                rows.append(Self.row(farm, kind, samples, own, isMet))
            }
        }
        if !rows.isEmpty { report(rows) }
        if parts.contains("presence") { isGood = report(try await presence.run(setup)) && isGood }
        return isGood
    }

    private static func row(
        _ farm: LaunchFarm.Kind, _ kind: LaunchFarm.Case, _ samples: [LaunchFarm.Sample], _ own: Distribution,
        _ isMet: Bool
    ) -> [String] {
        let windows = Distribution(samples.compactMap(\.window))
        let programs = Distribution(samples.map(\.programs))
        let taps = Distribution(samples.map(\.tap))
        return [
            "\(farm.rawValue), \(kind.rawValue)", "\(samples.count)", windows.cells[0], windows.cells[3],
            programs.cells[0], taps.cells[0], own.cells[0], own.cells[1], own.cells[3], "20", Report.verdict(isMet),
        ]
    }

    private func report(_ rows: [[String]]) {
        Report.print(
            "\nFrom the tap's request to the app's window, in ms. Farbell's share: both exchanges, the tap's and the"
                + " ticket's, less the time in which the farm's programs ran. xpra's window is mapped, and not"
                + " yet drawn in a browser"
        )
        Report.print(
            Report.table(
                [
                    "farm, the app", "launches", "window p50", "max", "farm's programs p50", "tap answered p50",
                    "Farbell p50", "p95", "max", "bar p50", "verdict",
                ],
                rows))
    }

    private func report(_ result: PresenceDecisions.Result) -> Bool {
        Report.print(
            "\nFrom a client's report that it is hidden to …, in ms: \(result.reports) reports of \(presence.accounts)"
                + " clients, each with a message that waits with it")
        Report.print(
            Report.table(
                ["to", "p50", "p95", "p99", "max"],
                [
                    ("the report's answer", result.answered), ("the decision to push", result.decided),
                    ("push accepted", result.pushed),
                ]
                .map { [$0.0] + $0.1.cells }))
        Report.print("not decided \(result.undecided), not pushed \(result.unpushed)")
        return result.undecided == 0 && result.unpushed == 0
    }
}
