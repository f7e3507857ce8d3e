internal import Base

// Contact lists and blocks (IM-8). Where consent is asked for, an account that does not exist, one that has blocked
// the caller and one that has not answered look the same.
extension People {
    /// An account's contacts, wishes of its own and wishes for it.
    package func contacts(of account: AccountID) -> [Contact] { book.read { $0.contacts(of: account) } }

    /// How an account stands with another; nil: not at all.
    package func contact(_ peer: AccountID, of account: AccountID) -> Contact? {
        book.read { $0.contact(account, peer) }
    }

    /// Accounts that an account has blocked.
    package func blocks(of account: AccountID) -> [Block] { book.read { $0.blocks(of: account) } }

    package func hasBlocked(_ account: AccountID, _ peer: AccountID) -> Bool {
        book.read { $0.hasBlocked(account, peer) }
    }

    /// What is known of a contact beside how they stand; nil for somebody who has not agreed to be one.
    package func kind(of contact: Contact) -> Account.Kind? {
        contact.state == .asked ? nil : directory.read { $0.accounts[contact.peer]?.kind }
    }

    /// Puts another account on an account's list: asks it, or agrees to its wish.
    /// - Throws: `invalid_field`, `limit_reached`, `rate_limited`; `not_found` where a directory is used.
    package func add(_ peer: AccountID, to account: AccountID) async throws -> Contact {
        let peer = try known(peer, for: account)
        if let contact = contact(peer, of: account), contact.state != .asking { return contact }
        let rule = book.read { $0.rule }
        if rule == .directory {
            guard directory.read({ $0.accounts[peer].map { !$0.isDisabled } }) == true else {
                throw GatewayError(.notFound, "there is no account '\(peer)'")
            }
        } else if contact(peer, of: account) == nil, let wait = asks.withLock({ $0.take(account, now: time.now) }) {
            throw GatewayError(
                .rateLimited, "too many accounts were asked (limits.contactAsksPerHour)",
                retryAfterSeconds: Int(wait.wholeSeconds) + 1)
        }
        let now = time.timestamp
        let change = try await book.change { book in
            guard book.edge(account, peer) != nil || book.count(of: account) < Self.listLimit else {
                throw GatewayError(.limitReached, "an account has at most \(Self.listLimit) contacts")
            }
            let before = Standing(book, account, peer)
            let changes = book.add(peer, to: account, at: now)
            return (Change(before: before, after: Standing(book, account, peer)), changes)
        }
        tell(change, account, peer)
        guard let contact = change.after.own else {
            throw GatewayError(.notFound, "there is no contact '\(peer)'")
        }
        return contact
    }

    /// Takes another account from an account's list, or turns down its wish; nothing when neither is there.
    /// - Throws: `invalid_field`, the store's failure.
    package func remove(_ peer: AccountID, from account: AccountID) async throws {
        let peer = try known(peer, for: account)
        let change = try await book.change { book in
            let before = Standing(book, account, peer)
            let changes = book.remove(peer, from: account)
            return (Change(before: before, after: Standing(book, account, peer)), changes)
        }
        tell(change, account, peer)
    }

    /// Blocks another account: what it sends does not arrive, and neither sees the other any more.
    /// - Throws: `invalid_field`, `limit_reached`.
    package func block(_ peer: AccountID, by account: AccountID) async throws {
        let peer = try known(peer, for: account)
        let now = time.timestamp
        let change = try await book.change { book in
            let before = Standing(book, account, peer)
            guard !before.isBlocked else { return (Change(before: before, after: before), []) }
            guard book.blockCount(of: account) < Self.listLimit else {
                throw GatewayError(.limitReached, "an account blocks at most \(Self.listLimit) others")
            }
            let block = Block(account: account, peer: peer, since: now)
            book.put(block)
            return (Change(before: before, after: Standing(book, account, peer)), [.people(.putBlock(block))])
        }
        tell(change, account, peer)
    }

    /// - Throws: `invalid_field`, the store's failure.
    package func unblock(_ peer: AccountID, by account: AccountID) async throws {
        let peer = try known(peer, for: account)
        let change = try await book.change { book in
            let before = Standing(book, account, peer)
            let stored = book.block(account, peer)
            guard let stored else { return (Change(before: before, after: before), []) }
            book.removeBlock(account, peer)
            return (
                Change(before: before, after: Standing(book, account, peer)),
                [.people(.deleteBlock(stored.account, stored.peer))]
            )
        }
        tell(change, account, peer)
    }

    // MARK: Telling

    /// How two accounts stand, as each of them sees it.
    private struct Standing: Sendable {
        let own: Contact?
        let theirs: Contact?
        /// Whether the first has blocked the second.
        let isBlocked: Bool
        /// Whether the second has blocked the first, of which the first must not learn.
        let isUnheard: Bool
        let areSeen: Bool

        init(_ book: ContactBook, _ account: AccountID, _ peer: AccountID) {
            (own, theirs) = (book.contact(account, peer), book.contact(peer, account))
            (isBlocked, isUnheard) = (book.hasBlocked(account, peer), book.hasBlocked(peer, account))
            areSeen = book.maySee(account, peer) || book.maySee(peer, account)
        }
    }

    private struct Change: Sendable {
        let before: Standing
        let after: Standing
    }

    private func tell(_ change: Change, _ account: AccountID, _ peer: AccountID) {
        let (before, after) = (change.before, change.after)
        if before.own?.state != after.own?.state || before.isBlocked != after.isBlocked {
            note(account, peer, after.own?.state, isBlocked: after.isBlocked)
            log.info(
                .contactChanged, "An account's contact list was changed",
                [
                    "account": .id(account), "contact": .id(peer),
                    "state": .string(after.own?.state.rawValue ?? "none"), "blocked": .bool(after.isBlocked),
                ])
            tell(account, peer, after.own?.state)
        }
        // The other side hears nothing of a block, and one that has blocked hears nothing of the account.
        if before.theirs?.state != after.theirs?.state, before.isBlocked == after.isBlocked, !after.isUnheard,
            directory.read({ $0.accounts[peer] }) != nil
        {
            note(peer, account, after.theirs?.state, isBlocked: false)
            tell(peer, account, after.theirs?.state)
        }
        guard before.areSeen != after.areSeen else { return }
        step { machine, view in
            machine.relate(account, peer, view)
            machine.relate(peer, account, view)
        }
    }

    /// Tells an account's devices, also those that are away.
    private func note(_ account: AccountID, _ peer: AccountID, _ state: ContactState?, isBlocked: Bool) {
        mailroom.note(
            .contact, to: account,
            [
                "account": .string(peer.text), "state": .string(state?.rawValue ?? "none"),
                "blocked": .bool(isBlocked),
            ])
    }

    // MARK: Parts

    /// The account as it is called, where there is one: texts that look the same may differ in their bytes.
    private func known(_ peer: AccountID, for account: AccountID) throws(GatewayError) -> AccountID {
        guard Account.isName(peer.text) else {
            throw .invalid("account", "1 to 128 bytes without spaces, control characters, '/' and ':'")
        }
        guard peer != account else { throw .invalid("account", "nobody is a contact of its own") }
        return directory.read { $0.accounts[peer]?.id } ?? peer
    }

    /// Forgets a deleted account.
    func forget(_ account: AccountID) {
        let watchers = watchers(of: account).filter { hub.isConnected(account: $0) }
        book.update { $0.remove(account) }
        machine.withLock { $0.forget(account) }
        for watcher in watchers {
            mailroom.pass(to: watcher, device: nil) { _ in .presence(account: account, .offline) }
        }
    }
}
