import Base
import Gateway
import GatewayTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct GatheringTests {
    @Test("what comes while others are handled is handled together, in order, and no more at once than allowed")
    func together() async throws {
        let gathering = Gathering<Int>(limit: 3)
        let handled = Recorder<[Int]>()
        let task = Task {
            await gathering.collect { numbers in
                handled.append(numbers)
                // As if they came from elsewhere meanwhile.
                if numbers == [0] { for number in 1...7 { #expect(gathering.add(number)) } }
            }
        }
        try await Eventually.wait("it collects") { gathering.add(0) }
        try await Eventually.wait("all are handled") { gathering.count == 0 }
        #expect(handled.all == [[0], [1, 2, 3], [4, 5, 6], [7]])
        task.cancel()
        await task.value
        #expect(!gathering.add(8))
    }

    @Test("when too many wait nothing is taken, and what waits is handled")
    func full() async throws {
        let gathering = Gathering<Int>(limit: 16)
        let handled = Recorder<Int>()
        let task = Task {
            await gathering.collect { numbers in
                for number in numbers { handled.append(number) }
                guard numbers == [0] else { return }
                for number in 1...Gathering<Int>.waitingLimit { #expect(gathering.add(number)) }
                #expect(!gathering.add(-1))
            }
        }
        try await Eventually.wait("it collects") { gathering.add(0) }
        try await Eventually.wait("all are handled") { gathering.count == 0 }
        #expect(handled.all == Array(0...Gathering<Int>.waitingLimit))
        task.cancel()
        await task.value
    }

    @Test("before somebody collects and after the end nothing is taken; what was taken by then is handled")
    func end() async throws {
        let gathering = Gathering<Int>(limit: 16)
        #expect(!gathering.add(0))
        let handled = Recorder<[Int]>()
        let task = Task {
            await gathering.collect { numbers in
                handled.append(numbers)
                // The end is asked for, and more comes before it is there.
                unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                if numbers != [3] { #expect(gathering.add(numbers[0] + 1)) }
            }
        }
        try await Eventually.wait("it collects") { gathering.add(1) }
        await task.value
        #expect(handled.all == [[1], [2], [3]])
        #expect(gathering.count == 0)
        #expect(!gathering.add(4))
    }
}
