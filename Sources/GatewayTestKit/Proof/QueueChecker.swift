/// Judges a history: a total-queue checker after Jepsen's, with locks, groups and receipts added. It finds only what
/// the clients' own clocks and answers prove; what is unknown is never held against the gateway.
package struct QueueChecker: Sendable {
    package struct Fault: Sendable, Hashable, CustomStringConvertible {
        package enum Kind: String, Sendable, CaseIterable {
            /// Accepted, and at the end neither done (by a consumer that had it), dead nor rightly expired.
            case lost
            /// Handed over although nobody sent it, or although its sending was refused.
            case unexpected
            /// One sending became two messages (G7).
            case stored2 = "stored twice"
            /// Completions with different tokens both took effect (G4).
            case settled2 = "settled twice"
            /// Repeating a completion was answered otherwise (G5).
            case repeated = "repeat answered otherwise"
            /// Handed over after it was done.
            case resurrected
            /// Two consumers held it at once (G4).
            case overlap = "locks overlap"
            /// A lock was refused before its time was over.
            case revoked = "lock ended early"
            /// Of a group, a later message was handed over first, or while an earlier one was held (G6).
            case order = "out of order"
            /// A repeated hand-over was not counted (G3).
            case uncounted = "repeat not counted"
            /// Not exactly one of delivered, expired, dead (G10).
            case receipts = "not one receipt"
        }

        package let kind: Kind
        package let message: String
        package let detail: String
        package var description: String { "\(kind.rawValue): message \(message): \(detail)" }
    }

    private let history: QueueHistory
    private let deliveries: [String: [QueueHistory.Delivery]]
    private let settlements: [String: [QueueHistory.Settlement]]
    /// The messages that each value became.
    private let messages: [String: Set<String>]

    package init(_ history: QueueHistory) {
        self.history = history
        deliveries = Dictionary(grouping: history.deliveries, by: \.message)
            .mapValues { $0.sorted { $0.received < $1.received } }
        settlements = Dictionary(grouping: history.settlements, by: \.message)
            .mapValues { $0.sorted { $0.sent < $1.sent } }
        var messages: [String: Set<String>] = [:]
        for put in history.puts {
            if case .accepted(let message) = put.answer { messages[put.value, default: []].insert(message) }
        }
        for delivery in history.deliveries { messages[delivery.value, default: []].insert(delivery.message) }
        self.messages = messages
    }

    /// All faults; none is what is hoped for.
    package func faults() -> [Fault] {
        let faults = puts() + deliveries.flatMap { ofMessage($0.key, $0.value) } + groups() + receipts()
        return faults.sorted { ($0.kind.rawValue, $0.message) < ($1.kind.rawValue, $1.message) }
    }

    // MARK: What was sent

    private func puts() -> [Fault] {
        var faults: [Fault] = []
        let byValue = Dictionary(grouping: history.puts, by: \.value)
        for (value, puts) in byValue {
            let known = messages[value] ?? []
            if known.count > 1 {
                faults.append(Fault(kind: .stored2, message: value, detail: "it became \(known.sorted())"))
            }
            if puts.allSatisfy({ $0.answer == .refused }), let message = known.first {
                faults.append(Fault(kind: .unexpected, message: message, detail: "its sending was refused"))
            }
            for case .accepted(let message) in Set(puts.map(\.answer)) {
                if let detail = loss(message, mayExpire: puts.contains { $0.mayExpire }) {
                    faults.append(Fault(kind: .lost, message: message, detail: detail))
                }
            }
        }
        for (value, known) in messages where byValue[value] == nil {
            faults.append(
                Fault(kind: .unexpected, message: known.sorted()[0], detail: "nobody sent the value \(value)"))
        }
        return faults
    }

    private func loss(_ message: String, mayExpire: Bool) -> String? {
        switch history.finals[message] {
        case "done":
            let wasCompleted = (settlements[message] ?? []).contains { $0.verb == .complete && $0.answer != .lost }
            return wasCompleted ? nil : "it is done, but no consumer that had it completed it"
        case "dead": return nil
        case "expired": return mayExpire ? nil : "it expired although its time has no limit"
        case let state?: return "after everything was drained it is still \(state)"
        case nil: return "the gateway does not know it"
        }
    }

    // MARK: One message

    private func ofMessage(_ message: String, _ deliveries: [QueueHistory.Delivery]) -> [Fault] {
        var faults: [Fault] = []
        func fault(_ kind: Fault.Kind, _ detail: String) {
            faults.append(Fault(kind: kind, message: message, detail: detail))
        }
        let settlements = settlements[message] ?? []
        let done = settlements.filter { $0.verb == .complete && $0.answer == .taken(state: "done") }
        if Set(done.map(\.token)).count > 1 { fault(.settled2, "completed by \(Set(done.map(\.token)).sorted())") }
        if let first = done.map(\.answered).min() {
            if deliveries.contains(where: { $0.asked > first }) { fault(.resurrected, "it was done at \(first)") }
            let later = settlements.filter { $0.verb == .complete && $0.sent > first && $0.token == done[0].token }
            if later.contains(where: { $0.answer == .lost }) { fault(.repeated, "done at \(first), later lock_lost") }
        }
        if !history.redriven.contains(message), deliveries.count(where: { $0.delivery <= 1 }) > 1 {
            fault(.uncounted, "counted \(deliveries.map(\.delivery))")
        }
        for (_, inBoot) in Dictionary(grouping: deliveries, by: \.boot) {
            let locks = inBoot.map { lock($0, settlements) }.filter { $0.end > $0.start }
            for (first, second) in zip(locks, locks.dropFirst())
            where second.start < first.end && first.token != second.token {
                fault(.overlap, "held until \(first.end), and by another from \(second.start)")
            }
            for lock in locks where lock.isRefused { fault(.revoked, "refused before \(lock.end)") }
        }
        return faults
    }

    private struct Lock {
        let token: String
        let start: Int64
        /// Until then the lock holds for certain.
        var end: Int64
        var isRefused = false
    }

    /// The time in which a consumer was certain to hold a message: from the answer it got until it sent the first
    /// settlement, but no longer than the lock would last had it begun when the message was asked for.
    private func lock(_ delivery: QueueHistory.Delivery, _ settlements: [QueueHistory.Settlement]) -> Lock {
        var lock = Lock(token: delivery.token, start: delivery.received, end: delivery.asked + delivery.lock)
        for settlement in settlements where settlement.token == delivery.token && settlement.boot == delivery.boot {
            if settlement.answer == .lost && settlement.answered < lock.end { lock.isRefused = true }
            guard settlement.verb == .renew else {
                lock.end = min(lock.end, settlement.sent)
                break
            }
            // The renewed time may also end earlier than the one before.
            if settlement.answer != .lost { lock.end = min(lock.end, settlement.sent) }
            if case .taken = settlement.answer { lock.end = settlement.sent + settlement.lock }
        }
        return lock
    }

    // MARK: Groups and receipts

    private func groups() -> [Fault] {
        var firsts: [String: [QueueHistory.Delivery]] = [:]
        for (_, deliveries) in deliveries {
            if let first = deliveries.first, let group = first.group { firsts[group, default: []].append(first) }
        }
        var faults: [Fault] = []
        for (group, deliveries) in firsts {
            let ordered = deliveries.sorted { $0.received < $1.received }
            for (first, second) in zip(ordered, ordered.dropFirst()) where second.seq < first.seq {
                faults.append(
                    Fault(
                        kind: .order, message: second.message,
                        detail: "in group \(group), \(first.message) (\(first.seq)) came before it (\(second.seq))"))
            }
        }
        for group in Dictionary(grouping: history.deliveries.filter { $0.group != nil }, by: \.boot).values {
            for members in Dictionary(grouping: group, by: \.group).values { faults += held(members) }
        }
        return faults
    }

    /// While one of a group is held the rest waits; `members` are hand-overs of one group in one life.
    private func held(_ members: [QueueHistory.Delivery]) -> [Fault] {
        var faults: [Fault] = []
        var holder: (lock: Lock, delivery: QueueHistory.Delivery)?
        for member in members.sorted(by: { $0.received < $1.received }) {
            let own = lock(member, settlements[member.message] ?? [])
            guard own.end > own.start else { continue }
            if let holder, own.start < holder.lock.end, isOutOfTurn(member, after: holder.delivery) {
                let detail =
                    "handed over at \(own.start), while \(holder.delivery.message) was held until \(holder.lock.end)"
                faults.append(Fault(kind: .order, message: member.message, detail: detail))
            }
            if own.end > holder?.lock.end ?? 0 { holder = (own, member) }
        }
        return faults
    }

    /// What was deferred is had by its id whatever the group does: also while another is held whose answer is still on
    /// its way. Then the other is out of turn only if it was asked for afterwards.
    private func isOutOfTurn(_ member: QueueHistory.Delivery, after holder: QueueHistory.Delivery) -> Bool {
        if member.wasDeferred || holder.message == member.message { return false }
        return !holder.wasDeferred || member.asked > holder.received
    }

    private func receipts() -> [Fault] {
        let last: Set<String> = ["delivered", "expired", "dead"]
        let told = Dictionary(grouping: Set(history.receipts).filter { last.contains($0.state) }, by: \.message)
        let wanted = Set(history.puts.filter(\.wantsReceipt).flatMap { messages[$0.value] ?? [] })
        // A sending without an answer may have become a message that expired before anybody saw its id.
        let known = messages.values.reduce(into: Set<String>()) { $0.formUnion($1) }
        let unseen = Set(
            history.puts.filter { $0.wantsReceipt && $0.mayExpire && messages[$0.value] == nil }.map(\.value)
        ).count
        let strangers = told.filter { !known.contains($0.key) }
        let areForeseen =
            strangers.count <= unseen && strangers.values.allSatisfy { $0.map(\.state) == ["expired"] }
        return wanted.union(told.keys).compactMap { message in
            if areForeseen, strangers[message] != nil { return nil }
            let states = (told[message] ?? []).map(\.state).sorted()
            if states.count == 1 && wanted.contains(message) { return nil }
            let detail = wanted.contains(message) ? "told \(states)" : "nobody asked, told \(states)"
            return Fault(kind: .receipts, message: message, detail: detail)
        }
    }
}
