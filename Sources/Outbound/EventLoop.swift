internal import Base
internal import CCurl
internal import Glibc

/// Something with a descriptor that the loop watches. Used on the loop's thread only.
class SocketWatcher {
    /// The descriptor is ready.
    /// - Parameter events: `EPOLLIN`, `EPOLLOUT`, `EPOLLERR`, `EPOLLHUP`.
    func ready(_ descriptor: Int32, _ events: UInt32) {}
}

/// Something with a deadline that the loop keeps. Used on the loop's thread only.
class LoopTimer {
    /// When `fire()` is due; the loop takes it away before firing.
    final var deadline: Moment?
    /// The deadline has passed.
    func fire() {}
}

/// Something that is done once at the end of a turn of the loop, for all that the turn brought. Used on the loop's thread
/// only.
protocol TurnEnding: AnyObject {
    func turnEnded()
}

/// One thread that waits with epoll for sockets, deadlines and orders from other threads. Everything about
/// libcurl happens on it, so that no handle needs a lock.
@safe final class EventLoop: @unchecked Sendable {
    // Sendable: `inbox` has its lock; the two descriptors are constants and the kernel serialises their use;
    // `watchers`, `timers`, `turnEnds` and `isStopping` are touched by the loop's thread alone.

    /// Readiness events taken from the kernel at once.
    static let eventsPerWait = 256

    private struct Inbox {
        var orders: [@Sendable () -> Void] = []
        var isStopped = false
    }

    private let inbox = Locked(Inbox())
    private let poll: Int32
    private let wakeUp: Int32
    private let time: any TimeSource
    /// Indexed by descriptor: the kernel hands out the lowest free number, so the array stays dense.
    private var watchers: [SocketWatcher?] = []
    private var timers: [LoopTimer] = []
    private var turnEnds: [any TurnEnding] = []
    private var isStopping = false

    /// Starts the thread.
    /// - Parameter time: the monotonic clock for deadlines; must advance with real time.
    /// - Throws: `HTTPTransportError` with `overloaded` where the system gives no descriptor.
    init(name: String, time: any TimeSource) throws {
        self.time = time
        (poll, wakeUp) = try Self.descriptors()
        SystemThread.start(name: name) { [self] in run() }
    }

    /// An epoll set that already watches the descriptor returned beside it.
    private static func descriptors() throws -> (poll: Int32, wakeUp: Int32) {
        let poll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard poll >= 0 else { throw shortage() }
        let wakeUp = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard wakeUp >= 0 else {
            let error = shortage()
            close(poll)
            throw error
        }
        var event = unsafe epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(fd: wakeUp))
        guard unsafe epoll_ctl(poll, EPOLL_CTL_ADD, wakeUp, &event) == 0 else {
            let error = shortage()
            close(wakeUp)
            close(poll)
            throw error
        }
        return (poll, wakeUp)
    }

    private static func shortage() -> HTTPTransportError {
        let reason = unsafe String(cString: strerror(errno))
        return HTTPTransportError(.overloaded, "no descriptor for the event loop: \(reason)", surelyNotProcessed: true)
    }

    deinit {
        close(poll)
        close(wakeUp)
    }

    /// The loop's clock.
    var now: Moment { time.now }

    /// Hands work to the loop's thread; false when the loop has stopped. Orders run in the order posted.
    /// The callers bound how much they post: every order belongs to a counted request or connection.
    @discardableResult
    func post(_ order: @escaping @Sendable () -> Void) -> Bool {
        let (accepted, wasEmpty) = inbox.withLock { inbox in
            guard !inbox.isStopped else { return (false, false) }
            inbox.orders.append(order)
            return (true, inbox.orders.count == 1)
        }
        if wasEmpty { eventfd_write(wakeUp, 1) }
        return accepted
    }

    /// Ends the thread after the orders posted so far.
    func stop() {
        post { self.isStopping = true }
    }

    // MARK: On the loop's thread

    /// Watches a descriptor, or changes what it is watched for. Level-triggered.
    func watch(_ descriptor: Int32, _ events: UInt32, _ watcher: SocketWatcher) {
        while watchers.count <= Int(descriptor) { watchers.append(nil) }
        var event = unsafe epoll_event(events: events, data: epoll_data_t(fd: descriptor))
        // A closed descriptor leaves the kernel's set by itself, so the table here can only guess whether
        // the descriptor is in it.
        let guess = watchers[Int(descriptor)] == nil ? EPOLL_CTL_ADD : EPOLL_CTL_MOD
        watchers[Int(descriptor)] = watcher
        if unsafe epoll_ctl(poll, guess, descriptor, &event) != 0 {
            let other = guess == EPOLL_CTL_ADD ? EPOLL_CTL_MOD : EPOLL_CTL_ADD
            unsafe epoll_ctl(poll, other, descriptor, &event)
        }
    }

    /// Stops watching a descriptor; call it before closing the descriptor.
    func unwatch(_ descriptor: Int32) {
        guard descriptor >= 0, Int(descriptor) < watchers.count, watchers[Int(descriptor)] != nil else { return }
        watchers[Int(descriptor)] = nil
        epoll_ctl(poll, EPOLL_CTL_DEL, descriptor, nil)
    }

    /// Keeps the deadlines of `timer` until it is removed.
    func add(_ timer: LoopTimer) { timers.append(timer) }

    /// Calls `turnEnded` when this turn's events, deadlines and orders are done; once for each call.
    func atTurnEnd(_ ending: any TurnEnding) { turnEnds.append(ending) }

    /// Forgets a timer.
    func remove(_ timer: LoopTimer) { timers.removeAll { $0 === timer } }

    private func run() {
        let events = UnsafeMutableBufferPointer<epoll_event>.allocate(capacity: Self.eventsPerWait)
        defer { unsafe events.deallocate() }
        while !isStopping {
            let count = unsafe epoll_wait(poll, events.baseAddress, Int32(Self.eventsPerWait), waitMilliseconds())
            for index in 0..<max(0, Int(count)) {
                let event = unsafe events[index]
                unsafe dispatch(event.data.fd, event.events)
            }
            fireTimers()
            // Orders come after events, so that what ended makes room first.
            runOrders()
            endTurn()
        }
        inbox.withLock { $0.isStopped = true }
        runOrders()
        watchers = []
        timers = []
        turnEnds = []
    }

    private func dispatch(_ descriptor: Int32, _ events: UInt32) {
        if descriptor == wakeUp {
            var count: eventfd_t = 0
            unsafe eventfd_read(wakeUp, &count)
        } else if Int(descriptor) < watchers.count {
            watchers[Int(descriptor)]?.ready(descriptor, events)
        }
    }

    private func runOrders() {
        let orders = inbox.withLock { inbox in
            let orders = inbox.orders
            inbox.orders = []
            return orders
        }
        for order in orders { order() }
    }

    private func endTurn() {
        while !turnEnds.isEmpty {
            let all = turnEnds
            turnEnds = []
            for ending in all { ending.turnEnded() }
        }
    }

    private func fireTimers() {
        // The common round has nothing due: one look at the clock and no allocation.
        let now = time.now
        guard timers.contains(where: { timer in timer.deadline.map { $0 <= now } ?? false }) else { return }
        for timer in timers where timer.deadline.map({ $0 <= now }) ?? false {
            timer.deadline = nil
            timer.fire()
        }
    }

    /// Rounded up: a timer that fires early would only spin.
    private func waitMilliseconds() -> Int32 {
        var earliest: Moment?
        for timer in timers {
            if let deadline = timer.deadline, earliest.map({ deadline < $0 }) ?? true { earliest = deadline }
        }
        guard let earliest else { return -1 }
        let left = (earliest - time.now).nanoseconds
        return left <= 0 ? 0 : Int32(min((left + 999_999) / 1_000_000, 60_000))
    }
}
