internal import Base

/// How a push ended, for good.
struct EndedPush: Sendable {
    let job: PushJob
    let representative: MessageKey
    let report: PushReport
    let outcome: DeliveryRecord.Outcome
    /// Since the message was accepted.
    let took: Duration

    var detail: String? {
        let words = [report.status.map(String.init), report.reason].compactMap { $0 }
        return words.isEmpty ? nil : words.joined(separator: " ")
    }

    var fields: LogFields {
        job.fields(report) + ["attempts": .count(job.attempt + 1), "milliseconds": .milliseconds(took)]
    }
}
