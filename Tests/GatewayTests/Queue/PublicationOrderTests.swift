import Base
import Gateway
import GatewayTestKit
import Testing

@Suite("what streams are told", .timeLimit(.minutes(2))) struct PublicationOrderTests {
    private static let rounds = 300

    @Test("G10 SG-6 whoever acknowledges and reads at once: it is told in the order of its numbers")
    func order() async throws {
        let time = ManualTime()
        let mailroom = Mailroom(
            store: InMemoryStore(), time: time, log: Log(sink: NullLogSink()), limits: Limits(), queues: [],
            owners: ["phone": "alice"])
        let told = Locked<[AccountID: [Int64]]>([:])
        mailroom.onPublish { account, publication in
            told.withLock { $0[account, default: []].append(publication.number) }
        }
        try await mailroom.restore()
        for _ in 0..<Self.rounds {
            let postings = (0..<4).map { _ in
                var draft = MessageDraft(sender: .account("bob"), app: nil)
                draft.receipts = .all
                return Posting(draft, to: .account("alice"))
            }
            let keys = try await mailroom.post(postings).map(\.key)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await mailroom.acknowledged("phone", of: "alice", upTo: keys[3].seq) }
                for key in keys {
                    group.addTask {
                        _ = try await mailroom.settle(
                            [key], as: .done, reason: "read", receipts: [.delivered, .read], events: { _ in [:] })
                    }
                }
                try await group.waitForAll()
            }
        }
        let numbers = told.withLock { $0 }
        // Of each: what the sender's own devices see of it, delivered, read; the message, and what takes it away.
        #expect(numbers["bob"]?.count == Self.rounds * 12)
        #expect(numbers["alice"]?.count == Self.rounds * 8)
        for (account, told) in numbers {
            #expect(zip(told, told.dropFirst()).allSatisfy { $0 < $1 }, "\(account)")
        }
    }
}
