import Base
import FarmTools
import Gateway
import GatewayTestKit
import Testing

@Suite("asking farms what they see", .timeLimit(.minutes(1)))
struct FactPollTests {
    private let time = ManualTime()
    private let log = RecordingLogSink()
    private let mail = FarmSubject(account: "alice", app: "mail")

    private struct Down: Error {}

    /// Runs a poll beside `body`.
    private func polling(
        _ facts: RecordingFacts,
        look: @escaping @Sendable (Set<FarmSubject>) async throws -> [FarmSubject: FarmFact.State],
        _ body: () async throws -> Void
    ) async throws {
        let poll = FactPoll(farm: "web", interval: .seconds(2), time: time, log: Log(sink: log, time: time))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do { try await poll.run(apps: ["mail"], facts: facts, look: look) } catch is CancellationError {}
            }
            try await body()
            group.cancelAll()
        }
    }

    private func tick(_ count: Int = 1) async throws {
        for _ in 0..<count {
            try await Eventually.wait("the poll sleeps") { time.nextDeadline != nil }
            time.advance(by: .seconds(2))
        }
        try await Eventually.wait("the poll sleeps") { time.nextDeadline != nil }
    }

    @Test("SG-7 only those are asked about who say that they are in front; a fact lasts three rounds")
    func asked() async throws {
        let facts = RecordingFacts()
        let asked = Recorder<Set<FarmSubject>>()
        try await polling(
            facts,
            look: { subjects in
                asked.append(subjects)
                return Dictionary(uniqueKeysWithValues: subjects.map { ($0, .hidden) })
            },
            {
                try await tick(3)
                #expect(asked.all.isEmpty)
                facts.subjects.withLock { $0 = [mail, FarmSubject(account: "bob", app: "other")] }
                try await tick()
                #expect(asked.all == [[mail]])
                let fact = try #require(facts.facts.last)
                #expect(fact == FarmFact(mail, .hidden, seen: fact.seen, lasts: .seconds(6)))
            })
    }

    @Test("SG-7 a fact from a slow answer lasts longer, so that it counts until the next slow one")
    func slow() async throws {
        let facts = RecordingFacts([mail])
        try await polling(
            facts,
            look: { [time] _ in
                time.advance(by: .seconds(7))
                return [mail: .hidden]
            },
            {
                try await tick()
                let fact = try await facts.facts.wait(count: 1)[0]
                #expect(fact.lasts == .seconds(13))
                #expect(time.now - fact.seen < fact.lasts)
            })
    }

    @Test("SG-7 a farm that fails three times is lost, once in the log, and back when it answers")
    func lost() async throws {
        let facts = RecordingFacts([mail])
        let isDown = Locked(true)
        try await polling(
            facts,
            look: { _ in
                if isDown.withLock({ $0 }) { throw Down() }
                return [mail: .visible]
            },
            {
                try await tick(2)
                #expect(log.records(of: .farmLost).isEmpty)
                try await tick(5)
                #expect(log.records(of: .farmLost).count == 1)
                #expect(facts.facts.all.isEmpty)
                isDown.withLock { $0 = false }
                try await tick(2)
                #expect(log.records(of: .farmBack).count == 1)
                #expect(facts.facts.last?.state == .visible)
            })
    }
}
