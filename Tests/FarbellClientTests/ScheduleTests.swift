import Testing

@testable import FarbellClient

@Suite struct ScheduleTests {
    private static let broken = FarbellError(.connectionFailed, "")

    @Test("a call is repeated with growing pauses, and reported after the last attempt")
    func backOff() {
        var policy = RetryPolicy()
        (policy.attempts, policy.longestPause) = (5, .seconds(1))
        var schedule = RetrySchedule(policy)
        let pauses = (0..<5).map { _ in schedule.pause(after: Self.broken, isRepeatable: true, random: 0) }
        #expect(pauses == [.milliseconds(100), .milliseconds(200), .milliseconds(400), .milliseconds(500), nil])
        schedule.succeeded()
        let late = schedule.pause(after: Self.broken, isRepeatable: true, random: 0.5)
        #expect(late == .milliseconds(150))
    }

    @Test("Retry-After is honoured within its limit")
    func retryAfter() {
        for status in [429, 503] {
            var schedule = RetrySchedule(RetryPolicy())
            let busy = FarbellError("busy", "", status: status, retryAfter: .seconds(7))
            #expect(schedule.pause(after: busy, isRepeatable: true, random: 0) == .seconds(7))
            let long = FarbellError("busy", "", status: status, retryAfter: .seconds(61))
            #expect(schedule.pause(after: long, isRepeatable: true, random: 0) == nil)
            var loop = RetrySchedule(RetryPolicy(), isEndless: true)
            #expect(loop.pause(after: long, isRepeatable: true, random: 0) == .seconds(61))
        }
    }

    @Test("what may have been done is not repeated where that does harm; a refusal never is")
    func repeatable() {
        var schedule = RetrySchedule(RetryPolicy())
        #expect(schedule.pause(after: Self.broken, isRepeatable: false, random: 0) == nil)
        let limited = FarbellError("rate_limited", "", status: 429)
        #expect(schedule.pause(after: limited, isRepeatable: false, random: 0) != nil)
        let refused = FarbellError(.lockLost, "", status: 409)
        #expect(schedule.pause(after: refused, isRepeatable: true, random: 0) == nil)
    }

    @Test("PL-12 a lock is renewed at half of what is left, and sooner after a failure")
    func renewal() {
        var schedule = RenewalSchedule(deadline: .seconds(130))
        #expect(schedule.step(at: .seconds(100)) == .wait(.seconds(15)))
        schedule.renewed(until: .seconds(145))
        #expect(schedule.step(at: .seconds(115)) == .wait(.seconds(15)))
        #expect(schedule.remaining(at: .seconds(130)) == .seconds(15))
        schedule.failed(Self.broken)
        #expect(schedule.step(at: .seconds(129)) == .wait(.seconds(4)))
        #expect(schedule.step(at: .seconds(145)) == .stop)
        schedule.failed(FarbellError(.lockLost, "", status: 409))
        #expect(schedule.isLost && schedule.step(at: .seconds(120)) == .stop)
        #expect(schedule.remaining(at: .seconds(120)) == .zero)
    }

    @Test("a lock that the gateway no longer lengthens is not renewed without end")
    func renewalAtTheEnd() {
        var schedule = RenewalSchedule(deadline: .seconds(1))
        schedule.renewed(until: .seconds(1))
        #expect(schedule.step(at: .milliseconds(900)) == .wait(RenewalSchedule.shortestPause))
    }

    @Test("MN-9 events at or below the last one are not handed out again; those without a number are")
    func progress() {
        var progress = StreamProgress(after: nil, policy: RetryPolicy())
        let ids: [Int64?] = [nil, 5, 5, 4, nil, 6]
        #expect(ids.map { progress.accept(id: $0) } == [true, true, false, false, true, true])
        #expect(progress.lastID == 6)
    }

    @Test("a gateway that lost its data counts anew: its events are not taken for old ones")
    func lostData() {
        var progress = StreamProgress(after: 900, policy: RetryPolicy())
        progress.greeted(cursor: 850, acknowledged: nil)
        let old = progress.accept(id: 870)
        progress.greeted(cursor: 10, acknowledged: 850)
        let new = progress.accept(id: 11)
        #expect(!old && new)
    }

    @Test("the server's pause is taken with a spread, and lengthened by failures")
    func pauses() {
        var progress = StreamProgress(after: nil, policy: RetryPolicy())
        progress.retry(milliseconds: 4000)
        #expect(progress.pauseAfterEnd(random: 0) == .seconds(4) && progress.pauseAfterEnd(random: 1) == .seconds(5))
        var longest = Duration.zero
        for _ in 0..<20 { longest = progress.pause(after: Self.broken, random: 0) ?? .zero }
        #expect(longest == .seconds(15))
        let refused = progress.pause(after: FarbellError("x", "", status: 401), random: 0)
        #expect(refused == nil)
        progress.retry(milliseconds: .max)
        #expect(progress.pauseAfterEnd(random: 0) == StreamProgress.longestRetry)
    }

    @Test("a receive loop hands out what it fetched, in order, before it fetches again")
    func receiveLoop() {
        var loop = ReceiveLoop<Int>(wait: .seconds(30), policy: RetryPolicy())
        guard case .fetch = loop.next() else { return #expect(Bool(false)) }
        loop.fetched([1, 2, 3], after: .seconds(1))
        guard case .hand(1) = loop.next(), case .hand(2) = loop.next() else { return #expect(Bool(false)) }
        #expect(loop.abandon() == [3] && loop.abandon() == [])
        guard case .fetch = loop.next() else { return #expect(Bool(false)) }
        // Answered without waiting: not asked again at once.
        loop.fetched([], after: .milliseconds(1))
        guard case .wait(.seconds(1)) = loop.next(), case .fetch = loop.next() else { return #expect(Bool(false)) }
        loop.fetched([], after: .seconds(30))
        guard case .fetch = loop.next() else { return #expect(Bool(false)) }
        let goesOn = loop.failed(Self.broken, random: 0)
        guard goesOn, case .wait = loop.next(), case .fetch = loop.next() else { return #expect(Bool(false)) }
        let ends = !loop.failed(FarbellError("invalid_token", "", status: 401), random: 0)
        #expect(ends)
    }
}
