internal import Base
internal import GatewayTestKit
internal import Outbound

/// `push`: from a message that is stored to the push service, beside other senders, all against the same fakes.
struct PushBench: Sendable {
    static let options: Set<String> = [
        "parts", "count", "web-count", "hook-count", "devices", "rate", "seconds", "rounds", "window", "peer-count",
        "web-peer-count", "alerts",
    ]
    static let parts = ["apns-rate", "webpush-rate", "webhook-rate", "latency", "dead"]

    // The bars of the design.
    private static let apns = (perSecond: 10_000.0, ratio: 1.7)
    private static let webPush = (perSecond: 5000.0, ratio: 4.0)
    /// Of so many Web Pushes one is opened where each one's time counts: thousands of times are known then.
    private static let sampling = 10
    private static let tail = Duration.milliseconds(20)

    private let parts: Set<String>
    let isQuick: Bool
    let counts: (apns: Int, webPush: Int, hook: Int, aioapns: Int, pywebpush: Int, alerts: Int)
    private let devices: Int
    let rate: Int
    let seconds: Int
    let rounds: Int
    let window: Int

    /// - Throws: `BenchError` (usage).
    init(_ options: BenchOptions) throws {
        isQuick = options.isQuick
        parts = try options.words("parts", Self.parts, quick: Self.parts)
        func count(_ name: String, _ usual: Int, _ quick: Int) throws -> Int {
            max(1, try options.number(name, usual, quick: quick))
        }
        counts = (
            apns: try count("count", 100_000, 400), webPush: try count("web-count", 50_000, 300),
            hook: try count("hook-count", 50_000, 300), aioapns: try count("peer-count", 30_000, 200),
            pywebpush: try count("web-peer-count", 5000, 50), alerts: try count("alerts", 4000, 100)
        )
        devices = try count("devices", 1000, 20)
        (rate, seconds) = (try count("rate", 2000, 100), try count("seconds", 20, 1))
        (rounds, window) = (try count("rounds", 3, 1), try count("window", 50, 20))
    }

    /// - Returns: whether everything arrived once, and, unless it was a quick run, every bar was met.
    func run() async throws -> Bool {
        Report.begin("Farbell push", isQuick: isQuick)
        let fakes = try await PushFakes(devices: devices)
        var client = HTTPClient.Configuration()
        // Who cannot keep up is late, and shown to be: everything that is offered may wait.
        (client.waitingPerPool, client.requests) = (rate * seconds, 50_000 + rate * seconds)
        let http = try HTTPClient(client)
        let runner = PushRunner(devices: devices, fakes: fakes, http: http)
        let peers = PushPeers(devices: devices, fakes: fakes, http: http)
        var isGood = true
        // Opening a message costs the fake more than sealing it costs the senders; a sample shows that it can be read.
        try await fakes.open(every: isQuick ? 1 : 50)
        if parts.contains("apns-rate") { isGood = try await apnsRate(runner, peers) && isGood }
        if parts.contains("webpush-rate") { isGood = try await webPushRate(runner, peers) && isGood }
        if parts.contains("webhook-rate") { isGood = try await hookRate(runner, peers) && isGood }
        if parts.contains("latency") {
            try await fakes.open(every: isQuick ? 1 : Self.sampling)
            isGood = try await latency(runner, peers) && isGood
        }
        if parts.contains("dead") { isGood = try await dead(runner, peers) && isGood }
        await fakes.stop()
        return isGood
    }

    // MARK: Rates

    private func apnsRate(_ runner: PushRunner, _ peers: PushPeers) async throws -> Bool {
        var (stored, live, other): ([PushFigure], [PushFigure], [PushFigure]) = ([], [], [])
        let isThere = await PushPeers.has("aioapns")
        for round in 1...rounds {
            Report.progress("apns-rate: round \(round) of \(rounds)")
            stored.append(try await runner.drain(counts.apns, .apns))
            live.append(try await runner.live(counts.apns, .apns))
            if isThere { other.append(try await peers.aioapns(counts.aioapns, window: window)) }
        }
        Report.print("\n## apns-rate: APNs, HTTP/2 with TLS, \(devices) devices, the median of \(rounds)\n")
        return report(
            stored, live, [("aioapns 4.0", other)], bar: Self.apns, judgedAgainst: "aioapns 4.0")
    }

    private func webPushRate(_ runner: PushRunner, _ peers: PushPeers) async throws -> Bool {
        var (stored, live, other): ([PushFigure], [PushFigure], [PushFigure]) = ([], [], [])
        let isThere = await PushPeers.has("pywebpush")
        for round in 1...rounds {
            Report.progress("webpush-rate: round \(round) of \(rounds)")
            stored.append(try await runner.drain(counts.webPush, .webPush))
            live.append(try await runner.live(counts.webPush, .webPush))
            if isThere { other.append(try await peers.pywebpush(counts.pywebpush)) }
        }
        Report.print("\n## webpush-rate: Web Push, each message encrypted, TLS, the median of \(rounds)\n")
        return report(
            stored, live, [("pywebpush 2.5", other)], bar: Self.webPush, judgedAgainst: "pywebpush 2.5")
    }

    private func hookRate(_ runner: PushRunner, _ peers: PushPeers) async throws -> Bool {
        var (stored, live): ([PushFigure], [PushFigure]) = ([], [])
        var (apprise, alerts): ([PushFigure], [PushFigure]) = ([], [])
        let hasApprise = await PushPeers.has("apprise")
        for round in 1...rounds {
            Report.progress("webhook-rate: round \(round) of \(rounds)")
            stored.append(try await runner.drain(counts.hook, .hook))
            live.append(try await runner.live(counts.hook, .hook))
            if hasApprise { apprise.append(try await peers.apprise(counts.pywebpush, fan: 50)) }
            if BenchPaths.has(PushPeers.alertmanager) { alerts.append(try await peers.alertmanager(counts.alerts)) }
        }
        Report.print("\n## webhook-rate: webhooks, plain HTTP/1.1, the median of \(rounds)\n")
        return report(
            stored, live, [("apprise 2.2", apprise), ("Alertmanager", alerts)], bar: nil, judgedAgainst: nil)
    }

    /// One table: Farbell out of its store, which is what is judged, Farbell through HTTP, and the others.
    private func report(
        _ stored: [PushFigure], _ live: [PushFigure], _ others: [(name: String, figures: [PushFigure])],
        bar: (perSecond: Double, ratio: Double)?, judgedAgainst: String?
    ) -> Bool {
        guard let own = PushFigure.median(stored), let through = PushFigure.median(live) else { return false }
        var isMet = true
        var rows: [[String]] = []
        if let bar {
            isMet = own.perSecond >= bar.perSecond
            rows.append(own.rateRow(ratio: nil, bar: ">= \(Int(bar.perSecond))", verdict: Report.verdict(isMet)))
        } else {
            rows.append(own.rateRow(ratio: nil))
        }
        rows.append(through.rateRow(ratio: nil))
        for (name, figures) in others {
            guard let other = PushFigure.median(figures) else {
                rows.append([name, "not measured"] + Array(repeating: "-", count: 8) + [""])
                continue
            }
            let ratio = own.perSecond / other.perSecond
            if let bar, name == judgedAgainst {
                isMet = ratio >= bar.ratio && isMet
                rows.append(
                    other.rateRow(
                        ratio: ratio, bar: ">= \(Report.decimal(bar.ratio)) times",
                        verdict: Report.verdict(ratio >= bar.ratio)))
            } else {
                rows.append(other.rateRow(ratio: ratio))
            }
        }
        Report.print(Report.table(PushFigure.rateHead, rows))
        Self.remarks(stored + live + others.flatMap(\.figures))
        Self.missing(others.filter(\.figures.isEmpty).map(\.name))
        return (stored + live).allSatisfy(\.isWhole) && (isMet || isQuick)
    }

    static func missing(_ names: [String]) {
        for name in names {
            Report.print("\(name): not measured; it is not here (Scripts/install --bench, Scripts/bench.d/setup).")
        }
    }

    static func remarks(_ figures: [PushFigure]) {
        for who in Set(figures.map(\.who)).sorted() {
            let own = figures.filter { $0.who == who }
            Report.print(
                "\(who), each run: "
                    + own.map { figure in
                        let remarks = [figure.conditions?.text, figure.remark].compactMap { $0 }.filter { !$0.isEmpty }
                        return "\(figure.source) \(Report.decimal(figure.perSecond, 0))"
                            + (remarks.isEmpty ? "" : " (\(remarks.joined(separator: ", ")))")
                    }.joined(separator: ", "))
        }
    }

    // MARK: Latency

    private static let latencyHead = [
        "who", "offered a second", "pushed a second", "accept to provider p50 ms", "p99 ms", "offer to provider p50 ms",
        "p99 ms", "CPU us each", "MiB", "lost", "doubled", "bar", "verdict",
    ]

    private static func latencyRow(_ figure: PushFigure, _ name: String, _ rate: Int, isJudged: Bool) -> [String] {
        [name, "\(rate)", Report.decimal(figure.perSecond, 0)] + PushFigure.times(figure.fromAccept)
            + PushFigure.times(figure.fromOffer) + [
                Report.decimal(figure.processor), Report.decimal(Double(figure.memory) / 1024, 0), "\(figure.lost)",
                "\(figure.doubled)", isJudged ? "p99 <= 20 ms" : "", isJudged ? Report.verdict(meets(figure)) : "",
            ]
    }

    private static func meets(_ figure: PushFigure) -> Bool {
        figure.isWhole && (figure.fromAccept.map { $0.count > 0 && $0.percentile(0.99) <= tail } ?? false)
    }

    private func latency(_ runner: PushRunner, _ peers: PushPeers) async throws -> Bool {
        let count = rate * seconds
        var rows: [[String]] = []
        var figures: [PushFigure] = []
        var isGood = true
        var missing: [String] = []
        for (service, name) in [(PushService.apns, "Farbell, APNs"), (.webPush, "Farbell, Web Push")] {
            Report.progress("latency: \(name), \(rate) a second for \(seconds) s")
            let figure = try await runner.steady(count, perSecond: rate, service)
            isGood = figure.isWhole && (isQuick || Self.meets(figure)) && isGood
            figures.append(figure)
            rows.append(Self.latencyRow(figure, name, rate, isJudged: true))
        }
        if await PushPeers.has("aioapns") {
            Report.progress("latency: aioapns")
            let figure = try await peers.aioapns(count, window: window, perSecond: rate)
            rows.append(Self.latencyRow(figure, "aioapns 4.0, from its memory", rate, isJudged: false))
        } else {
            missing.append("aioapns 4.0")
        }
        if BenchPaths.has(PushPeers.alertmanager) {
            Report.progress("latency: Alertmanager")
            // As many groups as in the other part: they stay in its memory.
            let figure = try await peers.alertmanager(min(count, counts.alerts), perSecond: rate)
            rows.append(Self.latencyRow(figure, "Alertmanager 0.25, webhook", rate, isJudged: false))
        } else {
            missing.append("Alertmanager")
        }
        Report.print(
            "\n## latency: \(rate) messages a second for \(seconds) s, each in a request of its own; accepted is when the"
                + " answer came\n")
        Report.print(Report.table(Self.latencyHead, rows))
        Self.remarks(figures)
        Report.print("pywebpush and apprise cannot send so many a second: see their rates.")
        Self.missing(missing)
        return isGood
    }
}
