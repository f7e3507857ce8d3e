import Base
import Gateway

/// A world for the machine: what is in front, connected and reachable, and a clock.
struct World {
    var machine = NotifierMachine()
    var now = Moment(nanoseconds: 1_000_000_000)
    /// 2026-11-21T12:00:00Z
    var timestamp = Timestamp(seconds: 1_795_262_400)
    var front: [DeviceID: Moment] = [:]
    var live: Set<DeviceID> = []
    var channels: Set<DeviceID> = ["d1", "d2", "d3"]
    /// What a device with a channel has besides.
    var further: [DeviceID: [String]] = [:]
    var cursors: [DeviceID: Int64] = [:]

    var view: NotifierView {
        let (front, live, channels, further, cursors, now) = (front, live, channels, further, cursors, now)
        return NotifierView(
            now: now, timestamp: timestamp, ack: .seconds(10),
            foregroundUntil: { device, _ in front[device].flatMap { $0 > now ? $0 : nil } },
            isLive: { live.contains($0) }, channels: { channels.contains($0) ? ["phone"] + (further[$0] ?? []) : [] },
            acknowledged: { cursors[$0] ?? 0 })
    }

    func subject(
        _ seq: Int64, targets: NotifyPreferences.Targets = .latest, priority: Message.Priority = .normal,
        quiet: NotifyPreferences.QuietHours? = nil, group: Duration = .zero, hold: Duration = .zero
    ) -> Subject {
        Subject(
            key: MessageKey(queue: 1, seq: seq), account: "alice", app: "mail", registration: "r1", priority: priority,
            expires: timestamp + .seconds(86_400), targets: targets, quietHours: quiet, group: group, hold: hold,
            content: SummaryContent(
                appName: "Mail", policy: .digest, sender: "Bob", subject: "s", preview: nil, locale: nil))
    }

    mutating func announce(_ subject: Subject, devices: [DeviceID] = ["d1", "d2"]) -> [String] {
        texts(machine.announce(subject, devices: devices, view))
    }

    mutating func finish(
        _ device: DeviceID, _ seqs: [Int64], _ outcome: DeliveryRecord.Outcome, by channel: String = "phone"
    ) -> [String] {
        texts(
            machine.pushFinished(
                device, representative: key(seqs.max() ?? 0), messages: seqs.map(key), outcome: outcome, detail: nil,
                channel: channel, view))
    }

    mutating func pass(_ duration: Duration) -> [String] {
        now = now + duration
        timestamp = timestamp + duration
        return texts(machine.fire(view))
    }

    func texts(_ actions: [NotifierMachine.Action]) -> [String] {
        actions.map { action in
            switch action {
            case .decided(let subject, let device, let decision, let reason):
                "\(subject.key.seq) \(device?.text ?? "-"): \(decision.rawValue) \(reason.rawValue)"
            case .notify(let device, let subjects): "notify \(device) \(subjects.map(\.key.seq))"
            case .push(let device, let subjects, let channel):
                "push \(device) \(subjects.map(\.key.seq))" + (channel == "phone" ? "" : " by \(channel)")
            case .record(let key, let device, let outcome, _, _, _): "record \(key.seq) \(device) \(outcome.rawValue)"
            case .suppressed(let subject, let device): "suppressed \(subject.key.seq) \(device)"
            case .clear(let shown, _): "clear \(shown.device) \(shown.representative.seq)"
            }
        }
    }
}

func key(_ seq: Int64) -> MessageKey { MessageKey(queue: 1, seq: seq) }
