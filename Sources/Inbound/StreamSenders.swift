internal import Base
internal import Glibc

/// Writes to the sockets of woken streams. A lone event is written by its sender, at once; of many in a
/// short time all but the first few are left to threads of this: a write to a socket takes some microseconds,
/// so that thousands of them would hold the sender (and the locks it holds) up and leave the other cores idle.
final class StreamSenders: Sendable {
    private struct State {
        /// At most one entry for each open stream, since a stream is woken once until it sleeps again.
        var waiting: [SocketCarrier] = []
        /// How many of `waiting` were taken.
        var taken = 0
        var allowance = SendAllowance()
        /// Threads that wait for a signal.
        var idle = 0
        var threads = 0
        var isStopped = false

        mutating func takeBatch() -> [SocketCarrier] {
            // A copy: a slice would make the next sender copy them all.
            let carriers = Array(waiting[taken...].prefix(StreamSenders.batch))
            taken += carriers.count
            if taken == waiting.count {
                // Gives the memory back after a burst.
                (waiting, taken) = ([], 0)
            } else if taken > waiting.count / 2 {
                waiting.removeFirst(taken)
                taken = 0
            }
            return carriers
        }
    }

    private let state = Locked(State())
    private let wake = Semaphore()
    private let ended = Semaphore()
    private let time: any TimeSource

    /// Streams that a thread takes at a time: few enough for the others to find some too.
    fileprivate static let batch = 32
    private static let threadLimit = 4

    init(time: any TimeSource) { self.time = time }

    /// Starts the threads, one a core; without them every sender writes itself.
    func start() {
        let count = min(max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))), Self.threadLimit)
        state.withLock { $0.threads = count }
        for _ in 0..<count { SystemThread.start(name: "stream-sender", stackBytes: 256 << 10) { self.run() } }
    }

    /// Writes what waits and ends the threads; blocks until they have ended.
    func stop() {
        let threads = state.withLock { state in
            state.isStopped = true
            defer { state.threads = 0 }
            return state.threads
        }
        for _ in 0..<threads { wake.signal() }
        for _ in 0..<threads { ended.wait() }
    }

    /// Sends what the woken stream has, now or on another thread.
    func send(_ carrier: SocketCarrier) {
        let now = time.now
        let (isLeft, hasIdle) = state.withLock { state in
            if state.threads == 0 || state.allowance.take(now: now) { return (false, false) }
            state.waiting.append(carrier)
            // One keeps up with a slow sender: waking another for each event would cost more than the writing.
            let isBehind = state.waiting.count - state.taken >= Self.batch
            guard state.idle == state.threads || state.idle > 0 && isBehind else { return (true, false) }
            state.idle -= 1
            return (true, true)
        }
        if hasIdle { wake.signal() }
        if !isLeft { carrier.proceed() }
    }

    private func run() {
        while true {
            let (carriers, isOver) = state.withLock { state in
                let carriers = state.takeBatch()
                if carriers.isEmpty && !state.isStopped { state.idle += 1 }
                return (carriers, state.isStopped)
            }
            for carrier in carriers { carrier.proceed() }
            guard carriers.isEmpty else { continue }
            if isOver { break }
            wake.wait()
        }
        ended.signal()
    }
}

/// How many writes senders may do themselves in a short time.
struct SendAllowance: Sendable {
    /// Writes in a window; about a tenth of it.
    static let writes = 16
    static let window = Duration.milliseconds(2)

    private var end: Moment?
    private var left = 0

    /// Returns true when one more is allowed.
    mutating func take(now: Moment) -> Bool {
        if end.map({ now >= $0 }) ?? true { (end, left) = (now + Self.window, Self.writes) }
        guard left > 0 else { return false }
        left -= 1
        return true
    }
}
