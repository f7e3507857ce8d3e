import Glibc

/// Wakes tasks at their deadlines, from one thread.
///
/// Not `Task.sleep`: on Linux a cancelled one leaves its timer behind until the deadline, and a mail connection
/// cancels one with every answer: ten thousand connections would keep hundreds of thousands of timers.
final class Sleepers: Sendable {
    private typealias Continuation = CheckedContinuation<Void, any Error>

    private struct State {
        var queue = SleepQueue<Continuation>()
        var nextID: UInt64 = 0
        /// What the thread waits for; a sleeper due before it wakes the thread.
        var watched = Moment.distantFuture
    }

    static let shared = Sleepers()
    /// The thread looks at the clock at least so often: it waits by one that stands still while the machine is
    /// suspended.
    private static let longestWait: Duration = .seconds(60)

    private let state = Locked(State())
    private let wake = TimedSignal()

    private init() {
        let (state, wake) = (state, wake)
        SystemThread.start(name: "sleepers", stackBytes: 262_144) { Self.run(state, wake) }
    }

    /// Returns at `due` by `SystemTime`'s clock.
    /// - Throws: `CancellationError`, at once.
    func sleep(until due: Moment) async throws {
        try Task.checkCancellation()
        guard due > SystemTime().now else { return }
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: Continuation) in
                lieDown(id, continuation, due)
            }
        } onCancel: {
            cancel(id)
        }
    }

    private func lieDown(_ id: UInt64, _ continuation: Continuation, _ due: Moment) {
        let isFirst = state.withLock { state in
            state.queue.insert(continuation, id: id, due: due)
            return due < state.watched
        }
        // A cancellation that came before the line above has found nobody.
        if Task.isCancelled { cancel(id) }
        if isFirst { wake.signal() }
    }

    private func cancel(_ id: UInt64) {
        let continuation = state.withLock { $0.queue.remove(id) }
        continuation?.resume(throwing: CancellationError())
    }

    private static func run(_ state: Locked<State>, _ wake: TimedSignal) {
        let time = SystemTime()
        while true {
            let now = time.now
            let (awake, next) = state.withLock { state in
                let awake = state.queue.due(at: now)
                state.watched = state.queue.next ?? .distantFuture
                return (awake, state.watched)
            }
            for continuation in awake { continuation.resume() }
            wake.wait(atMost: min(next - time.now, longestWait))
        }
    }
}

/// Wakes one thread, or lets it go on after a time.
@safe private final class TimedSignal: @unchecked Sendable {
    // Sendable: both objects may be used from any thread, their addresses never change, and `isRaised` is
    // reached only between lock and unlock.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var isRaised = false

    init() {
        unsafe mutex = .allocate(capacity: 1)
        unsafe condition = .allocate(capacity: 1)
        unsafe mutex.initialize(to: pthread_mutex_t())
        unsafe condition.initialize(to: pthread_cond_t())
        var attributes = pthread_condattr_t()
        unsafe pthread_condattr_init(&attributes)
        // A corrected wall clock must not wake anybody early or late.
        let clock = unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        let lock = unsafe pthread_mutex_init(mutex, nil)
        let status = unsafe pthread_cond_init(condition, &attributes)
        unsafe pthread_condattr_destroy(&attributes)
        precondition(clock == 0 && lock == 0 && status == 0, "pthread_cond_init failed")
    }

    deinit {
        unsafe pthread_cond_destroy(condition)
        unsafe pthread_mutex_destroy(mutex)
        unsafe condition.deallocate()
        unsafe mutex.deallocate()
    }

    func signal() {
        unsafe pthread_mutex_lock(mutex)
        isRaised = true
        unsafe pthread_cond_signal(condition)
        unsafe pthread_mutex_unlock(mutex)
    }

    /// Returns after a signal, also one given before, or after the time.
    func wait(atMost duration: Duration) {
        var end = timespec()
        _ = unsafe clock_gettime(CLOCK_MONOTONIC, &end)
        let nanoseconds = Int64(end.tv_nsec) + max(0, duration.nanoseconds)
        end.tv_sec += Int(nanoseconds / 1_000_000_000)
        end.tv_nsec = Int(nanoseconds % 1_000_000_000)
        unsafe pthread_mutex_lock(mutex)
        while !isRaised, unsafe pthread_cond_timedwait(condition, mutex, &end) != ETIMEDOUT {}
        isRaised = false
        unsafe pthread_mutex_unlock(mutex)
    }
}
