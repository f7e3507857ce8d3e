internal import Base

/// Beside a service that takes pushes and never answers.
extension PushBench {
    /// The design's bar: such a share of its rate a lane may lose.
    private static let lossLimit = 0.05

    /// Two figures, without the dead service and beside it, and what was lost from one to the other.
    private struct Pair {
        let alone, beside: PushFigure
        var loss: Double { 1 - beside.perSecond / alone.perSecond }
    }

    /// - Returns: whether everything arrived once, and, unless it was a quick run, the bar was met.
    func dead(_ runner: PushRunner, _ peers: PushPeers) async throws -> Bool {
        var (own, others): ([Pair], [Pair]) = ([], [])
        let isThere = await PushPeers.has("aioapns")
        for round in 1...rounds {
            Report.progress("dead: round \(round) of \(rounds)")
            own.append(
                try await inTurn(round) { isBeside in
                    try await runner.live(counts.apns, .apns, dead: isBeside ? counts.apns : 0)
                })
            guard isThere else { continue }
            others.append(
                try await inTurn(round) { isBeside in
                    try await peers.aioapns(counts.aioapns, window: window, besideDead: isBeside)
                })
        }
        Report.progress("dead: \(rate) a second to each for \(seconds) s")
        let steady = try await inTurn(1) { isBeside in
            try await runner.steady(rate * seconds, perSecond: rate, .apns, dead: isBeside ? counts.apns : 0)
        }
        Report.print(
            "\n## dead: APNs beside a second one that takes pushes and never answers, with as many messages waiting;"
                + " what was lost is the median of \(rounds) rounds, each with a run of both kinds, in turn the other"
                + " way round\n")
        let (fast, even) = ("Farbell, as fast as it goes", "Farbell, \(rate) a second to each")
        Report.print(
            Report.table(
                [
                    "who", "alone, a second", "beside it, a second", "lost %", "alone p50 / p99 ms",
                    "beside it p50 / p99 ms", "bar", "verdict",
                ],
                [
                    Self.row(fast, own, isJudged: true), Self.row(even, [steady], isJudged: true),
                    Self.row("aioapns 4.0, as fast as it goes", others, isJudged: false),
                ]))
        Report.print(
            "Farbell, lost in each round: " + own.map { Report.decimal($0.loss * 100) + " %" }.joined(separator: ", "))
        Self.remarks(own.map(\.alone) + own.map(\.beside) + [steady.alone, steady.beside])
        Self.missing(isThere ? [] : ["aioapns 4.0"])
        let isWhole = (own + [steady]).allSatisfy { $0.alone.isWhole && $0.beside.isWhole }
        return isWhole && (isQuick || (Self.isMet(own) && Self.isMet([steady])))
    }

    /// Both runs of a round. Every second round begins with the other one, so that a machine that grows slower or
    /// faster favours neither.
    private func inTurn(_ round: Int, _ run: (_ isBeside: Bool) async throws -> PushFigure) async throws -> Pair {
        if round.isMultiple(of: 2) {
            let beside = try await run(true)
            return Pair(alone: try await run(false), beside: beside)
        }
        let alone = try await run(false)
        return Pair(alone: alone, beside: try await run(true))
    }

    /// The middle one of what was lost.
    private static func loss(_ pairs: [Pair]) -> Double? {
        pairs.isEmpty ? nil : pairs.map(\.loss).sorted()[pairs.count / 2]
    }

    private static func isMet(_ pairs: [Pair]) -> Bool { loss(pairs).map { $0 <= lossLimit } ?? false }

    private static func row(_ name: String, _ pairs: [Pair], isJudged: Bool) -> [String] {
        guard let alone = PushFigure.median(pairs.map(\.alone)), let beside = PushFigure.median(pairs.map(\.beside)),
            let loss = loss(pairs)
        else { return [name, "not measured", "-", "-", "-", "-", "", ""] }
        return [
            name, Report.decimal(alone.perSecond, 0), Report.decimal(beside.perSecond, 0), Report.decimal(loss * 100),
            PushFigure.times(alone.fromAccept).joined(separator: " / "),
            PushFigure.times(beside.fromAccept).joined(separator: " / "), isJudged ? "<= 5 %" : "",
            isJudged ? Report.verdict(isMet(pairs)) : "",
        ]
    }
}
