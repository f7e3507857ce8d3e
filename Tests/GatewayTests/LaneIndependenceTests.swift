import Base
import Gateway
import GatewayTestKit
import Testing

/// Answers when a test says so, or after a time of the real clock.
private final class TimedAdapter: PushAdapter {
    let concurrency: Int
    let canClear = false
    private let wait: @Sendable () async -> Void
    private let report: PushReport
    private let sent = Locked(0)

    init(concurrency: Int, _ report: PushReport = PushReport(.delivered), wait: @escaping @Sendable () async -> Void) {
        (self.concurrency, self.report, self.wait) = (concurrency, report, wait)
    }

    var count: Int { sent.withLock { $0 } }
    func fault(in address: Channel.Address) -> String? { nil }
    func send(_ push: Push) async -> PushReport {
        sent.withLock { $0 += 1 }
        await wait()
        return report
    }
}

@Suite("lanes beside one another", .timeLimit(.minutes(2)))
struct LaneIndependenceTests {
    private static func job(_ lane: String, _ index: Int) -> PushJob {
        let time = SystemTime()
        let channel = Channel(adapter: lane, address: .token("t"), since: time.timestamp)
        let push = Push(
            id: "\(lane)-\(index)", device: DeviceID("d\(index)"), address: channel.address,
            content: .clear([], collapse: "c", badge: 0), payload: .summary, priority: .normal,
            expires: time.timestamp + .seconds(3600))
        return PushJob(
            push: push, account: "alice", channel: channel, messages: [], representative: nil, accepted: time.now)
    }

    @Test(
        "a provider that hangs with its lane full, or is dead, takes nothing from another lane: every push of that goes",
        arguments: [true, false])
    func independence(hangs: Bool) async throws {
        let trouble =
            hangs
            ? TimedAdapter(concurrency: 500) { try? await Task.sleep(for: .seconds(600)) }
            : TimedAdapter(concurrency: 500, PushReport(.retry(after: nil, .service))) {}
        let healthy = TimedAdapter(concurrency: 16) { await Task.yield() }
        let pushes = [
            ConfiguredPush(name: "trouble", kind: "timed", adapter: trouble),
            ConfiguredPush(name: "healthy", kind: "timed", adapter: healthy),
        ]
        var limits = Limits()
        limits.laneMessages = 1000
        let dispatcher = PushDispatcher(
            pushes: pushes, limits: limits, time: SystemTime(), log: Log(sink: NullLogSink()), jitter: { 0.5 })
        let finished = Recorder<String>()
        dispatcher.onFinished { job, _ in finished.append(job.channel.adapter) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await dispatcher.run() }
            // More than the lane takes, so that it is full to the brim.
            var refused = 0
            for index in 0..<2000 where !dispatcher.enqueue(Self.job("trouble", index)) { refused += 1 }
            #expect(refused >= 500 && refused <= 1000)
            for index in 0..<500 { #expect(dispatcher.enqueue(Self.job("healthy", index))) }
            try await finished.wait(count: 500, deadline: .seconds(60))
            #expect(finished.all.allSatisfy { $0 == "healthy" })
            let lanes = dispatcher.statistics()
            #expect(lanes.first { $0.lane == "healthy" }.map { [$0.waiting, $0.underWay] } == [0, 0])
            #expect(lanes.first { $0.lane == "trouble" }?.isOpen == !hangs)
            // Those that opened the breaker, and a probe now and then.
            #expect(hangs ? trouble.count == 500 : trouble.count <= 520)
            group.cancelAll()
        }
        #expect(healthy.count == 500)
    }

    @Test("SG-13 at the end a provider that hangs is waited for and then cut off; its push stays to be sent again")
    func endsBesideOneThatHangs() async throws {
        let hanging = TimedAdapter(concurrency: 1, PushReport(.retry(after: nil, .device), reason: "cancelled")) {
            // Ended by the cancellation alone.
            try? await Task.sleep(for: .seconds(600))
        }
        let time = ManualTime()
        let log = RecordingLogSink()
        let dispatcher = PushDispatcher(
            pushes: [ConfiguredPush(name: "hanging", kind: "timed", adapter: hanging)], limits: Limits(), time: time,
            log: Log(sink: log, time: time), jitter: { 0.5 })
        let finished = Recorder<String>()
        dispatcher.onFinished { job, _ in finished.append(job.push.id) }
        let ended = ShutdownSignal()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                // As one does that is stopped in order; what it throws then is its cancellation.
                do { try await dispatcher.run() } catch is CancellationError {}
                ended.raise()
            }
            #expect(dispatcher.enqueue(Self.job("hanging", 0)))
            try await Eventually.wait("the push is under way") { hanging.count == 1 }
            dispatcher.beginShutdown()
            try await time.waitForSleepers(1)
            time.advance(by: PushDispatcher.grace - .milliseconds(1))
            #expect(!ended.isRaised)
            time.advance(by: .milliseconds(1))
            try await Eventually.wait("the dispatcher ends", for: .seconds(60)) { ended.isRaised }
            try await group.waitForAll()
        }
        #expect(finished.all.isEmpty)
        #expect(log.records(of: .notificationRetry).count == 1)
    }

    /// Runs a dispatcher of one lane until `body` has returned and what is under way has come back.
    /// - Returns: the ids of what it finished, in order.
    private static func during(
        _ adapter: TimedAdapter, _ body: (PushDispatcher, Recorder<String>) async throws -> Void
    ) async throws -> [String] {
        let dispatcher = PushDispatcher(
            pushes: [ConfiguredPush(name: "one", kind: "timed", adapter: adapter)], limits: Limits(),
            time: SystemTime(), log: Log(sink: NullLogSink()), jitter: { 0.5 })
        let finished = Recorder<String>()
        dispatcher.onFinished { job, _ in finished.append(job.push.id) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await dispatcher.run() }
            try await body(dispatcher, finished)
            dispatcher.beginShutdown()
            try await group.waitForAll()
        }
        return finished.all
    }

    @Test("SG-13 once the end is asked for, what is under way comes back and nothing else leaves")
    func leavesNothingAtTheEnd() async throws {
        let gate = ShutdownSignal()
        let adapter = TimedAdapter(concurrency: 2) { await gate.wait() }
        let finished = try await Self.during(adapter) { dispatcher, _ in
            for index in 0..<5 { #expect(dispatcher.enqueue(Self.job("one", index))) }
            try await Eventually.wait("two are under way") { adapter.count == 2 }
            dispatcher.beginShutdown()
            gate.raise()
        }
        #expect(Set(finished) == ["one-0", "one-1"])
        #expect(adapter.count == 2)
    }

    @Test("pushes leave one after the other in their order where one may be under way")
    func order() async throws {
        let adapter = TimedAdapter(concurrency: 1) { await Task.yield() }
        let finished = try await Self.during(adapter) { dispatcher, finished in
            for index in 0..<50 { #expect(dispatcher.enqueue(Self.job("one", index))) }
            try await finished.wait(count: 50, deadline: .seconds(30))
            // The second half comes when the line has been empty.
            for index in 50..<100 { #expect(dispatcher.enqueue(Self.job("one", index))) }
            try await finished.wait(count: 100, deadline: .seconds(30))
        }
        #expect(finished == (0..<100).map { "one-\($0)" })
    }

    @Test("a lane lets no more out than its concurrency, so no more ever stand between it and its tasks")
    func bounded() async throws {
        let gate = ShutdownSignal()
        let adapter = TimedAdapter(concurrency: 3) { await gate.wait() }
        let push = ConfiguredPush(name: "one", kind: "timed", adapter: adapter)
        let dispatcher = PushDispatcher(
            pushes: [push], limits: Limits(), time: SystemTime(), log: Log(sink: NullLogSink()), jitter: { 0.5 })
        for index in 0..<100 { #expect(dispatcher.enqueue(Self.job("one", index))) }
        #expect(dispatcher.statistics().map(\.underWay) == [3])
        let finished = Recorder<String>()
        dispatcher.onFinished { job, _ in finished.append(job.push.id) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await dispatcher.run() }
            try await Eventually.wait("three are under way", for: .seconds(60)) { adapter.count == 3 }
            #expect(dispatcher.statistics().map(\.waiting) == [97])
            gate.raise()
            try await finished.wait(count: 100, deadline: .seconds(60))
            group.cancelAll()
        }
        #expect(adapter.count == 100)
    }
}
