package import Base

/// Turns taps into launches: single-use, short-lived tickets that a farm answers with an action.
package final class LaunchRelay: Service {
    /// How long a launch may be redeemed.
    package static let lifetime: Duration = .seconds(120)
    /// How long the app may take to come to the front before that is worth a line in the log.
    package static let confirmation: Duration = .seconds(30)

    /// How long a used-up launch is remembered. A tap is good for less than that, so that it cannot be used again.
    package static let retention: Duration = Mailroom.eventRetention

    /// The answer to a launch request.
    package struct Answer: Sendable {
        package let launch: Launch
        /// The app's session that runs on the device already; it is asked to come to the front.
        package let session: SessionID?
        package let action: LaunchAction
        package let isNew: Bool
    }

    struct TapKey: Hashable, Sendable {
        let message: MessageKey
        let device: DeviceID
    }

    struct State {
        var launches: [LaunchID: Launch] = [:]
        var byTap: [TapKey: LaunchID] = [:]
        var byTicket: [[UInt8]: LaunchID] = [:]
        /// Launches that may still be confirmed, by the device that asked.
        var active: [DeviceID: Set<LaunchID>] = [:]
        var timers = DeadlineQueue<LaunchID>()
        /// Launches that a client in front confirmed before anybody brought their tickets, which are good still.
        /// Not kept over a restart: then they are used up.
        var confirmedUnused: Set<LaunchID> = []

        mutating func put(_ launch: Launch) {
            launches[launch.id] = launch
            byTicket[launch.ticketHash] = launch.id
            if launch.state == .pending || launch.state == .redeemed {
                active[launch.device, default: []].insert(launch.id)
            } else {
                active[launch.device]?.remove(launch.id)
                if active[launch.device]?.isEmpty == true { active[launch.device] = nil }
            }
            if launch.fromTap, let message = launch.message {
                byTap[TapKey(message: message, device: launch.device)] = launch.id
            }
        }

        mutating func drop(_ launch: Launch) {
            launches[launch.id] = nil
            byTicket[launch.ticketHash] = nil
            confirmedUnused.remove(launch.id)
            if launch.fromTap, let message = launch.message {
                byTap[TapKey(message: message, device: launch.device)] = nil
            }
        }
    }

    package let name = "launches"
    let keeper: StateKeeper<State>
    let apps: [AppID: App]
    let sessions: Sessions
    private let messages: Messages
    private let notifier: Notifier
    private let mailroom: Mailroom
    let store: any Store
    let security: any Security
    let identities: Identities
    let time: any TimeSource
    let log: Log
    let registrations: Registrations
    let devices: Devices
    let accounts: Accounts
    private let alarm: Alarm
    private let confirmed: AsyncStream<Launch>
    private let confirmedSink: AsyncStream<Launch>.Continuation

    package init(
        apps: [App], sessions: Sessions, messages: Messages, notifier: Notifier, mailroom: Mailroom, store: any Store,
        security: any Security, identities: Identities, registrations: Registrations, devices: Devices,
        accounts: Accounts, time: any TimeSource, log: Log, launches: [Launch]
    ) {
        (self.registrations, self.devices, self.accounts) = (registrations, devices, accounts)
        var state = State()
        for launch in launches {
            state.put(launch)
            // Those older than that were said to be unconfirmed before the restart.
            let next = [
                launch.created + Self.confirmation, launch.expires + .seconds(1), launch.expires + Self.retention,
            ]
            .first { $0 > time.timestamp }
            state.timers.insert(launch.id, due: time.now + ((next ?? time.timestamp) - time.timestamp))
        }
        keeper = StateKeeper(state, store: store)
        self.apps = Dictionary(uniqueKeysWithValues: apps.map { ($0.id, $0) })
        (self.sessions, self.messages, self.notifier, self.mailroom) = (sessions, messages, notifier, mailroom)
        (self.store, self.security, self.identities, self.time, self.log) = (store, security, identities, time, log)
        alarm = Alarm(time: time)
        (confirmed, confirmedSink) = AsyncStream.makeStream()
        alarm.set(keeper.read { $0.timers.next })
        sessions.onChange { [weak self] in self?.presenceChanged($0) }
    }

    /// Answers a tap. The same tap from the same device gets the same launch until that is redeemed.
    /// - Throws: `launch_expired` when the tap is used up, foreign, forged or too old; `no_farm`, `farm_unavailable`.
    package func launch(tap: String, device: Device) async throws -> Answer {
        let (key, expired) = (try message(of: tap, for: device), Self.expired)
        let known = keeper.read { state in
            state.byTap[TapKey(message: key, device: device.id)].flatMap { state.launches[$0] }
        }
        if let known {
            guard known.state == .pending, time.timestamp < known.expires else { throw expired }
            return try await answer(known, device, isNew: false)
        }
        guard let message = try await store.message(key), let app = message.app,
            message.expires.map({ $0 > time.timestamp }) ?? true,
            time.timestamp - message.enqueued < Self.retention
        else { throw expired }
        return try await create(app, key, device, fromTap: true)
    }

    private static let expired = GatewayError(
        .launchExpired, "the notification is used up, expired, or belongs to another device")

    /// The message that a notification of this device speaks of.
    /// - Throws: `launch_expired` for a tap that is foreign or forged.
    package func message(of tap: String, for device: Device) throws(GatewayError) -> MessageKey {
        guard let (key, target) = identities.read(tap: tap), target == device.id, isAddressed(key, to: device) else {
            throw Self.expired
        }
        return key
    }

    private func isAddressed(_ key: MessageKey, to device: Device) -> Bool {
        let address = mailroom.address(of: key.queue)
        return address == .account(device.account) || address == .device(device.id)
    }

    /// Launches an app, at a message where one is given.
    /// - Throws: `unknown_app`, `not_found`, `no_farm`, `farm_unavailable`.
    package func launch(app: AppID, message: MessageKey?, device: Device) async throws -> Answer {
        if let message {
            guard isAddressed(message, to: device), try await store.message(message) != nil
            else {
                throw GatewayError(.notFound, "the account has no message '\(message)'", field: "message")
            }
        }
        return try await create(app, message, device, fromTap: false)
    }

    private func create(_ id: AppID, _ message: MessageKey?, _ device: Device, fromTap: Bool) async throws -> Answer {
        guard let app = apps[id] else { throw GatewayError(.unknownApp, "there is no app '\(id)'", field: "app") }
        guard app.farmLink != nil, app.launch != nil else {
            throw GatewayError(.noFarm, "the app '\(id)' has no farm that could launch it")
        }
        let launchID: LaunchID = identities.make("lch")
        let now = time.timestamp
        let launch = Launch(
            id: launchID, account: device.account, device: device.id, app: id, message: message, fromTap: fromTap,
            ticketHash: security.hash(identities.ticket(launchID).bytes), created: now, expires: now + Self.lifetime)
        let due = time.now + Self.confirmation
        // A doubled tap at the same moment: the first one's launch is the one.
        let kept = try await keeper.change { state -> (Launch, [StoreChange]) in
            if fromTap, let message,
                let other = state.byTap[TapKey(message: message, device: device.id)].flatMap({ state.launches[$0] })
            {
                return (other, [])
            }
            state.put(launch)
            state.timers.insert(launch.id, due: due)
            return (launch, [.putLaunch(launch)])
        }
        alarm.set(due)
        if kept.id == launch.id { log.info(.launchRequested, "A device asks for an app", fields(kept)) }
        if let message { notifier.tapped(message) }
        return try await answer(kept, device, isNew: kept.id == launch.id)
    }

    private func answer(_ launch: Launch, _ device: Device, isNew: Bool) async throws -> Answer {
        guard let app = apps[launch.app], let farm = app.farmLink, let target = app.launch else {
            throw GatewayError(.noFarm, "the app '\(launch.app)' has no farm that could launch it")
        }
        let action = try await farm.launch(target, try await request(launch, app, device))
        let running = sessions.session(device: device.id, app: launch.app)
        if running != nil {
            mailroom.pass(to: launch.account, device: device.id) { _ in .launch(launch.id, app: launch.app) }
        }
        log.info(
            .launchAnswered, "A launch was answered",
            fields(launch) + ["running": .bool(running != nil), "repeated": .bool(!isNew)])
        // A client that is in front already has nothing more to report.
        if let running { presenceChanged(running) }
        return Answer(launch: launch, session: running?.id, action: action, isNew: isNew)
    }

    package func all() -> [Launch] {
        keeper.read { $0.launches.values.sorted { ($0.created, $0.id) < ($1.created, $1.id) } }
    }

    // MARK: Confirmation

    private func presenceChanged(_ session: Session) {
        guard sessions.foregroundUntil(device: session.device, app: session.app) != nil else { return }
        let done = Locked<[Launch]>([])
        let now = time.timestamp
        keeper.submit { state in
            var changes: [StoreChange] = []
            for launch in (state.active[session.device] ?? []).compactMap({ state.launches[$0] })
            where launch.device == session.device && launch.app == session.app && now < launch.expires
                && (launch.state == .pending || launch.state == .redeemed)
            {
                var launch = launch
                if launch.state == .pending { state.confirmedUnused.insert(launch.id) }
                launch.state = .confirmed
                state.put(launch)
                changes.append(.putLaunch(launch))
                done.withLock { $0.append(launch) }
            }
            return changes
        }
        for launch in done.withLock({ $0 }) { confirmedSink.yield(launch) }
    }

    /// The app is in front: the message is being looked at, so the other devices need not show it.
    private func confirm(_ launch: Launch) async throws {
        log.info(
            .launchConfirmed, "The launched app came to the front",
            fields(launch) + ["milliseconds": .milliseconds(time.timestamp - launch.created)])
        if let message = launch.message {
            try await messages.settle(
                [message], account: launch.account, as: .done, reason: "opened", by: launch.device)
        }
    }

    package func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while true {
                    try await self.alarm.wait()
                    self.look()
                }
            }
            group.addTask { for await launch in self.confirmed { try await self.confirm(launch) } }
            try await group.next()
            group.cancelAll()
        }
    }

    package func beginShutdown() { confirmedSink.finish() }

    /// Says which launches did not come to the front in time, and drops those long expired.
    private func look() {
        let (late, next) = keeper.update { state -> ([Launch], Moment?) in
            var late: [Launch] = []
            while let id = state.timers.pop(at: time.now) {
                guard var launch = state.launches[id] else { continue }
                let isActive = launch.state == .pending || launch.state == .redeemed
                if time.timestamp < launch.expires {
                    if isActive { late.append(launch) }
                    state.timers.insert(id, due: time.now + (launch.expires - time.timestamp) + .seconds(1))
                } else if time.timestamp < launch.expires + Self.retention {
                    if isActive {
                        launch.state = .expired
                        state.put(launch)
                    }
                    let rest = launch.expires + Self.retention - time.timestamp
                    state.timers.insert(id, due: time.now + max(.seconds(1), rest))
                } else {
                    state.drop(launch)
                }
            }
            return (late, state.timers.next)
        }
        for launch in late {
            log.warning(.launchUnconfirmed, "The launched app did not come to the front in time", fields(launch))
        }
        alarm.set(next)
    }

    func fields(_ launch: Launch) -> LogFields {
        var fields: LogFields = [
            "launch": .id(launch.id), "account": .id(launch.account), "device": .id(launch.device),
            "app": .id(launch.app),
        ]
        if let message = launch.message { fields.append("messageId", .key(message)) }
        return fields
    }
}
