internal import Base

/// Who waits on the loop until a deadline.
protocol DeadlineWaiter: AnyObject {
    /// What was waited for did not come in its time.
    func deadlinePassed()
}

/// Until when each of thousands waits for bytes: one timer of the loop with a heap behind it, because the loop
/// looks at every timer in every round. Used on the loop's thread only.
final class WaitDeadlines<Waiter: DeadlineWaiter>: LoopTimer {
    private let loop: EventLoop
    private var queue = SleepQueue<Waiter>()
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

    /// Calls the waiter's `deadlinePassed` at `due`, once.
    /// - Returns: what to give to `remove`.
    func insert(_ waiter: Waiter, due: Moment) -> UInt64 {
        lastID += 1
        queue.insert(waiter, id: lastID, due: due)
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
        for waiter in queue.due(at: loop.now) { waiter.deadlinePassed() }
        deadline = queue.next
    }
}

/// The waits of mail connections.
typealias MailDeadlines = WaitDeadlines<MailSession>
/// The waits of answers that go on.
typealias StreamDeadlines = WaitDeadlines<HTTPStreamSession>
