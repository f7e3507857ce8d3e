internal import Base

/// Until when each mail connection waits for bytes: one timer of the loop with a heap behind it, because the loop
/// looks at every timer in every round and there are ten thousand connections. Used on the loop's thread only.
final class MailDeadlines: LoopTimer {
    private let loop: EventLoop
    private var queue = SleepQueue<MailSession>()
    private var lastID: UInt64 = 0

    init(loop: EventLoop) {
        self.loop = loop
        super.init()
        loop.add(self)
    }

    /// How many wait.
    var count: Int { queue.count }
    /// Places taken, those of ended waits among them.
    var size: Int { queue.size }

    /// Calls the session's `deadlinePassed` at `due`, once.
    /// - Returns: what to give to `remove`.
    func insert(_ session: MailSession, due: Moment) -> UInt64 {
        lastID += 1
        queue.insert(session, id: lastID, due: due)
        deadline = queue.next
        return lastID
    }

    /// The wait has ended before its time.
    func remove(_ id: UInt64) {
        // Its place may be the first in the heap until its time comes; the loop then wakes for nothing.
        _ = queue.remove(id)
        deadline = queue.next
    }

    override func fire() {
        for session in queue.due(at: loop.now) { session.deadlinePassed() }
        deadline = queue.next
    }
}
