import Base
import GatewayTestKit
import Testing

@testable import Gateway

/// After random commands the gateway is started anew on what it has stored: it must know all that it knew, with the
/// locks released, and answer what it has answered.
@Suite struct RestartPropertyTests {
    /// What is to be the same of a message.
    struct Known: Hashable {
        let state: Message.State
        let priority: Message.Priority
        let group: String?
        let deliveries: Int
        let isDelivered: Bool
        let expires: Moment
        let due: Moment
    }

    @Test("G2 G3 G5 G6 G7 G11 G12 a restart at any point changes nothing but the locks", arguments: 0..<40)
    func restart(seed: Int) async throws {
        var run = try await RestartRun(seed: UInt64(seed))
        for step in 0..<150 {
            try await run.command()
            guard run.number(8) == 0 else { continue }
            let place = "seed \(seed), step \(step)"
            let fresh = try await run.restarted()
            try Self.compare(run.mailroom, fresh, place)
            try await Self.compareAnswers(run, fresh, place)
            // Asking changes nothing; the life goes on sometimes, and sometimes ends here.
            if run.number(2) == 0 {
                run.mailroom = try await run.restarted()
                try Self.compare(run.mailroom, fresh, "\(place), again")
            }
        }
        try await Self.compareRepeats(&run, "seed \(seed)")
    }

    /// A queue as it is when nobody holds anything.
    private struct Seen {
        let number: Int64
        let address: QueueAddress
        var machine: QueueMachine
        let receipts: Set<Int64>
    }

    private static func queues(_ mailroom: Mailroom) -> [Seen] {
        mailroom.keeper.read { state in
            state.queues.values.map { queue in
                var seen = Seen(
                    number: queue.number, address: queue.address, machine: queue.machine,
                    receipts: Set(queue.receipts.keys))
                for (seq, held) in queue.machine.held {
                    seen.machine.putBack([QueueMachine.Lock(seq: seq, token: held.token, delivery: 1)])
                }
                return seen
            }.sorted { $0.number < $1.number }
        }
    }

    private static func known(_ machine: QueueMachine) -> [Int64: Known] {
        machine.entries.mapValues { entry in
            Known(
                // One that was deferred before it was locked is so again: its lock was never stored.
                state: entry.state == .deferred ? .ready : entry.state, priority: entry.priority, group: entry.group,
                deliveries: entry.deliveries, isDelivered: entry.isDelivered, expires: entry.expires, due: entry.due)
        }
    }

    private static func compare(_ live: Mailroom, _ fresh: Mailroom, _ place: String) throws {
        let (before, after) = (queues(live), queues(fresh))
        try #require(before.map(\.address) == after.map(\.address), "\(place)")
        for (before, after) in zip(before, after) {
            let place = "\(place), \(before.address)"
            let (was, is_) = (known(before.machine), known(after.machine))
            for seq in Set(was.keys).union(is_.keys) {
                try #require(was[seq] == is_[seq], "\(place), message \(seq)")
            }
            try #require(before.machine.dead == after.machine.dead, "\(place)")
            try #require(before.receipts == after.receipts, "\(place): who wants receipts")
            try compareOrder(before.machine, after.machine, place)
        }
    }

    /// What would be handed out, in order, and what time would do.
    private static func compareOrder(_ live: QueueMachine, _ fresh: QueueMachine, _ place: String) throws {
        var (live, fresh) = (live, fresh)
        let deferred = Set(fresh.entries.filter { $0.value.state == .deferred }.keys)
        // A lock on a deferred message, put back, makes it ready; after a restart it is deferred.
        for seq in deferred where live.entries[seq]?.state == .ready { live.remove(seq) }
        for seq in deferred { fresh.remove(seq) }
        for seq in deferred { live.remove(seq) }
        var tokens: Int64 = 0
        func token() -> Int64 {
            tokens += 1
            return tokens
        }
        var (first, second) = (live, fresh)
        let (given, again) = (
            first.take(.max, for: "x", token: token), second.take(.max, for: "x", token: token)
        )
        try #require(given.map(\.seq) == again.map(\.seq), "\(place)")
        for (lock, later) in zip(given, again) {
            try #require(later.delivery > lock.delivery || later.delivery >= 2, "\(place): a repeat shows as one (G3)")
        }
        // What is due comes up, what is over is named, on both sides.
        let far = Moment(nanoseconds: Moment.distantFuture.nanoseconds - 1)
        let (was, is_) = (live.fire(at: far), fresh.fire(at: far))
        try #require(
            Set(was.map { [$0.seq: $0.state] }) == Set(is_.map { [$0.seq: $0.state] }), "\(place): what time does")
    }

    /// Every settlement that took effect is repeated, on both sides.
    private static func compareAnswers(_ run: RestartRun, _ fresh: Mailroom, _ place: String) async throws {
        for ticket in run.tickets {
            guard let settlement = ticket.settled else { continue }
            let order = SettleOrder(key: ticket.key, token: ticket.token, settlement: settlement)
            // While another holds it nobody else is answered; after a restart nobody holds it.
            if run.mailroom.state(of: ticket.key) == .locked { continue }
            let (was, is_) = (
                await RestartRun.settle(order, run.mailroom), await RestartRun.settle(order, fresh)
            )
            try #require(was == is_, "\(place), \(ticket.key) with \(ticket.token): \(settlement)")
            if settlement == .complete { try #require(is_ == .settled(.done), "\(place), \(ticket.key)") }
        }
        for ticket in run.tickets where ticket.settled == nil && run.mailroom.state(of: ticket.key) != .locked {
            for settlement in [QueueMachine.Settlement.complete, .abandon(delay: .zero), .deadLetter(reason: "r")] {
                let order = SettleOrder(key: ticket.key, token: ticket.token, settlement: settlement)
                let (was, is_) = (
                    await RestartRun.settle(order, run.mailroom), await RestartRun.settle(order, fresh)
                )
                try #require(was == .lost && is_ == .lost, "\(place), \(ticket.key): its lock has ended (G4)")
            }
        }
    }

    /// Senders' ids mean the same message for ten minutes, also after a restart, and no longer (G7).
    private static func compareRepeats(_ run: inout RestartRun, _ place: String) async throws {
        run.mailroom = try await run.restarted()
        let now = run.time.now
        var newest: [SendLedger.Key: (key: MessageKey, at: Moment, posting: Posting)] = [:]
        for item in run.named {
            guard let id = item.posting.draft.senderID else { continue }
            let key = SendLedger.Key(queue: item.key.queue, sender: item.posting.draft.sender, id: id)
            newest[key] = (item.key, item.at, item.posting)
        }
        for item in newest.values {
            let posted = try await run.mailroom.post([item.posting])
            if now - item.at < Mailroom.repeatWindow {
                try #require(posted[0].key == item.key && posted[0].message == nil, "\(place): \(item.key) repeated")
            } else {
                try #require(posted[0].key != item.key && posted[0].message != nil, "\(place): \(item.key) long ago")
            }
        }
    }
}
