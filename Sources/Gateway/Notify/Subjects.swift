internal import Base

/// What messages are to the notifier: whom they are for, how they ring, what may be shown of them.
struct Subjects: Sendable {
    private let directory: StateKeeper<Directory>
    private let apps: [AppID: App]
    private let time: any TimeSource
    private let defaults: NotifyDefaults

    init(directory: StateKeeper<Directory>, apps: [App], time: any TimeSource, defaults: NotifyDefaults) {
        (self.directory, self.time, self.defaults) = (directory, time, defaults)
        self.apps = Dictionary(uniqueKeysWithValues: apps.map { ($0.id, $0) })
    }

    /// What an older message and the one that takes its place have in common; nil for one that takes no place.
    static func collapse(_ message: Message) -> String? {
        message.collapse.map { "\(message.key.queue)|\(message.sender)|\($0)" }
    }

    /// What the notifier works from; nil for a message that is not for a person's devices.
    /// - Parameter shown: the devices that show it already: it takes the place of what they show, and needs no digest and
    ///   no other device.
    func subject(_ message: Message, number: Int64, shown: [DeviceID] = []) -> Subject? {
        guard let (account, device) = owner(of: message.address) else { return nil }
        let (registration, locale, sender) = directory.read { directory in
            (
                message.app.flatMap { directory.registration(of: account, app: $0) },
                directory.accounts[account]?.locale, Self.name(of: message.sender, directory)
            )
        }
        let preferences = registration?.preferences
        let policy = preferences?.summary ?? defaults.summary
        let targets = device.map { .devices([$0]) } ?? preferences?.targets ?? defaults.targets
        // As long as the account has chosen, also where what is shown takes the place of whom it chose.
        let escalation = if case .escalate(_, let after) = targets { after } else { defaults.escalation }
        return Subject(
            key: message.key, number: number, account: account, app: message.app, registration: registration?.id,
            priority: message.priority, expires: message.expires ?? time.timestamp + defaults.itemTTL,
            targets: shown.isEmpty ? targets : .devices(shown),
            quietHours: preferences?.quietHours ?? defaults.quietHours,
            group: shown.isEmpty ? preferences?.group ?? defaults.group : .zero,
            hold: message.origin == nil ? .zero : defaults.hold,
            escalation: escalation, collapse: Self.collapse(message),
            // No more than the policy lets a summary show: it stays in memory until the message is announced, which
            // for a device that cannot be reached is as long as the message lives.
            content: SummaryContent(
                appName: message.app.map { apps[$0]?.name ?? $0.text } ?? sender, policy: policy,
                sender: policy == .hint ? nil : message.sender.isStreamed ? sender : message.header["from"],
                subject: policy == .hint ? nil : message.subject?.cut(to: SummaryText.bodyLimit),
                preview: policy == .full ? Self.preview(message.body) : nil, locale: locale),
            isAnswerable: message.origin == nil)
    }

    private static func preview(_ body: [UInt8]) -> String? {
        body.isEmpty ? nil : String(decoding: body.prefix(SummaryText.bodyLimit), as: UTF8.self)
    }

    /// How people are told of a sender. Only applications and monitors say themselves, in the header, who wrote.
    private static func name(of sender: QueueAddress, _ directory: Directory) -> String {
        switch sender {
        case .account(let id): id.text
        case .app(let id): id.text
        case .device(let id): directory.devices[id]?.name ?? id.text
        }
    }

    /// Whose devices hear of an address's messages; all of them, or one.
    func owner(of address: QueueAddress) -> (account: AccountID, device: DeviceID?)? {
        switch address {
        case .account(let account): (account, nil)
        case .device(let device): directory.read { $0.devices[device] }.map { ($0.account, device) }
        case .app: nil
        }
    }
}
