internal import Base
internal import Gateway

/// What a run of the one-shot contract means.
struct ExecReport: Sendable, Hashable {
    var changes: [MonitorBatch.Change] = []
    /// nil: the one before stays.
    var cursor: String?

    /// - Throws: `MonitorFailure`: what an exit status of 2, 3 or any other says, and for output that is none.
    init(_ outcome: ExecOnce.Outcome, secrets: [String], now: Moment) throws(MonitorFailure) {
        var trouble: ExecMessage.Trouble?
        for line in outcome.lines where !line.allSatisfy({ $0 == 0x20 || $0 == 0x0D }) {
            guard let json = try? JSONParser.parse(line), json.object != nil else {
                throw MonitorFailure(.protocolViolation, "the program printed what is no JSON object")
            }
            if let change = ExecMessage.change(json) {
                changes.append(change)
            } else if let text = json["cursor"]?.string {
                guard text.utf8.count <= ExecMessage.cursorLimit, !text.utf8.contains(where: { $0 < 0x20 }) else {
                    throw MonitorFailure(.protocolViolation, "the program printed a cursor that cannot be kept")
                }
                cursor = text
            } else if let error = json["error"] {
                trouble = ExecMessage.trouble(error)
            } else if json["new"] != nil || json["seen"] != nil || json["gone"] != nil {
                throw MonitorFailure(.protocolViolation, "the program printed an event that is none")
            }
        }
        let named = trouble?.failure(now: now, hiding: secrets)
        switch outcome.exit {
        case .code(0):
            guard changes.isEmpty else {
                throw MonitorFailure(.protocolViolation, "the program printed events and says that there are none")
            }
        case .code(1): break
        case .code(2): throw named ?? MonitorFailure(.sourceGone, "the program failed for good (exit status 2)")
        case .code(3): throw named ?? MonitorFailure(.network, "the program failed for now (exit status 3)")
        default: throw MonitorFailure(.network, "the program failed: \(outcome.exit)")
        }
    }
}
