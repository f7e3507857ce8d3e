internal import Base

// What an account says of itself (IM-9), and which applications hear of it.
extension People {
    /// How long an application's queue keeps a presence that was not taken.
    static let appPresenceLifetime: Duration = .seconds(300)

    /// What an account says of itself.
    package func status(of account: AccountID) -> OwnStatus {
        book.read { $0.status(of: account) } ?? OwnStatus(since: Timestamp(milliseconds: 0))
    }

    /// Changes what an account says of itself; its contacts hear of it.
    /// - Throws: `invalid_field`; the store's failure.
    @discardableResult
    package func setStatus(of account: AccountID, _ change: OwnStatusChange) async throws -> OwnStatus {
        guard let account = directory.read({ $0.accounts[account]?.id }) else {
            throw GatewayError(.notFound, "there is no account '\(account)'")
        }
        let now = time.timestamp
        let (before, status) = try await book.change { book in
            let before = book.status(of: account) ?? OwnStatus(since: now)
            let status = try change.applied(to: before, at: now)
            book.put(status, of: account)
            return ((before, status), before == status ? [] : [.people(.putStatus(account, status))])
        }
        if before != status {
            log.info(
                .statusChanged, "An account says something else of itself",
                ["account": .id(account), "status": .string(status.word.rawValue)])
        }
        step { $0.said(account, $1) }
        if before.tellsApps != status.tellsApps {
            tellApps(account, status.tellsApps ? presence(of: account) : .offline, isAllowed: true)
        }
        return status
    }

    /// Puts an account's presence into the queues of the applications that want it and that the account allows it.
    /// - Parameter isAllowed: whatever the account says now: the last word before it allows it no more.
    func tellApps(_ account: AccountID, _ presence: AccountPresence, isAllowed: Bool = false) {
        guard !apps.isEmpty, isAllowed || status(of: account).tellsApps else { return }
        let registered = directory.read { directory in
            apps.filter { directory.registration(of: account, app: $0) != nil }
        }
        guard !registered.isEmpty else { return }
        let postings = registered.map { app in
            var draft = MessageDraft(sender: .app(app), app: nil)
            draft.header = ["type": "presence", "account": account.text, "status": presence.state.rawValue]
            draft.header["text"] = presence.text
            draft.header["lastSeen"] = presence.lastSeen?.description
            // The newest takes the place of one that was not called out yet.
            (draft.group, draft.collapse) = ("presence/\(account)", "presence/\(account)")
            draft.expires = time.timestamp + Self.appPresenceLifetime
            return Posting(draft, to: Recipient(.app(app)))
        }
        do {
            try mailroom.post(postings) { _ in }
        } catch {
            log.warning(
                .presenceDropped, "An application's queue takes no presence now",
                ["account": .id(account), "code": .string(error.code.name)])
        }
    }
}
