package import Base

/// The product put together: every part by its name, and the services to run.
package final class Gateway: Sendable {
    package let configuration: GatewayConfiguration
    package let accounts: Accounts
    package let devices: Devices
    package let registrations: Registrations
    package let sessions: Sessions
    package let streams: StreamHub
    package let mailroom: Mailroom
    package let messages: Messages
    package let postmaster: Postmaster
    /// Contacts, blocks and presence of accounts.
    package let people: People
    package let conversations: Conversations
    package let notifier: Notifier
    package let dispatcher: PushDispatcher
    package let monitors: MonitorSupervisor
    /// Where servers call that tell their news by themselves.
    package let hooks: Hooks
    package let launches: LaunchRelay
    package let callbacks: Callbacks
    package let bridges: Bridges
    package let identities: Identities
    let appKeys: AppKeys
    package let store: GuardedStore
    package let time: any TimeSource
    package let log: Log
    private let upkeep: Upkeep
    private let subscriptionKeys = Locked<[String: String]>([:])

    /// What a gateway is built on.
    package struct Foundation: Sendable {
        package let store: any Store
        package let security: any Security
        package let time: any TimeSource
        package let log: Log
        /// Draws from 0..<1.
        package let jitter: @Sendable () -> Double

        package init(
            store: any Store, security: any Security, time: any TimeSource, log: Log,
            jitter: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) }
        ) {
            (self.store, self.security, self.time, self.log, self.jitter) = (store, security, time, log, jitter)
        }
    }

    /// Reads what is stored and puts the parts together; nothing runs yet.
    /// - Throws: `StoreError`.
    package init(_ configuration: GatewayConfiguration, on foundation: Foundation) async throws {
        let (time, log, limits) = (foundation.time, foundation.log, configuration.limits)
        let store = GuardedStore(foundation.store, log: log)
        let stored = try await store.registry()
        let directory = StateKeeper(Directory(stored), store: store)
        let identities = Identities(security: foundation.security)
        appKeys = AppKeys(configuration.apps, identities)
        var configuration = configuration
        for index in configuration.apps.indices { configuration.apps[index].key = nil }
        mailroom = Mailroom(
            store: store, time: time, log: log, limits: limits, queues: stored.queues,
            owners: Dictionary(stored.devices.map { ($0.id, $0.account) }) { first, _ in first },
            conversations: ConversationRules(configuration), lastEntry: stored.lastEntry)
        sessions = Sessions(time: time, log: log, limits: limits)
        streams = StreamHub(mailroom: mailroom, store: store, time: time, log: log)
        dispatcher = PushDispatcher(
            pushes: configuration.pushes, limits: limits, time: time, log: log, jitter: foundation.jitter)
        notifier = Notifier(
            directory: directory, sessions: sessions, hub: streams, mailroom: mailroom, dispatcher: dispatcher,
            store: store,
            identities: identities, time: time, log: log, defaults: configuration.notify)
        messages = Messages(
            directory: directory, apps: configuration.apps, mailroom: mailroom, notifier: notifier, store: store,
            time: time,
            log: log, defaults: configuration.notify)
        people = People(
            directory: directory, stored: stored, rule: configuration.contacts, apps: configuration.apps,
            mailroom: mailroom, hub: streams, sessions: sessions, store: store, time: time, log: log, limits: limits)
        postmaster = Postmaster(
            directory: directory, apps: configuration.apps, mailroom: mailroom, messages: messages, hub: streams,
            people: people, limits: limits, time: time, log: log)
        conversations = Conversations(
            directory: directory, apps: configuration.apps, mailroom: mailroom, messages: messages, notifier: notifier,
            hub: streams, store: store, time: time, log: log, limits: limits)
        conversations.admit { [weak people] in
            people?.mayWrite($0, to: $1) ?? false
        } learns: { [weak people] in
            people?.hasBlocked($0, $1) == false
        }
        accounts = Accounts(
            directory: directory, mailroom: mailroom, security: foundation.security, time: time, log: log,
            limits: limits)
        devices = Devices(
            directory: directory, mailroom: mailroom, hub: streams, sessions: sessions, notifier: notifier,
            dispatcher: dispatcher, identities: identities, time: time, log: log, limits: limits)
        registrations = Registrations(
            directory: directory, apps: configuration.apps, security: foundation.security, identities: identities,
            time: time,
            log: log, limits: limits)
        let intake = Intake(
            directory: directory, registrations: registrations, mailroom: mailroom, messages: messages, store: store,
            time: time, log: log, defaults: configuration.notify)
        monitors = MonitorSupervisor(
            registrations: registrations, intake: intake, farms: configuration.farms, facts: sessions, limits: limits,
            time: time, log: log, jitter: foundation.jitter)
        hooks = Hooks(registrations: registrations, intake: intake, monitors: monitors)
        launches = LaunchRelay(
            apps: configuration.apps, sessions: sessions, messages: messages, notifier: notifier, mailroom: mailroom,
            store: store, security: foundation.security, identities: identities, registrations: registrations,
            devices: devices, accounts: accounts, time: time, log: log, launches: stored.launches)
        callbacks = Callbacks(apps: configuration.apps, mailroom: mailroom, time: time, log: log) {
            (jitter: foundation.jitter(), challenge: identities.makeChallenge())
        }
        bridges = Bridges(
            configuration.bridges,
            BridgeLink.Parts(
                apps: configuration.apps, accounts: accounts, devices: devices, streams: streams, mailroom: mailroom,
                messages: messages, postmaster: postmaster, people: people,
                conversations: conversations), time: time, log: log,
            jitter: foundation.jitter)
        upkeep = Upkeep(
            messages: messages, mailroom: mailroom, store: store, reserve: Int64(limits.diskReserveBytes), time: time,
            log: log)
        // A client that comes to the front makes its device the one seen last (SG-12).
        // Weak: the table keeps the closure, and a reloaded configuration must let the old parts go.
        sessions.onChange { [weak devices, weak sessions] session in
            if sessions?.foregroundUntil(device: session.device, app: session.app) != nil {
                devices?.seen(session.device)
            }
        }
        (self.configuration, self.identities, self.store, self.time, self.log) = (
            configuration, identities, store, time, log
        )
    }

    /// The parts that run, in starting order; whoever takes requests comes after them.
    package var services: [any Service] {
        [store, sessions, streams, dispatcher, notifier, people, launches, upkeep, callbacks, monitors, bridges]
    }

    /// Takes up what was left at the last stop: counts open messages, announces what was not announced, and
    /// starts the monitors. Called once, when the services run.
    package func resume() async throws {
        for push in configuration.pushes {
            let key = try push.adapter.subscriptionKey()
            subscriptionKeys.withLock { $0[push.name] = key }
        }
        try await messages.restore()
        people.resume()
        callbacks.begin()
        bridges.begin()
        monitors.lookAtAll()
    }

    /// Logs in to an app: opens a session and starts monitoring (SG-3).
    /// - Throws: `unknown_app`, `not_registered`, `limit_reached`.
    package func openSession(
        _ app: AppID, instance: String, device: Device
    ) async throws -> (session: Session, isNew: Bool) {
        guard (1...128).contains(instance.utf8.count) else {
            throw GatewayError.invalid("instance", "expected 1 to 128 bytes")
        }
        guard registrations.app(app) != nil else {
            throw GatewayError(.unknownApp, "there is no app '\(app)'", field: "app")
        }
        guard let registration = registrations.registration(of: device.account, app: app) else {
            throw GatewayError(.notRegistered, "the account has not registered for the app '\(app)'")
        }
        try await registrations.arm(registration.id)
        devices.seen(device.id)
        return try sessions.open(
            account: device.account, device: device.id, app: app, instance: instance, registration: registration.id,
            id: identities.make("ses"))
    }

    /// A client in front moves its device to the head of the targets this often (SG-12).
    static let seenInterval: Duration = .seconds(30)

    /// Takes a client's report of its presence, without waiting; nil when the device has no such session.
    package func report(_ id: SessionID, device: Device, seq: Int64, presence: Session.Presence) -> Session? {
        let before = sessions.session(id)
        guard let session = sessions.report(id, device: device.id, seq: seq, presence: presence) else { return nil }
        if session.presence.isForeground,
            session.presence != before?.presence || time.timestamp - device.lastSeen >= Self.seenInterval
        {
            devices.seen(device.id)
        }
        return session
    }

    /// Disables an account, which ends its devices' connections, or enables it again.
    /// - Throws: `not_found`.
    package func setDisabled(_ id: AccountID, _ isDisabled: Bool) async throws {
        try await accounts.setDisabled(id, isDisabled)
        if isDisabled { for device in devices.devices(of: id) { streams.disconnect(device.id) } }
    }

    /// Ends an account with everything that belongs to it.
    /// - Throws: `not_found`.
    package func deleteAccount(_ id: AccountID) async throws {
        guard accounts.account(id) != nil else { throw GatewayError(.notFound, "there is no account '\(id)'") }
        try await conversations.takeBackAll(of: id)
        for device in devices.devices(of: id) { try await devices.delete(device.id, of: id) }
        for registration in registrations.registrations(of: id) {
            try await registrations.delete(registration.id, of: id)
        }
        try await accounts.remove(id)
        people.forget(id)
        mailroom.drop(.account(id))
    }

    /// The configured push services, with the key a browser subscribes with where there is one.
    package var pushServices: [(name: String, kind: String, subscriptionKey: String?)] {
        let keys = subscriptionKeys.withLock { $0 }
        return configuration.pushes.map { (name: $0.name, kind: $0.kind, subscriptionKey: keys[$0.name]) }
    }

    /// Whether requests can be served: the store takes writes.
    package var isReady: Bool { store.isWritable }
}

/// Settles what has expired and drops what nobody needs any more.
final class Upkeep: Service {
    static let spaceInterval: Duration = .seconds(1)
    static let purgeInterval: Duration = .seconds(3600)

    let name = "upkeep"
    private let messages: Messages
    private let mailroom: Mailroom
    private let store: any Store
    private let reserve: Int64
    private let time: any TimeSource
    private let log: Log
    private let isLow = Locked(false)
    private let stopped = ShutdownSignal()

    init(
        messages: Messages, mailroom: Mailroom, store: any Store, reserve: Int64, time: any TimeSource, log: Log
    ) {
        (self.messages, self.mailroom, self.store) = (messages, mailroom, store)
        (self.reserve, self.time, self.log) = (reserve, time, log)
    }

    /// Says once that the disk is nearly full, and again only after there was room in between.
    private func checkSpace() {
        guard let free = store.freeBytes() else { return }
        let isNew = isLow.withLock { isLow in
            defer { isLow = free < reserve }
            return free < reserve && !isLow
        }
        guard isNew else { return }
        log.error(
            .storageLow, "The disk that holds the data is nearly full; nothing new is accepted until there is room",
            ["freeBytes": .integer(free), "reserveBytes": .integer(reserve)])
    }

    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while true {
                    try await self.time.sleep(for: Self.spaceInterval)
                    self.checkSpace()
                }
            }
            group.addTask {
                while true {
                    try await self.mailroom.waitForDeadline()
                    try await self.messages.tick()
                }
            }
            group.addTask {
                while true {
                    try await self.time.sleep(for: Self.purgeInterval)
                    try await self.messages.purge()
                }
            }
            group.addTask { await self.stopped.wait() }
            try await group.next()
            group.cancelAll()
        }
    }

    func beginShutdown() { stopped.raise() }
}
