package import Base

extension LaunchRelay {
    /// What whoever brought a ticket is told.
    package struct Redeemed: Sendable {
        package let launch: Launch
        package let app: App
        /// The key of the item that was tapped, in its registration.
        package let item: String?
        package let start: LaunchStart
        /// For a page that shows the app: lets it report its presence. Nil where the account has not registered for
        /// the app, so that there is nothing to decide.
        package let presence: Secret?
        /// For a program inside the session: fetches the account's later launches at this farm.
        package let sessionKey: Secret?
    }

    /// Uses a ticket up: once, within its lifetime, and only while the device that asked is still one of the
    /// account's. Starts the app. A ticket that the farm could do nothing with is good again.
    /// - Throws: `launch_expired`, `farm_unavailable`.
    package func redeem(_ ticket: Secret) async throws -> Redeemed {
        let hash = security.hash(ticket.bytes)
        return try await redeem { state in state.byTicket[hash].flatMap { state.launches[$0] } }
    }

    /// Uses up the newest launch that waits for an account at a farm: for a program inside the session, which the
    /// farm brings its user back to without telling it what was asked for.
    /// - Returns: nil when none waits.
    /// - Throws: `bad_token`, `account_disabled`, `farm_unavailable`.
    package func redeem(sessionKey: Secret) async throws -> Redeemed? {
        guard let (farm, account) = identities.read(sessionKey: sessionKey) else {
            throw GatewayError(.badToken, "this is no session key of this gateway's")
        }
        guard accounts.account(account)?.isDisabled == false else {
            throw GatewayError(.accountDisabled, "the account is disabled")
        }
        let apps = Set(apps.values.filter { $0.farm == farm }.map(\.id))
        do {
            return try await redeem { [time] state in
                state.active.values.joined().compactMap { state.launches[$0] }
                    .filter {
                        $0.state == .pending && $0.account == account && apps.contains($0.app)
                            && time.timestamp < $0.expires
                    }
                    .max { ($0.created, $0.id) < ($1.created, $1.id) }
            }
        } catch let error as GatewayError where error.code == .launchExpired {
            return nil
        }
    }

    private func redeem(_ find: @escaping @Sendable (State) -> Launch?) async throws -> Redeemed {
        let launch = try await use(find)
        do {
            return try await start(launch)
        } catch {
            // The device may try again: nothing was started.
            try await keeper.change { state in
                guard var current = state.launches[launch.id] else { return ((), []) }
                if current.state == .confirmed { state.confirmedUnused.insert(current.id) }
                guard current.state == .redeemed else { return ((), []) }
                current.state = .pending
                state.put(current)
                return ((), [.putLaunch(current)])
            }
            throw error
        }
    }

    private func use(_ find: @escaping @Sendable (State) -> Launch?) async throws -> Launch {
        let now = time.timestamp
        let (devices, accounts) = (devices, accounts)
        return try await keeper.change { state in
            guard var launch = find(state), now < launch.expires,
                launch.state == .pending || state.confirmedUnused.contains(launch.id),
                devices.device(launch.device)?.account == launch.account,
                accounts.account(launch.account)?.isDisabled == false
            else { throw GatewayError(.launchExpired, "the ticket is unknown, used up or expired") }
            // A client in front had confirmed it already; the farm's session has still to hear of it.
            if state.confirmedUnused.remove(launch.id) != nil { return (launch, []) }
            launch.state = .redeemed
            state.put(launch)
            return (launch, [.putLaunch(launch)])
        }
    }

    private func start(_ launch: Launch) async throws -> Redeemed {
        guard let app = apps[launch.app], let farm = app.farmLink, let target = app.launch, let farmID = app.farm,
            let device = devices.device(launch.device)
        else { throw GatewayError(.noFarm, "the app '\(launch.app)' has no farm that could launch it") }
        let request = try await request(launch, app, device)
        let begin = time.now
        let start = try await farm.start(target, request)
        log.info(
            .launchRedeemed, "A launch's ticket was used",
            fields(launch) + ["milliseconds": .milliseconds(time.now - begin)])
        let registration = registrations.registration(of: launch.account, app: launch.app)
        let isRegistered = registration != nil
        let isProgram = start == .program
        if isProgram, farm.isTrusted, let registration {
            sessions.follow(
                account: launch.account, device: launch.device, app: launch.app, registration: registration.id,
                id: identities.make("ses"))
        }
        return Redeemed(
            launch: launch, app: app, item: request.item, start: start,
            presence: isRegistered && !isProgram
                ? identities.presenceToken(launch.device, launch.app, instance: launch.id.text) : nil,
            sessionKey: isProgram ? identities.sessionKey(farmID, launch.account) : nil)
    }

    func request(_ launch: Launch, _ app: App, _ device: Device) async throws -> LaunchRequest {
        let message: Message? = if let key = launch.message { try await store.message(key) } else { nil }
        var credentials: [String: Secret] = [:]
        if app.farmLink?.usesCredentials == true,
            let registration = registrations.registration(of: launch.account, app: launch.app)
        {
            credentials = try registrations.credentials(of: registration)
        }
        return LaunchRequest(
            launch: launch.id, ticket: identities.ticket(launch.id), account: launch.account, device: device.id,
            platform: device.platform, app: app.id, appName: app.name, message: launch.message,
            item: message?.origin?.item, credentials: credentials)
    }
}
