import Base
import Testing

@Suite struct LockedTests {
    @Test("a callback behind a lock can be called without end: no adapters pile up until the stack is full")
    func callbacks() {
        let calls = Locked(0)
        let callback = Locked<Callback<@Sendable (Int) -> Void>?>(nil)
        callback.withLock { $0 = Callback { number in calls.withLock { $0 += number } } }
        // Lent once for each; a bare function would by then be hundreds of thousands of adapters deep.
        for _ in 0..<200_000 { callback.withLock { $0 }?.function(1) }
        #expect(calls.withLock { $0 } == 200_000)
    }
}
