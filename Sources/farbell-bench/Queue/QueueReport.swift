internal import Base
internal import GatewayTestKit

/// Collects the figures and prints them: one table with ratios, one with the details.
struct QueueReport: Sendable {
    private let peers: [QueuePeer]
    private var measures: [QueueMeasure] = []
    private var figures: [QueueMeasure: [QueuePeer: [QueueFigure]]] = [:]
    private var failures: [(peer: QueuePeer, reason: String)] = []

    init(peers: [QueuePeer]) { self.peers = peers }

    mutating func add(_ measure: QueueMeasure, _ peer: QueuePeer, _ figure: QueueFigure) {
        if figures[measure] == nil { measures.append(measure) }
        figures[measure, default: [:]][peer, default: []].append(figure)
    }

    mutating func fail(_ peer: QueuePeer, _ reason: String) { failures.append((peer, reason)) }

    /// The run with the median value.
    private func figure(_ measure: QueueMeasure, _ peer: QueuePeer) -> QueueFigure? {
        guard let all = figures[measure]?[peer]?.sorted(by: { $0.value < $1.value }), !all.isEmpty else { return nil }
        return all[all.count / 2]
    }

    /// How many times as good as the best other one Farbell is; nil without both.
    private func ratio(_ measure: QueueMeasure) -> Double? {
        guard !measure.isMachine else { return nil }
        let others = peers.filter(\.isRival).compactMap { figure(measure, $0)?.value }.filter { $0 > 0 }
        guard let own = figure(measure, .farbell)?.value, own > 0,
            let best = measure.isTime ? others.min() : others.max()
        else { return nil }
        return measure.isTime ? best / own : own / best
    }

    /// Whether nothing failed and Farbell, where it is one of the peers, met each bar and led where it has to.
    var isGood: Bool {
        guard failures.isEmpty, !measures.isEmpty else { return false }
        return !peers.contains(.farbell)
            || measures.allSatisfy { verdict($0) == Report.verdict(true) || !isJudged($0) }
    }

    private func isJudged(_ measure: QueueMeasure) -> Bool { measure.bar != nil || measure.leads }

    private func verdict(_ measure: QueueMeasure) -> String {
        guard isJudged(measure) else { return "" }
        guard let own = figure(measure, .farbell) else { return "-" }
        let isAhead = !measure.leads || (ratio(measure).map { $0 > 1 } ?? true)
        return Report.verdict(measure.meets(own.value) && isAhead)
    }

    // MARK: Printing

    func print(settings: String, probe: (wake: Distribution, sync: Distribution)?) {
        Report.print("\nQueues: \(settings)")
        Report.print(
            Report.table(
                ["what"] + peers.map(\.title) + ["times the best other", "bar", "verdict", "client, % of a core"],
                measures.map(row)))
        Report.print(
            "Above 1 Farbell is ahead, in times too. The last column is the load client's own share of a core, in the order"
                + " of the columns.\n")
        for peer in peers { Report.print("- \(peer.remark)") }
        for failure in failures { Report.print("- \(failure.peer.title) failed: \(failure.reason)") }
        if let probe {
            Report.print(
                "- The machine before the run: a sleeper wakes late by p50 / p99"
                    + " \(probe.wake.cells[0]) / \(probe.wake.cells[2]) ms, a sync of 4 KiB takes"
                    + " \(probe.sync.cells[0]) / \(probe.sync.cells[2]) ms")
        }
        let details = measures.flatMap { measure in peers.compactMap { detail(measure, $0) } }
        Report.print("\nDetails: of a request (receive and complete: of both), in us; processor time in % of a core")
        Report.print(
            Report.table(["what", "who", "figure", "least", "greatest", "p50", "p99", "client", "server"], details))
    }

    private func row(_ measure: QueueMeasure) -> [String] {
        let all = peers.map { figure(measure, $0) }
        let clients = all.map { $0.map { Report.decimal($0.client * 100, 0) } ?? "-" }.joined(separator: " / ")
        let bar = measure.bar.map { (measure.isTime ? "<= " : ">= ") + Self.text($0, measure.unit) } ?? ""
        return [Self.name(measure)] + all.map { $0.map { Self.text($0.value, measure.unit) } ?? "-" } + [
            ratio(measure).map { Report.decimal($0, 2) } ?? "-", bar, verdict(measure), clients,
        ]
    }

    private func detail(_ measure: QueueMeasure, _ peer: QueuePeer) -> [String]? {
        guard let middle = figure(measure, peer) else { return nil }
        let values = (figures[measure]?[peer] ?? []).map(\.value)
        func text(_ value: Double?) -> String { value.map { Self.text($0, measure.unit) } ?? "-" }
        func latency(_ value: Double?) -> String { value.map { Report.decimal($0, 0) } ?? "" }
        return [
            Self.name(measure), peer.title, text(middle.value), text(values.min()), text(values.max()),
            latency(middle.p50), latency(middle.p99), Report.decimal(middle.client * 100, 0),
            Report.decimal(middle.server * 100, 0),
        ]
    }

    private static func name(_ measure: QueueMeasure) -> String {
        switch measure.unit {
        case .perSecond: measure.title + ", a second"
        case .microseconds: measure.title + ", us"
        case .milliseconds: measure.title + ", ms"
        case .seconds: measure.title + ", s"
        }
    }

    private static func text(_ value: Double, _ unit: QueueMeasure.Unit) -> String {
        switch unit {
        case .perSecond, .microseconds: Report.decimal(value, 0)
        case .milliseconds, .seconds: Report.decimal(value, 2)
        }
    }
}
