package import Base

/// One account's wish to have another among its contacts; a row of the store.
package struct ContactEdge: Sendable, Hashable {
    package let account: AccountID
    package let peer: AccountID
    package let since: Timestamp
    /// The peer has turned it down, or ended it: it is not asked about it any more.
    package var isDeclined = false

    package init(account: AccountID, peer: AccountID, since: Timestamp, isDeclined: Bool = false) {
        (self.account, self.peer, self.since, self.isDeclined) = (account, peer, since, isDeclined)
    }
}

/// An account wants to hear nothing from another; a row of the store.
package struct Block: Sendable, Hashable {
    package let account: AccountID
    package let peer: AccountID
    package let since: Timestamp

    package init(account: AccountID, peer: AccountID, since: Timestamp) {
        (self.account, self.peer, self.since) = (account, peer, since)
    }
}

/// How two accounts stand, as one of them sees it.
package enum ContactState: String, Sendable, CaseIterable {
    /// The account wants the other one; the other has not said anything, or does not exist.
    case asked
    /// The other one wants the account.
    case asking
    /// They see one another; where a directory is used, the account sees the other.
    case contact
}

/// A line of a contact list.
package struct Contact: Sendable, Hashable {
    package let peer: AccountID
    package let state: ContactState
    package let since: Timestamp
}

/// Who wants whom, who has blocked whom, and what everybody says of itself. No clock, no lock.
///
/// Wishes are kept one by one; two that meet are a contact. So a wish for an account that does not exist is like one
/// that was not answered, and nobody learns from a contact list who has an account.
package struct ContactBook: Sendable {
    /// How accounts become contacts (`people.contacts`).
    package enum Rule: String, Sendable, CaseIterable {
        /// Both must want it; until then they neither see nor reach one another.
        case consent
        /// Whoever has an account may be put on a list, and written to, at once.
        case directory
    }

    package let rule: Rule
    private var edges: [AccountID: [AccountID: ContactEdge]] = [:]
    /// Whose lists an account is on.
    private var holders: [AccountID: Set<AccountID>] = [:]
    private var blocks: [AccountID: [AccountID: Block]] = [:]
    private var statuses: [AccountID: OwnStatus] = [:]

    package init(rule: Rule) { self.rule = rule }

    package init(rule: Rule, _ stored: StoredRegistry) {
        self.rule = rule
        for edge in stored.contacts { put(edge) }
        for block in stored.blocks { put(block) }
        statuses = stored.statuses
    }

    // MARK: What is there

    package func status(of account: AccountID) -> OwnStatus? { statuses[account] }
    package func edge(_ account: AccountID, _ peer: AccountID) -> ContactEdge? { edges[account]?[peer] }
    /// Contacts an account has or wants.
    package func count(of account: AccountID) -> Int { edges[account]?.count ?? 0 }
    package func blockCount(of account: AccountID) -> Int { blocks[account]?.count ?? 0 }
    package func hasBlocked(_ account: AccountID, _ peer: AccountID) -> Bool { blocks[account]?[peer] != nil }
    package func block(_ account: AccountID, _ peer: AccountID) -> Block? { blocks[account]?[peer] }
    package func blocks(of account: AccountID) -> [Block] { blocks[account].map { Array($0.values) } ?? [] }

    /// How an account stands with another; nil where neither wants the other, as far as the account may know.
    package func contact(_ account: AccountID, _ peer: AccountID) -> Contact? {
        let (own, theirs) = (edges[account]?[peer], edges[peer]?[account])
        if let own {
            let isAnswered = !own.isDeclined && theirs.map { !$0.isDeclined } ?? false
            let state: ContactState = rule == .directory || isAnswered ? .contact : .asked
            return Contact(peer: own.peer, state: state, since: own.since)
        }
        guard rule == .consent, let theirs, !theirs.isDeclined, !hasBlocked(account, peer) else { return nil }
        return Contact(peer: theirs.account, state: .asking, since: theirs.since)
    }

    package func contacts(of account: AccountID) -> [Contact] {
        let asking = rule == .consent ? holders[account] ?? [] : []
        return Set((edges[account] ?? [:]).keys).union(asking).compactMap { contact(account, $0) }
    }

    /// Whether `watcher` may see how `subject` is.
    package func maySee(_ subject: AccountID, _ watcher: AccountID) -> Bool {
        contact(watcher, subject)?.state == .contact && !hasBlocked(subject, watcher) && !hasBlocked(watcher, subject)
    }

    /// Who may see how an account is.
    package func watchers(of subject: AccountID) -> [AccountID] {
        (holders[subject] ?? []).filter { maySee(subject, $0) }
    }

    /// Whether what `sender` writes may reach `recipient`.
    package func mayWrite(_ sender: AccountID, to recipient: AccountID) -> Bool {
        if sender == recipient { return true }
        if hasBlocked(recipient, sender) { return false }
        return rule == .directory || contact(sender, recipient)?.state == .contact
    }

    // MARK: Changes

    package mutating func put(_ edge: ContactEdge) {
        edges[edge.account, default: [:]][edge.peer] = edge
        holders[edge.peer, default: []].insert(edge.account)
    }

    package mutating func removeEdge(_ account: AccountID, _ peer: AccountID) {
        edges[account]?[peer] = nil
        if edges[account]?.isEmpty == true { edges[account] = nil }
        holders[peer]?.remove(account)
        if holders[peer]?.isEmpty == true { holders[peer] = nil }
    }

    package mutating func put(_ block: Block) { blocks[block.account, default: [:]][block.peer] = block }

    package mutating func removeBlock(_ account: AccountID, _ peer: AccountID) {
        blocks[account]?[peer] = nil
        if blocks[account]?.isEmpty == true { blocks[account] = nil }
    }

    package mutating func put(_ status: OwnStatus, of account: AccountID) { statuses[account] = status }

    /// Forgets an account: its own wishes and those for it, so that nobody who gets its name later inherits them.
    /// What others have blocked stays blocked.
    package mutating func remove(_ account: AccountID) {
        for peer in (edges[account] ?? [:]).keys { removeEdge(account, peer) }
        for holder in holders[account] ?? [] { removeEdge(holder, account) }
        (blocks[account], statuses[account]) = (nil, nil)
    }

    // MARK: Steps

    /// Puts `peer` on an account's list; also the answer to its wish.
    package mutating func add(_ peer: AccountID, to account: AccountID, at now: Timestamp) -> [StoreChange] {
        var changes: [StoreChange] = []
        // A wish that was turned down stays so: to ask again it has to be taken back first.
        if edges[account]?[peer] == nil {
            let edge = ContactEdge(account: account, peer: peer, since: now)
            put(edge)
            changes.append(.people(.putContact(edge)))
        }
        if var theirs = edges[peer]?[account], theirs.isDeclined {
            theirs.isDeclined = false
            put(theirs)
            changes.append(.people(.putContact(theirs)))
        }
        return changes
    }

    /// Takes `peer` from an account's list; the peer's own wish counts as turned down.
    package mutating func remove(_ peer: AccountID, from account: AccountID) -> [StoreChange] {
        var changes: [StoreChange] = []
        if let own = edges[account]?[peer] {
            removeEdge(account, peer)
            changes.append(.people(.deleteContact(own.account, own.peer)))
        }
        if rule == .consent, var theirs = edges[peer]?[account], !theirs.isDeclined {
            theirs.isDeclined = true
            put(theirs)
            changes.append(.people(.putContact(theirs)))
        }
        return changes
    }
}

/// A change of what is stored of people.
package enum PeopleChange: Sendable, Hashable {
    case putContact(ContactEdge)
    case deleteContact(AccountID, AccountID)
    case putBlock(Block)
    case deleteBlock(AccountID, AccountID)
    case putStatus(AccountID, OwnStatus)
}
