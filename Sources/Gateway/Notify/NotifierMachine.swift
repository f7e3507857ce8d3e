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
        /// The device's channel before failed for good.
        case channelFailed = "channel_failed"
        /// Nobody acknowledged what was sent before.
        case escalated
        /// The device has been rung too often in the last minute.
        case deviceRate = "device_rate"
        case laneFull = "lane_full"
    }

    package enum Action: Sendable, Hashable {
        case decided(Subject, DeviceID?, Decision, Reason)
        /// Announce on the device's stream; answer with `notified`.
        case notify(DeviceID, [Subject])
        /// Through the device's channel at this push service.
        case push(DeviceID, [Subject], channel: String)
        case record(
            MessageKey, DeviceID, DeliveryRecord.Outcome, detail: String?, representative: MessageKey, channel: String?)
        /// The running client has it and stayed in front: nobody was disturbed.
        case suppressed(Subject, DeviceID)
        /// A notification came through although nobody needs it any more.
        case clear(Shown, AccountID)
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
        /// The push service of the channel it goes, or went, through; nil: the device's first.
        var channel: String?
    }

    /// Where to go on when nobody has acknowledged.
    struct Step: Sendable, Hashable {
        let device: DeviceID
        /// Nil: the device as a whole, on its stream or through its first channel.
        let channel: String?
    }

    /// What was recorded of a device before a restart.
    package struct Told: Sendable, Hashable {
        package let outcome: DeliveryRecord.Outcome
        package let channel: String?
        package init(_ outcome: DeliveryRecord.Outcome, channel: String? = nil) {
            (self.outcome, self.channel) = (outcome, channel)
        }
    }

    struct Entry: Sendable {
        let subject: Subject
        var deliveries: [DeviceID: Delivery] = [:]
        var escalation: [Step] = []
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
        /// Nil: not rung yet, something waits for the quiet to end.
        var lastRing: Moment?
        var held: Set<MessageKey> = []
    }

    /// A notification that a device shows, for clearing it.
    package struct Shown: Sendable, Hashable {
        package let device: DeviceID
        package let representative: MessageKey
        package let pushed: Bool
        /// As its subject had it; not what tells one from another.
        package let collapse: String?

        package init(device: DeviceID, representative: MessageKey, pushed: Bool, collapse: String? = nil) {
            (self.device, self.representative, self.pushed) = (device, representative, pushed)
            self.collapse = collapse
        }

        package static func == (a: Shown, b: Shown) -> Bool {
            a.device == b.device && a.representative == b.representative && a.pushed == b.pushed
        }
        package func hash(into hasher: inout Hasher) {
            hasher.combine(device)
            hasher.combine(representative)
            hasher.combine(pushed)
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
    var orphans: [Shown: Orphan] = [:]
    /// How often each device may still be rung.
    var rates: [DeviceID: TokenBucket] = [:]
    private let devicePerMinute: Int

    struct Orphan: Sendable {
        let item: Shown
        let account: AccountID
        /// The device shows it already, by another channel.
        let isShown: Bool
    }

    /// - Parameter devicePerMinute: notifications a device may be shown in a minute before further ones wait for
    ///   the next digest, with as many at once; 0: no limit. Three times as many where some are of high priority.
    package init(devicePerMinute: Int = 0) { self.devicePerMinute = devicePerMinute }

    /// Whether the device may be rung once more now, which is counted then.
    mutating func mayRing(_ device: DeviceID, _ priority: Message.Priority, at now: Moment) -> Bool {
        guard devicePerMinute > 0 else { return true }
        let limit = Double(devicePerMinute)
        let full = TokenBucket(perSecond: limit / 60, burst: limit)
        return rates[device, default: full].take(at: now, debt: priority == .high ? 2 * limit : 0)
    }

    package var nextDeadline: Moment? { timers.next }
    /// A push that found no room is tried again after this.
    package static let laneRetry: Duration = .seconds(30)

    /// Messages whose announcing is not finished.
    package var pendingCount: Int { entries.count }

    // MARK: Inputs

    /// A device acknowledged everything up to a number on its stream.
    package mutating func acknowledged(_ device: DeviceID, upTo: Int64) -> [Action] {
        var actions: [Action] = []
        for key in pending[device] ?? [] {
            guard let entry = entries[key], let delivery = entry.deliveries[device] else { continue }
            // Somebody has it: nobody else needs to be woken.
            if entry.subject.number <= upTo, !entry.escalation.isEmpty {
                entries[key]?.escalation = []
                dropIfDone(key)
            }
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

    /// Time has come for something.
    package mutating func fire(_ view: NotifierView) -> [Action] {
        var actions: [Action] = []
        var unheard: [MessageKey] = []
        while let timer = timers.pop(at: view.now) {
            if let device = timer.device {
                guard let delivery = entries[timer.message]?.deliveries[device], let due = delivery.due, due <= view.now
                else { continue }
                actions += fire(timer.message, device, delivery.phase, view)
            } else {
                unheard.append(timer.message)
            }
        }
        return actions + escalate(unheard, view)
    }
}
