internal import Base

// The steps of one delivery: which phase follows which.
extension NotifierMachine {
    /// The first decision for a device.
    mutating func begin(_ key: MessageKey, _ device: DeviceID, _ view: NotifierView) -> [Action] {
        guard let subject = entries[key]?.subject else { return [] }
        pending[device, default: []].insert(key)
        if let lease = view.foregroundUntil(device, subject.app) { return stream(key, subject, device, lease, view) }
        if let forwarded = forward(key, subject, device, view) { return forwarded }
        if subject.hold > .zero {
            set(key, device, .waiting(.waitingForReader), due: view.now + subject.hold)
            return [.decided(subject, device, .hold, .waitingForReader)]
        }
        return ring(key, device, nil, view)
    }

    /// Leaves the message to the client in front, which has it on its stream, perhaps acknowledged already.
    private mutating func stream(
        _ key: MessageKey, _ subject: Subject, _ device: DeviceID, _ lease: Moment, _ view: NotifierView
    ) -> [Action] {
        let decided: Action = .decided(subject, device, .stream, .visibleSession)
        if view.acknowledged(device) >= subject.number {
            return [decided] + finish(key, device, .streamed, representative: key, acknowledged: true)
        }
        set(key, device, .streaming(since: view.now), due: min(lease, view.now + Self.streamWindow))
        return [decided]
    }

    /// A message between people or devices has no app's client to bring to the front: on the stream it is all there
    /// is to announce. Nil when the device has neither a stream nor the message already.
    private mutating func forward(
        _ key: MessageKey, _ subject: Subject, _ device: DeviceID, _ view: NotifierView
    ) -> [Action]? {
        guard subject.app == nil else { return nil }
        let decided: Action = .decided(subject, device, .stream, .liveStream)
        if view.acknowledged(device) >= subject.number {
            return [decided] + finish(key, device, .notified, representative: key, acknowledged: true)
        }
        guard view.isLive(device) else { return nil }
        set(key, device, .notified(number: subject.number, representative: key), due: view.now + view.ack)
        return [decided]
    }

    /// Holds a message while it is quiet; nil when it may ring.
    private mutating func quiet(_ key: MessageKey, _ device: DeviceID, _ view: NotifierView) -> Action? {
        guard let subject = entries[key]?.subject, subject.priority != .high,
            let end = subject.quietHours?.end(at: view.timestamp)
        else { return nil }
        // A second is added so that the clock on the wall has surely reached the end.
        let wait = max(.seconds(1), end - view.timestamp + .seconds(1))
        set(key, device, .waiting(.quietHours), due: view.now + wait)
        return .decided(subject, device, .hold, .quietHours)
    }

    /// Announces unless it is quiet or a burst is being grouped.
    mutating func ring(_ key: MessageKey, _ device: DeviceID, _ reason: Reason?, _ view: NotifierView) -> [Action] {
        guard let subject = entries[key]?.subject else { return [] }
        if let held = quiet(key, device, view) { return [held] }
        let groupKey = GroupKey(device: device, app: subject.app)
        if subject.group > .zero, subject.priority != .high, let group = groups[groupKey],
            view.now < group.lastRing + subject.group
        {
            groups[groupKey]?.held.append(key)
            set(key, device, .waiting(.grouped), due: group.lastRing + subject.group)
            return [.decided(subject, device, .hold, .grouped)]
        }
        return announce([key], to: device, reason, view)
    }

    /// Shows messages on a device: on its stream if it is connected, else through its channel.
    mutating func announce(
        _ wanted: [MessageKey], to device: DeviceID, _ reason: Reason?, mayNotify: Bool = true, _ view: NotifierView
    ) -> [Action] {
        var (held, keys): ([Action], [MessageKey]) = ([], [])
        for key in wanted {
            if mayNotify, let subject = entries[key]?.subject, let forwarded = forward(key, subject, device, view) {
                held += forwarded
            } else if let action = quiet(key, device, view) {
                held.append(action)
            } else {
                keys.append(key)
            }
        }
        let subjects = keys.compactMap { entries[$0]?.subject }
        guard let newest = subjects.max(by: { $0.key < $1.key }) else { return held }
        if newest.group > .zero {
            groups[GroupKey(device: device, app: newest.app), default: Group(lastRing: view.now)].lastRing = view.now
        }
        let onStream = mayNotify && view.isLive(device)
        if keys.count > 1, onStream || view.hasChannel(device) {
            covered[Shown(device: device, representative: newest.key, pushed: !onStream)] = Set(keys)
        }
        if onStream {
            for key in keys {
                set(key, device, .notified(number: 0, representative: newest.key), due: view.now + view.ack)
            }
            return held + [.decided(newest, device, .notify, reason ?? .liveStream), .notify(device, subjects)]
        }
        if view.hasChannel(device) {
            for key in keys { set(key, device, .pushing(representative: newest.key), due: nil) }
            return held + [.decided(newest, device, .push, reason ?? .noConnection), .push(device, subjects)]
        }
        return held + unreachable(keys, device, view)
    }

    /// The device can be told neither now nor by push: its messages wait for it to connect.
    mutating func unreachable(_ keys: [MessageKey], _ device: DeviceID, _ view: NotifierView) -> [Action] {
        guard let newest = keys.max(), let subject = entries[newest]?.subject else { return [] }
        for key in keys { set(key, device, .unreachable, due: nil) }
        // Nobody hears of it here: the next device must not wait for an acknowledgement that cannot come.
        return [.decided(subject, device, .hold, .noChannel)] + keys.flatMap { escalate($0, view, force: true) }
    }

    mutating func fire(_ key: MessageKey, _ device: DeviceID, _ phase: Phase, _ view: NotifierView) -> [Action] {
        switch phase {
        case .waiting(.grouped): return flush(key, device, view)
        case .waiting: return begin(again: key, device, view)
        case .streaming(let since):
            guard let subject = entries[key]?.subject else { return [] }
            guard let lease = view.foregroundUntil(device, subject.app) else {
                return leftAlone(key, device, since: since, .leaseEnded, view)
            }
            if view.now < since + Self.streamWindow {
                set(key, device, phase, due: min(lease, since + Self.streamWindow))
                return []
            }
            // In front for the whole time, but was there a connection to hear it on? Doubt notifies.
            guard view.isLive(device) else { return announce([key], to: device, .notAcknowledged, view) }
            return [.suppressed(subject, device)]
                + finish(key, device, .streamed, representative: key, acknowledged: true)
        case .notified: return retryUnacknowledged(device, .notAcknowledged, view)
        case .pushing, .unreachable, .final: return []
        }
    }

    /// After waiting (quiet hours, a reader elsewhere) everything is looked at anew.
    private mutating func begin(again key: MessageKey, _ device: DeviceID, _ view: NotifierView) -> [Action] {
        guard let subject = entries[key]?.subject else { return [] }
        if let lease = view.foregroundUntil(device, subject.app) { return stream(key, subject, device, lease, view) }
        if let forwarded = forward(key, subject, device, view) { return forwarded }
        return ring(key, device, nil, view)
    }

    /// The client that was in front is not any more and has not acknowledged.
    mutating func leftAlone(
        _ key: MessageKey, _ device: DeviceID, since: Moment, _ reason: Reason, _ view: NotifierView
    ) -> [Action] {
        // A stream that has been silent for as long as an acknowledgement may take is not trusted again.
        if view.now - since >= view.ack { return announce([key], to: device, reason, mayNotify: false, view) }
        return ring(key, device, reason, view)
    }

    /// Pushes what was shown on the stream and not acknowledged, one push for each notification.
    mutating func retryUnacknowledged(_ device: DeviceID, _ reason: Reason, _ view: NotifierView) -> [Action] {
        var byNotification: [MessageKey: [MessageKey]] = [:]
        for key in pending[device] ?? [] {
            guard let delivery = entries[key]?.deliveries[device],
                case .notified(_, let representative) = delivery.phase
            else { continue }
            if reason == .notAcknowledged, let due = delivery.due, due > view.now { continue }
            byNotification[representative, default: []].append(key)
            covered[Shown(device: device, representative: representative, pushed: false)] = nil
        }
        return byNotification.sorted { $0.key < $1.key }.flatMap {
            announce($0.value.sorted(), to: device, reason, mayNotify: false, view)
        }
    }

    /// The time of a group is over: everything held in it is one digest.
    private mutating func flush(_ key: MessageKey, _ device: DeviceID, _ view: NotifierView) -> [Action] {
        guard let subject = entries[key]?.subject else { return [] }
        let groupKey = GroupKey(device: device, app: subject.app)
        let held = (groups[groupKey]?.held ?? []).filter {
            entries[$0]?.deliveries[device]?.phase == .waiting(.grouped)
        }
        groups[groupKey]?.held = []
        let keys = held.isEmpty ? [key] : held.sorted()
        if let lease = view.foregroundUntil(device, subject.app) {
            return keys.flatMap { key -> [Action] in
                guard let subject = entries[key]?.subject else { return [] }
                return stream(key, subject, device, lease, view)
            }
        }
        return announce(keys, to: device, nil, view)
    }

    /// Goes on with the next device, because nobody has acknowledged on the one before.
    mutating func escalate(_ key: MessageKey, _ view: NotifierView, force: Bool = false) -> [Action] {
        guard let entry = entries[key], let next = entry.escalation.first else { return [] }
        guard force || entry.escalationDue.map({ $0 <= view.now }) ?? false else { return [] }
        entries[key]?.escalation.removeFirst()
        if case .escalate(_, let after) = entry.subject.targets, entry.escalation.count > 1 {
            entries[key]?.escalationDue = view.now + after
            timers.insert(Timer(message: key, device: nil), due: view.now + after)
        }
        let actions = begin(key, next, view)
        dropIfDone(key)
        return actions
    }

    /// A push failed for good: somebody else of the account must hear of the message.
    mutating func nextDevice(_ key: MessageKey, after device: DeviceID, _ view: NotifierView) -> [Action] {
        if entries[key]?.escalation.isEmpty == false { return escalate(key, view, force: true) }
        guard let entry = entries[key], let subject = entries[key]?.subject,
            let next = entry.fallback.first(where: {
                view.foregroundUntil($0, subject.app) != nil || view.isLive($0) || view.hasChannel($0)
            })
        else { return [] }
        entries[key]?.fallback.removeAll { $0 == next }
        pending[next, default: []].insert(key)
        // Its client may be in front: then it rings there no more than anywhere else.
        if let lease = view.foregroundUntil(next, subject.app) { return stream(key, subject, next, lease, view) }
        return ring(key, next, .deviceDead, view)
    }

    mutating func set(_ key: MessageKey, _ device: DeviceID, _ phase: Phase, due: Moment?) {
        entries[key]?.deliveries[device] = Delivery(phase: phase, due: due)
        if let due { timers.insert(Timer(message: key, device: device), due: due) }
    }

    /// Nothing more is to be done for the device.
    mutating func finish(
        _ key: MessageKey, _ device: DeviceID, _ outcome: DeliveryRecord.Outcome, detail: String? = nil,
        representative: MessageKey, acknowledged: Bool
    ) -> [Action] {
        entries[key]?.deliveries[device] = Delivery(phase: .final, due: nil)
        pending[device]?.remove(key)
        if pending[device]?.isEmpty == true { pending[device] = nil }
        if outcome == .pushed || outcome == .notified {
            shown[key, default: [:]][device] = Shown(
                device: device, representative: representative, pushed: outcome == .pushed)
        }
        if acknowledged { entries[key]?.escalation = [] }
        dropIfDone(key)
        return [.record(key, device, outcome, detail: detail, representative: representative)]
    }

    mutating func dropIfDone(_ key: MessageKey) {
        guard let entry = entries[key], entry.escalation.isEmpty,
            entry.deliveries.values.allSatisfy({ $0.phase == .final })
        else { return }
        entries[key] = nil
    }
}
