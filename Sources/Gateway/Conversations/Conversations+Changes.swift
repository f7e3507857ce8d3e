internal import Base

// Edits and withdrawals by whoever sent a message.
extension Conversations {
    /// Gives a message a new text, in the history and where it still waits; devices that show it are told anew.
    /// - Parameters:
    ///   - key: any of the messages it was sent as, as sending answered it first.
    ///   - subject: nil: it has none any more.
    /// - Returns: the entry as it is now.
    /// - Throws: `not_found`, `forbidden`, `too_late`, `withdrawn`, `storage_full`.
    package func edit(
        _ key: MessageKey, by owner: QueueAddress, subject: String?, body: [UInt8]
    ) async throws -> HistoryEntry {
        var entry = try await own(key, of: owner)
        if entry.withdrawn != nil {
            throw GatewayError(.withdrawn, "the message '\(key)' was withdrawn")
        }
        // An edit is one more way to write to somebody; taking back is none.
        guard isHeard(owner, by: entry.recipient) else {
            throw GatewayError(.notFound, "there is no message '\(key)' in a conversation of yours")
        }
        (entry.subject, entry.body, entry.edited) = (subject, body, time.timestamp)
        try await mailroom.edit(entry)
        log.info(.conversationEdited, "A message has a new text", ["messageId": .key(entry.message)])
        try await messages.announceAnew([entry.message] + entry.also)
        tell(.edited(entry))
        return entry
    }

    /// Takes a message back: its text goes from the history, and it is settled where it still waits. Doing it again
    /// changes nothing.
    /// - Throws: `not_found`, `forbidden`, `too_late`.
    package func withdraw(_ key: MessageKey, by owner: QueueAddress) async throws {
        var entry = try await own(key, of: owner)
        if entry.withdrawn != nil { return }
        entry.withdraw(at: time.timestamp)
        let keys = [entry.message] + entry.also
        var shown = notifier.settled(keys)
        let known = shown
        let settled = try await mailroom.withdraw(entry) { [notifier] in notifier.clearData($0, known[$0] ?? []) }
        // What was announced in between, before the queue knew.
        for (key, more) in notifier.settled(keys) where !more.isEmpty { shown[key, default: []] += more }
        log.info(
            .conversationWithdrawn, "A message was taken back by its sender",
            ["messageId": .key(entry.message), "settled": .count(settled.count)])
        if case .account(let account) = entry.recipient {
            for key in keys { notifier.withdraw(account, key, shown[key] ?? [], except: nil) }
        }
        tell(.withdrawn(entry))
    }

    /// Takes what an account wrote to others out of their queues, before the account and its conversations end. What
    /// it sent to applications is theirs to work on.
    func takeBackAll(of account: AccountID) async throws {
        let keys = mailroom.openMessages(from: .account(account))
        for (recipient, keys) in Dictionary(grouping: keys, by: \.recipient) {
            try await messages.settle(
                keys.map(\.key), account: recipient, as: .done, reason: "sender_deleted", by: nil, marks: false)
        }
    }

    /// An entry that the caller wrote and may still change.
    /// - Throws: `not_found`, also for what is neither from nor for the caller; `forbidden`, `too_late`.
    private func own(_ key: MessageKey, of owner: QueueAddress) async throws -> HistoryEntry {
        guard let entry = try await store.entry(of: key), entry.sender == owner || entry.recipient == owner else {
            throw GatewayError(.notFound, "there is no message '\(key)' in a conversation of yours")
        }
        guard entry.sender == owner else {
            throw GatewayError(.forbidden, "the message '\(key)' is not from you")
        }
        guard time.timestamp - entry.at <= .seconds(limits.editSeconds) else {
            throw GatewayError(.tooLate, "the message '\(key)' is older than limits.editSeconds")
        }
        return entry
    }
}

extension GatewayError.Code {
    package static let withdrawn = Self("withdrawn", .conflict)
    package static let tooLate = Self("too_late", .conflict)
}
