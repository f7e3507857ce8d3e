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
        if subject.group > .zero {
            groups[GroupKey(device: device, app: subject.app), default: Group()].held.insert(key)
        }
        set(key, device, .waiting(.quietHours), due: view.now + wait)
        return .decided(subject, device, .hold, .quietHours)
    }

    /// Announces unless it is quiet or a burst is being grouped.
    mutating func ring(_ key: MessageKey, _ device: DeviceID, _ reason: Reason?, _ view: NotifierView) -> [Action] {
        guard let subject = entries[key]?.subject else { return [] }
        if let held = quiet(key, device, view) { return [held] }
        let groupKey = GroupKey(device: device, app: subject.app)
        // What goes on to another channel has waited long enough.
        let isFurther = entries[key]?.deliveries[device]?.channel != nil
        if subject.group > .zero, subject.priority != .high, !isFurther, let last = groups[groupKey]?.lastRing,
            view.now < last + subject.group
        {
            groups[groupKey]?.held.insert(key)
            set(key, device, .waiting(.grouped), due: last + subject.group)
            return [.decided(subject, device, .hold, .grouped)]
        }
        if let held = tooOften([key], device, view) { return held }
        return announce([key], to: device, reason, view)
    }

    /// Holds messages while the device is rung as often as it may be; nil when it may ring once more. Each that
    /// waits becomes part of the next digest.
    private mutating func tooOften(_ keys: [MessageKey], _ device: DeviceID, _ view: NotifierView) -> [Action]? {
        let subjects = keys.compactMap { entries[$0]?.subject }
        let priority: Message.Priority = subjects.contains { $0.priority == .high } ? .high : .normal
        guard !mayRing(device, priority, at: view.now) else { return nil }
        // Those held are served one digest a token: in turn, as their times come.
        let wait = max(.seconds(1), rates[device]?.wait(at: view.now) ?? .zero)
        return subjects.map { subject in
            groups[GroupKey(device: device, app: subject.app), default: Group()].held.insert(subject.key)
            set(subject.key, device, .waiting(.deviceRate), due: view.now + wait)
            return .decided(subject, device, .hold, .deviceRate)
        }
    }

    /// Shows messages on a device: on its stream if it is connected, else through its channel.
    mutating func announce(
        _ wanted: [MessageKey], to device: DeviceID, _ reason: Reason?, mayNotify: Bool = true, _ view: NotifierView
    ) -> [Action] {
        let byChannel = Dictionary(grouping: wanted) { entries[$0]?.deliveries[device]?.channel }
        if byChannel.count > 1 {
            return byChannel.values.sorted { $0[0] < $1[0] }.flatMap {
                announce($0, to: device, reason, mayNotify: mayNotify, view)
            }
        }
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
            groups[GroupKey(device: device, app: newest.app), default: Group()].lastRing = view.now
        }
        let onStream = mayNotify && view.isLive(device)
        let channels = onStream ? [] : view.channels(device)
        let isFirst = !keys.contains { shown[$0]?[device] != nil }
        if keys.count > 1, isFirst, onStream || !channels.isEmpty {
            covered[Shown(device: device, representative: newest.key, pushed: !onStream)] = Set(keys)
        }
        if onStream {
            for key in keys {
                set(key, device, .notified(number: 0, representative: newest.key), due: view.now + view.ack)
            }
            return held + [.decided(newest, device, .notify, reason ?? .liveStream), .notify(device, subjects)]
        }
        if let first = channels.first {
            let wanted = entries[newest.key]?.deliveries[device]?.channel
            let channel = wanted.flatMap { channels.contains($0) ? $0 : nil } ?? first
            for key in keys { set(key, device, .pushing(representative: newest.key), due: nil, channel: channel) }
            let push: Action = .push(device, subjects, channel: channel)
            return held + [.decided(newest, device, .push, reason ?? .noConnection), push]
        }
        return held + unreachable(keys, device, view)
    }

    /// The device can be told neither now nor by push: its messages wait for it to connect.
    mutating func unreachable(_ keys: [MessageKey], _ device: DeviceID, _ view: NotifierView) -> [Action] {
        guard let newest = keys.max(), let subject = entries[newest]?.subject else { return [] }
        for key in keys { set(key, device, .unreachable, due: nil) }
        // Nobody hears of it here: the next device must not wait for an acknowledgement that cannot come.
        return [.decided(subject, device, .hold, .noChannel)] + escalate(keys, view, force: true)
    }

    mutating func fire(_ key: MessageKey, _ device: DeviceID, _ phase: Phase, _ view: NotifierView) -> [Action] {
        switch phase {
        case .waiting(.grouped), .waiting(.deviceRate): return flush(key, device, view)
        // Without a digest each rings for itself.
        case .waiting(.quietHours) where (entries[key]?.subject.group ?? .zero) > .zero: return flush(key, device, view)
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
            guard view.isLive(device) || view.isShownByFarm(device, subject.app) else {
                return announce([key], to: device, .notAcknowledged, view)
            }
            return [.suppressed(subject, device)]
                + finish(key, device, .streamed, representative: key, acknowledged: true)
        case .notified: return retryUnacknowledged(device, .notAcknowledged, view)
        case .pushing, .unreachable, .final: return []
        }
    }

    /// After waiting (quiet hours, a reader elsewhere) everything is looked at anew.
    mutating func begin(
        again key: MessageKey, _ device: DeviceID, _ view: NotifierView, reason: Reason? = nil
    ) -> [Action] {
        guard let subject = entries[key]?.subject else { return [] }
        if let lease = view.foregroundUntil(device, subject.app) { return stream(key, subject, device, lease, view) }
        if let forwarded = forward(key, subject, device, view) { return forwarded }
        return ring(key, device, reason, view)
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

    /// The time of a group is over, or of the quiet, or the device may be rung again: everything held for it is one
    /// digest.
    private mutating func flush(_ key: MessageKey, _ device: DeviceID, _ view: NotifierView) -> [Action] {
        guard let subject = entries[key]?.subject else { return [] }
        let groupKey = GroupKey(device: device, app: subject.app)
        // Each of a quiet night's messages has its own time, rounded its own way.
        let soon = view.now + .seconds(1)
        var (held, later): (Set<MessageKey>, Set<MessageKey>) = ([], [])
        for key in groups[groupKey]?.held ?? [] {
            guard let delivery = entries[key]?.deliveries[device] else { continue }
            switch delivery.phase {
            case .waiting(.grouped), .waiting(.deviceRate): held.insert(key)
            case .waiting(.quietHours) where delivery.due.map({ $0 > soon }) ?? false: later.insert(key)
            case .waiting(.quietHours): held.insert(key)
            default: break
            }
        }
        groups[groupKey]?.held = later
        let keys = held.union([key]).sorted()
        if let lease = view.foregroundUntil(device, subject.app) {
            return keys.flatMap { key -> [Action] in
                guard let subject = entries[key]?.subject else { return [] }
                return stream(key, subject, device, lease, view)
            }
        }
        return tooOften(keys, device, view) ?? announce(keys, to: device, nil, view)
    }

    mutating func set(
        _ key: MessageKey, _ device: DeviceID, _ phase: Phase, due: Moment?, channel: String? = nil
    ) {
        let channel = channel ?? entries[key]?.deliveries[device]?.channel
        entries[key]?.deliveries[device] = Delivery(phase: phase, due: due, channel: channel)
        if let due { timers.insert(Timer(message: key, device: device), due: due) }
    }

    /// Nothing more is to be done for the device.
    mutating func finish(
        _ key: MessageKey, _ device: DeviceID, _ outcome: DeliveryRecord.Outcome, detail: String? = nil,
        representative: MessageKey, acknowledged: Bool, channel: String? = nil
    ) -> [Action] {
        if acknowledged { entries[key]?.escalation = [] }
        close(key, device)
        let record = record(key, device, outcome, detail, representative, channel)
        // What it shows already stays what is taken back: the first channel's.
        if outcome == .pushed || outcome == .notified, shown[key]?[device]?.pushed != true {
            shown[key, default: [:]][device] = Shown(
                device: device, representative: representative, pushed: outcome == .pushed,
                collapse: entries[representative]?.subject.collapse)
        }
        dropIfDone(key)
        return [record]
    }

    /// What is recorded of the end of a delivery. Of a device that shows the message by an earlier channel this stays
    /// known, and only the channel and its answer are new.
    func record(
        _ key: MessageKey, _ device: DeviceID, _ outcome: DeliveryRecord.Outcome, _ detail: String?,
        _ representative: MessageKey, _ channel: String?
    ) -> Action {
        guard let first = shown[key]?[device], first.pushed, outcome == .failed || outcome == .pushed else {
            return .record(key, device, outcome, detail: detail, representative: representative, channel: channel)
        }
        return .record(key, device, .pushed, detail: detail, representative: first.representative, channel: channel)
    }

    /// What was under way to the device has ended. While others may still be told, its acknowledgement counts.
    mutating func close(_ key: MessageKey, _ device: DeviceID) {
        set(key, device, .final, due: nil)
        if entries[key]?.escalation.isEmpty ?? true { forget(key, device) }
    }

    private mutating func forget(_ key: MessageKey, _ device: DeviceID) {
        pending[device]?.remove(key)
        if pending[device]?.isEmpty == true { pending[device] = nil }
    }

    mutating func dropIfDone(_ key: MessageKey) {
        guard let entry = entries[key], entry.escalation.isEmpty,
            entry.deliveries.values.allSatisfy({ $0.phase == .final })
        else { return }
        for device in entry.deliveries.keys { forget(key, device) }
        entries[key] = nil
    }
}
