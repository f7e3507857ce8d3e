import Base
import Testing

@Suite struct ServiceTests {
    /// A service that notes what happens to it.
    private struct Recorded: Service {
        enum End { case onShutdown, onCancellation, atOnce, failing(JSONError), failingOnShutdown(JSONError) }
        let name: String
        let end: End
        let journal: Locked<[String]>
        private let signal = ShutdownSignal()

        init(_ name: String, _ end: End, _ journal: Locked<[String]>) {
            (self.name, self.end, self.journal) = (name, end, journal)
        }

        func run() async throws {
            journal.withLock { $0.append("run \(name)") }
            defer { journal.withLock { $0.append("end \(name)") } }
            switch end {
            case .onShutdown: await signal.wait()
            case .onCancellation:
                let never = ShutdownSignal()
                await never.wait()
                try Task.checkCancellation()
            case .atOnce: return
            case .failing(let error): throw error
            case .failingOnShutdown(let error):
                await signal.wait()
                throw error
            }
        }

        func beginShutdown() {
            journal.withLock { $0.append("stop \(name)") }
            signal.raise()
        }
    }

    private let journal = Locked<[String]>([])
    private let stop = ShutdownSignal()
    private let fault = JSONError(message: "fault", offset: 0)

    private func run(_ ends: [Recorded.End], deadline: Duration = .seconds(60)) async throws {
        let services = ends.enumerated().map { Recorded("\($0.offset)", $0.element, journal) }
        try await ServiceGroup(services, stepDeadline: deadline).run { [stop] in await stop.wait() }
    }

    private var entries: [String] { journal.withLock { $0 } }

    @Test("services stop last to first, each when the one after it has ended")
    func ordered() async throws {
        async let done: Void = run([.onShutdown, .onShutdown, .onShutdown])
        try await eventually { entries.count == 3 }
        stop.raise()
        try await done
        #expect(Set(entries.prefix(3)) == ["run 0", "run 1", "run 2"])
        #expect(Array(entries.dropFirst(3)) == ["stop 2", "end 2", "stop 1", "end 1", "stop 0", "end 0"])
    }

    @Test("a group without services waits for the stop")
    func empty() async throws {
        stop.raise()
        try await run([])
    }

    @Test("a failure stops the others and is thrown")
    func failure() async {
        await #expect(throws: fault) { try await run([.onShutdown, .failing(fault), .onShutdown]) }
        #expect(entries.contains("end 0") && entries.contains("end 2"))
        #expect(!stop.isRaised)
    }

    @Test("a service that returns unasked stops the others and is named")
    func endedEarly() async throws {
        let error = await #expect(throws: ServiceGroup.EndedEarly.self) { try await run([.onShutdown, .atOnce]) }
        #expect(error?.description == "the service '1' ended by itself")
        #expect(entries.contains("end 0"))
    }

    @Test("a failure while stopping is thrown too, after all have ended")
    func failureWhileStopping() async {
        stop.raise()
        await #expect(throws: fault) { try await run([.onShutdown, .failingOnShutdown(fault)]) }
        #expect(entries.last == "end 0")
    }

    @Test("a service that does not stop in time is cancelled and named; the others are still asked")
    func deadline() async {
        stop.raise()
        let error = await #expect(throws: ServiceGroup.MissedDeadline.self) {
            try await run([.onShutdown, .onCancellation], deadline: .milliseconds(1))
        }
        #expect(error?.service == "1")
        #expect(Set(entries) == ["run 0", "run 1", "stop 0", "stop 1", "end 0", "end 1"])
    }

    @Test("cancelling the group's task ends everything")
    func cancellation() async throws {
        let task = Task { try await run([.onShutdown, .onCancellation]) }
        try await eventually { entries.count == 2 }
        task.cancel()
        try await task.value
        #expect(entries.contains("end 0") && entries.contains("end 1"))
    }

    @Test("the sequence: steps, late deadlines, ends out of order")
    func sequence() {
        var sequence = ShutdownSequence(count: 3)
        #expect(sequence.stop() == [.shutDown(index: 2, step: 1)])
        #expect(sequence.stop() == [])
        // Another ends while 2 is waited for: neither is 2 asked again nor its time begun anew.
        #expect(sequence.ended(1) == [])
        #expect(sequence.ended(2) == [.shutDown(index: 0, step: 2)])
        #expect(sequence.deadline(step: 1) == [])
        #expect(sequence.deadline(step: 2) == [.missed(index: 0)])
        #expect(sequence.deadline(step: 2) == [])
        #expect(sequence.ended(0) == [.cancelAll])

        sequence = ShutdownSequence(count: 3)
        #expect(sequence.ended(2) == [.shutDown(index: 1, step: 1)])
        #expect(sequence.isStopping)
        #expect(sequence.deadline(step: 1) == [.missed(index: 1), .shutDown(index: 0, step: 1)])
        #expect(sequence.deadline(step: 1) == [])
        #expect(sequence.ended(1) == [])
        #expect(sequence.ended(0) == [.cancelAll])
        #expect(sequence.deadline(step: 1) == [])

        sequence = ShutdownSequence(count: 0)
        #expect(sequence.stop() == [.cancelAll])
    }

    @Test("a raised signal lets everyone through, before and after")
    func signal() async {
        let signal = ShutdownSignal()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<100 { group.addTask { await signal.wait() } }
            group.addTask {
                signal.raise()
                signal.raise()
            }
        }
        #expect(signal.isRaised)
        await signal.wait()
    }

    @Test("no cancellation is lost, whenever it comes")
    func cancellationRaces() async {
        let signal = ShutdownSignal()
        for round in 0..<2_000 {
            let waiter = Task { await signal.wait() }
            // Sometimes before the wait starts, sometimes in its midst, sometimes after.
            if round % 3 != 0 { await Task.yield() }
            if round % 3 == 2 { await Task.yield() }
            waiter.cancel()
            await waiter.value
        }
        #expect(!signal.isRaised)
    }
}
