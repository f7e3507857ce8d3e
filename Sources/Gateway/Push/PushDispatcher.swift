package import Base

/// Carries pushes to the services: a lane for each configured one.
package final class PushDispatcher: Service {
    private struct Lane {
        let push: ConfiguredPush
        var machine: LaneMachine
    }

    private enum Command: Sendable {
        case send(lane: String, PushJob)
    }

    package let name = "push"
    private let lanes: Locked<[String: Lane]>
    private let time: any TimeSource
    private let log: Log
    private let jitter: @Sendable () -> Double
    private let alarm: Alarm
    private let commands: AsyncStream<Command>
    private let commandSink: AsyncStream<Command>.Continuation
    private let finishedHandler = Locked<Callback<@Sendable (PushJob, PushReport) -> Void>?>(nil)
    private let limit: Int

    /// - Parameter jitter: draws from 0..<1.
    package init(
        pushes: [ConfiguredPush], limits: Limits, time: any TimeSource, log: Log,
        jitter: @escaping @Sendable () -> Double
    ) {
        var lanes: [String: Lane] = [:]
        for push in pushes {
            lanes[push.name] = Lane(
                push: push, machine: LaneMachine(concurrency: push.adapter.concurrency, limit: limits.laneMessages))
        }
        self.lanes = Locked(lanes)
        (self.time, self.log, self.jitter, limit) = (time, log, jitter, limits.laneMessages)
        alarm = Alarm(time: time)
        (commands, commandSink) = AsyncStream.makeStream()
    }

    /// Who is told how a push ended, for good.
    package func onFinished(_ body: @escaping @Sendable (PushJob, PushReport) -> Void) {
        finishedHandler.withLock { $0 = Callback(body) }
    }

    package func adapter(_ name: String) -> (any PushAdapter)? { lanes.withLock { $0[name]?.push.adapter } }
    /// Whether there is a lane of this name.
    package func has(_ name: String) -> Bool { lanes.withLock { $0[name] != nil } }
    package var names: [String] { lanes.withLock { $0.keys.sorted() } }
    package func statistics() -> [(lane: String, waiting: Int, underWay: Int, isOpen: Bool)] {
        lanes.withLock { lanes in
            lanes.sorted { $0.key < $1.key }.map {
                (
                    lane: $0.key, waiting: $0.value.machine.waiting, underWay: $0.value.machine.underWay,
                    isOpen: $0.value.machine.isOpen
                )
            }
        }
    }

    /// Puts a job into the lane of its channel; false when there is no such lane or it is full.
    package func enqueue(_ job: PushJob) -> Bool {
        step(job.channel.adapter) { machine in
            let (accepted, actions) = machine.enqueue(job, now: time.now, timestamp: time.timestamp)
            return (accepted, actions)
        } ?? false
    }

    /// Takes back a push that has not left yet.
    package func cancel(_ id: String, lane: String) -> Bool {
        step(lane) { ($0.cancel(id), []) } ?? false
    }

    /// Sends one push now, beside the lane: for tests a person has asked for.
    package func sendNow(_ push: Push, adapter name: String) async -> PushReport? {
        guard let adapter = adapter(name) else { return nil }
        return await adapter.send(push)
    }

    private func step<Result: Sendable>(
        _ lane: String, _ body: (inout LaneMachine) -> (Result, [LaneMachine.Action])
    ) -> Result? {
        let outcome = lanes.withLock { lanes -> (Result, [LaneMachine.Action], Moment?)? in
            guard var entry = lanes.removeValue(forKey: lane) else { return nil }
            let (result, actions) = body(&entry.machine)
            lanes[lane] = entry
            return (result, actions, entry.machine.nextDeadline)
        }
        guard let (result, actions, deadline) = outcome else { return nil }
        for action in actions { perform(action, lane) }
        alarm.set(deadline)
        return result
    }

    private func perform(_ action: LaneMachine.Action, _ lane: String) {
        switch action {
        case .start(let job): commandSink.yield(.send(lane: lane, job))
        case .finished(let job, let report): finishedHandler.withLock { $0 }?.function(job, report)
        case .retry(let job, let report, let after):
            log.warning(
                .notificationRetry, "A push did not go through and is tried again",
                fields(job, report, lane) + [
                    "attempt": .count(job.attempt), "retryMilliseconds": .milliseconds(after),
                ])
        case .breakerOpened(let report, let pause):
            let details: LogFields = [
                "push": .string(lane), "outcome": .string(report.outcome.name), "status": .count(report.status ?? 0),
                "reason": .string(report.reason ?? ""), "pauseMilliseconds": .milliseconds(pause),
            ]
            if report.outcome == .credential {
                log.error(.pushBreakerOpened, "The push service refuses our credential; its lane waits", details)
            } else {
                log.warning(.pushBreakerOpened, "The push service is in trouble; its lane waits", details)
            }
        case .breakerClosed: log.info(.pushBreakerClosed, "The push service answers again", ["push": .string(lane)])
        }
    }

    /// The fields of a log line about a push.
    package func fields(_ job: PushJob, _ report: PushReport, _ lane: String) -> LogFields {
        var fields: LogFields = [
            "push": .string(lane), "account": .id(job.account), "device": .id(job.push.device),
            "notification": .string(job.push.id), "outcome": .string(report.outcome.name),
        ]
        if let message = job.representative { fields.append("messageId", .key(message)) }
        if let status = report.status { fields.append("status", .count(status)) }
        if let reason = report.reason { fields.append("reason", .string(reason)) }
        return fields
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
            group.addTask { try await self.watchTimers() }
            group.addTask { await self.sendAll() }
            // Sending ends when shutdown is asked for and what is under way has come back.
            try await group.next()
            group.cancelAll()
        }
    }

    package func beginShutdown() { commandSink.finish() }

    private func sendAll() async {
        await withDiscardingTaskGroup { group in
            for await case .send(let lane, let job) in commands {
                group.addTask { await self.send(job, lane) }
            }
        }
    }

    private func send(_ job: PushJob, _ lane: String) async {
        guard let adapter = adapter(lane) else { return }
        let report = await adapter.send(job.push)
        _ = step(lane) { machine in
            ((), machine.finished(job, report, now: time.now, timestamp: time.timestamp, jitter: jitter()))
        }
    }

    private func watchTimers() async throws {
        while true {
            try await alarm.wait()
            for lane in names { _ = step(lane) { ((), $0.fire(now: time.now, timestamp: time.timestamp)) } }
        }
    }
}
