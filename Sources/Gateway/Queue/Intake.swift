package import Base

/// Takes what monitors see: known items are dropped, new ones become messages, those read or gone settle
/// theirs.
package final class Intake: Sendable {
    private let directory: StateKeeper<Directory>
    private let registrations: Registrations
    private let mailroom: Mailroom
    private let messages: Messages
    private let store: any Store
    private let time: any TimeSource
    private let log: Log
    private let defaults: NotifyDefaults
    private let contents = Locked(RecentContents())

    package init(
        directory: StateKeeper<Directory>, registrations: Registrations, mailroom: Mailroom, messages: Messages,
        store: any Store, time: any TimeSource, log: Log, defaults: NotifyDefaults
    ) {
        (self.directory, self.registrations, self.mailroom) = (directory, registrations, mailroom)
        (self.messages, self.store, self.time, self.log, self.defaults) = (messages, store, time, log, defaults)
    }

    /// Stores a batch; returns when its new messages, the end of those read or gone, and its cursor are durable, all in
    /// one transaction.
    /// - Parameters:
    ///   - revision: of the credentials the monitor logged in with; news of former ones is not taken any more.
    ///   - isBaseline: the registration had no cursor: its items are known, not news.
    ///   - username: what it logged in with, where there is a name.
    /// - Throws: `MonitorFailure` for a batch beyond the limits, or the store's failure.
    /// - Returns: what was news, and how long ago the newest item came about at its source.
    package func accept(
        _ id: RegistrationID, revision: Int64, _ batch: MonitorBatch, isBaseline: Bool, username: String?
    ) async throws -> (news: Int, lag: Duration?) {
        guard batch.cursor.count <= MonitorBatch.cursorLimit else {
            throw MonitorFailure(.protocolViolation, "the monitor's cursor is over \(MonitorBatch.cursorLimit) bytes")
        }
        guard let registration = registrations.registration(id), registration.credentialsRevision == revision else {
            throw CancellationError()
        }
        var ended: [String: String] = [:]
        var items: [Item] = []
        for change in batch.changes {
            switch change {
            case .new(let item): items.append(item)
            case .seen(let key): ended[key] = Messages.readReason
            case .gone(let key): ended[key] = Self.goneReason
            }
        }
        let known = try await store.items(registration: id, keys: items.map(\.key) + Array(ended.keys))
        var ending: [String: [MessageKey]] = [:]
        for (key, reason) in ended {
            if let item = known[key], item.isOpen { ending[reason, default: []].append(item.message) }
        }
        var seen: Set<String> = []
        let news = items.filter { known[$0.key] == nil && ended[$0.key] == nil && seen.insert($0.key).inserted }
        let own = OwnAddresses(
            registration.preferences.ownAddresses, of: registration.account, app: registrations.app(registration.app),
            username: username)
        // The account's own messages are known from the start, as what was there before is; so is what its rules
        // ignore, and what another of its registrations has announced.
        let postings = news.map { item in
            var item = item
            let outcome = registration.preferences.rules?.outcome(of: item)
            if let priority = outcome.flatMap({ Message.Priority(rawValue: $0.rawValue) }) { item.priority = priority }
            let isKnown =
                isBaseline || own.has(item.senderAddress) || outcome == .ignore || isRepeat(item, registration)
            return Posting(draft(item, registration, isKnown: isKnown), to: .account(registration.account))
        }
        let posted = try await store(postings, ending, registration, batch.cursor).filter { $0.state == .ready }
        registrations.moved(id, cursor: batch.cursor, known: registration)
        if isBaseline { return (0, nil) }
        let now = time.timestamp
        let lag = news.compactMap(\.time).max().map { max(.zero, now - $0) }
        for message in posted {
            var fields: LogFields = [
                "registration": .id(id), "account": .id(registration.account), "app": .id(registration.app),
                "messageId": .key(message.key),
            ]
            if let lag { fields.append("lagMilliseconds", .milliseconds(lag)) }
            log.info(.monitorItem, "A monitor saw something new", fields)
        }
        messages.accepted(posted)
        return (posted.count, lag)
    }

    private static let goneReason = "gone"

    private func isRepeat(_ item: Item, _ registration: Registration) -> Bool {
        guard let content = item.contentKey, directory.read({ $0.registrations(of: registration.account).count }) > 1
        else { return false }
        return contents.withLock { $0.isRepeat(content, registration.account, registration.id, now: time.now) }
    }

    /// One transaction. Where the queue is full, what has ended makes room first: else a mailbox that is being read
    /// could never be told of.
    private func store(
        _ postings: [Posting], _ ending: [String: [MessageKey]], _ registration: Registration, _ cursor: [UInt8]
    ) async throws -> [Message] {
        let cursor = StoreChange.setMonitorCursor(registration.id, cursor)
        do {
            return try await messages.take(postings, ending: ending, account: registration.account, with: [cursor])
        } catch let error as GatewayError where error.code == .queueFull && !ending.isEmpty {
            _ = try await messages.take([], ending: ending, account: registration.account, with: [])
            return try await messages.take(postings, ending: [:], account: registration.account, with: [cursor])
        }
    }

    // MARK: Refused credentials

    private static let refusal = "farbell:refused/"

    /// Tells the account that an app's server refused its credentials: a message like any other, one for each
    /// time they were changed.
    package func refused(_ registration: Registration) async throws {
        let item = "\(Self.refusal)\(registration.credentialsRevision)"
        guard try await store.items(registration: registration.id, keys: [item]).isEmpty else { return }
        let locale = directory.read { $0.accounts[registration.account]?.locale }
        var draft = MessageDraft(sender: .app(registration.app), app: registration.app)
        let app = registrations.app(registration.app)?.name ?? registration.app.text
        draft.subject = defaults.templates.words([locale]).refused(app)
        draft.header["kind"] = "monitor.refused"
        draft.expires = time.timestamp + defaults.itemTTL
        draft.origin = Message.Origin(registration: registration.id, item: item)
        let posted = try await mailroom.post([Posting(draft, to: .account(registration.account))])
        messages.accepted(posted.compactMap(\.message))
        // For programs, and also where a client in front leaves the message without a notification.
        mailroom.note(
            .monitor, to: registration.account,
            [
                "registration": .string(registration.id.text), "app": .string(registration.app.text),
                "state": .string(SupervisorMachine.State.refused.rawValue), "message": .string(text(posted)),
            ])
    }

    private func text(_ posted: [Posted]) -> String { posted.first?.key.description ?? "" }

    /// The credentials were changed, or the registration is gone: nobody needs to be told any more.
    package func renewed(_ id: RegistrationID) async throws {
        let open = try await store.openItems(registration: id).filter { $0.key.hasPrefix(Self.refusal) }
        let current = registrations.registration(id)
            .map { "\(Self.refusal)\($0.credentialsRevision)" }
        for (item, key) in open where item != current {
            guard case .account(let account)? = mailroom.address(of: key.queue) else { continue }
            try await messages.settle([key], account: account, as: .done, reason: "credentials_changed", by: nil)
        }
    }

    private func draft(_ item: Item, _ registration: Registration, isKnown: Bool) -> MessageDraft {
        var draft = MessageDraft(sender: .app(registration.app), app: registration.app)
        draft.subject = item.title
        draft.body = Array((item.preview ?? "").utf8)
        draft.priority = item.priority
        draft.expires = time.timestamp + defaults.itemTTL
        draft.origin = Message.Origin(registration: registration.id, item: item.key)
        draft.isKnown = isKnown
        draft.header["from"] = item.sender
        draft.header["address"] = item.senderAddress
        draft.header["thread"] = item.threadKey
        draft.header["content"] = item.contentKey
        draft.header["time"] = item.time?.description
        return draft
    }
}
