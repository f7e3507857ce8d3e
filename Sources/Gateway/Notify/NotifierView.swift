package import Base

/// What the machine needs to know of one message to announce it. An object, because it goes through many hands and is
/// changed by none: to copy its texts' references each time cost more than what is decided.
package final class Subject: Sendable, Hashable {
    package let key: MessageKey
    /// The message's number on its account's streams.
    package let number: Int64
    package let account: AccountID
    /// Nil for a message between people or devices.
    package let app: AppID?
    package let registration: RegistrationID?
    package let priority: Message.Priority
    package let expires: Timestamp
    package let targets: NotifyPreferences.Targets
    package let quietHours: NotifyPreferences.QuietHours?
    package let group: Duration
    package let hold: Duration
    /// How long what was sent somewhere has to be acknowledged before the next device or channel is tried.
    package let escalation: Duration
    /// Notifications of messages with the same one replace one another on a device; nil: of this message alone.
    package let collapse: String?
    /// What the summary is made of.
    package let content: SummaryContent
    /// Somebody sent it, who can be answered; what a monitor found cannot.
    package let isAnswerable: Bool

    package init(
        key: MessageKey, number: Int64? = nil, account: AccountID, app: AppID?, registration: RegistrationID?,
        priority: Message.Priority, expires: Timestamp, targets: NotifyPreferences.Targets,
        quietHours: NotifyPreferences.QuietHours?,
        group: Duration, hold: Duration, escalation: Duration = .seconds(60), collapse: String? = nil,
        content: SummaryContent, isAnswerable: Bool = false
    ) {
        (self.key, self.number) = (key, number ?? key.seq)
        (self.account, self.app, self.registration) = (account, app, registration)
        (self.priority, self.expires, self.targets) = (priority, expires, targets)
        (self.quietHours, self.group, self.hold, self.content) = (quietHours, group, hold, content)
        (self.collapse, self.isAnswerable) = (collapse, isAnswerable)
        if case .escalate(_, let after) = targets { self.escalation = after } else { self.escalation = escalation }
    }

    package static func == (a: Subject, b: Subject) -> Bool {
        a === b
            || a.key == b.key && a.number == b.number && a.account == b.account && a.app == b.app
                && a.registration == b.registration && a.priority == b.priority && a.expires == b.expires
                && a.targets == b.targets && a.quietHours == b.quietHours && a.group == b.group && a.hold == b.hold
                && a.escalation == b.escalation && a.collapse == b.collapse && a.content == b.content
                && a.isAnswerable == b.isAnswerable
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(key) }
}

/// What the machine asks about the world when it decides.
package struct NotifierView: Sendable {
    package let now: Moment
    package let timestamp: Timestamp
    /// How long a device's notify event has to be acknowledged.
    package let ack: Duration
    /// Until when the app's client on the device counts as in front; nil: it does not.
    package let foregroundUntil: @Sendable (DeviceID, AppID?) -> Moment?
    package let isLive: @Sendable (DeviceID) -> Bool
    /// Whether the app is in front on the device by the word of its farm, which is trusted: it shows its news itself.
    package let isShownByFarm: @Sendable (DeviceID, AppID?) -> Bool
    /// The push services of the device's channels, in the order in which they are tried.
    package let channels: @Sendable (DeviceID) -> [String]
    /// The number up to which the device has acknowledged its account's stream.
    package let acknowledged: @Sendable (DeviceID) -> Int64

    package init(
        now: Moment, timestamp: Timestamp, ack: Duration,
        foregroundUntil: @escaping @Sendable (DeviceID, AppID?) -> Moment?,
        isLive: @escaping @Sendable (DeviceID) -> Bool, channels: @escaping @Sendable (DeviceID) -> [String],
        acknowledged: @escaping @Sendable (DeviceID) -> Int64,
        isShownByFarm: @escaping @Sendable (DeviceID, AppID?) -> Bool = { _, _ in false }
    ) {
        (self.now, self.timestamp, self.ack) = (now, timestamp, ack)
        (self.foregroundUntil, self.isLive, self.channels) = (foregroundUntil, isLive, channels)
        (self.acknowledged, self.isShownByFarm) = (acknowledged, isShownByFarm)
    }

    func hasChannel(_ device: DeviceID) -> Bool { !channels(device).isEmpty }
    /// Whether the device can hear of something in any way.
    func isReachable(_ device: DeviceID, _ app: AppID?) -> Bool {
        foregroundUntil(device, app) != nil || isLive(device) || hasChannel(device)
    }
}
