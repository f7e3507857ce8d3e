import Base
import GatewayTestKit
import Testing

@testable import Gateway

/// A mailroom under random commands on a store that outlives it.
struct RestartRun {
    /// A lock that somebody got, and what came of it.
    struct Ticket {
        let key: MessageKey
        let token: Int64
        /// The last settlement with this token that took effect.
        var settled: QueueMachine.Settlement?
    }

    static let apps: [AppID] = ["a", "b"]
    static let phone = Recipient(.device("phone"), owner: "alice")
    static let recipients: [Recipient] = apps.map { Recipient(.app($0)) } + [.account("alice"), phone]

    let store = InMemoryStore()
    let time = ManualTime()
    var random: ManualRandom
    var mailroom: Mailroom
    var tickets: [Ticket] = []
    /// Every posting with a sender's id, and the message it became.
    var named: [(posting: Posting, key: MessageKey, at: Moment)] = []
    private let nextToken = Locked<Int64>(0)

    init(seed: UInt64) async throws {
        random = ManualRandom(seed: seed)
        mailroom = try await Self.open(store, time, nextToken)
    }

    private static func open(
        _ store: InMemoryStore, _ time: ManualTime, _ nextToken: Locked<Int64>
    ) async throws -> Mailroom {
        var limits = Limits()
        (limits.maxDeliveries, limits.deadLetterSeconds) = (3, 60)
        let mailroom = Mailroom(
            store: store, time: time, log: Log(sink: RecordingLogSink(), level: .error, time: time), limits: limits,
            queues: try await store.registry().queues, owners: ["phone": "alice"],
            drawToken: {
                nextToken.withLock { token in
                    token += 1
                    return token
                }
            })
        try await mailroom.restore()
        return mailroom
    }

    /// The same store, a new mailroom.
    func restarted() async throws -> Mailroom { try await Self.open(store, time, nextToken) }

    mutating func number(_ count: Int) -> Int { Int.random(in: 0..<count, using: &random) }
    mutating func pick<Element>(_ elements: [Element]) -> Element? {
        elements.isEmpty ? nil : elements[number(elements.count)]
    }

    // MARK: Commands

    mutating func command() async throws {
        switch number(100) {
        case 0..<32: try await post()
        case 32..<54: await take()
        case 54..<78: await settle()
        case 78..<81: renew()
        case 81..<85: await lockOne()
        case 85..<88: try await redrive()
        case 88..<90: try await acknowledge()
        default: try await pass()
        }
    }

    private mutating func post() async throws {
        var postings: [Posting] = []
        for _ in 0...number(2) {
            let sender = QueueAddress.app(Self.apps[number(2)])
            var draft = MessageDraft(sender: sender, app: nil)
            draft.body = Array("text".utf8)
            draft.priority = Message.Priority.allCases[number(3)]
            if number(3) == 0 { draft.group = ["g", "h"][number(2)] }
            if number(4) == 0 { draft.expires = time.timestamp + .seconds(1 + number(60)) }
            if number(5) == 0 { draft.notBefore = time.timestamp + .seconds(1 + number(20)) }
            if number(4) == 0 { draft.collapse = ["x", "y"][number(2)] }
            if number(2) == 0 { draft.senderID = "id-\(number(40))" }
            if number(3) == 0 { draft.receipts = number(2) == 0 ? .final : .all }
            postings.append(Posting(draft, to: Self.recipients[number(Self.recipients.count)]))
        }
        let posted = try await mailroom.post(postings)
        for (posting, result) in zip(postings, posted) where posting.draft.senderID != nil && result.message != nil {
            named.append((posting, result.key, time.now))
        }
    }

    private mutating func take() async {
        var order = TakeOrder(Self.recipients[number(Self.recipients.count)], consumer: "c\(number(3))")
        (order.max, order.lock) = (1 + number(3), .seconds(1 + number(20)))
        order.deletes = number(10) == 0
        let got = await withCheckedContinuation { (done: CheckedContinuation<[HandedOver], Never>) in
            let waiting = mailroom.take(order, waits: false) { done.resume(returning: (try? $0.get()) ?? []) }
            #expect(waiting == nil)
        }
        for handed in got {
            let isDone: QueueMachine.Settlement? = order.deletes ? .complete : nil
            tickets.append(Ticket(key: handed.message.key, token: handed.lock.token, settled: isDone))
        }
    }

    private mutating func settle() async {
        guard !tickets.isEmpty else { return }
        // Mostly a late one, so that much is held at each moment.
        let index = number(3) == 0 ? number(tickets.count) : max(0, tickets.count - 1 - number(6))
        let settlements: [QueueMachine.Settlement] = [
            .complete, .complete, .abandon(delay: .zero), .abandon(delay: .seconds(5)), .defer,
            .deadLetter(reason: "r"),
        ]
        let settlement = settlements[number(settlements.count)]
        let isFirst = tickets[index].settled == nil
        let order = SettleOrder(key: tickets[index].key, token: tickets[index].token, settlement: settlement)
        let outcome = await Self.settle(order, mailroom)
        if isFirst, case .settled = outcome { tickets[index].settled = settlement }
    }

    /// What a consumer is answered: by the queue, or by the store where only it knows.
    static func settle(_ order: SettleOrder, _ mailroom: Mailroom) async -> SettleOutcome {
        let outcome = await withCheckedContinuation { (done: CheckedContinuation<SettleOutcome, Never>) in
            mailroom.settle([order], consumer: "c") { done.resume(returning: (try? $0.get().first) ?? .lost) }
        }
        // What was purged is as unknown as what is lost.
        return outcome == .unknown ? (try? await mailroom.past(order)) ?? .lost : outcome
    }

    private mutating func renew() {
        guard let ticket = pick(tickets) else { return }
        _ = mailroom.renew(ticket.key, token: ticket.token, for: .seconds(10))
    }

    private mutating func lockOne() async {
        guard let number = mailroom.number(of: Self.recipients[number(Self.recipients.count)].address),
            let address = mailroom.address(of: number)
        else { return }
        let deferred = mailroom.keeper.read { state in
            (state.queues[number]?.machine.numbers ?? []).filter {
                state.queues[number]?.machine.state(of: $0) == .deferred
            }
        }
        guard let seq = pick(deferred) else { return }
        let key = MessageKey(queue: number, seq: seq)
        let order = TakeOrder(Recipient(address), consumer: "c")
        let got = await withCheckedContinuation { (done: CheckedContinuation<[HandedOver], Never>) in
            do throws(QueueMachine.Unavailable) {
                try mailroom.lock(key, in: .deferred, order) { done.resume(returning: (try? $0.get()) ?? []) }
            } catch {
                done.resume(returning: [])
            }
        }
        for handed in got { tickets.append(Ticket(key: key, token: handed.lock.token)) }
    }

    private mutating func redrive() async throws {
        let dead = mailroom.keeper.read { state in
            state.queues.values.flatMap { queue in
                queue.machine.numbers.filter { queue.machine.state(of: $0) == .dead }
                    .map { MessageKey(queue: queue.number, seq: $0) }
            }
        }.sorted()
        if let key = pick(dead) { try await mailroom.redrive(key) }
    }

    /// The device has seen what is on its stream, up to some event.
    private mutating func acknowledge() async throws {
        let last = mailroom.lastNumber(.account("alice"))
        if last > 0 {
            try await mailroom.acknowledged("phone", of: "alice", upTo: Int64.random(in: 1...last, using: &random))
        }
    }

    /// Time passes, and what it brings up is done, or not yet.
    private mutating func pass() async throws {
        time.advance(by: .seconds(number(8)))
        // Rarely much, so that senders' ids are forgotten.
        if number(20) == 0 { time.advance(by: .seconds(300)) }
        guard number(4) > 0 else { return }
        let ripe = try await mailroom.fire()
        _ = try await mailroom.settle(ripe.expired, as: .expired, reason: "expired", receipts: [.expired]) { _ in nil }
    }
}
