internal import Base

/// One configured service: its machine, its lock, its timer and its tasks. Lanes share nothing but the processor,
/// so one that hangs or is dead costs the others nothing.
final class PushLane: Sendable {
    let push: ConfiguredPush
    private let machine: Locked<LaneMachine>
    private let time: any TimeSource
    private let log: Log
    private let jitter: @Sendable () -> Double
    private let alarm: Alarm
    /// What may leave now and has no task yet. The machine lets no more out than the lane's concurrency, so no more
    /// stand here.
    private let starts: AsyncStream<PushJob>
    private let startSink: AsyncStream<PushJob>.Continuation
    private let hooks: Locked<PushHooks>
    private let isEnding = Locked(false)

    init(
        _ push: ConfiguredPush, limit: Int, time: any TimeSource, log: Log, jitter: @escaping @Sendable () -> Double,
        hooks: Locked<PushHooks>
    ) {
        self.push = push
        machine = Locked(
            LaneMachine(concurrency: push.concurrency, limit: limit, ratePerSecond: push.ratePerSecond))
        (self.time, self.log, self.jitter, self.hooks) = (time, log, jitter, hooks)
        alarm = Alarm(time: time)
        (starts, startSink) = AsyncStream.makeStream()
    }

    var counts: (waiting: Int, underWay: Int, isOpen: Bool) {
        machine.withLock { ($0.waiting, $0.underWay, $0.isOpen) }
    }

    /// False when the lane is full.
    func enqueue(_ job: PushJob) -> Bool {
        let (isTaken, started) = step { $0.enqueue(job, now: time.now, timestamp: time.timestamp) }
        start(started)
        return isTaken
    }

    /// Takes back a push that has not left yet.
    func cancel(_ id: String) -> Bool { machine.withLock { $0.cancel(id) } }

    /// - Returns: what the body returns, and what may leave now: who asks sees to it.
    private func step<Result: Sendable>(
        _ body: (inout LaneMachine) -> (Result, [LaneMachine.Action])
    ) -> (result: Result, started: [PushJob]) {
        let (result, actions, deadline) = machine.withLock { machine in
            let (result, actions) = body(&machine)
            return (result, actions, machine.nextDeadline)
        }
        var started: [PushJob] = []
        for action in actions {
            if case .start(let job) = action { started.append(job) } else { perform(action) }
        }
        alarm.set(deadline)
        return (result, started)
    }

    /// Has tasks made for what may leave now; once the end is asked for, none is.
    private func start(_ jobs: some Sequence<PushJob>) {
        for job in jobs { startSink.yield(job) }
    }

    private func perform(_ action: LaneMachine.Action) {
        switch action {
        case .start: break
        case .finished(let job, let report): hooks.withLock { $0.finished }?.function(job, report)
        case .retry(let job, let report, let after):
            log.warning(
                .notificationRetry, "A push did not go through and is tried again",
                job.fields(report) + ["attempt": .count(job.attempt), "retryMilliseconds": .milliseconds(after)])
        case .breakerOpened(let report, let pause):
            let details: LogFields = [
                "push": .string(push.name), "outcome": .string(report.outcome.name),
                "status": .count(report.status ?? 0), "reason": .string(report.reason ?? ""),
                "hop": .string(report.hop?.rawValue ?? ""), "pauseMilliseconds": .milliseconds(pause),
            ]
            if report.outcome == .credential {
                log.error(.pushBreakerOpened, "The push service refuses our credential; its lane waits", details)
            } else {
                log.warning(.pushBreakerOpened, "The push service is in trouble; its lane waits", details)
            }
        case .breakerClosed:
            log.info(.pushBreakerClosed, "The push service answers again", ["push": .string(push.name)])
        }
    }

    /// Sends until shutdown is asked for and what is under way has come back.
    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while true {
                    try await self.alarm.wait()
                    let (_, started) = self.step {
                        ((), $0.fire(now: self.time.now, timestamp: self.time.timestamp))
                    }
                    self.start(started)
                }
            }
            group.addTask { await self.sendAll() }
            try await group.next()
            group.cancelAll()
        }
    }

    func beginShutdown() {
        isEnding.withLock { $0 = true }
        startSink.finish()
    }

    private func sendAll() async {
        await withDiscardingTaskGroup { group in
            for await job in starts { group.addTask { await self.send(job) } }
        }
    }

    /// Sends a push, and then what its end lets out: going on costs less than a task for each.
    private func send(_ first: PushJob) async {
        var next: PushJob? = first
        while let job = next {
            // Now and not when it came: what it says of the account must be true when the device shows it.
            let prepared = hooks.withLock { $0.prepare }?.function(job) ?? job.push
            let report = await push.adapter.send(prepared)
            let (_, started) = step { machine in
                ((), machine.finished(job, report, now: time.now, timestamp: time.timestamp, jitter: jitter()))
            }
            // What does not leave any more at the end goes on from the store at the next start.
            guard !Task.isCancelled, !isEnding.withLock({ $0 }) else { return }
            next = started.first
            start(started.dropFirst())
        }
    }
}

/// Who is asked and told by all lanes; set once, before anything is sent.
struct PushHooks: Sendable {
    /// Brings a push up to date as it leaves.
    var prepare: Callback<@Sendable (PushJob) -> Push>?
    /// Hears how a push ended, for good.
    var finished: Callback<@Sendable (PushJob, PushReport) -> Void>?
}

extension PushJob {
    /// The fields of a log line about a push.
    func fields(_ report: PushReport) -> LogFields {
        var fields: LogFields = [
            "push": .string(channel.adapter), "account": .id(account), "device": .id(push.device),
            "notification": .string(push.id), "outcome": .string(report.outcome.name),
        ]
        if let representative { fields.append("messageId", .key(representative)) }
        if let hop = report.hop { fields.append("hop", .string(hop.rawValue)) }
        if let status = report.status { fields.append("status", .count(status)) }
        if let reason = report.reason { fields.append("reason", .string(reason)) }
        return fields
    }
}
