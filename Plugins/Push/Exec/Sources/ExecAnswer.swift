internal import Base
internal import Gateway

/// One line of the program: `{id,outcome,status?,reason?,afterSeconds?,sinceMilliseconds?,blame?,hop?}`.
struct ExecAnswer: Sendable, Hashable {
    /// Characters of the longest reason kept.
    static let reasonLimit = 100
    /// Seconds of the longest pause believed: a day.
    static let pauseLimit: Int64 = 86_400

    /// The request it answers.
    let id: String
    let report: PushReport

    /// - Throws: `Fault` for what is no answer.
    init(_ line: [UInt8]) throws(Fault) {
        guard let object = (try? JSONParser.parse(line))?.object else { throw Fault("not a JSON object") }
        guard let id = object["id"]?.string else { throw Fault("no 'id'") }
        self.id = id
        report = Self.report(object)
    }

    /// Why a line is no answer; without what stands in it.
    struct Fault: Error {
        let message: String
        init(_ message: String) { self.message = message }
    }

    private static let bad = PushReport(.retry(after: nil, .service), reason: "bad_answer", hop: .service)

    private static func report(_ object: JSONObject) -> PushReport {
        let known: Set<String> = [
            "id", "outcome", "status", "reason", "afterSeconds", "sinceMilliseconds", "blame", "hop",
        ]
        guard known.isSuperset(of: object.keys), let outcome = outcome(object) else { return bad }
        var hop: PushHop?
        if let text = object["hop"] {
            guard let known = text.string.flatMap(PushHop.init(rawValue:)) else { return bad }
            hop = known
        }
        let status = object["status"]?.integer.flatMap { Int(exactly: $0) }
        let reason = object["reason"]?.string.map { text in
            String(
                text.unicodeScalars.prefix(reasonLimit).map { (0x21...0x7E).contains($0.value) ? Character($0) : "_" })
        }
        return PushReport(outcome, status: status, reason: reason, hop: outcome == .delivered ? nil : hop)
    }

    private static func outcome(_ object: JSONObject) -> PushOutcome? {
        switch object["outcome"]?.string {
        case "delivered": return .delivered
        case "rejected": return .rejected
        case "credential": return .credential
        case "gone":
            guard let since = object["sinceMilliseconds"] else { return .gone(since: nil) }
            return since.integer.map { .gone(since: Timestamp(milliseconds: $0)) }
        case "retry":
            var blame = PushOutcome.Blame.service
            if let text = object["blame"] {
                guard let known = text.string.flatMap(PushOutcome.Blame.init(rawValue:)) else { return nil }
                blame = known
            }
            guard let after = object["afterSeconds"] else { return .retry(after: nil, blame) }
            guard let seconds = after.number, seconds >= 0 else { return nil }
            return .retry(after: .milliseconds(Int64(min(seconds, Double(pauseLimit)) * 1000)), blame)
        default: return nil
        }
    }
}
