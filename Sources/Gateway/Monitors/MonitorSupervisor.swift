package import Base

/// Runs the monitors, and what farms know of sessions: one child task for each watched registration, started and stopped as the machine
/// says.
package final class MonitorSupervisor: Service {
    private enum Command: Sendable {
        case start(RegistrationID, ShutdownSignal)
        /// The account is to be told that its credentials were refused, if it was not.
        case refused(Registration)
        /// The credentials are others now, or nobody's any more.
        case renewed(RegistrationID)
    }

    /// Before a plugin's common part that failed is started again.
    static let pluginPause: Duration = .seconds(10)

    package let name = "monitors"
    private let machine: Locked<SupervisorMachine>
    private let stops = Locked<[RegistrationID: ShutdownSignal]>([:])
    private let revisions = Locked<[RegistrationID: Int64]>([:])
    let registrations: Registrations
    let intake: Intake
    private let farms: [ConfiguredFarm]
    private let facts: any FarmFacts
    let time: any TimeSource
    let log: Log
    private let jitter: @Sendable () -> Double
    private let alarm: Alarm
    private let commands: AsyncStream<Command>
    private let commandSink: AsyncStream<Command>.Continuation

    /// - Parameter jitter: draws from 0..<1.
    package init(
        registrations: Registrations, intake: Intake, farms: [ConfiguredFarm], facts: any FarmFacts, limits: Limits,
        time: any TimeSource, log: Log, jitter: @escaping @Sendable () -> Double
    ) {
        (self.farms, self.facts) = (farms, facts)
        machine = Locked(
            SupervisorMachine(
                startsPerSecond: limits.monitorStartsPerSecond, connectsAtOnce: limits.monitorConnects,
                refusalsPerMinute: limits.monitorRefusalsPerMinute))
        (self.registrations, self.intake, self.time, self.log, self.jitter) = (registrations, intake, time, log, jitter)
        alarm = Alarm(time: time)
        (commands, commandSink) = AsyncStream.makeStream()
        registrations.onChange { [weak self] in self?.look(at: $0) }
    }

    package func health(_ id: RegistrationID) -> SupervisorMachine.Health? { machine.withLock { $0.health(id) } }
    package func counts() -> [SupervisorMachine.State: Int] { machine.withLock { $0.counts() } }
    /// Of all that should be watched: how many were not heard for twice as long as expected, and how long ago the one
    /// heard longest ago was heard.
    package func oldest() -> (overdue: Int, age: Duration) { machine.withLock { $0.oldest(now: time.now) } }

    /// A server was heard that calls by itself (`InboundMonitor`).
    func heard(_ id: RegistrationID, items: Int, lag: Duration?) {
        heard(id, items: items, lag: lag, ["registration": .id(id)])
    }

    func heard(_ id: RegistrationID, items: Int, lag: Duration?, _ fields: LogFields) {
        let (now, timestamp) = (time.now, time.timestamp)
        let wasOverdue = machine.withLock { $0.heard(id, items: items, lag: lag, now: now, at: timestamp) }
        if wasOverdue { log.info(.monitorRecovered, "A monitor that was overdue is heard again", fields) }
    }

    /// Starts everything that should be watched; called once, after the start.
    package func lookAtAll() { for registration in registrations.all() { look(at: registration.id) } }

    /// Compares what is wanted with what runs. Read and decided under one lock: of two changes at once the later
    /// one counts.
    private func look(at id: RegistrationID) {
        step { machine in
            guard let registration = registrations.registration(id),
                let monitor = registrations.app(registration.app)?.monitor
            else {
                let actions = machine.unwant(id, now: time.now, at: time.timestamp)
                machine.forget(id)
                revisions.withLock { $0[id] = nil }
                commandSink.yield(.renewed(id))
                return actions
            }
            if let refused = registration.refusedRevision {
                let isRefused = refused == registration.credentialsRevision
                commandSink.yield(isRefused ? .refused(registration) : .renewed(id))
            }
            guard registration.isWatched else {
                let state: SupervisorMachine.State =
                    registration.isEnabled && registration.refusedRevision == registration.credentialsRevision
                    ? .refused : .stopped
                return machine.unwant(id, as: state, now: time.now, at: time.timestamp)
            }
            let isRenewed = revisions.withLock { revisions in
                defer { revisions[id] = registration.credentialsRevision }
                return revisions[id].map { $0 != registration.credentialsRevision } ?? false
            }
            return machine.want(
                id, upstream: monitor.upstream, isRenewed: isRenewed,
                isProven: monitor.credentialFields.isEmpty || registration.isProven, heardEvery: monitor.heardEvery,
                now: time.now, at: time.timestamp)
        }
    }

    func step(_ body: (inout SupervisorMachine) -> [SupervisorMachine.Action]) {
        let (actions, deadline) = machine.withLock { machine in
            let actions = body(&machine)
            return (actions, machine.nextDeadline)
        }
        for action in actions {
            switch action {
            case .start(let id):
                let signal = ShutdownSignal()
                stops.withLock { $0[id] = signal }
                commandSink.yield(.start(id, signal))
            case .stop(let id): stops.withLock { $0[id] }?.raise()
            case .overdue(let id): overdue(id)
            }
        }
        alarm.set(deadline)
    }

    /// Whatever the reason, somebody who waits for news of it waits in vain.
    private func overdue(_ id: RegistrationID) {
        guard let registration = registrations.registration(id), let health = health(id) else { return }
        var fields: LogFields = [
            "registration": .id(id), "account": .id(registration.account), "app": .id(registration.app),
            "state": .string(health.state.rawValue), "failures": .count(health.failures),
        ]
        if let success = health.lastSuccess { fields.append("lastSuccess", .string(success.description)) }
        if let error = health.lastError { fields.append("error", .string(error)) }
        log.error(.monitorOverdue, "A monitor's last success is older than twice what is expected", fields)
    }

    // MARK: Running

    package func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while true {
                    try await self.alarm.wait()
                    self.step { $0.fire(now: self.time.now, at: self.time.timestamp) }
                }
            }
            for app in registrations.allApps {
                guard let monitor = app.monitor else { continue }
                group.addTask { try await self.again("monitor", app.id.text) { try await monitor.run() } }
            }
            for farm in farms {
                let launches = registrations.allApps.filter { $0.farm == farm.id }
                    .compactMap { app in app.launch.map { (app.id, $0) } }
                let apps = Dictionary(uniqueKeysWithValues: launches)
                group.addTask { [facts] in
                    try await self.again("farm", farm.id.text) { try await farm.farm.run(apps: apps, facts: facts) }
                }
            }
            group.addTask { await self.watchAll() }
            // `watchAll` ends when shutdown is asked for; a monitor's common part never ends by itself.
            try await group.next()
            group.cancelAll()
        }
    }

    package func beginShutdown() {
        commandSink.finish()
        for stop in stops.withLock({ Array($0.values) }) { stop.raise() }
    }

    /// The common part of a plugin, started again when it fails: one in trouble costs the others nothing.
    private func again(_ kind: String, _ name: String, _ body: () async throws -> Void) async throws {
        while true {
            do {
                try await body()
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                log.error(
                    .pluginFailed, "The common part of a plugin failed and is started again",
                    ["kind": .string(kind), "name": .string(name), "error": .string("\(error)")])
            }
            try await time.sleep(for: Self.pluginPause)
        }
    }

    private func watchAll() async {
        await withDiscardingTaskGroup { group in
            for await command in commands {
                switch command {
                case .start(let id, let stop): group.addTask { await self.watch(id, stop) }
                case .refused(let registration):
                    await tell {
                        // Of former credentials nobody needs to hear any more.
                        try await $0.renewed(registration.id)
                        try await $0.refused(registration)
                    }
                case .renewed(let id): await tell { try await $0.renewed(id) }
                }
            }
        }
    }

    private func tell(_ body: (Intake) async throws -> Void) async {
        do {
            try await body(intake)
        } catch {
            // A full queue, or a store that has failed and says so itself; the next start tries again.
            log.warning(
                .monitorRefused, "An account could not be told of its refused credentials",
                ["error": .string("\(error)")])
        }
    }

    private func watch(_ id: RegistrationID, _ stop: ShutdownSignal) async {
        var failure: MonitorFailure?
        if let registration = registrations.registration(id), let monitor = registrations.app(registration.app)?.monitor
        {
            let fields: LogFields = [
                "registration": .id(id), "account": .id(registration.account), "app": .id(registration.app),
            ]
            log.info(.monitorStarted, "A monitor starts", fields)
            failure = await run(monitor, registration, stop, fields)
            await ended(registration, failure, fields)
        }
        stops.withLock { if $0[id] === stop { $0[id] = nil } }
        let (jitter, code) = (jitter(), failure)
        let pause = Locked<Duration?>(nil)
        step { machine in
            let (wait, actions) = machine.ended(id, code, now: time.now, at: time.timestamp, jitter: jitter)
            pause.withLock { $0 = wait }
            return actions
        }
        if let failure, failure.code != .authFailed, let pause = pause.withLock({ $0 }) {
            log.warning(
                .monitorBackingOff, "A monitor failed and is started again later",
                [
                    "registration": .id(id), "code": .string(failure.code.name), "error": .string(failure.message),
                    "retryMilliseconds": .milliseconds(pause), "failures": .count(health(id)?.failures ?? 0),
                ])
        }
    }

    /// Runs one monitor until it fails or is told to stop; nil for the latter.
    private func run(
        _ monitor: any Monitor, _ registration: Registration, _ stop: ShutdownSignal, _ fields: LogFields
    ) async -> MonitorFailure? {
        let credentials: [String: Secret]
        do {
            credentials = try registrations.credentials(of: registration)
        } catch {
            return MonitorFailure(.authFailed, "the stored credentials cannot be opened; was the key file replaced?")
        }
        let target = MonitorTarget(
            registration: registration.id, account: registration.account, credentials: credentials,
            cursor: registration.cursor)
        let host = SupervisedHost(registration, username: credentials["username"]?.exposed, self, fields)
        let hasEnded = Locked(false)
        return await withTaskGroup(of: MonitorFailure?.self) { group in
            group.addTask {
                // Ends the wait below: a task that only waits for the signal would cost each registration its memory.
                defer {
                    hasEnded.withLock { $0 = !stop.isRaised }
                    stop.raise()
                }
                do {
                    try await monitor.watch(target, host: host)
                    return MonitorFailure(.protocolViolation, "the monitor returned without a failure")
                } catch let failure as MonitorFailure {
                    return failure
                } catch is CancellationError {
                    return nil
                } catch {
                    return MonitorFailure(.network, "\(error)")
                }
            }
            await stop.wait()
            let isFailure = hasEnded.withLock { $0 }
            group.cancelAll()
            let failure = await group.next() ?? nil
            // What went wrong after it was told to stop is of no interest.
            return isFailure ? failure : nil
        }
    }

    private func ended(_ registration: Registration, _ failure: MonitorFailure?, _ fields: LogFields) async {
        switch failure?.code {
        case .authFailed:
            do {
                _ = try await registrations.refused(registration.id, revision: registration.credentialsRevision)
            } catch {
                return  // The store has failed and said so; the gateway is ending.
            }
            look(at: registration.id)
            // Only now is it true, also after a crash.
            log.error(
                .monitorRefused, "The app's server refused the credentials; they are not tried again until they change",
                fields + ["error": .string(failure?.message ?? "")])
        case .cursorInvalid: registrations.moved(registration.id, cursor: nil, known: registration)
        case nil: log.info(.monitorStopped, "A monitor stopped", fields)
        default: break
        }
    }
}
