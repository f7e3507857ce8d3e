package import Base
package import Gateway

/// A complete gateway on a store in memory, a manual clock and recording plugins. Its services run while a test's
/// body does; it can be restarted, and crash, on the same store.
///
///     try await TestGateway.run { test in
///         let phone = try await test.device("alice", "phone")
///         let registration = try await test.register("alice")
///         ...
///     }
package final class TestGateway: Sendable {
    /// What a gateway is built from, and built from again by a restart.
    package struct Parts: Sendable {
        package var notify = {
            var notify = NotifyDefaults()
            // On a clock that stands still nobody would be rung more often than that.
            notify.devicePerMinute = 0
            return notify
        }()
        package var limits = Limits()
        package var time = ManualTime()
        package var security = FakeSecurity()
        package var store = InMemoryStore()
        package var log = RecordingLogSink()
        /// The level of the log; `info` as in production.
        package var level = LogLevel.info
        /// What back-off is multiplied with.
        package var jitter = 1.0
        /// The monitor of the apps `mail` and `chat`.
        package var monitor = ScriptedMonitor()
        /// The farm of all apps but `talk`.
        package var farm = RecordingFarm()
        /// The push services by name; devices use `phone` unless told otherwise.
        package var pushes: [String: RecordingPushAdapter] = [
            "phone": RecordingPushAdapter(), "browser": RecordingPushAdapter(canClear: false),
        ]
        /// Changes the configuration before it is used.
        package var configure: @Sendable (inout GatewayConfiguration) -> Void = { _ in }

        package init() {}

        fileprivate func gateway(
            on store: InMemoryStore, isCut: @escaping @Sendable () -> Bool
        ) async throws -> Gateway {
            var configuration = GatewayConfiguration()
            (configuration.notify, configuration.limits) = (notify, limits)
            configuration.farms = [ConfiguredFarm(id: "farm", kind: "recording", farm: farm)]
            let watched = [(id: AppID("mail"), name: "Mail"), (id: "chat", name: "Chat")]
            configuration.apps = watched.map { app in
                App(
                    id: app.id, name: app.name, farm: "farm", farmLink: farm, launch: RecordingFarm.Target(),
                    monitorKind: "scripted", monitor: monitor)
            }
            configuration.apps.append(
                App(id: "desk", name: "Desk", farm: "farm", farmLink: farm, launch: RecordingFarm.Target()))
            configuration.apps.append(App(id: "talk", name: "Talk"))
            configuration.pushes = pushes.sorted { $0.key < $1.key }.map { name, adapter in
                ConfiguredPush(name: name, kind: "recording", adapter: PushLink(adapter, isCut: isCut))
            }
            configure(&configuration)
            let jitter = jitter
            return try await Gateway(
                configuration,
                on: Gateway.Foundation(
                    store: store, security: security, time: time,
                    log: Log(sink: log, level: level, time: time), jitter: { jitter }))
        }
    }

    /// One life of the gateway, from its start to its end.
    private final class Life: Sendable {
        let gateway: Gateway
        let store: InMemoryStore
        let stop = ShutdownSignal()
        let crash: ShutdownSignal
        let ended = ShutdownSignal()
        let failure = Locked<(any Error)?>(nil)

        init(_ gateway: Gateway, _ store: InMemoryStore, crash: ShutdownSignal) {
            (self.gateway, self.store, self.crash) = (gateway, store, crash)
        }

        /// Runs the services until told to stop, a crash, or the failure of one.
        func run() async {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { [self] in
                    do {
                        try await ServiceGroup(gateway.services).run(until: { [stop] in await stop.wait() })
                    } catch {
                        failure.withLock { $0 = error }
                    }
                }
                group.addTask { [crash] in await crash.wait() }
                await group.next()
                group.cancelAll()
            }
            ended.raise()
        }
    }

    package let parts: Parts
    private let life: Locked<Life>
    private let lives: AsyncStream<Life>
    private let nextLife: AsyncStream<Life>.Continuation

    private init(_ parts: Parts, _ first: Life) {
        self.parts = parts
        life = Locked(first)
        (lives, nextLife) = AsyncStream.makeStream()
    }

    /// The gateway of the present life.
    package var gateway: Gateway { life.withLock { $0 }.gateway }
    /// The store of the present life.
    package var store: InMemoryStore { life.withLock { $0 }.store }
    package var time: ManualTime { parts.time }
    package var security: FakeSecurity { parts.security }
    package var log: RecordingLogSink { parts.log }
    package var monitor: ScriptedMonitor { parts.monitor }
    package var farm: RecordingFarm { parts.farm }
    /// The push service named `phone`.
    package var push: RecordingPushAdapter { push("phone") }
    package func push(_ name: String) -> RecordingPushAdapter { parts.pushes[name] ?? RecordingPushAdapter() }

    /// Starts a gateway, runs `body` beside its services, and shuts it down.
    /// - Throws: what `body` throws, or the failure of a service that the body did not take with `failure()`.
    @discardableResult
    package static func run<Result: Sendable>(
        _ parts: Parts = Parts(), _ body: @escaping @Sendable (TestGateway) async throws -> Result
    ) async throws -> Result {
        let test = TestGateway(parts, try await born(parts, parts.store))
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                await withDiscardingTaskGroup { group in
                    for await life in test.lives { group.addTask { await life.run() } }
                }
            }
            do {
                try await test.begin()
                let result = try await body(test)
                try await test.end()
                test.nextLife.finish()
                try await group.waitForAll()
                return result
            } catch {
                test.life.withLock { $0 }.crash.raise()
                test.nextLife.finish()
                throw error
            }
        }
    }

    private static func born(_ parts: Parts, _ store: InMemoryStore) async throws -> Life {
        let crash = ShutdownSignal()
        return Life(try await parts.gateway(on: store, isCut: { crash.isRaised }), store, crash: crash)
    }

    private func begin() async throws {
        nextLife.yield(life.withLock { $0 })
        try await gateway.resume()
    }

    private func end() async throws {
        let life = life.withLock { $0 }
        life.stop.raise()
        await life.ended.wait()
        if let failure = life.failure.withLock({ $0 }) { throw failure }
    }

    /// Returns how the present life failed, when it has.
    /// - Throws: `DeadlineMissed` while it goes on.
    package func failure() async throws -> any Error {
        let life = life.withLock { $0 }
        return try await Eventually.value("the gateway fails") {
            life.ended.isRaised
                ? life.failure.withLock { failure in
                    defer { failure = nil }
                    return failure
                } : nil
        }
    }

    /// Stops the gateway in order and starts a new one on what it stored.
    package func restart() async throws {
        try await end()
        let former = store
        try await comeBack(former.reopened())
    }

    /// Ends the gateway where it stands and starts a new one on what the store had been given. What the old one's
    /// tasks still do reaches nobody. `between` runs while there is no gateway.
    package func crash(between: @Sendable () async throws -> Void = {}) async throws {
        let life = life.withLock { $0 }
        let rest = life.store.reopened()
        life.crash.raise()
        await life.ended.wait()
        try await between()
        try await comeBack(rest)
    }

    private func comeBack(_ store: InMemoryStore) async throws {
        let next = try await Self.born(parts, store)
        life.withLock { $0 = next }
        try await begin()
    }
}
