package import Base

/// Carries pushes to the services: a lane for each configured one.
package final class PushDispatcher: Service {
    /// How long pushes under way may take once the end is asked for; then they are cut off, and go on from the store at the
    /// next start. Less than a service has to stop (`ServiceGroup`), so that a provider that hangs costs no other part
    /// its orderly end.
    package static let grace: Duration = .seconds(8)

    package let name = "push"
    private let time: any TimeSource
    private let lanes: [String: PushLane]
    private let hooks: Locked<PushHooks>
    private let stopped = ShutdownSignal()

    /// - Parameter jitter: draws from 0..<1.
    package init(
        pushes: [ConfiguredPush], limits: Limits, time: any TimeSource, log: Log,
        jitter: @escaping @Sendable () -> Double
    ) {
        let hooks = Locked(PushHooks())
        lanes = Dictionary(
            pushes.map { push in
                let lane = PushLane(
                    push, limit: limits.laneMessages, time: time, log: log, jitter: jitter, hooks: hooks)
                return (push.name, lane)
            }, uniquingKeysWith: { $1 })
        (self.hooks, self.time) = (hooks, time)
    }

    /// Who is told how a push ended, for good.
    package func onFinished(_ body: @escaping @Sendable (PushJob, PushReport) -> Void) {
        hooks.withLock { $0.finished = Callback(body) }
    }

    /// Who brings a push up to date in the moment it leaves its lane.
    package func onSend(_ body: @escaping @Sendable (PushJob) -> Push) {
        hooks.withLock { $0.prepare = Callback(body) }
    }

    package func adapter(_ name: String) -> (any PushAdapter)? { lanes[name]?.push.adapter }
    /// Whether there is a lane of this name.
    package func has(_ name: String) -> Bool { lanes[name] != nil }
    package var names: [String] { lanes.keys.sorted() }
    package func statistics() -> [(lane: String, waiting: Int, underWay: Int, isOpen: Bool)] {
        lanes.sorted { $0.key < $1.key }.map { name, lane in
            let counts = lane.counts
            return (lane: name, waiting: counts.waiting, underWay: counts.underWay, isOpen: counts.isOpen)
        }
    }

    /// Puts a job into the lane of its channel; false when there is no such lane or it is full.
    package func enqueue(_ job: PushJob) -> Bool { lanes[job.channel.adapter]?.enqueue(job) ?? false }

    /// Takes back a push that has not left yet.
    package func cancel(_ id: String, lane: String) -> Bool { lanes[lane]?.cancel(id) ?? false }

    /// Sends one push now, beside the lane: for tests a person has asked for.
    package func sendNow(_ push: Push, adapter name: String) async -> PushReport? {
        guard let adapter = adapter(name) else { return nil }
        return await adapter.send(push)
    }

    package func run() async throws {
        var failure: (any Error)?
        do {
            try await sendUntilStopped()
        } catch {
            failure = error
        }
        for name in names { await adapter(name)?.stop() }
        if let failure { throw failure }
    }

    private func sendUntilStopped() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                await self.stopped.wait()
                try await self.time.sleep(for: Self.grace)
            }
            group.addTask { try await self.sendAll() }
            try await group.next()
            group.cancelAll()
        }
    }

    /// Returns when all lanes have ended; also without any not before the end is asked for.
    private func sendAll() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in lanes.values { group.addTask { try await lane.run() } }
            group.addTask { await self.stopped.wait() }
            try await group.waitForAll()
        }
    }

    package func beginShutdown() {
        for lane in lanes.values { lane.beginShutdown() }
        stopped.raise()
    }
}
