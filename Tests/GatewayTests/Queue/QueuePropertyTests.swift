import Base
import GatewayTestKit
import Testing

@testable import Gateway

/// Random commands on the machine and on the plain model; after each the two must agree in everything that can
/// be asked. A failing seed is printed, so that it can be run alone.
@Suite struct QueuePropertyTests {
    struct Run {
        var random: ManualRandom
        var machine: QueueMachine
        var model: QueueModel
        var now = Moment(nanoseconds: 1_000_000_000)
        var nextSeq: Int64 = 1
        var nextToken: Int64 = 1
        /// Every lock that was ever given, valid or not: settled at random.
        var locks: [QueueMachine.Lock] = []
        var unstored: [Int64] = []

        init(seed: UInt64) {
            random = ManualRandom(seed: seed)
            var rules = QueueMachine.Rules()
            rules.maxDeliveries = 3
            rules.deadLetter = .seconds(40)
            rules.lockTotal = .seconds(25)
            (machine, model) = (QueueMachine(rules: rules), QueueModel(rules: rules))
        }

        mutating func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }
        mutating func token() -> Int64 {
            nextToken += 1
            return nextToken
        }
        mutating func seq() -> Int64 { Int64(number(1..<max(2, Int(nextSeq)))) }
    }

    private static let base = Timestamp(seconds: 1_800_000_000)

    @Test("PL-1 PL-6 PL-14 G4 G6 G12 the machine agrees with the model", arguments: 0..<60)
    func agrees(seed: Int) throws {
        var run = Run(seed: UInt64(seed))
        for step in 0..<400 {
            Self.command(&run)
            try Self.compare(run, "seed \(seed), step \(step)")
        }
    }

    private static func command(_ run: inout Run) {
        switch run.number(0..<100) {
        case 0..<25: insert(&run)
        case 25..<35:
            guard let seq = run.unstored.popLast() else { return }
            run.machine.stored(seq)
            run.model.items[seq]?.isStored = true
        case 35..<55: take(&run)
        case 55..<75: settle(&run)
        case 75..<80: renew(&run)
        case 80..<84: lockOne(&run)
        case 84..<87: putBack(&run)
        case 87..<89: redrive(&run)
        case 89..<91:
            let seq = run.seq()
            let isThere = run.model.items.removeValue(forKey: seq) != nil
            let isOut = run.machine.remove(seq)
            #expect(isOut == isThere)
            run.unstored.removeAll { $0 == seq }
        default: pass(&run)
        }
    }

    private static func insert(_ run: inout Run) {
        let seq = run.nextSeq
        run.nextSeq += 1
        let key = MessageKey(queue: 1, seq: seq)
        let priority = Message.Priority.allCases[run.number(0..<3)]
        var entry = OpenEntry(
            key: key, state: .ready, priority: priority, enqueued: base, deliveries: 0, receipts: .none,
            isDelivered: false)
        let elapsed = run.now
        func wall(_ seconds: Int) -> Timestamp { base + (elapsed - Moment(nanoseconds: 0)) + .seconds(seconds) }
        if run.number(0..<3) == 0 { entry.group = ["a", "b"][run.number(0..<2)] }
        if run.number(0..<4) == 0 { entry.expires = wall(run.number(1..<60)) }
        if run.number(0..<5) == 0 {
            entry.notBefore = wall(run.number(1..<20))
            entry.state = .scheduled
        }
        let isStored = run.number(0..<2) == 0
        func moment(_ time: Timestamp) -> Moment { Moment(nanoseconds: 0) + (time - base) }
        let replaced = run.machine.insert(entry, isStored: isStored, at: run.now, moment: moment)
        #expect(replaced == nil)
        var item = QueueModel.Item(
            seq: seq, rank: priority.rank, group: entry.group, state: entry.state, isStored: isStored)
        item.mayRepeat = isStored
        item.expires = entry.expires.map(moment) ?? .distantFuture
        if let notBefore = entry.notBefore { item.due = moment(notBefore) }
        run.model.items[seq] = item
        if !isStored { run.unstored.insert(seq, at: 0) }
    }

    private static func take(_ run: inout Run) {
        let max = run.number(1..<4)
        var (first, second) = (run.nextToken, run.nextToken)
        let got = run.machine.take(max, for: "c") {
            first += 1
            return first
        }
        let expected = run.model.take(max) {
            second += 1
            return second
        }
        #expect(got == expected)
        run.nextToken = Swift.max(first, second)
        run.locks += got
        if run.number(0..<8) > 0 { handOver(got, &run) }
    }

    private static func handOver(_ locks: [QueueMachine.Lock], _ run: inout Run) {
        let duration = Duration.seconds(run.number(1..<15))
        run.machine.handedOver(locks, for: duration, at: run.now)
        for lock in locks where run.model.items[lock.seq]?.token == lock.token {
            run.model.items[lock.seq]?.since = run.now
            run.model.items[lock.seq]?.ends = run.now + duration
        }
    }

    private static func settle(_ run: inout Run) {
        guard !run.locks.isEmpty else { return }
        let lock = run.locks[run.number(0..<run.locks.count)]
        let settlements: [QueueMachine.Settlement] = [
            .complete, .complete, .abandon(delay: .zero), .abandon(delay: .seconds(5)), .defer,
            .deadLetter(reason: "r"),
        ]
        let settlement = settlements[run.number(0..<settlements.count)]
        let past = run.model.items[lock.seq]?.past
        let isHeld = run.model.items[lock.seq].map { $0.state == .locked && $0.token == lock.token } ?? false
        let expected = run.model.settle(lock.seq, lock.token, settlement, run.now)
        let got = run.machine.settle(lock.seq, token: lock.token, as: settlement, at: run.now)
        switch got {
        case .changed(let change): #expect(change.state == expected)
        case .repeated(let state):
            #expect(!isHeld && past?.token == lock.token && past?.settlement == settlement)
            #expect(state == run.model.items[lock.seq]?.state)
        case .lost: #expect(!isHeld && run.model.items[lock.seq] != nil)
        case .unknown: #expect(!isHeld)
        }
    }

    private static func renew(_ run: inout Run) {
        guard !run.locks.isEmpty else { return }
        let lock = run.locks[run.number(0..<run.locks.count)]
        let got = run.machine.renew(lock.seq, token: lock.token, for: .seconds(10), at: run.now)
        guard let item = run.model.items[lock.seq], item.state == .locked, item.token == lock.token,
            let since = item.since, min(run.now + .seconds(10), since + run.model.rules.lockTotal) > run.now
        else {
            #expect(got == nil)
            return
        }
        run.model.items[lock.seq]?.ends = min(run.now + .seconds(10), since + run.model.rules.lockTotal)
        #expect(got?.remaining == min(.seconds(10), since + run.model.rules.lockTotal - run.now))
    }

    private static func lockOne(_ run: inout Run) {
        let seq = run.seq()
        let wanted: Message.State = run.number(0..<2) == 0 ? .ready : .deferred
        let item = run.model.items[seq]
        let token = run.token()
        let got = try? run.machine.lock(seq, in: wanted, for: "c", token: { token })
        let mayLock =
            item.map { $0.isStored && $0.state == wanted && (wanted == .deferred || run.model.isAvailable($0)) }
            ?? false
        #expect((got != nil) == mayLock)
        guard mayLock, let got else { return }
        let expected = run.model.lock(seq, token)
        #expect(expected == got)
        run.locks.append(got)
        handOver([got], &run)
    }

    private static func putBack(_ run: inout Run) {
        guard let lock = run.locks.last else { return }
        run.machine.putBack([lock])
        guard run.model.items[lock.seq]?.state == .locked, run.model.items[lock.seq]?.token == lock.token else {
            return
        }
        run.model.items[lock.seq]?.state = .ready
        run.model.items[lock.seq]?.token = nil
    }

    private static func redrive(_ run: inout Run) {
        let seq = run.seq()
        let isDead = run.model.items[seq]?.state == .dead
        let change = run.machine.redrive(seq)
        #expect((change != nil) == isDead)
        guard isDead else { return }
        run.model.items[seq]?.state = .ready
        run.model.items[seq]?.deliveries = 0
        run.model.items[seq]?.expires = .distantFuture
        run.model.items[seq]?.past = nil
    }

    private static func pass(_ run: inout Run) {
        run.now = run.now + .seconds(run.number(0..<6))
        let over = run.model.fire(run.now)
        let changes = run.machine.fire(at: run.now)
        let expired = Set(changes.filter { $0.state == .expired }.map(\.seq))
        #expect(expired.isSubset(of: over))
        for seq in expired {
            let isOut = run.machine.expire(seq)
            #expect(isOut)
            run.model.items[seq] = nil
        }
        // What ended its lock in this very step expires with the next look.
        let late = Set(run.machine.fire(at: run.now).filter { $0.state == .expired }.map(\.seq))
        for seq in late {
            let isOut = run.machine.expire(seq)
            #expect(isOut)
            run.model.items[seq] = nil
        }
        #expect(over == expired.union(late))
    }

    private static func compare(_ run: Run, _ place: String) throws {
        try #require(Set(run.machine.numbers) == Set(run.model.items.keys), "\(place)")
        for (seq, item) in run.model.items {
            try #require(run.machine.state(of: seq) == item.state, "\(place), message \(seq)")
            try #require(run.machine.entries[seq]?.deliveries == item.deliveries, "\(place), message \(seq)")
        }
        try #require(run.machine.dead == run.model.items.values.count { $0.state == .dead }, "\(place)")
        try #require(run.machine.lockedCount == run.model.items.values.count { $0.state == .locked }, "\(place)")
        // What would be handed out, in order: on a copy, which the machine is.
        var (copy, model) = (run.machine, run.model)
        var (first, second) = (Int64(0), Int64(0))
        let got = copy.take(.max, for: "x") {
            first += 1
            return first
        }
        let expected = model.take(.max) {
            second += 1
            return second
        }
        try #require(got.map(\.seq) == expected.map(\.seq), "\(place)")
    }
}
