package import Base
package import Gateway

// What nearly every test of the gateway begins with, in a line each.
extension TestGateway {
    /// The password of the accounts made here.
    package static let password = Secret("correct horse")
    /// What registrations made here log in with.
    package static let credentials = ["username": Secret("alice@mail"), "password": Secret("mail-password")]

    /// The account, made when it does not exist.
    @discardableResult
    package func account(_ name: String = "alice") async throws -> Account {
        if let account = gateway.accounts.account(AccountID(name)) { return account }
        return try await gateway.accounts.create(name, password: Self.password)
    }

    /// Binds a device named `name`, whose installation is `account-name`. Its account is made when there is none.
    /// - Parameter adapter: the push service of its channel; nil: it has no channel.
    @discardableResult
    package func device(
        _ account: String = "alice", _ name: String = "phone", adapter: String? = "phone",
        payload: Device.Payload = .summary
    ) async throws -> Device {
        try await bind(account, name, adapter: adapter, payload: payload).device
    }

    /// Like `device`, with the token.
    package func bind(
        _ account: String = "alice", _ name: String = "phone", adapter: String? = "phone",
        payload: Device.Payload = .summary
    ) async throws -> (device: Device, token: Secret, isNew: Bool) {
        try await self.account(account)
        var description = Devices.Description(
            installation: "\(account)-\(name)", name: name, platform: adapter == "browser" ? "web" : "ios")
        description.channel = adapter.map { ($0, .token("token of \(account)-\(name)")) }
        description.payload = payload
        return try await gateway.devices.bind(AccountID(account), description)
    }

    /// Registers the account for an app.
    @discardableResult
    package func register(
        _ account: String = "alice", app: AppID = "mail", notify: NotifyPreferences = NotifyPreferences(),
        isEnabled: Bool = true
    ) async throws -> Registration {
        try await self.account(account)
        let isWatched = gateway.registrations.app(app)?.monitor != nil
        return try await gateway.registrations.put(
            account: AccountID(account), app: app, credentials: isWatched ? Self.credentials : [:],
            isEnabled: isEnabled, preferences: notify
        ).registration
    }

    /// Registers, logs in from the device, leaves the app again, and returns when it is watched.
    package func watched(
        _ device: Device, app: AppID = "mail", notify: NotifyPreferences = NotifyPreferences()
    ) async throws -> Registration {
        let registration = try await register(device.account.text, app: app, notify: notify)
        let session = try await logIn(device, app: app)
        present(session, device, .gone)
        try await waitForWatching(registration.id)
        return registration
    }

    /// Logs in to an app; the session is in front.
    @discardableResult
    package func logIn(_ device: Device, app: AppID = "mail", instance: String = "run-1") async throws -> Session {
        try await gateway.openSession(app, instance: instance, device: device).session
    }

    /// Reports a presence with the next sequence number.
    @discardableResult
    package func present(_ session: Session, _ device: Device, _ presence: Session.Presence) -> Session? {
        let seq = (gateway.sessions.session(session.id)?.seq ?? 0) + 1
        return gateway.report(session.id, device: device, seq: seq, presence: presence)
    }

    /// Returns when the registration is watched and its baseline is set.
    package func waitForWatching(_ id: RegistrationID) async throws {
        try await Eventually.wait("\(id) is watched") { [self] in
            gateway.monitors.health(id)?.state == .watching && monitor.isRunning(id)
        }
    }

    /// Opens the device's stream and returns when it hears news at once.
    package func connect(_ device: Device, after: Int64? = nil) async throws -> RecordingStream {
        let stream = open(device, after: after)
        try await Eventually.wait("the stream of \(device.id) has caught up") { [self] in
            gateway.streams.isLive(device.id)
        }
        return stream
    }

    /// Opens the device's stream.
    package func open(
        _ device: Device, after: Int64? = nil, _ stream: RecordingStream = RecordingStream()
    )
        -> RecordingStream
    {
        let (streams, id) = (gateway.streams, device.id)
        stream.onClose { [weak stream] in
            if let stream { streams.closed(id, stream: stream, reason: "closed") }
        }
        let current = gateway.devices.device(id) ?? device
        streams.open(current, stream: stream, after: after ?? current.cursor)
        return stream
    }

    /// The monitor sees a new mail; returns its message when that is stored.
    @discardableResult
    package func news(
        _ registration: Registration, _ key: String, from sender: String? = "Bob", title: String? = "Lunch",
        preview: String? = "At noon?", priority: Message.Priority = .normal
    ) async throws -> MessageKey {
        var item = Item(key: key, sender: sender, title: title, preview: preview)
        item.priority = priority
        try await monitor.emit(registration.id, .new(item))
        return try await message(registration, key)
    }

    /// The message that an item became.
    package func message(_ registration: Registration, _ key: String) async throws -> MessageKey {
        try await Eventually.value("the message of \(key)") { [store] in
            try await store.items(registration: registration.id, keys: [key])[key]?.message
        }
    }

    /// Posts a message to the account's queue, as a sender does, and announces it.
    @discardableResult
    package func post(
        to account: String = "alice", app: AppID? = "mail", subject: String? = "Hello", body: String = "text",
        priority: Message.Priority = .normal, expires: Timestamp? = nil
    ) async throws -> Message {
        var draft = MessageDraft(sender: .account("bob"), app: app)
        (draft.subject, draft.body) = (subject, Array(body.utf8))
        (draft.priority, draft.expires) = (priority, expires)
        let posted = try await gateway.mailroom.post([Posting(draft, to: .account(AccountID(account)))])
        let messages = posted.compactMap(\.message)
        gateway.messages.accepted(messages)
        return try require(messages)
    }

    /// Moves the clock in steps of at most a second, so that what happens every second does.
    package func advance(by duration: Duration) async throws {
        var left = duration
        while left > .zero {
            // The periodic sleepers: ended leases, expired messages, and the hourly purge.
            try await time.waitForSleepers(3)
            let step = min(left, .seconds(1))
            time.advance(by: step)
            left -= step
        }
        try await time.waitForSleepers(3)
    }

    /// The decisions logged for a message so far, as `decision reason`.
    package func decisions(_ key: MessageKey, _ device: Device? = nil) -> [String] {
        log.records(of: .notificationDecided).filter { record in
            record.fields["messageId"] == .key(key)
                && (device == nil || record.fields["device"] == device.map { .id($0.id) })
        }.map { record in
            guard case .string(let decision)? = record.fields["decision"],
                case .string(let reason)? = record.fields["reason"]
            else { return "" }
            return "\(decision) \(reason)"
        }
    }

    /// Returns when a decision was made.
    /// - Throws: `DeadlineMissed`.
    package func waitForDecision(_ key: MessageKey, _ decision: String) async throws {
        try await Eventually.wait("\(key): \(decision), not only \(decisions(key))") { [self] in
            decisions(key).contains(decision)
        }
    }

    /// Returns when the event has been logged so many times.
    /// - Throws: `DeadlineMissed`.
    @discardableResult
    package func waitForLog(_ event: LogEvent, count: Int = 1) async throws -> [LogRecord] {
        try await Eventually.wait("\(count) lines \(event)") { [log] in log.records(of: event).count >= count }
        return log.records(of: event)
    }

    /// Returns when nothing waits for the store or a push service.
    /// - Throws: `DeadlineMissed`.
    package func waitUntilIdle() async throws {
        try await store.commit([])
        try await Eventually.wait("the lanes are empty") { [self] in
            gateway.dispatcher.statistics().allSatisfy { $0.waiting == 0 && $0.underWay == 0 }
        }
        try await store.commit([])
    }

    private func require(_ posted: [Message]) throws -> Message {
        guard let message = posted.first else { throw DeadlineMissed(what: "a posted message", deadline: .zero) }
        return message
    }
}
