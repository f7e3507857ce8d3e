package import Base

/// What the machine asks about the world.
package struct PresenceView: Sendable {
    package let now: Moment
    package let timestamp: Timestamp
    /// What an account says of itself.
    package let own: @Sendable (AccountID) -> OwnStatus?
    /// Who may see the account and is connected: who would hear of a change now.
    package let watchers: @Sendable (AccountID) -> [AccountID]
    /// When one of the account's devices was seen last, as far as that is stored.
    package let lastSeen: @Sendable (AccountID) -> Timestamp?

    package init(
        now: Moment, timestamp: Timestamp, own: @escaping @Sendable (AccountID) -> OwnStatus?,
        watchers: @escaping @Sendable (AccountID) -> [AccountID],
        lastSeen: @escaping @Sendable (AccountID) -> Timestamp?
    ) {
        (self.now, self.timestamp, self.own) = (now, timestamp, own)
        (self.watchers, self.lastSeen) = (watchers, lastSeen)
    }
}

/// How every account is, and when whom to tell: connections, clients of apps and what the account says go in,
/// announcements come out. No clock, no lock.
///
/// A change waits until it has lasted (`grace`) where it may be a connection that comes back, an account is announced
/// at most once in `spacing`, and what is told in a second is limited. What waits is accounts, not states: whoever is
/// told late is told how it is then.
package struct PresenceMachine: Sendable {
    /// How long an account must be gone, or its clients hidden, before anybody hears of it.
    package static let grace: Duration = .seconds(5)
    /// At most one announcement of an account in this time.
    package static let spacing: Duration = .seconds(1)
    /// So long the hidden client of an account that is not connected counts as being away, not gone.
    package static let hiddenLasts: Duration = .seconds(1800)
    /// How often those that may be told are told, while more wait than may.
    package static let turn: Duration = .milliseconds(20)
    /// Single watchers that wait to be told of an account; further ones see it when they ask.
    package static let pairsLimit = 10_000

    /// What a client of a remote app does, as far as presence goes.
    package enum ClientState: Sendable, Hashable {
        case front
        case hidden
        case ended
    }

    package enum Action: Sendable, Hashable {
        /// An account's presence has changed for everybody who may see it; once for each change.
        case announced(AccountID, AccountPresence)
        /// Tell these connected accounts.
        case tell([AccountID], of: AccountID, AccountPresence)
        /// Tell one account how another is as it may see it now.
        case look(AccountID, at: AccountID)
    }

    struct Person: Sendable {
        var devices: Set<DeviceID> = []
        var clients: [SessionID: (state: ClientState, since: Moment)] = [:]
        /// Connections elsewhere, by name: what they say of the account.
        var outside: [String: AccountPresence] = [:]
        var shown = AccountPresence.offline
        /// What is announced at `due`, if it is still so then.
        var coming: (state: AccountPresence.State, text: String?)?
        var due: Moment?
        /// Not announced again before.
        var quietUntil = Moment(nanoseconds: 0)
        var isQueued = false
        var lastHere: Timestamp?

        var isConnected: Bool { !devices.isEmpty || !outside.isEmpty }
    }

    private struct Pair: Sendable, Hashable { let watcher, subject: AccountID }
    private enum Timer: Sendable {
        case account(AccountID)
        case pair(Pair)
    }

    private var people: [AccountID: Person] = [:]
    private var timers = DeadlineQueue<Timer>()
    private var pairs: Set<Pair> = []
    /// Accounts to be announced, in the order in which they came up; each once.
    private var queue: [AccountID] = []
    private var queueHead = 0
    /// The one that is being announced, and who is still to hear.
    private var current: (subject: AccountID, rest: ArraySlice<AccountID>)?
    private var bucket: TokenBucket

    /// - Parameter perSecond: watchers told in a second (`limits.presencePerSecond`).
    package init(perSecond: Int) {
        bucket = TokenBucket(perSecond: Double(perSecond), burst: Double(max(1, perSecond / 10)))
    }

    // MARK: What is there

    /// How an account was announced last: what its watchers see.
    package func shown(_ account: AccountID) -> AccountPresence { people[account]?.shown ?? .offline }
    package func isConnected(_ account: AccountID) -> Bool { people[account]?.isConnected ?? false }
    /// Accounts that wait to be announced.
    package var waiting: Int { queue.count - queueHead + (current == nil ? 0 : 1) }
    /// Accounts that something is kept of.
    package var count: Int { people.count }

    /// How an account is at this moment.
    package func present(_ account: AccountID, _ view: PresenceView) -> AccountPresence {
        Self.presence(people[account] ?? Person(), view.own(account), view.now) { view.lastSeen(account) }
    }

    package mutating func nextDeadline(_ now: Moment) -> Moment? {
        guard waiting > 0 else { return timers.next }
        // A few at a time: each look costs more than telling one.
        let wait = bucket.wait(at: now)
        let work = now + (wait == .zero ? .zero : max(wait, Self.turn))
        return [timers.next, work].compactMap { $0 }.min()
    }

    // MARK: Inputs

    /// A device's stream has opened or ended.
    package mutating func stream(_ account: AccountID, _ device: DeviceID, isOpen: Bool, _ view: PresenceView) {
        change(account, view) { person in
            if isOpen { person.devices.insert(device) } else { person.devices.remove(device) }
        }
    }

    /// A client of a remote app has come to the front, left it, or ended.
    package mutating func client(_ account: AccountID, _ id: SessionID, _ state: ClientState, _ view: PresenceView) {
        if state == .ended, people[account]?.clients[id] == nil { return }
        if state == .hidden { timers.insert(.account(account), due: view.now + Self.hiddenLasts) }
        change(account, view) { person in
            person.clients[id] = state == .ended ? nil : (state, view.now)
        }
    }

    /// What a connection elsewhere says of the account; nil: it has ended.
    package mutating func outside(
        _ account: AccountID, _ source: String, _ presence: AccountPresence?, _ view: PresenceView
    ) {
        change(account, view) { $0.outside[source] = presence }
    }

    /// The account says something else of itself.
    package mutating func said(_ account: AccountID, _ view: PresenceView) { change(account, view) { _ in } }

    /// One account may see another now, or may not any more.
    package mutating func relate(_ watcher: AccountID, _ subject: AccountID, _ view: PresenceView) {
        let pair = Pair(watcher: watcher, subject: subject)
        guard pairs.count < Self.pairsLimit, pairs.insert(pair).inserted else { return }
        timers.insert(.pair(pair), due: view.now + Self.spacing)
    }

    package mutating func forget(_ account: AccountID) {
        people[account] = nil
        pairs = pairs.filter { $0.watcher != account && $0.subject != account }
    }

    /// Does what is due.
    package mutating func fire(_ view: PresenceView) -> [Action] {
        var actions: [Action] = []
        while let timer = timers.pop(at: view.now) {
            switch timer {
            case .pair(let pair):
                if pairs.remove(pair) != nil { actions.append(.look(pair.watcher, at: pair.subject)) }
            case .account(let account): reach(account, view)
            }
        }
        return actions + work(view)
    }

    // MARK: Deciding

    private mutating func change(_ account: AccountID, _ view: PresenceView, _ body: (inout Person) -> Void) {
        var person = people[account] ?? Person()
        let wasConnected = person.isConnected
        body(&person)
        if wasConnected, !person.isConnected { person.lastHere = view.timestamp }
        decide(account, &person, view)
    }

    /// Sets when the account is to be announced, if at all.
    private mutating func decide(_ account: AccountID, _ person: inout Person, _ view: PresenceView) {
        let own = view.own(account)
        let next = Self.presence(person, own, view.now) { view.lastSeen(account) }
        if next.state == person.shown.state, next.text == person.shown.text {
            (person.coming, person.due) = (nil, nil)
        } else if person.coming.map({ $0 == (next.state, next.text) }) != true {
            person.coming = (next.state, next.text)
            // What the account said itself holds at once; what is concluded may be a connection that comes back.
            let isConcluded =
                next.state == .offline && own?.word != .invisible || next.state == .away && own?.word != .away
            let due = max(view.now + (isConcluded ? Self.grace : .zero), person.quietUntil)
            person.due = due
            timers.insert(.account(account), due: due)
        }
        keep(account, person, own, view)
    }

    /// Forgets whoever is as somebody of whom nothing is known.
    private mutating func keep(_ account: AccountID, _ person: Person, _ own: OwnStatus?, _ view: PresenceView) {
        let isIdle =
            !person.isConnected && person.clients.isEmpty && person.due == nil && !person.isQueued
            && person.shown.state == .offline && person.quietUntil <= view.now
            && (person.lastHere == nil || own?.showsLastSeen != true)
        people[account] = isIdle ? nil : person
    }

    /// A time that was set for an account has come.
    private mutating func reach(_ account: AccountID, _ view: PresenceView) {
        guard var person = people[account] else { return }
        for (id, client) in person.clients
        where client.state == .hidden && view.now - client.since >= Self.hiddenLasts && !person.isConnected {
            person.clients[id] = nil
        }
        guard let due = person.due, due <= view.now else { return decide(account, &person, view) }
        // The one before is still being told: afterwards.
        let earliest = current?.subject == account ? view.now + Self.spacing : person.quietUntil
        if earliest > view.now {
            person.due = earliest
            timers.insert(.account(account), due: earliest)
            people[account] = person
            return
        }
        (person.due, person.coming) = (nil, nil)
        person.shown = Self.presence(person, view.own(account), view.now) { view.lastSeen(account) }
        // One that waits to be told is told how it is then.
        if !person.isQueued { queue.append(account) }
        person.isQueued = true
        people[account] = person
    }

    // MARK: Telling

    /// Tells as many watchers as may be told now.
    private mutating func work(_ view: PresenceView) -> [Action] {
        var actions: [Action] = []
        while waiting > 0, bucket.take(at: view.now) {
            if current == nil {
                let subject = queue[queueHead]
                queueHead += 1
                if queueHead > 1024, queueHead * 2 > queue.count {
                    queue.removeFirst(queueHead)
                    queueHead = 0
                }
                guard people[subject] != nil else { continue }
                people[subject]?.isQueued = false
                current = (subject, view.watchers(subject)[...])
                actions.append(.announced(subject, shown(subject)))
            }
            guard let (subject, rest) = current else { break }
            // The first watcher goes with the announcement's own token.
            var count = rest.isEmpty ? 0 : 1
            while count < rest.count, bucket.take(at: view.now) { count += 1 }
            if count > 0 { actions.append(.tell(Array(rest.prefix(count)), of: subject, shown(subject))) }
            current?.rest = rest.dropFirst(count)
            if count == rest.count { finish(subject, view) }
        }
        return actions
    }

    private mutating func finish(_ subject: AccountID, _ view: PresenceView) {
        current = nil
        guard var person = people[subject] else { return }
        person.quietUntil = view.now + Self.spacing
        // Looks again when it may be announced: also what is idle then is forgotten.
        timers.insert(.account(subject), due: person.quietUntil)
        people[subject] = person
    }
}
