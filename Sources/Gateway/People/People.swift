package import Base

/// Contacts, blocks and presence of accounts (IM-8, IM-9, IM-11).
///
/// The file's part here is what others build on, such as a bridge to another messaging system: it hears of changes
/// (`onPresence`, `onContact`), asks (`presence(of:for:)`, `contacts(of:)`, `mayWrite`), says how an account is
/// elsewhere (`connect`, `disconnect`), and changes what the account itself says (`setStatus`).
package final class People: Service {
    /// Contacts an account may have or want, and accounts it may block.
    package static let listLimit = 1000

    package let name = "people"
    let book: StateKeeper<ContactBook>
    let machine: Locked<PresenceMachine>
    let directory: StateKeeper<Directory>
    let apps: [AppID]
    let mailroom: Mailroom
    let hub: StreamHub
    private let sessions: Sessions
    let time: any TimeSource
    let log: Log
    let asks: Locked<AccountRates>
    private let alarm: Alarm
    private let observers = Locked(Observers())
    private let stopped = ShutdownSignal()

    /// Called with a subject and how it is now; with a watcher when only for that one something has changed.
    package typealias PresenceObserver = @Sendable (AccountID, AccountPresence, _ watcher: AccountID?) -> Void
    /// Called with an account, another one, and how they stand now as the first sees it; nil: not at all.
    package typealias ContactObserver = @Sendable (AccountID, _ peer: AccountID, ContactState?) -> Void

    private struct Observers {
        var presence: [PresenceObserver] = []
        var contact: [ContactObserver] = []
    }

    package init(
        directory: StateKeeper<Directory>, stored: StoredRegistry, rule: ContactBook.Rule, apps: [App],
        mailroom: Mailroom, hub: StreamHub, sessions: Sessions, store: any Store, time: any TimeSource, log: Log,
        limits: Limits
    ) {
        book = StateKeeper(ContactBook(rule: rule, stored), store: store)
        machine = Locked(PresenceMachine(perSecond: limits.presencePerSecond))
        self.apps = apps.filter { $0.callback != nil && $0.callbackPresence }.map(\.id)
        (self.directory, self.mailroom, self.hub, self.sessions) = (directory, mailroom, hub, sessions)
        (self.time, self.log) = (time, log)
        asks = Locked(AccountRates(limits.contactAsksPerHour, in: .seconds(3600)))
        alarm = Alarm(time: time)
        hub.onChange { [weak self, directory] device, account, _ in
            // Whether somebody is there at the other side of a bridge, the bridge says.
            guard let self, directory.read({ $0.devices[device]?.isBridge }) != true else { return }
            // As it is now: two changes of one device may be told in the wrong order.
            step { $0.stream(account, device, isOpen: self.hub.isConnected(device), $1) }
        }
        sessions.onChange { [weak self] in self?.changed($0) }
        sessions.onEnd { [weak self] in self?.changed($0) }
    }

    // MARK: What others see

    /// How an account looks to those who may see it.
    package func presence(of subject: AccountID) -> AccountPresence {
        guard directory.read({ $0.accounts[subject].map { !$0.isDisabled } }) == true else { return .offline }
        let view = view
        return machine.withLock { machine in
            let shown = machine.shown(subject)
            guard shown.state == .offline else { return shown }
            // Since when may be told or not whatever was announced before.
            let present = machine.present(subject, view)
            return present.state == .offline ? present : .offline
        }
    }

    /// How an account looks to another one: offline where that may not see it.
    package func presence(of subject: AccountID, for watcher: AccountID) -> AccountPresence {
        book.read { $0.maySee(subject, watcher) } ? presence(of: subject) : .offline
    }

    /// Who may see how an account is, connected or not.
    package func watchers(of subject: AccountID) -> [AccountID] { book.read { $0.watchers(of: subject) } }

    /// How an account is at this moment, with what others are not told yet.
    package func present(_ account: AccountID) -> AccountPresence {
        let view = view
        return machine.withLock { $0.present(account, view) }
    }

    /// Whether what `sender` writes may reach `recipient`: it is not blocked, and where consent is asked for there is
    /// one. Whoever may not is to be answered as if there were no such account.
    package func mayWrite(_ sender: AccountID, to recipient: AccountID) -> Bool {
        book.read { $0.mayWrite(sender, to: recipient) }
    }

    // MARK: Connections elsewhere

    /// The account is connected by other means than a stream of ours, or says something else of itself there.
    /// - Parameters:
    ///   - source: names the connection; each account may have several.
    ///   - presence: `offline` is the same as `disconnect`.
    package func connect(_ account: AccountID, source: String, _ presence: AccountPresence) {
        step { $0.outside(account, source, presence.state == .offline ? nil : presence, $1) }
    }

    /// The connection elsewhere has ended.
    package func disconnect(_ account: AccountID, source: String) {
        step { $0.outside(account, source, nil, $1) }
    }

    // MARK: Observers

    /// Who is told of announced changes, at most once a second of each account; on a task of the gateway's, so it must
    /// be brief.
    package func onPresence(_ body: @escaping PresenceObserver) { observers.withLock { $0.presence.append(body) } }

    /// Who is told when two accounts stand differently than before; must be brief.
    package func onContact(_ body: @escaping ContactObserver) { observers.withLock { $0.contact.append(body) } }

    func tell(_ account: AccountID, _ peer: AccountID, _ state: ContactState?) {
        for observer in observers.withLock({ $0.contact }) { observer(account, peer, state) }
    }

    // MARK: The machine

    var view: PresenceView {
        PresenceView(
            now: time.now, timestamp: time.timestamp, own: { [book] account in book.read { $0.status(of: account) } },
            watchers: { [book, hub] subject in
                book.read { $0.watchers(of: subject) }.filter { hub.isConnected(account: $0) }
            },
            lastSeen: { [directory] account in directory.read { $0.devices(of: account).first?.lastSeen } })
    }

    func step(_ body: (inout PresenceMachine, PresenceView) -> Void) {
        let view = view
        alarm.set(
            machine.withLock { machine in
                body(&machine, view)
                return machine.nextDeadline(view.now)
            })
    }

    private func changed(_ session: Session) {
        step { $0.client(session.account, session.id, state(of: session.id, at: $1.now), $1) }
    }

    private func state(of id: SessionID, at now: Moment) -> PresenceMachine.ClientState {
        guard let session = sessions.session(id) else { return .ended }
        if session.isForeground(at: now) { return .front }
        // One that says it is in front and does not report is not there; one that its farm hides is.
        return session.presence == .hidden || session.hasLease(at: now) ? .hidden : .ended
    }

    /// Counts the sessions that were taken over from the parts before.
    func resume() { for session in sessions.all { changed(session) } }

    package func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while true {
                    try await self.alarm.wait()
                    self.fire()
                }
            }
            group.addTask { await self.stopped.wait() }
            try await group.next()
            group.cancelAll()
        }
    }

    package func beginShutdown() { stopped.raise() }

    private func fire() {
        let view = view
        let (actions, next) = machine.withLock { machine in
            let actions = machine.fire(view)
            return (actions, machine.nextDeadline(view.now))
        }
        for action in actions { perform(action) }
        alarm.set(next)
    }

    private func perform(_ action: PresenceMachine.Action) {
        switch action {
        case .announced(let account, let presence):
            log.debug(
                .presenceAnnounced, "An account's presence has changed",
                ["account": .id(account), "state": .string(presence.state.rawValue)])
            for observer in observers.withLock({ $0.presence }) { observer(account, presence, nil) }
            tellApps(account, presence)
        case .tell(let watchers, let subject, let presence):
            for watcher in watchers where book.read({ $0.maySee(subject, watcher) }) {
                mailroom.pass(to: watcher, device: nil) { _ in .presence(account: subject, presence) }
            }
        case .look(let watcher, let subject):
            // Who has taken the other one from its list is not told of it any more.
            guard book.read({ $0.edge(watcher, subject) }) != nil else { return }
            let presence = presence(of: subject, for: watcher)
            for observer in observers.withLock({ $0.presence }) { observer(subject, presence, watcher) }
            guard hub.isConnected(account: watcher) else { return }
            mailroom.pass(to: watcher, device: nil) { _ in .presence(account: subject, presence) }
        }
    }
}
