import Base
import GatewayTestKit
import MonitorTools
import Testing

@Suite(.timeLimit(.minutes(1))) struct PlacesTests {
    @Test("so many at once, and the others in their order")
    func order() async throws {
        let places = Places(2)
        let (running, most, done) = (Locked(0), Locked(0), Locked<[Int]>([]))
        let gate = ShutdownSignal()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<6 {
                group.addTask {
                    try await places.within {
                        let now = running.withLock { running in
                            running += 1
                            return running
                        }
                        most.withLock { $0 = max($0, now) }
                        await gate.wait()
                        done.withLock { $0.append(number) }
                        running.withLock { $0 -= 1 }
                    }
                }
                // So that they come one after the other.
                try await Eventually.wait("\(number) is there") {
                    running.withLock { $0 } + places.waiting == number + 1
                }
            }
            gate.raise()
            try await group.waitForAll()
        }
        #expect(most.withLock { $0 } == 2)
        #expect(done.withLock { Set($0) == Set(0..<6) } && places.waiting == 0)
    }

    @Test("who gives up while waiting takes no place; a place is free again after a failure")
    func cancelled() async throws {
        let places = Places(1)
        let gate = ShutdownSignal()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await places.within {
                    await gate.wait()
                    throw PeerError(.file, "failed")
                }
            }
            try await Eventually.wait("the place is taken") { places.isFull }
            try await withThrowingTaskGroup(of: Void.self) { waiting in
                waiting.addTask { () async throws -> Void in
                    try await places.within { _ = Issue.record("it was cancelled") }
                }
                try await Eventually.wait("one waits") { places.waiting == 1 }
                waiting.cancelAll()
                await #expect(throws: CancellationError.self) { try await waiting.next() }
            }
            gate.raise()
            await #expect(throws: PeerError.self) { try await group.next() }
        }
        #expect(try await places.within { true })
        #expect(!places.isFull && places.waiting == 0)
    }
}
