internal import Base
internal import GatewayTestKit

/// What a proof found, in a table.
struct ProofReport {
    let history: QueueHistory
    let strange: [String: Int]
    let tally: [String: Int]
    let restarts: [Duration]
    let lasted: Duration
    let seed: UInt64
    let faults: [QueueChecker.Fault]

    init(
        history: QueueHistory, strange: [String: Int], tally: [String: Int], restarts: [Duration], lasted: Duration,
        seed: UInt64
    ) {
        (self.history, self.strange, self.tally) = (history, strange, tally)
        (self.restarts, self.lasted, self.seed) = (restarts, lasted, seed)
        faults = QueueChecker(history).faults()
    }

    func print() {
        Output.say("")
        for (name, value) in rows { Output.say(name.padded(to: 44) + value) }
        for (what, count) in strange.sorted(by: { $0.key < $1.key }) {
            Output.say("unforeseen, \(count) times: \(what)")
        }
        for kind in QueueChecker.Fault.Kind.allCases {
            let found = faults.filter { $0.kind == kind }
            Output.say(kind.rawValue.padded(to: 44) + "\(found.count)")
        }
        guard !faults.isEmpty else { return Output.say("\nNothing is wrong.") }
        Output.say("\n\(faults.count) faults; seed \(seed)")
        for fault in faults.prefix(10) {
            Output.say("\n\(fault)")
            for line in history.story(of: fault.message) { Output.say("    \(line)") }
            // Another message that has part in it.
            for other in fault.detail.split(separator: " ").map(String.init) where history.finals[other] != nil {
                Output.say("  \(other):")
                for line in history.story(of: other) { Output.say("    \(line)") }
            }
        }
    }

    private var rows: [(String, String)] {
        func answers(_ fits: (QueueHistory.Put.Answer) -> Bool) -> Int { history.puts.count { fits($0.answer) } }
        let accepted = Set(
            history.puts.compactMap { put -> String? in
                if case .accepted(let message) = put.answer { message } else { nil }
            })
        let unknown = Set(history.puts.filter { $0.answer == .unknown }.map(\.value))
        let found = unknown.intersection(history.deliveries.map(\.value))
        let hadBefore = history.deliveries.count - Set(history.deliveries.map(\.message)).count
        var rows = [("deaths", "\(tally.values.reduce(0, +)) in \(lasted.seconds) s")]
        rows += tally.sorted { $0.key < $1.key }.map { ("  \($0.key)", "\($0.value)") }
        rows += [
            ("slowest start", "\(restarts.max() ?? .zero)"),
            ("messages accepted", "\(accepted.count)"),
            ("sendings without an answer", "\(answers { $0 == .unknown }), of which \(found.count) turned up"),
            ("sendings refused", "\(answers { $0 == .refused })"),
            ("hand-overs", "\(history.deliveries.count), of which \(hadBefore) repeated"),
        ]
        for verb in QueueHistory.Settlement.Verb.allCases {
            let all = history.settlements.filter { $0.verb == verb }
            let (lost, unknown) = (all.count { $0.answer == .lost }, all.count { $0.answer == .unknown })
            rows.append((verb.rawValue, "\(all.count), of which \(lost) lock_lost, \(unknown) without an answer"))
        }
        for state in Set(history.finals.values).sorted() {
            rows.append(("at the end \(state)", "\(history.finals.values.count { $0 == state })"))
        }
        rows.append(("dead letters brought back", "\(history.redriven.count)"))
        for state in Set(history.receipts.map(\.state)).sorted() {
            rows.append(("receipts: \(state)", "\(Set(history.receipts).count { $0.state == state })"))
        }
        return rows
    }
}

extension String {
    fileprivate func padded(to count: Int) -> String {
        self + String(repeating: " ", count: max(1, count - self.count))
    }
}

extension Duration {
    fileprivate var seconds: Int64 { components.seconds }
}
