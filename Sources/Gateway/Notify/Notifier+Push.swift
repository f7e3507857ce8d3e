internal import Base

// Pushes: what they carry, and what follows from how they end.
extension Notifier {
    /// Same for every attempt, so that a repeat replaces the first on the device; and for messages of which one takes
    /// the place of the other.
    private func collapse(_ representative: MessageKey, _ name: String?) -> String {
        name.map(identities.collapse) ?? "f-\(representative)"
    }

    /// What a notification of several is named after.
    func newest(of subjects: [Subject]) -> Subject? { subjects.max { $0.key < $1.key } }

    func notification(
        _ device: DeviceID, _ subjects: [Subject], _ newest: Subject, _ names: Identities.Names, badge: Int
    ) -> Notification {
        let ordered = subjects.sorted { $0.key < $1.key }
        let locale = directory.read { $0.devices[device]?.locale }
        let text = SummaryText(ordered.map(\.content), defaults.templates, deviceLocale: locale)
        var notification = Notification(
            id: names.notification, account: newest.account, device: device, app: newest.app,
            message: newest.key, messages: ordered.map(\.key), title: text.title, body: text.body, badge: badge,
            collapse: collapse(newest.key, newest.collapse), thread: newest.app?.text ?? newest.content.appName,
            tap: names.tap)
        notification.isAnswerable = ordered.count == 1 && newest.isAnswerable
        return notification
    }

    private func push(
        _ id: NotificationID, _ device: Device, _ channel: Channel, _ content: Push.Content,
        _ priority: Message.Priority, expires: Timestamp
    ) -> Push {
        let locale = locale(of: device)
        // Most pushes have words of their own.
        let isBare = device.payload == .wakeup || device.encryption != nil
        return Push(
            id: id.text, device: device.id, address: channel.address, content: content, payload: device.payload,
            priority: priority, expires: expires, encryption: device.encryption, locale: locale,
            hint: isBare ? defaults.templates.words([locale]).hint("") : nil)
    }

    /// The language a device is spoken to in.
    func locale(of device: Device) -> String {
        device.locale ?? directory.read { $0.accounts[device.account]?.locale } ?? defaults.templates.locale
    }

    /// What the machine wants pushed.
    struct PushOrder {
        let device: DeviceID
        let subjects: [Subject]
        let adapter: String
    }

    /// Hands pushes to their lanes and takes them off the list; each step for all of them before the next one, as
    /// `announcedAtOnce` says.
    func push(_ orders: inout [PushOrder]) {
        if orders.isEmpty { return }
        let named = orders.map { order in
            newest(of: order.subjects).map { ($0, identities.announcement($0.key, order.device)) }
        }
        let jobs = zip(orders, named).map { order, named in
            named.flatMap { newest, names in job(order, newest, names) }
        }
        for (order, job) in zip(orders, jobs) {
            if let job {
                if !dispatcher.enqueue(job) { refused(job) }
            } else {
                step { $0.pushImpossible(order.device, messages: order.subjects.map(\.key), $1) }
            }
        }
        orders = []
    }

    /// - Returns: nil when the device has no such channel any more.
    private func job(_ order: PushOrder, _ newest: Subject, _ names: Identities.Names) -> PushJob? {
        guard let device = directory.read({ $0.devices[order.device] }), let channel = device.channel(at: order.adapter)
        else { return nil }
        // The badge is found out when it leaves.
        let notification = notification(order.device, order.subjects, newest, names, badge: 0)
        let push = push(
            notification.id, device, channel, .alert(notification), newest.priority, expires: newest.expires)
        return PushJob(
            push: push, account: newest.account, channel: channel, messages: notification.messages,
            representative: newest.key, accepted: time.now)
    }

    /// A push as it leaves its lane, perhaps long after it came: the badge is what is unread at this moment.
    func asOfNow(_ job: PushJob) -> Push { job.push.with(badge: mailroom.openCount(.account(job.account))) }

    /// The lane is full or gone: the messages stay held and are looked at anew later.
    private func refused(_ job: PushJob) {
        log.error(
            .notificationFailed, "The push service's lane is full or no longer configured",
            ["push": .string(job.channel.adapter), "device": .id(job.push.device), "reason": "lane_refused"])
        step { $0.pushRefused(job.push.device, messages: job.messages, $1) }
    }

    /// - Parameter isKnown: the device takes away by itself what it shows.
    func clear(_ shown: NotifierMachine.Shown, _ account: AccountID, isKnown: Bool = false) {
        guard let device = directory.read({ $0.devices[shown.device] }) else { return }
        let notification = identities.notification(shown.representative, shown.device)
        // One that has not left yet needs no taking back; one under way is taken back when it came through.
        var isCancelled = false
        for channel in device.channels where dispatcher.cancel(notification.text, lane: channel.adapter) {
            isCancelled = true
        }
        if isCancelled {
            let isShown = machine.withLock { $0.cancelled(shown) }
            if !isShown { return }
        } else if machine.withLock({ $0.isOrphan(shown) }) {
            return
        }
        guard !isKnown, !hub.isLive(shown.device) else { return }
        for channel in device.channels where dispatcher.adapter(channel.adapter)?.canClear == true {
            let push = push(
                identities.notification(shown.representative, DeviceID("\(shown.device)/clear")), device, channel,
                .clear([notification], collapse: collapse(shown.representative, shown.collapse), badge: 0), .low,
                expires: time.timestamp + Self.clearLifetime)
            let job = PushJob(
                push: push, account: account, channel: channel, messages: [], representative: shown.representative,
                accepted: time.now)
            if !dispatcher.enqueue(job) { refused(job) }
        }
    }

    /// A message took the place of an older one, which was shown here.
    func replaced(_ old: MessageKey, by new: MessageKey, _ account: AccountID, _ shown: [NotifierMachine.Shown]) {
        for item in shown where item.pushed {
            guard machine.withLock({ $0.isTelling(item.device, new) }) else {
                withdraw(account, old, [item], except: nil)
                continue
            }
            // The device replaces what it shows by itself. The older one must not come after the newer, nor be taken
            // back when it has come through: that would take the newer one.
            let notification = identities.notification(item.representative, item.device)
            for channel in directory.read({ $0.devices[item.device]?.channels ?? [] }) {
                _ = dispatcher.cancel(notification.text, lane: channel.adapter)
            }
            _ = machine.withLock { $0.cancelled(item) }
        }
    }

    // MARK: How they end

    func finished(_ job: PushJob, _ report: PushReport) {
        let outcome: DeliveryRecord.Outcome
        switch report.outcome {
        case .delivered:
            outcome = .pushed
        case .gone(let since):
            outcome = .failed
            prune(job, since: since, report)
            if sentAgain(job) { return }
        case .rejected, .retry, .credential:
            outcome = .failed
            if case .clear = job.push.content {
                // Some services and browsers do not let anything be taken back: nobody has to do anything.
                log.info(.notificationFailed, "The push service did not take a notification away", job.fields(report))
            } else {
                log.error(.notificationFailed, "The push service refused a notification", job.fields(report))
            }
        }
        guard let representative = job.representative, !job.messages.isEmpty else { return }
        let detail = [report.status.map(String.init), report.reason].compactMap { $0 }.joined(separator: " ")
        var aftermath: Aftermath?
        if outcome == .pushed {
            let milliseconds = time.now - job.accepted
            // The line is written when the record is durable.
            aftermath = Aftermath(
                representative: representative, device: job.push.device, notification: NotificationID(job.push.id)
            ) { [log] in
                log.info(
                    .notificationSent, "The push service took a notification",
                    job.fields(report) + [
                        "attempts": .count(job.attempt + 1), "milliseconds": .milliseconds(milliseconds),
                    ])
            }
        }
        step(aftermath) { machine, view in
            machine.pushFinished(
                job.push.device, representative: representative, messages: job.messages, outcome: outcome,
                detail: detail.isEmpty ? nil : detail, channel: job.channel.adapter, view)
        }
    }

    /// Sends a push to the address that has replaced the dead one meanwhile; false when there is none.
    private func sentAgain(_ job: PushJob) -> Bool {
        guard let device = directory.read({ $0.devices[job.push.device] }),
            let channel = device.channel(at: job.channel.adapter), channel != job.channel
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
    /// verdict. Nothing else takes a channel from a device.
    private func prune(_ job: PushJob, since: Timestamp?, _ report: PushReport) {
        let fields = job.fields(report)
        let verdict = since ?? time.timestamp
        let pruned = Locked(false)
        directory.submit { directory in
            guard let device = directory.devices[job.push.device],
                device.channel(at: job.channel.adapter) == job.channel, job.channel.since <= verdict
            else { return [] }
            pruned.withLock { $0 = true }
            return directory.change(device.id) { device in
                if device.channel == job.channel { device.channel = nil }
                device.furtherChannels.removeAll { $0 == job.channel }
            }.map { [.putDevice($0)] } ?? []
        }
        guard pruned.withLock({ $0 }) else {
            log.info(
                .notificationFailed, "The push service calls an address dead that the device has told us since", fields)
            return
        }
        log.warning(.devicePruned, "The push service says the device's address is dead; it was removed", fields)
        var data: JSONObject = [
            "device": .string(job.push.device.text), "state": "pruned", "push": .string(job.channel.adapter),
        ]
        if let reason = report.reason { data.append("reason", .string(reason)) }
        mailroom.note(.device, to: job.account, .object(data))
    }
}
