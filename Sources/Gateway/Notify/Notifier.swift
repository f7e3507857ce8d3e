package import Base

/// Announces stored messages: asks the machine, and does what it says.
package final class Notifier: Service {
    /// Pushes that take a notification back are worth sending for so long.
    static let clearLifetime: Duration = .seconds(86_400)

    package let name = "notifier"
    private let machine = Locked(NotifierMachine())
    private let directory: StateKeeper<Directory>
    private let sessions: Sessions
    private let hub: StreamHub
    private let mailroom: Mailroom
    private let dispatcher: PushDispatcher
    private let store: any Store
    private let identities: Identities
    private let time: any TimeSource
    private let log: Log
    private let ack: Duration
    private let alarm: Alarm
    private let stopped = ShutdownSignal()

    package init(
        directory: StateKeeper<Directory>, sessions: Sessions, hub: StreamHub, mailroom: Mailroom,
        dispatcher: PushDispatcher, store: any Store, identities: Identities, time: any TimeSource, log: Log,
        ack: Duration
    ) {
        (self.directory, self.sessions, self.hub, self.mailroom) = (directory, sessions, hub, mailroom)
        (self.dispatcher, self.store, self.identities) = (dispatcher, store, identities)
        (self.time, self.log, self.ack) = (time, log, ack)
        alarm = Alarm(time: time)
        dispatcher.onFinished { [weak self] job, report in self?.finished(job, report) }
        hub.onChange { [weak self] device, isOpen in
            if !isOpen { self?.step { $0.connectionLost(device, $1) } }
        }
        sessions.onChange { [weak self] session in
            self?.step {
                $0.presenceChanged(session.device, app: session.app, isSilent: session.presence.isForeground, $1)
            }
        }
    }

    // MARK: Inputs

    /// - Returns: how far each of the messages came: decided for a stream or a push, or held.
    @discardableResult
    package func announce(
        _ subjects: [Subject], done: [MessageKey: [DeviceID: DeliveryRecord.Outcome]] = [:]
    ) -> [MessageKey: NotifierMachine.Decision] {
        var decisions: [MessageKey: NotifierMachine.Decision] = [:]
        for subject in subjects {
            let devices = directory.read { $0.devices(of: subject.account).map(\.id) }
            let actions = decide { [mailroom] machine, view in
                // Somebody may have read it on a stream before we come here.
                guard mailroom.isOpen(subject.key) else { return [] }
                return machine.announce(subject, devices: devices, done: done[subject.key] ?? [:], view)
            }
            for case .decided(let subject, _, let decision, _) in actions {
                decisions[subject.key] = max(decisions[subject.key] ?? .hold, decision)
            }
        }
        return decisions
    }

    package func acknowledged(_ device: DeviceID, upTo: Int64) {
        step { machine, _ in machine.acknowledged(device, upTo: upTo) }
    }

    package func tapped(_ key: MessageKey) { machine.withLock { $0.tapped(key) } }
    package func removed(_ device: DeviceID) { machine.withLock { $0.removed(device) } }
    /// Notes at start what a device shows. A digest's notification is named after another message of the page.
    package func restore(_ delivery: DeliveryRecord, among page: [Message]) {
        func speaks(_ key: MessageKey) -> Bool {
            identities.notification(key, delivery.device) == delivery.notification
        }
        // It is the newest of its digest, so it comes later in the page.
        var representative = delivery.message
        if !speaks(representative) {
            let start = page.partitioningIndex { $0.key > delivery.message }
            representative = page[start...].lazy.map(\.key).first(where: speaks) ?? representative
        }
        let shown = NotifierMachine.Shown(
            device: delivery.device, representative: representative, pushed: delivery.outcome == .pushed)
        machine.withLock { $0.restore(delivery.message, shown) }
    }
    package var pendingCount: Int { machine.withLock { $0.pendingCount } }

    /// Takes messages out of the machine because they are being settled; what `withdraw` needs.
    package func settled(_ keys: [MessageKey]) -> [MessageKey: [NotifierMachine.Shown]] {
        let results = machine.withLock { $0.settled(keys) }
        // A message that is named twice has been taken out with the first.
        return Dictionary(results.map { ($0.message, $0.shown) }) { first, _ in first }
    }

    /// What devices show of messages that stay as they are.
    package func shown(_ keys: [MessageKey]) -> [MessageKey: [NotifierMachine.Shown]] {
        machine.withLock { machine in
            Dictionary(uniqueKeysWithValues: Set(keys).map { ($0, machine.shown(of: $0)) })
        }
    }

    /// The data of a `clear` event. It is sent even when no device shows a notification: clients that list the
    /// message learn that it is read.
    package func clearData(_ key: MessageKey, _ shown: [NotifierMachine.Shown]) -> JSON {
        let ids = Set(shown.map { identities.notification($0.representative, $0.device).text }).sorted()
        return ["notifications": .strings(ids), "message": .string(key.description)]
    }

    /// Takes notifications away from the devices that cannot hear of it on a stream. `except`: the device
    /// that did it itself.
    package func withdraw(_ account: AccountID, _ key: MessageKey, _ shown: [NotifierMachine.Shown], except: DeviceID?)
    {
        guard !shown.isEmpty else { return }
        log.info(
            .notificationCleared, "A notification is taken away from the devices that show it",
            ["account": .id(account), "messageId": .key(key), "devices": .strings(shown.map(\.device.text).sorted())])
        for item in shown where item.pushed && item.device != except { clear(item, account) }
    }

    private func clear(_ shown: NotifierMachine.Shown, _ account: AccountID) {
        guard let device = directory.read({ $0.devices[shown.device] }), let channel = device.channel,
            !hub.isLive(shown.device)
        else { return }
        let notification = identities.notification(shown.representative, shown.device)
        // One that has not left yet needs no taking back; one under way is taken back when it came through.
        if dispatcher.cancel(notification.text, lane: channel.adapter) {
            return machine.withLock { $0.cancelled(shown) }
        }
        if machine.withLock({ $0.isOrphan(shown) }) { return }
        guard dispatcher.adapter(channel.adapter)?.canClear == true else { return }
        let badge = mailroom.openCount(.account(account))
        let collapse = Self.collapse(shown.representative)
        let push = push(
            identities.notification(shown.representative, DeviceID("\(shown.device)/clear")), device, channel,
            .clear([notification], collapse: collapse, badge: badge), .low,
            expires: time.timestamp + Self.clearLifetime)
        let job = PushJob(
            push: push, account: account, channel: channel, messages: [], representative: shown.representative,
            accepted: time.now)
        if !dispatcher.enqueue(job) { refused(job) }
    }

    // MARK: The machine

    private func step(_ body: (inout NotifierMachine, NotifierView) -> [NotifierMachine.Action]) { _ = decide(body) }

    private func decide(
        _ body: (inout NotifierMachine, NotifierView) -> [NotifierMachine.Action]
    ) -> [NotifierMachine.Action] {
        let view = NotifierView(
            now: time.now, timestamp: time.timestamp, ack: ack,
            foregroundUntil: { [sessions] device, app in
                app.flatMap { sessions.foregroundUntil(device: device, app: $0) }
            },
            isLive: { [hub] in hub.isLive($0) },
            hasChannel: { [directory, dispatcher] id in
                directory.read { $0.devices[id]?.channel?.adapter }.map(dispatcher.has) ?? false
            },
            acknowledged: { [directory] id in directory.read { $0.devices[id]?.cursor ?? 0 } })
        let (actions, deadline) = machine.withLock { machine in
            let actions = body(&machine, view)
            return (actions, machine.nextDeadline)
        }
        for action in actions { perform(action) }
        alarm.set(deadline)
        return actions
    }

    private func perform(_ action: NotifierMachine.Action) {
        switch action {
        case .decided(let subject, let device, let decision, let reason): decided(subject, device, decision, reason)
        case .notify(let device, let subjects):
            guard let notification = notification(device, subjects) else { return }
            let keys = subjects.map(\.key)
            let number = hub.announce(notification)
            step { $0.notified(keys, device, number: number, $1) }
        case .push(let device, let subjects): push(device, subjects)
        case .record(let key, let device, let outcome, let detail, let representative):
            let record = DeliveryRecord(
                message: key, device: device, outcome: outcome, at: time.timestamp, detail: detail,
                notification: identities.notification(representative, device))
            store.submit([.putDelivery(record)]) { _ in }
            if outcome == .pushed { mailroom.hop(key, .notified, device) }
        case .suppressed(let subject, let device):
            log.info(
                .notificationSuppressed, "The running client has the message and stayed in front",
                [
                    "account": .id(subject.account), "app": .string(subject.app?.text ?? ""), "device": .id(device),
                    "messageId": .key(subject.key),
                ])
        case .clear(let device, let representative, let account):
            clear(NotifierMachine.Shown(device: device, representative: representative, pushed: true), account)
        }
    }

    private func decided(
        _ subject: Subject, _ device: DeviceID?, _ decision: NotifierMachine.Decision, _ reason: NotifierMachine.Reason
    ) {
        var fields: LogFields = [
            "decision": .string(decision.rawValue), "reason": .string(reason.rawValue), "account": .id(subject.account),
            "app": .string(subject.app?.text ?? ""), "messageId": .key(subject.key),
        ]
        if let device { fields.append("device", .id(device)) }
        log.info(.notificationDecided, "Decided how a message is announced", fields)
        if let device, decision == .stream || decision == .notify { mailroom.hop(subject.key, .forwarded, device) }
        switch decision {
        case .stream: log.info(.messageForwarded, "A message goes to the running client", fields)
        case .hold: log.info(.messageHeld, "A message is held", fields)
        case .notify, .push: break
        }
    }

    /// Same for every message, so that a repeat replaces the first on the device.
    private static func collapse(_ representative: MessageKey) -> String { "f-\(representative)" }

    private func notification(_ device: DeviceID, _ subjects: [Subject]) -> Notification? {
        let ordered = subjects.sorted { $0.key < $1.key }
        guard let newest = ordered.last else { return nil }
        let text = SummaryText(ordered.map(\.content))
        return Notification(
            id: identities.notification(newest.key, device), account: newest.account, device: device, app: newest.app,
            message: newest.key, messages: ordered.map(\.key), title: text.title, body: text.body,
            badge: mailroom.openCount(.account(newest.account)), collapse: Self.collapse(newest.key),
            thread: newest.app?.text ?? newest.content.appName, tap: identities.tap(newest.key, device))
    }

    private func push(
        _ id: NotificationID, _ device: Device, _ channel: Channel, _ content: Push.Content,
        _ priority: Message.Priority, expires: Timestamp
    ) -> Push {
        Push(
            id: id.text, device: device.id, address: channel.address, content: content, payload: device.payload,
            priority: priority, expires: expires, encryption: device.encryption,
            locale: device.locale ?? directory.read { $0.accounts[device.account]?.locale })
    }

    private func push(_ id: DeviceID, _ subjects: [Subject]) {
        guard let notification = notification(id, subjects), let newest = subjects.max(by: { $0.key < $1.key }),
            let device = directory.read({ $0.devices[id] }), let channel = device.channel
        else { return step { $0.pushImpossible(id, messages: subjects.map(\.key), $1) } }
        let push = push(
            notification.id, device, channel, .alert(notification), newest.priority, expires: newest.expires)
        let job = PushJob(
            push: push, account: newest.account, channel: channel, messages: notification.messages,
            representative: newest.key, accepted: time.now)
        if !dispatcher.enqueue(job) { refused(job) }
    }

    /// The lane is full or gone: the messages stay held and are looked at anew later.
    private func refused(_ job: PushJob) {
        log.error(
            .notificationFailed, "The push service's lane is full or no longer configured",
            ["push": .string(job.channel.adapter), "device": .id(job.push.device), "reason": "lane_refused"])
        step { $0.pushRefused(job.push.device, messages: job.messages, $1) }
    }

    private func finished(_ job: PushJob, _ report: PushReport) {
        let fields = job.fields(report)
        let outcome: DeliveryRecord.Outcome
        switch report.outcome {
        case .delivered:
            outcome = .pushed
        case .gone(let since):
            outcome = .failed
            prune(job, since: since, fields)
            if sentAgain(job) { return }
        case .rejected, .retry, .credential:
            outcome = .failed
            log.error(.notificationFailed, "The push service refused a notification", fields)
        }
        guard let representative = job.representative, !job.messages.isEmpty else { return }
        let detail = [report.status.map(String.init), report.reason].compactMap { $0 }.joined(separator: " ")
        step { machine, view in
            machine.pushFinished(
                job.push.device, representative: representative, messages: job.messages, outcome: outcome,
                detail: detail.isEmpty ? nil : detail, view)
        }
        guard outcome == .pushed else { return }
        let sent =
            fields + [
                "attempts": .count(job.attempt + 1), "milliseconds": .milliseconds(time.now - job.accepted),
            ]
        // Takes its turn behind the record just handed over: the line is written when that is durable.
        store.submit([]) { [log] result in
            if case .success = result { log.info(.notificationSent, "The push service took a notification", sent) }
        }
    }

    /// Sends a push to the address that has replaced the dead one meanwhile; false when there is none.
    private func sentAgain(_ job: PushJob) -> Bool {
        guard let device = directory.read({ $0.devices[job.push.device] }), let channel = device.channel,
            channel != job.channel
        else { return false }
        let push = push(
            NotificationID(job.push.id), device, channel, job.push.content, job.push.priority,
            expires: job.push.expires)
        return dispatcher.enqueue(
            PushJob(
                push: push, account: job.account, channel: channel, messages: job.messages,
                representative: job.representative, accepted: job.accepted))
    }

    /// Drops a channel the service calls dead, if it is still the one that was tried and older than the
    /// verdict.
    private func prune(_ job: PushJob, since: Timestamp?, _ fields: LogFields) {
        let verdict = since ?? time.timestamp
        let pruned = Locked(false)
        directory.submit { directory in
            guard let device = directory.devices[job.push.device], device.channel == job.channel,
                job.channel.since <= verdict
            else { return [] }
            pruned.withLock { $0 = true }
            return directory.change(device.id) { $0.channel = nil }.map { [.putDevice($0)] } ?? []
        }
        if pruned.withLock({ $0 }) {
            log.warning(.devicePruned, "The push service says the device's address is dead; it was removed", fields)
        } else {
            log.info(.notificationFailed, "The push service calls an address dead that has been replaced since", fields)
        }
    }

    // MARK: Life

    package func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while true {
                    try await self.alarm.wait()
                    self.step { $0.fire($1) }
                }
            }
            group.addTask { await self.stopped.wait() }
            try await group.next()
            group.cancelAll()
        }
    }

    package func beginShutdown() { stopped.raise() }
}

extension [Message] {
    /// The first index whose element, and all after it, fit; the elements must be ordered that way.
    fileprivate func partitioningIndex(where fits: (Message) -> Bool) -> Int {
        var (low, high) = (startIndex, endIndex)
        while low < high {
            let middle = (low + high) / 2
            if fits(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
