package import Base

/// What is done with stored messages: announced, shown, settled, traced.
package final class Messages: Sendable {
    /// How many open messages are read at a time at start.
    static let startPage = 1000

    private let directory: StateKeeper<Directory>
    private let apps: [AppID: App]
    private let mailroom: Mailroom
    private let notifier: Notifier
    private let store: any Store
    private let time: any TimeSource
    private let log: Log
    private let defaults: NotifyDefaults
    private let expiry: Locked<DeadlineQueue<MessageKey>>
    /// Deadlines beyond which those of settled messages are looked for.
    private let compaction = Locked(startPage)

    package init(
        directory: StateKeeper<Directory>, apps: [App], mailroom: Mailroom, notifier: Notifier, store: any Store,
        time: any TimeSource, log: Log, defaults: NotifyDefaults
    ) {
        (self.directory, self.mailroom, self.notifier, self.store) = (directory, mailroom, notifier, store)
        self.apps = Dictionary(uniqueKeysWithValues: apps.map { ($0.id, $0) })
        (self.time, self.log, self.defaults) = (time, log, defaults)
        expiry = Locked(DeadlineQueue())
    }

    /// Announces messages that were just stored.
    package func accepted(_ messages: [Message]) {
        for message in messages {
            log.info(
                .messageAccepted, "A message is stored",
                [
                    "messageId": .key(message.key), "queue": .string(message.address.description),
                    "app": .string(message.app?.text ?? ""),
                ])
            watchExpiry(message)
        }
        notifier.announce(messages.compactMap(subject))
    }

    private func watchExpiry(_ message: Message) {
        guard let expires = message.expires else { return }
        expiry.withLock { $0.insert(message.key, due: time.now + (expires - time.timestamp)) }
    }

    /// What the notifier works from; nil for a message that is not for a person's devices.
    private func subject(_ message: Message) -> Subject? {
        guard case .account(let account) = message.address, let app = message.app else { return nil }
        let (registration, locale) = directory.read { directory in
            (
                message.origin.flatMap { directory.registrations[$0.registration] }
                    ?? directory.registration(of: account, app: app),
                directory.accounts[account]?.locale
            )
        }
        let preferences = registration?.preferences
        return Subject(
            key: message.key, account: account, app: app, registration: registration?.id, priority: message.priority,
            expires: message.expires ?? time.timestamp + defaults.itemTTL,
            targets: preferences?.targets ?? defaults.targets,
            quietHours: preferences?.quietHours ?? defaults.quietHours,
            group: preferences?.group ?? defaults.group, hold: message.origin == nil ? .zero : defaults.hold,
            content: SummaryContent(
                appName: apps[app]?.name ?? app.text, policy: preferences?.summary ?? defaults.summary,
                sender: message.header["from"], subject: message.subject,
                preview: message.body.isEmpty ? nil : String(decoding: message.body.prefix(4096), as: UTF8.self),
                locale: locale))
    }

    /// Settles messages, clears what devices show of them, and tells the streams.
    /// - Parameter by: the device that did it, which needs no clearing.
    @discardableResult
    package func settle(
        _ keys: [MessageKey], account: AccountID, as state: Message.State, reason: String, by device: DeviceID?
    ) async throws -> [MessageKey] {
        var shown = notifier.settled(keys)
        let known = shown
        let settled = try await mailroom.settle(keys, as: state, reason: reason) { [notifier] key in
            notifier.clearData(key, known[key] ?? [])
        }
        // What was announced in between, before the queue knew.
        for (key, more) in notifier.settled(keys) where !more.isEmpty { shown[key, default: []] += more }
        for key in settled {
            log.info(
                state == .expired ? .messageExpired : state == .dead ? .messageDead : .messageCompleted,
                "A message is settled",
                ["messageId": .key(key), "account": .id(account), "reason": .string(reason)])
        }
        // Of two who settle a message at once, one may have found what is shown and the other the message.
        for key in keys { notifier.withdraw(account, key, shown[key] ?? [], except: device) }
        return settled
    }

    /// Marks a message as read by one of the account's devices.
    /// - Throws: `not_found`.
    package func read(_ key: MessageKey, by device: Device) async throws {
        guard mailroom.address(of: key.queue) == .account(device.account), try await store.message(key) != nil else {
            throw GatewayError(.notFound, "the account has no message '\(key)'")
        }
        try await settle([key], account: device.account, as: .done, reason: "read", by: device.id)
    }

    /// A message and what became of announcing it.
    /// - Throws: `not_found`.
    package func trace(
        _ key: MessageKey, for account: AccountID
    ) async throws -> (message: Message, deliveries: [DeliveryRecord]) {
        guard mailroom.address(of: key.queue) == .account(account), let message = try await store.message(key) else {
            throw GatewayError(.notFound, "the account has no message '\(key)'")
        }
        return (message, try await store.deliveries(of: [key]).sorted { ($0.at, $0.device) < ($1.at, $1.device) })
    }

    /// Open messages of a queue, without locking them (PL-4).
    package func peek(_ address: QueueAddress, after: Int64, limit: Int) async throws -> [Message] {
        guard let number = mailroom.number(of: address) else { return [] }
        var found: [Message] = []
        var position = after
        while found.count < limit {
            let entries = try await store.entries(queue: number, after: position, limit: limit)
            guard let last = entries.last else { break }
            for case .message(let message) in entries where found.count < limit { found.append(message) }
            position = last.number
        }
        return found
    }

    // MARK: Start and upkeep

    /// Reads every open message once: counts it, restores what devices show, announces what was not yet.
    package func restore() async throws {
        var after: MessageKey?
        while true {
            let page = try await store.openMessages(after: after, limit: Self.startPage)
            guard let last = page.last else { return }
            after = last.key
            for message in page { mailroom.restore(open: message.key) }
            let deliveries = Dictionary(grouping: try await store.deliveries(of: page.map(\.key)), by: \.message)
            var done: [MessageKey: [DeviceID: DeliveryRecord.Outcome]] = [:]
            for message in page {
                watchExpiry(message)
                done[message.key] = Dictionary(
                    (deliveries[message.key] ?? []).map { ($0.device, $0.outcome) }, uniquingKeysWith: { $1 })
            }
            for delivery in deliveries.values.joined()
            where delivery.outcome == .pushed || delivery.outcome == .notified {
                notifier.restore(delivery, among: page)
            }
            notifier.announce(page.filter { $0.state == .ready }.compactMap(subject), done: done)
        }
    }

    /// Settles what has expired. Called now and then.
    package func expireDue() async throws {
        repeat {
            var due: [MessageKey] = []
            expiry.withLock { queue in
                while due.count < Self.startPage, let key = queue.pop(at: time.now) { due.append(key) }
            }
            if due.isEmpty { break }
            let byAccount = Dictionary(grouping: due.filter(mailroom.isOpen)) { mailroom.address(of: $0.queue) }
            for case (.account(let account)?, let keys) in byAccount {
                try await settle(keys, account: account, as: .expired, reason: "expired", by: nil)
            }
        } while !Task.isCancelled
        forgetSettled()
    }

    /// Takes settled messages out of the deadlines, once they may be most of them.
    private func forgetSettled() {
        expiry.withLock { queue in
            guard queue.count > compaction.withLock({ $0 }) else { return }
            queue.keep(where: mailroom.isOpen)
            compaction.withLock { $0 = 2 * queue.count + Self.startPage }
        }
    }

    /// Drops tombstones and events nobody needs any more.
    package func purge() async throws {
        try await store.commit([.purge(before: time.timestamp + (.zero - Mailroom.eventRetention))])
    }
}
