@testable import Base
import Testing

@Suite struct SleepTests {
    private func moment(_ seconds: Int64) -> Moment { Moment(nanoseconds: seconds * 1_000_000_000) }

    @Test("sleepers wake in the order of their deadlines, and the cancelled not at all")
    func order() {
        var queue = SleepQueue<Int>()
        for id in 0..<1000 { queue.insert(id, id: UInt64(id), due: moment(Int64(id * 7919 % 1000))) }
        for id in stride(from: 0, to: 1000, by: 3) { #expect(queue.remove(UInt64(id)) == id) }
        #expect(queue.remove(0) == nil)
        #expect(queue.due(at: moment(-1)) == [])
        let awake = queue.due(at: moment(999))
        #expect(awake == (0..<1000).filter { $0 % 3 != 0 }.sorted { $0 * 7919 % 1000 < $1 * 7919 % 1000 })
        #expect(queue.count == 0)
        #expect(queue.next == nil)
    }

    @Test("cancelled sleepers do not pile up")
    func bounded() {
        var queue = SleepQueue<Int>()
        for id in 0..<10 { queue.insert(id, id: UInt64(id), due: moment(Int64(id))) }
        for id in 10..<100_000 {
            queue.insert(id, id: UInt64(id), due: moment(1_000_000 - Int64(id)))
            _ = queue.remove(UInt64(id))
        }
        #expect(queue.count == 10)
        #expect(queue.size <= 65)
        #expect(queue.due(at: moment(9)) == Array(0..<10))
    }

    @Test("a thousand tasks sleep, are woken or cancelled, each once")
    func tasks() async throws {
        let time = SystemTime()
        let outcomes = try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 0..<1000 {
                group.addTask {
                    let sleeper = Task {
                        try await time.sleep(for: number % 2 == 0 ? .milliseconds(number) : .seconds(3600))
                    }
                    if number % 2 == 1 { sleeper.cancel() }
                    switch await sleeper.result {
                    case .success: return true
                    case .failure(let error):
                        #expect(error is CancellationError)
                        return false
                    }
                }
            }
            return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(outcomes == 500)
    }

    @Test("an earlier deadline than the one waited for is kept")
    func earlier() async throws {
        let time = SystemTime()
        let late = Task { try await time.sleep(for: .seconds(3600)) }
        let begin = time.now
        try await time.sleep(for: .milliseconds(20))
        #expect(time.now - begin >= .milliseconds(20))
        #expect(time.now - begin < .seconds(60))
        late.cancel()
        await #expect(throws: CancellationError.self) { try await late.value }
    }
}
