import Base
import Glibc
import Testing

@Suite struct WorkThreadTests {
    @Test("work runs in order on one thread that carries the name, and gives back results and errors")
    func runs() async throws {
        let thread = WorkThread(name: "farbell-testing-long-name")
        defer { thread.stop() }
        let first = try await thread.run {
            (pthread_self(), FileSystem.contents(of: "/proc/thread-self/comm", limit: 64))
        }
        let second = try await thread.run { pthread_self() }
        #expect(first.0 == second)
        #expect(first.1.map { String(decoding: $0, as: UTF8.self) } == "farbell-testing\n")
        await #expect(throws: JSONError(message: "m", offset: 1)) {
            try await thread.run { throw JSONError(message: "m", offset: 1) }
        }
    }

    @Test("signals are blocked on the thread, and the caller's mask stays")
    func signals() async throws {
        @Sendable func mask() -> [Int32] {
            var set = sigset_t()
            unsafe pthread_sigmask(SIG_BLOCK, nil, &set)
            return [SIGTERM, SIGINT, SIGHUP].filter { unsafe sigismember(&set, $0) == 1 }
        }
        let before = mask()
        let thread = WorkThread(name: "test")
        #expect(mask() == before)
        #expect(try await thread.run { mask() } == [SIGTERM, SIGINT, SIGHUP])
    }

    @Test("more than the limit is refused at once; what was accepted is done before the thread ends")
    func limits() async throws {
        let thread = WorkThread(name: "test", limit: 2)
        let (started, gate) = (Semaphore(), Semaphore())
        let order = Locked<[Int]>([])
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await thread.run {
                    started.signal()
                    gate.wait()
                }
            }
            let helper = WorkThread(name: "helper")
            try await helper.run { started.wait() }
            // The first piece is being done: two more may wait.
            let accepted = Locked(0)
            for number in 0..<3 {
                group.addTask {
                    do {
                        try await thread.run { order.withLock { $0.append(number) } }
                    } catch is WorkThread.Overloaded {
                        accepted.withLock { $0 += 100 }
                    }
                }
            }
            try await eventually { accepted.withLock { $0 } == 100 }
            #expect(order.withLock { $0 } == [])
            thread.stop()
            thread.stop()
            await #expect(throws: WorkThread.Overloaded.self) { try await thread.run {} }
            gate.signal()
            try await group.waitForAll()
        }
        #expect(order.withLock { $0.count } == 2)
    }

    @Test("the order of hand-over is the order of work")
    func order() async throws {
        let thread = WorkThread(name: "test")
        let order = Locked<[Int]>([])
        for number in 0..<500 { try await thread.run { order.withLock { $0.append(number) } } }
        #expect(order.withLock { $0 } == Array(0..<500))
    }

    @Test("a thread ends when its owner is gone")
    func ends() async throws {
        let held = Locked<WorkThread?>(WorkThread(name: "farbell-gone"))
        func isThere() -> Bool { TemporaryFolder.threadNames.contains("farbell-gone") }
        try await eventually { isThere() }
        held.withLock { $0 = nil }
        try await eventually { !isThere() }
    }

    @Test("a lock lets one in at a time and gives back what the body returns or throws")
    func locked() async {
        let counter = Locked(0)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 { group.addTask { for _ in 0..<5_000 { counter.withLock { $0 += 1 } } } }
        }
        #expect(counter.withLock { $0 } == 40_000)
        #expect(throws: CancellationError.self) {
            try counter.withLock { value throws(CancellationError) in
                value = 1
                throw CancellationError()
            }
        }
        #expect(counter.withLock { $0 } == 1)
    }
}

struct NotInTime: Error {}

/// Waits for a condition, with a deadline.
func eventually(_ condition: () -> Bool, within limit: Duration = .seconds(20)) async throws {
    let time = SystemTime()
    let deadline = time.now + limit
    while !condition() {
        guard time.now < deadline else { throw NotInTime() }
        try await time.sleep(for: .milliseconds(2))
    }
}
