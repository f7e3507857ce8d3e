internal import Base

/// What one run of one sender came to.
struct PushFigure: Sendable {
    let who: String
    /// Where the messages came from.
    let source: String
    var sent = 0
    var arrived = 0
    /// More than once; only where texts were read.
    var doubled = 0
    /// From the first arrival, or from the beginning where `begin` is given, to the last.
    var perSecond = 0.0
    var fromAccept: Distribution?
    var fromOffer: Distribution?
    /// Processor time of the sender for one push, in microseconds.
    var processor = 0.0
    /// Resident, in KiB.
    var memory = 0
    var remark = ""
    var conditions: PushConditions?

    var lost: Int { max(0, sent - arrived) }
    /// Whether everything arrived, and nothing twice.
    var isWhole: Bool { sent > 0 && arrived == sent && doubled == 0 }

    /// Counts what has arrived.
    /// - Parameters:
    ///   - arrivals: of the service, in order.
    ///   - begin: when the first was handed to the sender, on `MonotonicClock`.
    ///   - times: when each was offered and accepted.
    mutating func count(_ arrivals: [PushArrival], begin: Int64? = nil, times: PushLoad.Times? = nil) {
        arrived = arrivals.count
        guard let first = arrivals.first, let last = arrivals.last else { return }
        let took = Double(last.at - (begin ?? first.at)) / 1e9
        perSecond = took > 0 ? Double(arrived) / took : 0
        var seen: Set<Int> = []
        var (accepts, offers): ([Duration], [Duration]) = ([], [])
        for arrival in arrivals where arrival.number >= 0 {
            guard seen.insert(arrival.number).inserted else {
                doubled += 1
                continue
            }
            guard let times, times.accepted.indices.contains(arrival.number) else { continue }
            // A push may be faster than the answer to whoever sent the message.
            accepts.append(.nanoseconds(max(0, arrival.at - times.accepted[arrival.number])))
            offers.append(.nanoseconds(arrival.at - times.offered[arrival.number]))
        }
        if times != nil { (fromAccept, fromOffer) = (Distribution(accepts), Distribution(offers)) }
    }

    /// The middle one of several by its rate.
    static func median(_ figures: [PushFigure]) -> PushFigure? {
        let sorted = figures.sorted { $0.perSecond < $1.perSecond }
        return sorted.isEmpty ? nil : sorted[sorted.count / 2]
    }

    // MARK: Tables

    static func times(_ distribution: Distribution?) -> [String] {
        guard let distribution, distribution.count > 0 else { return ["-", "-"] }
        return [0.5, 0.99].map { Report.decimal(distribution.percentile($0).inSeconds * 1000, 2) }
    }

    static let rateHead = [
        "who", "from", "pushes", "a second", "ours / theirs", "CPU us each", "MiB", "lost", "doubled", "bar", "verdict",
    ]

    func rateRow(ratio: Double?, bar: String = "", verdict: String = "") -> [String] {
        [
            who, source, "\(sent)", Report.decimal(perSecond, 0), ratio.map { Report.decimal($0, 2) } ?? "",
            Report.decimal(processor), Report.decimal(Double(memory) / 1024, 0), "\(lost)", "\(doubled)", bar, verdict,
        ]
    }
}

/// What the machine gave while a run was measured.
struct PushConditions: Sendable {
    /// `MachineProbe.sealing`, right before.
    private let sealing: Duration
    private let begin: MachineProbe.Ticks
    private var stolenShare = 0.0

    /// What is measured begins when this returns.
    /// - Throws: what the probe throws.
    init() async throws { (sealing, begin) = (try await MachineProbe.sealing(), MachineProbe.ticks) }

    /// What was measured ends here.
    mutating func end() { stolenShare = MachineProbe.ticks.stolenShare(since: begin) }

    var text: String {
        "\(Report.decimal(stolenShare * 100)) % stolen, \(Report.decimal(sealing.inSeconds * 1e6, 0)) us to seal"
    }
}

/// The processor time of a process since this was made.
struct PushMeter: Sendable {
    private let process: Int32
    private let before: Duration

    /// - Throws: `BenchError` when there is no such process.
    init(_ process: Int32) throws {
        self.process = process
        before = try ProcessMeter.processorTime(of: process)
    }

    func read(into figure: inout PushFigure) throws {
        let used = try ProcessMeter.processorTime(of: process) - before
        figure.processor = used.inSeconds * 1e6 / Double(max(1, figure.arrived))
        figure.memory = try ProcessMeter.memory(of: process).resident
    }
}
