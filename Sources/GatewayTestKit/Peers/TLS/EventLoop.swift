internal import Base
internal import CTLS
internal import Glibc

/// Something an `EventLoop` watches.
protocol EventSource: AnyObject {
    /// The descriptor is ready; `events` are epoll's bits. Called on the loop's thread.
    func ready(_ events: UInt32)
    /// The loop ends: close the descriptor without a word.
    func abandon()
}

/// One thread of the system's that waits for many descriptors and timers.
package final class EventLoop: @unchecked Sendable {
    // Sendable: `inbox` is behind a lock; every other stored variable is touched by the loop's thread only.
    private struct Inbox {
        var work: [@Sendable () -> Void] = []
        var stopping = false
        var thread: pthread_t?
    }
    private struct Timer {
        let deadline: Int64
        let action: () -> Void
    }

    private let inbox = Locked(Inbox())
    private let epoll: Int32
    private let wake: Int32
    private let ended = Semaphore()
    private var sources: [Int32: any EventSource] = [:]
    /// Sorted, the next one last.
    private var timers: [Timer] = []
    private let clock = SystemTime()

    /// - Throws: `PeerError` when the system has no more descriptors.
    package init(name: String) throws {
        DescriptorLimit.raise()
        epoll = epoll_create1(ctls_epoll_flags())
        wake = eventfd(0, ctls_eventfd_flags())
        guard epoll >= 0, wake >= 0 else { throw PeerError(.socket, FileSystem.lastError) }
        control(EPOLL_CTL_ADD, wake, UInt32(EPOLLIN.rawValue))
        SystemThread.start(name: name) { self.run() }
    }

    // Not at the thread's end: who has handed over work, or stops the loop, may ring only after that, and the number
    // would be somebody else's by then.
    deinit {
        if wake >= 0 { close(wake) }
        if epoll >= 0 { close(epoll) }
    }

    /// Ends the thread and closes everything; returns when that is done, on the loop's own thread at once.
    package func stop() {
        let (first, isOwn) = inbox.withLock { inbox in
            defer { inbox.stopping = true }
            return (!inbox.stopping, inbox.thread == pthread_self())
        }
        guard first else { return }
        ring()
        if !isOwn { ended.wait() }
    }

    /// Runs `body` on the loop's thread, soon. False when the loop has been stopped.
    @discardableResult
    package func perform(_ body: @escaping @Sendable () -> Void) -> Bool {
        let (accepted, first) = inbox.withLock { inbox in
            guard !inbox.stopping else { return (false, false) }
            inbox.work.append(body)
            return (true, inbox.work.count == 1)
        }
        if first { ring() }
        return accepted
    }

    /// Runs `body` on the loop's thread and returns its result.
    /// - Throws: `PeerError` with the code `stopped`.
    package func call<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            if !perform({ continuation.resume(returning: body()) }) {
                continuation.resume(throwing: PeerError(.stopped, "the event loop has ended"))
            }
        }
    }

    // MARK: On the loop's thread

    /// Runs `action` on this thread after `delay`.
    func after(_ delay: Duration, _ action: @escaping () -> Void) {
        let timer = Timer(deadline: clock.now.nanoseconds + delay.nanoseconds, action: action)
        // Later timers come first; equal ones keep their order.
        var low = 0
        var high = timers.count
        while low < high {
            let middle = (low + high) / 2
            if timers[middle].deadline >= timer.deadline { low = middle + 1 } else { high = middle }
        }
        // A new timer is put before its equals in the array, so that it runs after them.
        while low > 0, timers[low - 1].deadline == timer.deadline { low -= 1 }
        timers.insert(timer, at: low)
    }

    func add(_ descriptor: Int32, _ source: any EventSource) {
        sources[descriptor] = source
        control(EPOLL_CTL_ADD, descriptor, UInt32(EPOLLIN.rawValue))
    }

    func watch(_ descriptor: Int32, reading: Bool, writing: Bool) {
        let bits = (reading ? EPOLLIN.rawValue : 0) | (writing ? EPOLLOUT.rawValue : 0)
        control(EPOLL_CTL_MOD, descriptor, UInt32(bits))
    }

    func remove(_ descriptor: Int32) {
        sources[descriptor] = nil
        control(EPOLL_CTL_DEL, descriptor, 0)
    }

    private func control(_ operation: Int32, _ descriptor: Int32, _ events: UInt32) {
        var event = unsafe epoll_event()
        unsafe event.events = events
        unsafe event.data.fd = descriptor
        _ = unsafe epoll_ctl(epoll, operation, descriptor, &event)
    }

    private func ring() {
        var one: UInt64 = 1
        _ = unsafe write(wake, &one, 8)
    }

    private func run() {
        inbox.withLock { $0.thread = pthread_self() }
        let room = 512
        var events = unsafe [epoll_event](repeating: epoll_event(), count: room)
        while true {
            let count = unsafe epoll_wait(epoll, &events, Int32(room), millisecondsToNextTimer())
            for index in 0..<max(0, Int(count)) {
                let descriptor = unsafe events[index].data.fd
                if descriptor == wake {
                    var number: UInt64 = 0
                    _ = unsafe read(wake, &number, 8)
                } else {
                    unsafe sources[descriptor]?.ready(events[index].events)
                }
            }
            let (work, stopping) = inbox.withLock { inbox in
                defer { inbox.work = [] }
                return (inbox.work, inbox.stopping)
            }
            for piece in work { piece() }
            runTimers()
            if stopping { break }
        }
        for source in sources.values { source.abandon() }
        sources = [:]
        timers = []
        ended.signal()
    }

    private func millisecondsToNextTimer() -> Int32 {
        guard let next = timers.last else { return -1 }
        let wait = next.deadline - clock.now.nanoseconds
        return Int32(clamping: max(0, (wait + 999_999) / 1_000_000))
    }

    private func runTimers() {
        let now = clock.now.nanoseconds
        while let next = timers.last, next.deadline <= now {
            timers.removeLast()
            next.action()
        }
    }
}

/// The process's limit of open descriptors.
package enum DescriptorLimit {
    /// Raises the soft limit to the hard one; returns what is in force then.
    @discardableResult
    package static func raise() -> Int {
        var limit = rlimit()
        _ = unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        if limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max
            _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
        return Int(clamping: limit.rlim_cur)
    }
}
