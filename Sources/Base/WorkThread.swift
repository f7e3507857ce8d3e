import Glibc

/// One thread of the system's that runs blocking work (SQL, password hashing, a C library's loop), so
/// that it never occupies the cooperative pool. Work runs in the order it was handed over.
package final class WorkThread: Sendable {
    /// More work is waiting than allowed, or the thread was told to stop.
    package struct Overloaded: Error, Sendable {}

    private struct State {
        var queue: [@Sendable () -> Void] = []
        var stopping = false
    }

    private let state = Locked(State())
    private let wake: Semaphore
    private let limit: Int

    /// - Parameters:
    ///   - name: shown by the system's tools; at most 15 bytes are kept.
    ///   - limit: how many pieces of work may wait.
    package init(name: String, limit: Int = 10_000) {
        self.limit = limit
        let wake = Semaphore()
        self.wake = wake
        let state = state
        SystemThread.start(name: name) {
            while true {
                wake.wait()
                let (work, stopping) = state.withLock { state in
                    defer { state.queue = [] }
                    return (state.queue, state.stopping)
                }
                for piece in work { piece() }
                if stopping && work.isEmpty { return }
            }
        }
    }

    deinit { stop() }

    /// Ends the thread when the work handed over so far is done; may be called more than once.
    package func stop() {
        state.withLock { $0.stopping = true }
        // The first wake-up takes what is left, the second finds nothing and ends the thread.
        wake.signal()
        wake.signal()
    }

    /// Runs `body` on the thread and returns what it returns.
    ///
    /// Cancelling the calling task does not take handed-over work back: it runs, and this returns then.
    /// - Throws: what `body` throws; `Overloaded`, without running it, when the queue is full or the
    ///   thread was told to stop.
    package func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Result, any Error>) in
            let isAccepted = submit { continuation.resume(with: Swift.Result { try body() }) }
            if !isAccepted { continuation.resume(throwing: Overloaded()) }
        }
    }

    /// Runs `body` on the thread, without waiting.
    /// - Returns: false, without running it, when the queue is full or the thread was told to stop.
    package func submit(_ body: @escaping @Sendable () -> Void) -> Bool {
        let isAccepted = state.withLock { state in
            guard state.queue.count < limit, !state.stopping else { return false }
            state.queue.append(body)
            return true
        }
        if isAccepted { wake.signal() }
        return isAccepted
    }
}

/// A counting semaphore for threads of ours; never wait for one in async code.
@safe package final class Semaphore: @unchecked Sendable {
    // Sendable: sem_t may be used from any thread, and its address never changes.
    private let handle: UnsafeMutablePointer<sem_t>

    package init(_ count: UInt32 = 0) {
        unsafe handle = .allocate(capacity: 1)
        let status = unsafe sem_init(handle, 0, count)
        precondition(status == 0, "sem_init failed")
    }

    deinit {
        unsafe sem_destroy(handle)
        unsafe handle.deallocate()
    }

    /// Lets one `wait` return, now or when it comes.
    package func signal() { unsafe sem_post(handle) }
    /// Blocks the thread until there is a signal for it.
    package func wait() {
        while unsafe sem_wait(handle) != 0 && errno == EINTR {}
    }
}

/// Starting threads of the system's.
package enum SystemThread {
    private final class Body: Sendable {
        let run: @Sendable () -> Void
        let name: String
        init(name: String, run: @escaping @Sendable () -> Void) { (self.name, self.run) = (name, run) }
    }

    /// Starts a detached thread with signals blocked (the main program handles them).
    /// - Parameter stackBytes: virtual size of the stack.
    package static func start(name: String, stackBytes: Int = 1 << 20, _ run: @escaping @Sendable () -> Void) {
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        unsafe pthread_attr_setstacksize(&attributes, stackBytes)
        // A new thread has its maker's mask from its first instruction on.
        var all = sigset_t()
        var previous = sigset_t()
        unsafe sigfillset(&all)
        unsafe pthread_sigmask(SIG_SETMASK, &all, &previous)
        var thread = pthread_t()
        let body = unsafe Unmanaged.passRetained(Body(name: name, run: run)).toOpaque()
        let status = unsafe pthread_create(
            &thread, &attributes,
            { pointer in
                guard let pointer = unsafe pointer else { return nil }
                let body = unsafe Unmanaged<Body>.fromOpaque(pointer).takeRetainedValue()
                SystemThread.nameCurrent(body.name)
                body.run()
                return nil
            }, body)
        unsafe pthread_sigmask(SIG_SETMASK, &previous, nil)
        unsafe pthread_attr_destroy(&attributes)
        precondition(status == 0, "pthread_create failed")
    }

    /// `pthread_setname_np` is hidden from Swift (a GNU extension); this file does the same.
    private static func nameCurrent(_ name: String) {
        let descriptor = unsafe open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let bytes = Array(name.utf8.prefix(15))
        _ = unsafe bytes.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
    }
}
