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

    package init(
        directory: StateKeeper<Directory>, registrations: Registrations, mailroom: Mailroom, messages: Messages,
        store: any Store, time: any TimeSource, log: Log, defaults: NotifyDefaults
    ) {
        (self.directory, self.registrations, self.mailroom) = (directory, registrations, mailroom)
        (self.messages, self.store, self.time, self.log, self.defaults) = (messages, store, time, log, defaults)
    }

    /// Stores a batch; returns when its messages and its cursor are durable. First those read or gone are
    /// settled, then the new ones are stored together with the cursor: after a crash in between the
    /// monitor reports the first part again, which changes nothing.
    /// - Parameters:
    ///   - revision: of the credentials the monitor logged in with; news of former ones is not taken any more.
    ///   - isBaseline: the registration had no cursor: its items are known, not news.
    /// - Throws: `MonitorFailure` for a batch beyond the limits, or the store's failure.
    /// - Returns: how many items were news.
    package func accept(
        _ id: RegistrationID, revision: Int64, _ batch: MonitorBatch, isBaseline: Bool
    ) async throws -> Int {
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
            case .seen(let key): ended[key] = "read"
            case .gone(let key): ended[key] = "gone"
            }
        }
        let known = try await store.items(registration: id, keys: items.map(\.key) + Array(ended.keys))
        for reason in ["read", "gone"] {
            let keys = ended.filter { $0.value == reason }.compactMap { known[$0.key] }.filter(\.isOpen).map(\.message)
            if !keys.isEmpty {
                try await messages.settle(keys, account: registration.account, as: .done, reason: reason, by: nil)
            }
        }
        var seen: Set<String> = []
        let news = items.filter { known[$0.key] == nil && ended[$0.key] == nil && seen.insert($0.key).inserted }
        let drafts = news.map { draft($0, registration, isKnown: isBaseline) }
        let posted = try await mailroom.post(
            drafts.map { Posting($0, to: .account(registration.account)) },
            with: [.setMonitorCursor(id, batch.cursor)]
        ).compactMap(\.message)
        registrations.moved(id, cursor: batch.cursor, known: registration)
        if isBaseline { return 0 }
        for message in posted {
            log.info(
                .monitorItem, "A monitor saw something new",
                [
                    "registration": .id(id), "account": .id(registration.account), "app": .id(registration.app),
                    "messageId": .key(message.key),
                ])
        }
        messages.accepted(posted)
        return posted.count
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
    }

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
