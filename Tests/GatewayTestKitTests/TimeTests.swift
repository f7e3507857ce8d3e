import Base
import GatewayTestKit
import Testing

@Suite("The manual clock") struct ManualTimeTests {
    @Test("sleepers wake in the order of their deadlines, and only when their time has come")
    func order() async throws {
        let time = ManualTime()
        let woken = Recorder<Int>()
        let start = time.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            for seconds in [30, 10, 20] {
                group.addTask {
                    try await time.sleep(until: start + .seconds(seconds))
                    woken.append(seconds)
                }
            }
            try await time.waitForSleepers(3)
            time.advance(by: .seconds(9))
            #expect(time.sleeperCount == 3)
            #expect(woken.all == [])
            for expected in 1...3 {
                #expect(time.advanceToNextDeadline())
                try await woken.wait(count: expected)
            }
            try await group.waitForAll()
        }
        #expect(woken.all == [10, 20, 30])
        #expect(time.now - start == .seconds(30))
    }

    @Test("both clocks advance together") func clocks() {
        let time = ManualTime(now: Moment(nanoseconds: 5), timestamp: Timestamp(seconds: 100))
        time.advance(by: .milliseconds(1500))
        #expect(time.now == Moment(nanoseconds: 1_500_000_005))
        #expect(time.timestamp == Timestamp(milliseconds: 101_500))
        time.correctWallClock(by: .seconds(-60))
        #expect(time.timestamp == Timestamp(milliseconds: 41_500))
        #expect(time.now == Moment(nanoseconds: 1_500_000_005))
    }

    @Test("a cancelled sleeper ends with CancellationError and is forgotten") func cancellation() async throws {
        let time = ManualTime()
        let task = Task { try await time.sleep(for: .seconds(1)) }
        try await time.waitForSleepers(1)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(time.sleeperCount == 0)
    }

    @Test("waiting for sleepers that never come fails") func deadline() async {
        await #expect(throws: DeadlineMissed.self) {
            try await ManualTime().waitForSleepers(1, deadline: .milliseconds(20))
        }
    }

    @Test("ids and random numbers are the same in every run") func deterministic() {
        let ids = SequenceIDs("m-")
        #expect([ids.next(), ids.next()] == ["m-1", "m-2"])
        var (first, second) = (ManualRandom(seed: 7), ManualRandom(seed: 7))
        let numbers = (0..<4).map { _ in first.next() }
        #expect(numbers == (0..<4).map { _ in second.next() })
        #expect(Set(numbers).count == 4)
    }
}
