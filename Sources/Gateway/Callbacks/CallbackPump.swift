package import Base

/// Brings one application's messages to it: its machine, its lock, its tasks. Messages are held by the queue's own
/// locks, so that a crash, a second consumer and `farbell`'s other tools see nothing special.
final class CallbackPump: Sendable {
    private enum Work: Sendable {
        case prove
        case deliver(HandedOver, attempt: Int)
    }

    let app: AppID
    private let callback: any AppCallback
    private let machine: Locked<CallbackMachine>
    private let hand = Locked<[MessageKey: HandedOver]>([:])
    private let waiter = Locked<(id: UInt64?, isStopped: Bool)>((nil, false))
    private let mailroom: Mailroom
    private let time: any TimeSource
    private let log: Log
    private let random: @Sendable () -> (jitter: Double, challenge: String)
    private let alarm: Alarm
    /// Bounded by the machine: no more is under way than the callback's concurrency, and one proof.
    private let works: AsyncStream<Work>
    private let sink: AsyncStream<Work>.Continuation

    /// - Parameter random: draws the jitter, from 0..<1, and a challenge.
    init(
        _ app: AppID, _ callback: any AppCallback, mailroom: Mailroom, time: any TimeSource, log: Log,
        random: @escaping @Sendable () -> (jitter: Double, challenge: String)
    ) {
        (self.app, self.callback, self.mailroom, self.time) = (app, callback, mailroom, time)
        self.random = random
        self.log = log.with(["app": .id(app)])
        machine = Locked(CallbackMachine(concurrency: callback.concurrency, patience: callback.patience))
        alarm = Alarm(time: time)
        (works, sink) = AsyncStream.makeStream()
    }

    var counts: (inHand: Int, isProven: Bool, isOpen: Bool) {
        machine.withLock { ($0.inHand, $0.isProven, $0.isOpen) }
    }

    private var recipient: Recipient { Recipient(.app(app)) }

    func run() async throws {
        // A queue that nobody has sent to does not exist, and cannot be waited at.
        _ = try await mailroom.open(recipient)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while true {
                    try await self.alarm.wait()
                    self.step { $0.fire(now: self.time.now) }
                }
            }
            group.addTask { await self.workAll() }
            step { $0.start() }
            try await group.next()
            group.cancelAll()
        }
    }

    func beginShutdown() {
        let waiting = waiter.withLock { waiter in
            waiter.isStopped = true
            return waiter.id
        }
        if let waiting { mailroom.stopWaiting(waiting) }
        sink.finish()
    }

    private func workAll() async {
        await withDiscardingTaskGroup { group in
            for await work in works { group.addTask { await self.perform(work) } }
        }
    }

    private func perform(_ work: Work) async {
        switch work {
        case .prove:
            let report = await callback.prove(challenge: random().challenge)
            step { $0.proved(report, now: time.now, jitter: random().jitter) }
        case .deliver(let handed, let attempt):
            let report = await callback.deliver(handed.message, attempt: attempt)
            step { $0.finished(handed.message.key, report, now: time.now, jitter: random().jitter) }
        }
    }

    private func step(_ body: (inout CallbackMachine) -> [CallbackMachine.Action]) {
        let (actions, deadline) = machine.withLock { machine in
            let actions = body(&machine)
            return (actions, machine.nextDeadline)
        }
        for action in actions { perform(action) }
        alarm.set(deadline)
    }

    private func perform(_ action: CallbackMachine.Action) {
        switch action {
        case .prove: sink.yield(.prove)
        case .take(let count): take(count)
        case .deliver(let key, let attempt):
            if let handed = hand.withLock({ $0[key] }) { sink.yield(.deliver(handed, attempt: attempt)) }
        case .complete(let key): settle(key, .complete)
        case .deadLetter(let key, let report):
            settle(key, .deadLetter(reason: "callback_\(report.outcome.name): \(Self.words(report))"))
        case .renew(let key): renew(key)
        case .ended: end()
        default: note(action)
        }
    }

    // MARK: The queue

    private func take(_ count: Int) {
        var order = TakeOrder(recipient, consumer: app.text)
        (order.max, order.lock) = (count, CallbackMachine.lock)
        let id = mailroom.take(order, waits: true) { [weak self] result in self?.took(result) }
        guard let id else { return }
        let isStopped = waiter.withLock { waiter in
            waiter.id = id
            return waiter.isStopped
        }
        if isStopped { mailroom.stopWaiting(id) }
    }

    private func took(_ result: Result<[HandedOver], StoreError>) {
        guard !waiter.withLock({ $0.isStopped }) else { return }
        // A store that cannot be read has failed and says so itself; the gateway ends.
        guard case .success(let handed) = result else { return }
        hand.withLock { hand in for item in handed { hand[item.message.key] = item } }
        step { $0.took(handed.map(\.message.key), now: time.now) }
    }

    private func renew(_ key: MessageKey) {
        guard let token = hand.withLock({ $0[key]?.lock.token }) else { return }
        if mailroom.renew(key, token: token, for: CallbackMachine.lock) == nil {
            step { $0.lost(key) }
            if machine.withLock({ !$0.holds(key) }) { hand.withLock { $0[key] = nil } }
        }
    }

    private func settle(_ key: MessageKey, _ settlement: QueueMachine.Settlement) {
        guard let handed = hand.withLock({ $0.removeValue(forKey: key) }) else { return }
        let order = SettleOrder(key: key, token: handed.lock.token, settlement: settlement)
        mailroom.settle([order], consumer: app.text) { [log] result in
            // Lost: it will be handed over again, and the application knows it by its id.
            guard case .success(let outcomes) = result, outcomes == [.lost] else { return }
            log.warning(
                .callbackRetry, "The lock of a message ran out during its call; it may come again",
                ["messageId": .key(key)])
        }
    }

    private func end() {
        hand.withLock { $0 = [:] }
        log.error(.callbackEnded, "The application wants no calls any more (410); none is made until the next start")
    }

    // MARK: The log

    private static func words(_ report: CallbackReport) -> String {
        [report.status.map(String.init), report.reason].compactMap { $0 }.joined(separator: " ")
    }

    private func note(_ action: CallbackMachine.Action) {
        func fields(_ report: CallbackReport, _ pause: Duration) -> LogFields {
            [
                "status": .count(report.status ?? 0), "reason": .string(report.reason ?? ""),
                "pauseMilliseconds": .milliseconds(pause),
            ]
        }
        switch action {
        case .proven: log.info(.callbackProven, "The application has echoed the challenge; its messages go to it")
        case .unproven(let report, let pause):
            log.warning(
                .callbackUnproven, "The application did not echo the challenge; it is asked again",
                fields(report, pause))
        case .retry(let key, let report, let pause):
            log.warning(
                .callbackRetry, "A call did not go through and is made again",
                fields(report, pause) + ["messageId": .key(key)])
        case .breakerOpened(let report, let pause):
            log.warning(
                .callbackBreakerOpened, "The application is in trouble; its calls wait", fields(report, pause))
        case .breakerClosed: log.info(.callbackBreakerClosed, "The application answers again")
        default: break
        }
    }
}

/// The callbacks of all applications that have one.
package final class Callbacks: Service {
    package let name = "callbacks"
    private let pumps: [CallbackPump]
    private let begun = ShutdownSignal()
    private let stopped = ShutdownSignal()

    /// - Parameter random: draws the jitter, from 0..<1, and a challenge.
    package init(
        apps: [App], mailroom: Mailroom, time: any TimeSource, log: Log,
        random: @escaping @Sendable () -> (jitter: Double, challenge: String)
    ) {
        pumps = apps.compactMap { app in
            app.callback.map {
                CallbackPump(app.id, $0, mailroom: mailroom, time: time, log: log, random: random)
            }
        }
    }

    /// For operators: what each application's callback is doing.
    package func statistics() -> [(app: AppID, inHand: Int, isProven: Bool, isOpen: Bool)] {
        pumps.map { pump in
            let counts = pump.counts
            return (app: pump.app, inHand: counts.inHand, isProven: counts.isProven, isOpen: counts.isOpen)
        }
    }

    /// The open messages are known again. Whoever takes before that finds nothing, and nothing wakes it later.
    package func begin() { begun.raise() }

    package func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for pump in pumps {
                group.addTask {
                    await self.begun.wait()
                    try Task.checkCancellation()
                    try await pump.run()
                }
            }
            group.addTask { await self.stopped.wait() }
            for try await _ in group {}
        }
    }

    package func beginShutdown() {
        for pump in pumps { pump.beginShutdown() }
        stopped.raise()
        begun.raise()
    }
}
