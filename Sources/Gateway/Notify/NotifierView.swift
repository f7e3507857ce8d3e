package import Base

/// What the machine needs to know of one message to announce it.
package struct Subject: Sendable, Hashable {
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
    /// What the summary is made of.
    package let content: SummaryContent

    package init(
        key: MessageKey, number: Int64? = nil, account: AccountID, app: AppID?, registration: RegistrationID?,
        priority: Message.Priority, expires: Timestamp, targets: NotifyPreferences.Targets,
        quietHours: NotifyPreferences.QuietHours?,
        group: Duration, hold: Duration, content: SummaryContent
    ) {
        (self.key, self.number) = (key, number ?? key.seq)
        (self.account, self.app, self.registration) = (account, app, registration)
        (self.priority, self.expires, self.targets) = (priority, expires, targets)
        (self.quietHours, self.group, self.hold, self.content) = (quietHours, group, hold, content)
    }
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
    package let hasChannel: @Sendable (DeviceID) -> Bool
    /// The number up to which the device has acknowledged its account's stream.
    package let acknowledged: @Sendable (DeviceID) -> Int64

    package init(
        now: Moment, timestamp: Timestamp, ack: Duration,
        foregroundUntil: @escaping @Sendable (DeviceID, AppID?) -> Moment?,
        isLive: @escaping @Sendable (DeviceID) -> Bool, hasChannel: @escaping @Sendable (DeviceID) -> Bool,
        acknowledged: @escaping @Sendable (DeviceID) -> Int64
    ) {
        (self.now, self.timestamp, self.ack) = (now, timestamp, ack)
        (self.foregroundUntil, self.isLive, self.hasChannel) = (foregroundUntil, isLive, hasChannel)
        self.acknowledged = acknowledged
    }
}
