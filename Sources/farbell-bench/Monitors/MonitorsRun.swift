internal import Base
internal import GatewayTestKit

/// One gateway with many users who are watched: idle, busy, and started again.
struct MonitorsRun: Sendable {
    let users: Int
    let idleSeconds: Int
    let load: SteadyLoad

    struct Result: Sendable {
        let users: Int
        /// The gateway with this monitor, but without a user.
        let baseKibibytes: Int
        let idleKibibytes: Double
        /// Of one core.
        let idleShare: Double
        let busyKibibytes: Double
        let busyShare: Double
        let tally: Tally
        let startSeconds: Double
        let restartSeconds: Double
        /// Requests that hang, and connections open, when all are watched and nothing happens.
        let hanging: Int
        let connections: Int
        /// Pushes after the restart, when nothing new had come.
        let rungAgain: Int
        /// What the server found wrong with requests.
        let refusals: [String]
        let complaints: [String: Int]
    }

    func run(_ upstream: some MonitorsUpstream, _ setup: RingSetup) async throws -> Result {
        let time = setup.time
        let base = try await memoryOfNone(upstream, setup)
        Report.progress("monitors: starting a gateway with \(users) \(upstream.name)")
        var seed = Seed(accounts: users)
        seed.hasCredentials = upstream.hasCredentials
        var start = time.now
        let gateway = try await setup.gateway(seed, monitor: upstream.monitor)
        try await waitUntilWatched(upstream, gateway)
        let startSeconds = (time.now - start).inSeconds
        try await time.sleep(for: .seconds(3))

        Report.progress("monitors: idle for \(idleSeconds) s")
        let idleShare = try await ProcessMeter.share(of: gateway.processID, time) {
            try await time.sleep(for: .seconds(idleSeconds))
        }
        let idle = try ProcessMeter.memory(of: gateway.processID).resident
        let (hanging, connections) = (upstream.hanging, try await upstream.openConnections())
        let busyResult = try await load.run(gateway, setup) { name, number in
            try await upstream.deliver(name, to: number % users)
        }
        let busy = try ProcessMeter.memory(of: gateway.processID).resident
        let complaints = gateway.complaints()

        Report.progress("monitors: starting it again")
        await gateway.stop()
        try await Eventually.wait("the server has seen all leave", for: .seconds(60)) {
            try await upstream.openConnections() == 0
        }
        upstream.forgetWatchers()
        let pushes = setup.apns.pushes.count
        start = time.now
        try await gateway.startAgain()
        try await waitUntilWatched(upstream, gateway)
        let restartSeconds = (time.now - start).inSeconds
        try await time.sleep(for: .seconds(2))
        let rungAgain = setup.apns.pushes.count - pushes
        await gateway.stop()
        func each(_ kibibytes: Int) -> Double { Double(kibibytes - base) / Double(users) }
        return Result(
            users: users, baseKibibytes: base, idleKibibytes: each(idle), idleShare: idleShare,
            busyKibibytes: each(busy), busyShare: busyResult.processorShare, tally: busyResult.tally,
            startSeconds: startSeconds,
            restartSeconds: restartSeconds, hanging: hanging, connections: connections, rungAgain: rungAgain,
            refusals: upstream.refusals, complaints: complaints)
    }

    /// The resident memory of a gateway with this monitor, but without a user, in KiB.
    private func memoryOfNone(_ upstream: some MonitorsUpstream, _ setup: RingSetup) async throws -> Int {
        let gateway = try await setup.gateway(Seed(accounts: 0), monitor: upstream.monitor)
        try await setup.time.sleep(for: .seconds(4))
        let memory = try ProcessMeter.memory(of: gateway.processID).resident
        await gateway.stop()
        return memory
    }

    private func waitUntilWatched(_ upstream: some MonitorsUpstream, _ gateway: GatewayProcess) async throws {
        do {
            try await Eventually.wait("all are watched", for: .seconds(600), every: .milliseconds(20)) {
                upstream.watched >= users
            }
        } catch {
            throw BenchError("only \(upstream.watched) of \(users) are watched (\(error)): \(gateway.logTail)")
        }
    }
}

extension MonitorsRun.Result {
    /// Prints it where there are no bars.
    /// - Parameter perSecond: the items a second while it was busy.
    /// - Returns: whether nothing was missed, doubled or refused.
    func report(_ upstream: some MonitorsUpstream, perSecond: Int) -> Bool {
        let rows = [
            ["idle: KiB each", Report.decimal(idleKibibytes)],
            ["idle: % of a core for all", Report.decimal(idleShare * 100, 2)],
            ["upstream: requests that hang", "\(hanging)"],
            ["upstream: connections open", "\(connections)"],
            ["\(perSecond) items/s: KiB each", Report.decimal(busyKibibytes)],
            ["\(perSecond) items/s: % of a core", Report.decimal(busyShare * 100, 2)],
            ["event to push accepted: p50 ms", tally.pushed.cells[0]],
            ["event to push accepted: p99 ms", tally.pushed.cells[2]],
            ["first start: all watched after s", Report.decimal(startSeconds)],
            ["restart, default limits: all watched after s", Report.decimal(restartSeconds)],
        ]
        Report.print("\n\(users) \(upstream.name) with TLS, at the fake server: \(upstream.remark)")
        Report.print(Report.table(["what", "Farbell"], rows))
        Report.print(
            "missed \(tally.missed), doubled \(tally.doubled) of \(tally.pushed.count + tally.missed); the gateway without"
                + " a user: \(baseKibibytes) KiB; after the restart \(rungAgain) rang again; refused by the server:"
                + " \(refusals.isEmpty ? "nothing" : "\(refusals.count), first \(refusals[0])"); warnings and errors in the"
                + " log: \(complaints.isEmpty ? "none" : "\(complaints)")")
        return tally.missed == 0 && tally.doubled == 0 && rungAgain == 0 && refusals.isEmpty
    }
}
