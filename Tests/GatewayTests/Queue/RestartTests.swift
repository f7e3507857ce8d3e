import Base
import GatewayTestKit
import Testing

@testable import Gateway

/// What random commands once found, each for itself.
@Suite struct RestartTests {
    private static let shop = Recipient(.app("a"))

    private static func draft(_ body: String, _ change: (inout MessageDraft) -> Void = { _ in }) -> Posting {
        var draft = MessageDraft(sender: .app("b"), app: nil)
        draft.body = Array(body.utf8)
        change(&draft)
        return Posting(draft, to: shop)
    }

    private static func take(_ run: RestartRun, _ queue: Recipient = shop) async -> [HandedOver] {
        var order = TakeOrder(queue, consumer: "c")
        order.max = 10
        return await withCheckedContinuation { (done: CheckedContinuation<[HandedOver], Never>) in
            let waiting = run.mailroom.take(order, waits: false) { done.resume(returning: (try? $0.get()) ?? []) }
            #expect(waiting == nil)
        }
    }

    private static func settle(
        _ handed: HandedOver, _ settlement: QueueMachine.Settlement, _ run: RestartRun
    ) async -> SettleOutcome {
        await RestartRun.settle(
            SettleOrder(key: handed.message.key, token: handed.lock.token, settlement: settlement), run.mailroom)
    }

    private static func bodies(_ handed: [HandedOver]) -> [String] {
        handed.map { String(decoding: $0.message.body, as: UTF8.self) }
    }

    @Test("G2 a message that was locked when a newer one of its collapse value came is there after a restart")
    func collapse() async throws {
        var run = try await RestartRun(seed: 0)
        _ = try await run.mailroom.post([Self.draft("old") { $0.collapse = "x" }])
        #expect(await Self.take(run).count == 1)
        _ = try await run.mailroom.post([Self.draft("new") { $0.collapse = "x" }])
        run.mailroom = try await run.restarted()
        #expect(Self.bodies(await Self.take(run)) == ["old", "new"])
    }

    @Test("G2 a dead letter that was brought back after its time stays, also after a restart") func redriven()
        async throws
    {
        var run = try await RestartRun(seed: 0)
        let expires = run.time.timestamp + .seconds(10)
        _ = try await run.mailroom.post([Self.draft("text") { $0.expires = expires }])
        let handed = try #require(await Self.take(run).first)
        #expect(await Self.settle(handed, .deadLetter(reason: "r"), run) == .settled(.dead))
        run.time.advance(by: .seconds(20))
        try await run.mailroom.redrive(handed.message.key)
        run.mailroom = try await run.restarted()
        #expect(try await run.mailroom.fire().expired == [])
        #expect(Self.bodies(await Self.take(run)) == ["text"])
    }

    @Test("G4 a lock that has ended is lost for good, also after a restart") func lateSettlement() async throws {
        var run = try await RestartRun(seed: 0)
        _ = try await run.mailroom.post([Self.draft("text")])
        let handed = try #require(await Self.take(run).first)
        run.time.advance(by: .seconds(31))
        _ = try await run.mailroom.fire()
        for _ in 0..<2 {
            #expect(await Self.settle(handed, .abandon(delay: .zero), run) == .lost)
            #expect(await Self.settle(handed, .complete, run) == .lost)
            run.mailroom = try await run.restarted()
        }
    }

    @Test("G10 the sender of a message that is replaced hears that it has expired, once") func collapsedReceipt()
        async throws
    {
        let run = try await RestartRun(seed: 0)
        // The sender's queue, where its receipts go.
        _ = try await run.mailroom.open(Recipient(.app("b")))
        for text in ["one", "two"] {
            _ = try await run.mailroom.post([
                Self.draft(text) { ($0.collapse, $0.receipts) = ("x", .final) }
            ])
        }
        let number = try #require(run.mailroom.number(of: .app("b")))
        let receipts = try await run.store.messages(queue: number, state: nil, after: 0, limit: 10)
        #expect(receipts.map { $0.header["state"] } == ["expired"])
        // It is stored, and so to be had.
        #expect(run.mailroom.keeper.read { $0.queues[number]?.machine.entries.values.allSatisfy(\.isStored) } == true)
    }

    @Test("G10 an application can have the receipt of what a device acknowledged on its stream, at once")
    func acknowledgedReceipt() async throws {
        let run = try await RestartRun(seed: 0)
        let sender = Recipient(.app("b"))
        _ = try await run.mailroom.open(sender)
        var draft = MessageDraft(sender: sender.address, app: nil)
        draft.receipts = .final
        let posted = try await run.mailroom.post([Posting(draft, to: .account("alice"))])
        try await run.mailroom.acknowledged("phone", of: "alice", upTo: posted[0].key.seq)
        #expect(await Self.take(run, sender).map { $0.message.header["state"] } == ["delivered"])
    }
}
