internal import Base

// Who is told at first, and who next: the devices of an account, then their further channels.
extension NotifierMachine {
    // MARK: The order

    /// A message was stored. `devices` are the account's, the one seen last first; `done` those already told
    /// before a restart, and how that ended.
    package mutating func announce(
        _ subject: Subject, devices: [DeviceID], done: [DeviceID: Told] = [:], _ view: NotifierView
    ) -> [Action] {
        guard entries[subject.key] == nil else { return [] }
        var entry = Entry(subject: subject)
        let starts: [Step]
        switch subject.targets {
        case .latest:
            starts = latest(devices, done, &entry, view)
        case .all:
            starts = side(devices, done, &entry, view)
        case .devices(let wanted):
            starts = side(wanted.filter(devices.contains), done, &entry, view)
        case .escalate(let wanted, _):
            // After a restart somebody may have acknowledged it, or has as long as before to do so.
            if done.values.contains(where: \.isAcknowledged) { return [] }
            let order = wanted.isEmpty ? devices : wanted.filter(devices.contains)
            let steps = Self.inTurn(order.map { rest(of: $0, done[$0], view) })
            starts = done.isEmpty ? Array(steps.prefix(1)) : []
            entry.escalation = Array(steps.dropFirst(starts.count))
        }
        if starts.isEmpty, entry.escalation.isEmpty {
            return done.isEmpty ? [.decided(subject, nil, .hold, .noDevice)] : []
        }
        if !entry.escalation.isEmpty {
            entry.escalationDue = view.now + subject.escalation
            timers.insert(Timer(message: subject.key, device: nil), due: view.now + subject.escalation)
            // Where it was shown before a restart it can still be acknowledged.
            for (device, told) in done where told.outcome == .pushed {
                entry.deliveries[device] = Delivery(phase: .final, due: nil, channel: told.channel)
                pending[device, default: []].insert(subject.key)
            }
        }
        entries[subject.key] = entry
        return starts.flatMap { step in
            step.channel == nil
                ? begin(subject.key, step.device, view) : goOn([subject.key], step, .channelFailed, view)
        }
    }

    /// The device seen last that can be reached, then its further channels; other devices only when all that failed.
    private func latest(
        _ devices: [DeviceID], _ done: [DeviceID: Told], _ entry: inout Entry, _ view: NotifierView
    ) -> [Step] {
        let left = devices.filter { done[$0] != nil }.flatMap { rest(of: $0, done[$0], view) }
        let untried = devices.filter { done[$0] == nil }
        if done.values.contains(where: { $0.outcome != .failed }) {
            entry.escalation = done.values.contains(where: \.isAcknowledged) ? [] : left
            return []
        }
        // Where only dead devices were tried before a restart, the one that was next is still to be told.
        guard left.isEmpty else {
            (entry.escalation, entry.fallback) = (Array(left.dropFirst()), untried)
            return Array(left.prefix(1))
        }
        guard let chosen = untried.first(where: { view.isReachable($0, entry.subject.app) }) ?? untried.first else {
            return []
        }
        entry.fallback = untried.filter { $0 != chosen }
        let steps = rest(of: chosen, nil, view)
        entry.escalation = Array(steps.dropFirst())
        return Array(steps.prefix(1))
    }

    /// What there is to try on a device: the device itself, then its further channels; after what was tried before a
    /// restart only those behind it.
    private func rest(of device: DeviceID, _ told: Told?, _ view: NotifierView) -> [Step] {
        let channels = view.channels(device)
        guard let told else {
            return [Step(device: device, channel: nil)]
                + channels.dropFirst().map { Step(device: device, channel: $0) }
        }
        guard !told.isAcknowledged else { return [] }
        guard let channel = told.channel else {
            return channels.dropFirst().map { Step(device: device, channel: $0) }
        }
        // A channel that is not there any more was found dead: those that are left come after it.
        let next = channels.firstIndex(of: channel).map { $0 + 1 } ?? 0
        return channels[next...].map { Step(device: device, channel: $0) }
    }

    /// Several devices at once, and their further channels at once again.
    private func side(
        _ devices: [DeviceID], _ done: [DeviceID: Told], _ entry: inout Entry, _ view: NotifierView
    ) -> [Step] {
        var (starts, ladders): ([Step], [[Step]]) = ([], [])
        for device in devices {
            let steps = rest(of: device, done[device], view)
            // What was pushed before a restart has as long as before to be acknowledged.
            let isPushed = done[device]?.outcome == .pushed
            starts += steps.prefix(isPushed ? 0 : 1)
            ladders.append(Array(steps.dropFirst(isPushed ? 0 : 1)))
        }
        if !done.values.contains(where: \.isAcknowledged) { entry.escalation = Self.inTurn(ladders) }
        return starts
    }

    /// The first of each, then the second of each: no last resort before every device was tried.
    private static func inTurn(_ ladders: [[Step]]) -> [Step] {
        (0..<(ladders.map(\.count).max() ?? 0)).flatMap { rung in
            ladders.compactMap { $0.indices.contains(rung) ? $0[rung] : nil }
        }
    }

    // MARK: The next

    /// Goes on with those that are next, because nobody has acknowledged where it was sent before.
    /// - Parameter force: not for want of an acknowledgement: it cannot come.
    mutating func escalate(_ keys: [MessageKey], _ view: NotifierView, force: Bool = false) -> [Action] {
        var actions: [Action] = []
        var further: [Step: [MessageKey]] = [:]
        for key in keys {
            for step in takeSteps(key, view, force: force) {
                if step.channel == nil {
                    actions += begin(key, step.device, view)
                } else {
                    further[step, default: []].append(key)
                }
            }
        }
        actions += goOn(further, force ? .channelFailed : .escalated, view)
        for key in keys { dropIfDone(key) }
        return actions
    }

    /// Takes what is next off a message's list: one device, or the channels that go together.
    private mutating func takeSteps(_ key: MessageKey, _ view: NotifierView, force: Bool) -> [Step] {
        guard let entry = entries[key], let first = entry.escalation.first else { return [] }
        guard force || entry.escalationDue.map({ $0 <= view.now }) ?? false else { return [] }
        if first.channel != nil, !force, entry.deliveries.values.contains(where: { $0.phase.isBeforeRing }) {
            // Nobody was told yet: what was sent first must have its time.
            wait(key, view)
            return []
        }
        var steps = [first]
        if case .escalate = entry.subject.targets {
        } else {
            for step in entry.escalation.dropFirst() {
                if steps.contains(where: { $0.device == step.device }) { break }
                steps.append(step)
            }
        }
        entries[key]?.escalation.removeFirst(steps.count)
        if entry.escalation.count > steps.count { wait(key, view) }
        let usable = steps.filter { step in step.channel.map { view.channels(step.device).contains($0) } ?? true }
        return usable.isEmpty && force ? takeSteps(key, view, force: true) : usable
    }

    /// What is next gets its turn when nobody has acknowledged by then.
    mutating func wait(_ key: MessageKey, _ view: NotifierView) {
        guard let entry = entries[key], !entry.escalation.isEmpty else { return }
        let due = view.now + entry.subject.escalation
        entries[key]?.escalationDue = due
        timers.insert(Timer(message: key, device: nil), due: due)
    }

    private mutating func goOn(
        _ further: [Step: [MessageKey]], _ reason: Reason, _ view: NotifierView
    ) -> [Action] {
        further.sorted { ($0.value[0], $0.key.device) < ($1.value[0], $1.key.device) }
            .flatMap { goOn($0.value, $0.key, reason, view) }
    }

    /// Announces messages through a further channel of a device; several of an app's in one digest.
    private mutating func goOn(
        _ keys: [MessageKey], _ step: Step, _ reason: Reason, _ view: NotifierView
    ) -> [Action] {
        var byApp: [AppID?: [MessageKey]] = [:]
        for key in keys {
            guard let subject = entries[key]?.subject else { continue }
            pending[step.device, default: []].insert(key)
            set(key, step.device, .waiting(reason), due: nil, channel: step.channel)
            byApp[subject.app, default: []].append(key)
        }
        return byApp.values.sorted { $0[0] < $1[0] }.flatMap { keys in
            keys.count == 1
                ? begin(again: keys[0], step.device, view, reason: reason)
                : announce(keys.sorted(), to: step.device, reason, view)
        }
    }

    // MARK: How a push ended

    /// A push ended for good.
    /// - Parameter channel: the push service it went through.
    package mutating func pushFinished(
        _ device: DeviceID, representative: MessageKey, messages: [MessageKey], outcome: DeliveryRecord.Outcome,
        detail: String?, channel: String? = nil, _ view: NotifierView
    ) -> [Action] {
        var (actions, records, failed): ([Action], [Action], [MessageKey]) = ([], [], [])
        for key in messages {
            guard let delivery = entries[key]?.deliveries[device], case .pushing = delivery.phase else { continue }
            // A push from before, through a channel that nobody waits for any more, changes nothing.
            if let channel, let current = delivery.channel, channel != current { continue }
            if outcome == .failed {
                close(key, device)
                failed.append(key)
                records.append(record(key, device, outcome, detail, representative, channel))
            } else {
                // Counted from now: before, nobody could acknowledge.
                if entries[key]?.escalation.first?.channel != nil { wait(key, view) }
                records += finish(
                    key, device, outcome, detail: detail, representative: representative, acknowledged: false,
                    channel: channel)
            }
        }
        // Before what comes next speaks of the same messages.
        let ended = endOrphan(device, representative, outcome)
        actions += next(failed, after: device, view)
        for key in failed { dropIfDone(key) }
        return actions + records + ended
    }

    private mutating func endOrphan(
        _ device: DeviceID, _ representative: MessageKey, _ outcome: DeliveryRecord.Outcome
    ) -> [Action] {
        let item = Shown(device: device, representative: representative, pushed: true)
        let orphan = orphans.removeValue(forKey: item)
        let isShown = orphan?.isShown ?? (shown[representative]?[device] == item)
        if outcome != .pushed, !isShown { covered[item] = nil }
        guard let orphan, outcome == .pushed || orphan.isShown else { return [] }
        return [.clear(orphan.item, orphan.account)]
    }

    /// A push failed for good: another channel of the device, or somebody else of the account, must hear of it.
    private mutating func next(_ keys: [MessageKey], after device: DeviceID, _ view: NotifierView) -> [Action] {
        var actions: [Action] = []
        var further: [Step: [MessageKey]] = [:]
        var escalating: [MessageKey] = []
        for key in keys {
            guard let entry = entries[key] else { continue }
            if case .escalate = entry.subject.targets {
                escalating.append(key)
            } else if let index = entry.escalation.firstIndex(where: { $0.device == device }) {
                let step = entry.escalation[index]
                entries[key]?.escalation.remove(at: index)
                further[step, default: []].append(key)
            } else {
                actions += nextDevice(key, view)
            }
        }
        actions += goOn(further, .channelFailed, view)
        return actions + (escalating.isEmpty ? [] : escalate(escalating, view, force: true))
    }

    private mutating func nextDevice(_ key: MessageKey, _ view: NotifierView) -> [Action] {
        guard let entry = entries[key],
            let next = entry.fallback.first(where: { view.isReachable($0, entry.subject.app) })
        else { return [] }
        entries[key]?.fallback.removeAll { $0 == next }
        let further = rest(of: next, nil, view).dropFirst()
        entries[key]?.escalation = Array(further)
        pending[next, default: []].insert(key)
        // Its client may be in front: then it rings there no more than anywhere else.
        return begin(again: key, next, view, reason: .deviceDead)
    }

    /// Somebody tapped a notification: nobody else needs to be woken for what it speaks of.
    package mutating func tapped(_ key: MessageKey) {
        let devices = entries[key].map { Array($0.deliveries.keys) } ?? shown[key].map { Array($0.keys) } ?? []
        var keys: Set<MessageKey> = [key]
        for device in devices {
            keys.formUnion(covered[Shown(device: device, representative: key, pushed: true)] ?? [])
            keys.formUnion(covered[Shown(device: device, representative: key, pushed: false)] ?? [])
        }
        for key in keys {
            entries[key]?.escalation = []
            dropIfDone(key)
        }
    }
}

extension NotifierMachine.Told {
    /// Somebody has it, and nobody else needs to be woken.
    var isAcknowledged: Bool { outcome != .failed && outcome != .pushed }
}

extension NotifierMachine.Phase {
    /// Whether the device will still be rung by itself.
    var isBeforeRing: Bool {
        switch self {
        case .waiting, .streaming, .notified: true
        case .pushing, .unreachable, .final: false
        }
    }
}
