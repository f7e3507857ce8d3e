package import Base

/// The decision of the design for every message and device, from the moment it is stored until it is
/// shown, handed over, or nobody wants it any more. No clock, no lock, no network.
package struct NotifierMachine: Sendable {
    /// After handing a message to the running client, its silence matters for so long.
    package static let streamWindow: Duration = .seconds(20)

    /// The further down, the more reaches the device.
    package enum Decision: String, Sendable, Hashable, Comparable, CaseIterable {
        case hold
        case push
        case notify
        case stream

        package static func < (a: Decision, b: Decision) -> Bool { a.rank < b.rank }
        private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
    }

    package enum Reason: String, Sendable, Hashable {
        case visibleSession = "visible_session"
        case liveStream = "live_stream"
        case noForeground = "no_foreground"
        case noConnection = "no_connection"
        case sessionHidden = "session_hidden"
        case leaseEnded = "lease_ended"
        case notAcknowledged = "not_acknowledged"
        case connectionLost = "connection_lost"
        case quietHours = "quiet_hours"
        case waitingForReader = "waiting_for_reader"
        case grouped
        case noChannel = "no_channel"
        case noDevice = "no_device"
        case deviceDead = "device_dead"
        case laneFull = "lane_full"
    }

    package enum Action: Sendable, Hashable {
        case decided(Subject, DeviceID?, Decision, Reason)
        /// Announce on the device's stream; answer with `notified`.
        case notify(DeviceID, [Subject])
        case push(DeviceID, [Subject])
        case record(MessageKey, DeviceID, DeliveryRecord.Outcome, detail: String?, representative: MessageKey)
        /// The running client has it and stayed in front: nobody was disturbed.
        case suppressed(Subject, DeviceID)
        /// A notification came through although nobody needs it any more.
        case clear(DeviceID, MessageKey, AccountID)
    }

    enum Phase: Sendable, Hashable {
        case waiting(Reason)
        case streaming(since: Moment)
        /// Shown on the stream under this number (0 until it is known); the notification speaks for the
        /// representative message.
        case notified(number: Int64, representative: MessageKey)
        case pushing(representative: MessageKey)
        case unreachable
        case final
    }

    struct Delivery: Sendable, Hashable {
        var phase: Phase
        var due: Moment?
    }

    struct Entry: Sendable {
        let subject: Subject
        var deliveries: [DeviceID: Delivery] = [:]
        var escalation: [DeviceID] = []
        var escalationDue: Moment?
        /// Other devices of the account, for when the chosen one turns out to be dead.
        var fallback: [DeviceID] = []
    }

    struct Timer: Sendable, Hashable {
        let message: MessageKey
        let device: DeviceID?
    }

    struct GroupKey: Sendable, Hashable {
        let device: DeviceID
        let app: AppID?
    }

    struct Group: Sendable {
        var lastRing: Moment
        var held: [MessageKey] = []
    }

    /// A notification that a device shows, for clearing it.
    package struct Shown: Sendable, Hashable {
        package let device: DeviceID
        package let representative: MessageKey
        package let pushed: Bool
        package init(device: DeviceID, representative: MessageKey, pushed: Bool) {
            (self.device, self.representative, self.pushed) = (device, representative, pushed)
        }
    }

    var entries: [MessageKey: Entry] = [:]
    var pending: [DeviceID: Set<MessageKey>] = [:]
    var groups: [GroupKey: Group] = [:]
    var timers = DeadlineQueue<Timer>()
    var shown: [MessageKey: [DeviceID: Shown]] = [:]
    /// For digests: which of the messages a notification speaks of are still open.
    var covered: [Shown: Set<MessageKey>] = [:]
    /// Messages settled while their push was under way.
    var orphans: [Shown: AccountID] = [:]

    package init() {}

    package var nextDeadline: Moment? { timers.next }
    /// A push that found no room is tried again after this.
    package static let laneRetry: Duration = .seconds(30)

    /// Messages whose announcing is not finished.
    package var pendingCount: Int { entries.count }

    // MARK: Inputs

    /// A message was stored. `devices` are the account's, the one seen last first; `done` those already told
    /// before a restart, and how that ended.
    package mutating func announce(
        _ subject: Subject, devices: [DeviceID], done: [DeviceID: DeliveryRecord.Outcome] = [:], _ view: NotifierView
    ) -> [Action] {
        guard entries[subject.key] == nil else { return [] }
        var entry = Entry(subject: subject)
        var targets: [DeviceID]
        switch subject.targets {
        case .latest:
            // Where only dead devices were tried before a restart, the one that was next is still to be told.
            let untried = devices.filter { done[$0] == nil }
            let reachable = untried.first {
                view.foregroundUntil($0, subject.app) != nil || view.isLive($0) || view.hasChannel($0)
            }
            let isTold = done.values.contains { $0 != .failed }
            targets = isTold ? [] : [reachable ?? untried.first].compactMap { $0 }
            entry.fallback = untried.filter { !targets.contains($0) }
        case .all: targets = devices
        case .devices(let wanted): targets = wanted.filter(devices.contains)
        case .escalate(let wanted, let after):
            let order = (wanted.isEmpty ? devices : wanted.filter(devices.contains)).filter { done[$0] == nil }
            // After a restart somebody may have acknowledged it, or has as long as before to do so.
            if done.values.contains(where: { $0 == .streamed || $0 == .notified }) { return [] }
            targets = done.isEmpty ? Array(order.prefix(1)) : []
            entry.escalation = Array(order.dropFirst(targets.count))
            if !entry.escalation.isEmpty {
                entry.escalationDue = view.now + after
                timers.insert(Timer(message: subject.key, device: nil), due: view.now + after)
            }
        }
        targets.removeAll { done[$0] != nil }
        if targets.isEmpty, entry.escalation.isEmpty {
            return done.isEmpty ? [.decided(subject, nil, .hold, .noDevice)] : []
        }
        entries[subject.key] = entry
        return targets.flatMap { begin(subject.key, $0, view) }
    }

    /// A device acknowledged everything up to a number on its stream.
    package mutating func acknowledged(_ device: DeviceID, upTo: Int64) -> [Action] {
        var actions: [Action] = []
        for key in pending[device] ?? [] {
            guard let entry = entries[key], let delivery = entry.deliveries[device] else { continue }
            switch delivery.phase {
            case .streaming, .unreachable:
                if entry.subject.number <= upTo {
                    actions += finish(key, device, .streamed, representative: key, acknowledged: true)
                }
            case .notified(let number, let representative):
                if number > 0, number <= upTo {
                    actions += finish(key, device, .notified, representative: representative, acknowledged: true)
                }
            case .waiting, .pushing, .final: break
            }
        }
        return actions
    }

    /// A session of the app on the device is no longer (or newly) in front.
    /// - Parameter isSilent: it said nothing of it, its lease ended.
    package mutating func presenceChanged(
        _ device: DeviceID, app: AppID, isSilent: Bool = false, _ view: NotifierView
    ) -> [Action] {
        guard view.foregroundUntil(device, app) == nil else { return [] }
        var actions: [Action] = []
        for key in (pending[device] ?? []).sorted() {
            guard let entry = entries[key], entry.subject.app == app,
                case .streaming(let since) = entry.deliveries[device]?.phase
            else { continue }
            actions += leftAlone(key, device, since: since, isSilent ? .leaseEnded : .sessionHidden, view)
        }
        return actions
    }

    /// The notify event went out under this number.
    package mutating func notified(
        _ messages: [MessageKey], _ device: DeviceID, number: Int64, _ view: NotifierView
    ) -> [Action] {
        var actions: [Action] = []
        for key in messages {
            guard case .notified(_, let representative) = entries[key]?.deliveries[device]?.phase else { continue }
            if view.acknowledged(device) >= number {
                // A quick client's answer was faster than the number's way here.
                actions += finish(key, device, .notified, representative: representative, acknowledged: true)
            } else {
                entries[key]?.deliveries[device]?.phase = .notified(number: number, representative: representative)
            }
        }
        return actions
    }

    /// The lane had no room for the push: the messages wait and are looked at anew.
    package mutating func pushRefused(_ device: DeviceID, messages: [MessageKey], _ view: NotifierView) -> [Action] {
        var actions: [Action] = []
        for key in messages {
            guard let entry = entries[key], case .pushing = entry.deliveries[device]?.phase else { continue }
            set(key, device, .waiting(.laneFull), due: view.now + Self.laneRetry)
            actions.append(.decided(entry.subject, device, .hold, .laneFull))
        }
        forgetPush(device, messages)
        return actions
    }

    /// The device's channel went away between the decision and the push.
    package mutating func pushImpossible(
        _ device: DeviceID, messages: [MessageKey], _ view: NotifierView
    ) -> [Action] {
        let keys = messages.filter { key in
            if case .pushing = entries[key]?.deliveries[device]?.phase { true } else { false }
        }
        forgetPush(device, messages)
        return unreachable(keys, device, view)
    }

    /// A push that will not be sent speaks of nothing.
    private mutating func forgetPush(_ device: DeviceID, _ messages: [MessageKey]) {
        guard let newest = messages.max() else { return }
        let item = Shown(device: device, representative: newest, pushed: true)
        (covered[item], orphans[item]) = (nil, nil)
    }

    /// The device's connection ended: what it had not acknowledged is pushed.
    package mutating func connectionLost(_ device: DeviceID, _ view: NotifierView) -> [Action] {
        retryUnacknowledged(device, .connectionLost, view)
    }

    /// A push ended for good.
    package mutating func pushFinished(
        _ device: DeviceID, representative: MessageKey, messages: [MessageKey], outcome: DeliveryRecord.Outcome,
        detail: String?, _ view: NotifierView
    ) -> [Action] {
        var actions: [Action] = []
        for key in messages {
            guard case .pushing = entries[key]?.deliveries[device]?.phase else { continue }
            if outcome == .failed { actions += nextDevice(key, after: device, view) }
            actions += finish(
                key, device, outcome, detail: detail, representative: representative, acknowledged: false)
        }
        let orphan = Shown(device: device, representative: representative, pushed: true)
        if outcome != .pushed { covered[orphan] = nil }
        if let account = orphans.removeValue(forKey: orphan), outcome == .pushed {
            actions.append(.clear(device, representative, account))
        }
        return actions
    }

    /// Somebody tapped the notification: no other device needs to be woken for it.
    package mutating func tapped(_ key: MessageKey) {
        entries[key]?.escalation = []
        dropIfDone(key)
    }

    /// The messages were read, completed or expired. Returns the notifications that no longer speak of
    /// anything open.
    package mutating func settled(_ keys: [MessageKey]) -> [(account: AccountID?, message: MessageKey, shown: [Shown])]
    {
        keys.map { key in
            let entry = entries.removeValue(forKey: key)
            var result: [Shown] = []
            for (device, delivery) in entry?.deliveries ?? [:] {
                pending[device]?.remove(key)
                switch delivery.phase {
                case .notified(_, let representative):
                    result.append(Shown(device: device, representative: representative, pushed: false))
                case .pushing(let representative):
                    let orphan = Shown(device: device, representative: representative, pushed: true)
                    if let account = entry?.subject.account, covered[orphan].map({ $0 == [key] }) ?? true {
                        orphans[orphan] = account
                    }
                    result.append(orphan)
                default: break
                }
            }
            result += shown.removeValue(forKey: key).map { Array($0.values) } ?? []
            result.removeAll { candidate in
                guard covered[candidate] != nil else { return false }
                covered[candidate]?.remove(key)
                if covered[candidate]?.isEmpty == true {
                    covered[candidate] = nil
                    return false
                }
                return true
            }
            return (entry?.subject.account, key, result)
        }
    }

    /// What devices show of a message.
    package func shown(of key: MessageKey) -> [Shown] { shown[key].map { Array($0.values) } ?? [] }

    /// Says at start that a device shows a notification of an open message.
    package mutating func restore(_ key: MessageKey, _ item: Shown) {
        shown[key, default: [:]][item.device] = item
        covered[item, default: []].insert(key)
    }

    /// Whether the notification's push is under way although nobody needs it any more: it is taken back when
    /// it has come through.
    package func isOrphan(_ item: Shown) -> Bool { orphans[item] != nil }
    /// The push was taken back before it left.
    package mutating func cancelled(_ item: Shown) { orphans[item] = nil }

    /// Forgets a deleted device.
    package mutating func removed(_ device: DeviceID) {
        for key in pending.removeValue(forKey: device) ?? [] {
            entries[key]?.deliveries[device] = nil
            dropIfDone(key)
        }
        groups = groups.filter { $0.key.device != device }
        covered = covered.filter { $0.key.device != device }
        orphans = orphans.filter { $0.key.device != device }
    }

    /// Time has come for something.
    package mutating func fire(_ view: NotifierView) -> [Action] {
        var actions: [Action] = []
        while let timer = timers.pop(at: view.now) {
            if let device = timer.device {
                guard let delivery = entries[timer.message]?.deliveries[device], let due = delivery.due, due <= view.now
                else { continue }
                actions += fire(timer.message, device, delivery.phase, view)
            } else {
                actions += escalate(timer.message, view)
            }
        }
        return actions
    }
}
