package import Base

/// Announces stored messages: asks the machine, and does what it says.
package final class Notifier: Service {
    /// Pushes that take a notification back are worth sending for so long.
    static let clearLifetime: Duration = .seconds(86_400)

    /// Messages that one step of announcing takes before the next step follows. A push is a hundred kilobytes of
    /// program, which the processor fetches anew for each message when one goes all the way before the next. No more at
    /// once: the machine is locked while it decides.
    package static let announcedAtOnce = 16

    package let name = "notifier"
    let machine: Locked<NotifierMachine>
    let directory: StateKeeper<Directory>
    private let sessions: Sessions
    let hub: StreamHub
    let mailroom: Mailroom
    let dispatcher: PushDispatcher
    let store: any Store
    let identities: Identities
    let time: any TimeSource
    let log: Log
    let defaults: NotifyDefaults
    private let alarm: Alarm
    private let stopped = ShutdownSignal()

    package init(
        directory: StateKeeper<Directory>, sessions: Sessions, hub: StreamHub, mailroom: Mailroom,
        dispatcher: PushDispatcher, store: any Store, identities: Identities, time: any TimeSource, log: Log,
        defaults: NotifyDefaults
    ) {
        (self.directory, self.sessions, self.hub, self.mailroom) = (directory, sessions, hub, mailroom)
        (self.dispatcher, self.store, self.identities) = (dispatcher, store, identities)
        (self.time, self.log, self.defaults) = (time, log, defaults)
        machine = Locked(NotifierMachine(devicePerMinute: defaults.devicePerMinute))
        alarm = Alarm(time: time)
        dispatcher.onFinished { [weak self] job, report in self?.finished(job, report) }
        dispatcher.onSend { [weak self] job in self?.asOfNow(job) ?? job.push }
        hub.onChange { [weak self] device, _, isOpen in
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
        _ subjects: [Subject], done: [MessageKey: [DeviceID: NotifierMachine.Told]] = [:]
    ) -> [MessageKey: NotifierMachine.Decision] {
        var decisions: [MessageKey: NotifierMachine.Decision] = [:]
        for start in stride(from: 0, to: subjects.count, by: Self.announcedAtOnce) {
            let some = subjects[start..<min(start + Self.announcedAtOnce, subjects.count)]
            Batch.run {
                for case .decided(let subject, _, let decision, _) in announce(some, done) {
                    decisions[subject.key] = max(decisions[subject.key] ?? .hold, decision)
                }
            }
        }
        return decisions
    }

    private func announce(
        _ subjects: ArraySlice<Subject>, _ done: [MessageKey: [DeviceID: NotifierMachine.Told]]
    ) -> [NotifierMachine.Action] {
        // A bridge passes on what it gets by itself: it has nothing to ring.
        let devices = directory.read { directory in
            subjects.map { directory.devices(of: $0.account).filter { !$0.isBridge }.map(\.id) }
        }
        return decide { [mailroom] machine, view in
            var actions: [NotifierMachine.Action] = []
            // Somebody may have read one on a stream before we come here.
            for (subject, devices) in zip(subjects, devices) where mailroom.isOpen(subject.key) {
                actions += machine.announce(subject, devices: devices, done: done[subject.key] ?? [:], view)
            }
            return actions
        }
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
            device: delivery.device, representative: representative, pushed: delivery.outcome == .pushed,
            collapse: page.message(representative).flatMap(Subjects.collapse))
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

    /// How far the announcing of a message is: whether it goes on, and which devices show it.
    func standing(_ key: MessageKey) -> (isPending: Bool, devices: [DeviceID]) {
        machine.withLock { machine in
            (machine.isPending(key), Set(machine.shown(of: key).map(\.device)).sorted())
        }
    }

    /// The data of a `clear` event. It is sent even when no device shows a notification: clients that list the
    /// message learn that it is read.
    package func clearData(_ key: MessageKey, _ shown: [NotifierMachine.Shown]) -> JSON {
        let ids = Set(shown.map { identities.notification($0.representative, $0.device).text }).sorted()
        return ["notifications": .strings(ids), "message": .string(key.description)]
    }

    /// Takes notifications away from the devices that cannot hear of it on a stream. `except`: the device
    /// that did it itself, where only what has not left yet is taken back.
    package func withdraw(_ account: AccountID, _ key: MessageKey, _ shown: [NotifierMachine.Shown], except: DeviceID?)
    {
        guard !shown.isEmpty else { return }
        log.info(
            .notificationCleared, "A notification is taken away from the devices that show it",
            ["account": .id(account), "messageId": .key(key), "devices": .strings(shown.map(\.device.text).sorted())])
        for item in shown where item.pushed { clear(item, account, isKnown: item.device == except) }
    }

    // MARK: The machine

    /// What is done when what an input leads to is durable, and what is known already of its notification.
    struct Aftermath {
        let representative: MessageKey
        let device: DeviceID
        let notification: NotificationID
        let then: @Sendable () -> Void
    }

    func step(
        _ aftermath: Aftermath? = nil, _ body: (inout NotifierMachine, NotifierView) -> [NotifierMachine.Action]
    ) {
        _ = decide(aftermath, body)
    }

    func decide(
        _ aftermath: Aftermath? = nil, _ body: (inout NotifierMachine, NotifierView) -> [NotifierMachine.Action]
    ) -> [NotifierMachine.Action] {
        let view = NotifierView(
            now: time.now, timestamp: time.timestamp, ack: defaults.ack,
            foregroundUntil: { [sessions] device, app in
                app.flatMap { sessions.foregroundUntil(device: device, app: $0) }
            },
            isLive: { [hub] in hub.isLive($0) },
            channels: { [directory, dispatcher] id in
                directory.read { $0.devices[id]?.services ?? [] }.filter(dispatcher.has)
            },
            acknowledged: { [directory] id in directory.read { $0.devices[id]?.cursor ?? 0 } },
            isShownByFarm: { [sessions] device, app in
                app.map { sessions.isShownByFarm(device: device, app: $0) } ?? false
            })
        let (actions, deadline) = machine.withLock { machine in
            let actions = body(&machine, view)
            return (actions, machine.nextDeadline)
        }
        perform(actions, aftermath)
        alarm.set(deadline)
        return actions
    }

    /// What there is to record goes to the store in one piece.
    private func perform(_ actions: [NotifierMachine.Action], _ aftermath: Aftermath?) {
        var records: [StoreChange] = []
        // Those of a digest have one notification, and its id costs two hashes.
        var known = aftermath.map { (representative: $0.representative, device: $0.device, id: $0.notification) }
        // Before what they lead to, all of them: one step after the other.
        for case .decided(let subject, let device, let decision, let reason) in actions {
            decided(subject, device, decision, reason)
        }
        var pushes: [PushOrder] = []
        for action in actions {
            if case .push(let device, let subjects, let channel) = action {
                pushes.append(PushOrder(device: device, subjects: subjects, adapter: channel))
                continue
            }
            push(&pushes)
            guard case .record(let key, let device, let outcome, let detail, let representative, let channel) = action
            else {
                perform(action)
                continue
            }
            if known?.representative != representative || known?.device != device {
                known = (representative, device, identities.notification(representative, device))
            }
            guard let id = known?.id else { continue }
            let record = DeliveryRecord(
                message: key, device: device, outcome: outcome, at: time.timestamp, detail: detail, notification: id,
                adapter: channel)
            records.append(.putDelivery(record))
            if outcome == .pushed { mailroom.hop(key, .notified, device) }
        }
        push(&pushes)
        guard !records.isEmpty || aftermath != nil else { return }
        let then = aftermath?.then
        store.submit(records) { result in
            if case .success = result { then?() }
        }
    }

    private func perform(_ action: NotifierMachine.Action) {
        switch action {
        case .decided, .record, .push: break
        case .notify(let device, let subjects):
            guard let newest = newest(of: subjects) else { return }
            let notification = notification(
                device, subjects, newest, identities.announcement(newest.key, device),
                badge: mailroom.openCount(.account(newest.account)))
            let keys = subjects.map(\.key)
            let number = hub.announce(notification)
            step { $0.notified(keys, device, number: number, $1) }
        case .suppressed(let subject, let device):
            log.info(
                .notificationSuppressed, "The running client has the message and stayed in front",
                [
                    "account": .id(subject.account), "app": .string(subject.app?.text ?? ""), "device": .id(device),
                    "messageId": .key(subject.key),
                ])
        case .clear(let shown, let account): clear(shown, account)
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
