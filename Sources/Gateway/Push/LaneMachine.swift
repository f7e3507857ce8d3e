package import Base

/// One push on its way through a lane, over all its attempts. An object: a lane may hold many, and each goes through
/// several hands.
package final class PushJob: Sendable, Hashable {
    package let push: Push
    package let account: AccountID
    /// The channel as it was when the job was made; pruning compares it.
    package let channel: Channel
    /// The messages the push speaks of; empty for clears and tests.
    package let messages: [MessageKey]
    package let representative: MessageKey?
    /// Failed attempts so far.
    package let attempt: Int
    package let accepted: Moment

    package init(
        push: Push, account: AccountID, channel: Channel, messages: [MessageKey], representative: MessageKey?,
        accepted: Moment, attempt: Int = 0
    ) {
        (self.push, self.account, self.channel) = (push, account, channel)
        (self.messages, self.representative, self.accepted) = (messages, representative, accepted)
        self.attempt = attempt
    }

    /// The same push at a later attempt.
    package func at(attempt: Int) -> PushJob {
        PushJob(
            push: push, account: account, channel: channel, messages: messages, representative: representative,
            accepted: accepted, attempt: attempt)
    }

    package static func == (a: PushJob, b: PushJob) -> Bool {
        a === b
            || a.push == b.push && a.account == b.account && a.channel == b.channel && a.messages == b.messages
                && a.representative == b.representative && a.attempt == b.attempt && a.accepted == b.accepted
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(push.id)
        hasher.combine(attempt)
    }
}

/// A credential's own queue, concurrency, rate, back-off and breaker: trouble of one service costs the others
/// nothing. No clock, no lock, no network.
package struct LaneMachine: Sendable {
    /// Failures of the service in a row that open the breaker.
    package static let failuresToOpen = 5
    /// First and longest pause of the breaker and of a push's own back-off.
    package static let pauses: (first: Duration, longest: Duration) = (.seconds(1), .seconds(300))
    /// After a refused credential the lane probes this often.
    package static let credentialPauses: (first: Duration, longest: Duration) = (.seconds(60), .seconds(900))

    /// A limited rate is served in steps of at least this, so that it does not wake somebody for each push.
    package static let rateStep: Duration = .milliseconds(10)

    /// Cancelled pushes that may stand in the line before they are cleared away.
    private static let cancelledKept = 1024

    package enum Action: Sendable, Hashable {
        case start(PushJob)
        case finished(PushJob, PushReport)
        case retry(PushJob, PushReport, after: Duration)
        case breakerOpened(PushReport, pause: Duration)
        case breakerClosed
    }

    private enum Breaker: Sendable, Hashable {
        case closed
        case open(until: Moment)
        /// One push is under way to find out.
        case probing
    }

    private let concurrency: Int
    private let limit: Int
    /// In their order; a job whose ticket is not in `tickets` any more was taken back.
    private var ready: [(ticket: Int, job: PushJob)] = []
    private var head = 0
    private var tickets: [String: Int] = [:]
    private var nextTicket = 0
    private var delayed: [String: PushJob] = [:]
    private var timers = DeadlineQueue<String>()
    private var running: Set<String> = []
    private var breaker = Breaker.closed
    private var failures = 0
    private var openings = 0
    private var rate: TokenBucket?
    /// Nothing leaves before: the service asked for a pause, or the rate's next push is not due.
    private var pausedUntil: Moment?
    private var rateDue: Moment?

    /// - Parameters:
    ///   - concurrency: pushes under way at once.
    ///   - limit: pushes that wait.
    ///   - ratePerSecond: pushes that leave in a second, with a tenth of that at once; nil: as many as get through.
    package init(concurrency: Int, limit: Int, ratePerSecond: Double? = nil) {
        (self.concurrency, self.limit) = (concurrency, limit)
        rate = ratePerSecond.map { TokenBucket(perSecond: $0, burst: $0 / 10) }
    }

    package var waiting: Int { tickets.count + delayed.count }
    package var underWay: Int { running.count }
    package var isOpen: Bool { breaker != .closed }

    /// When `fire` has something to do.
    package var nextDeadline: Moment? {
        // While pushes are under way nothing probes, and their return looks again.
        if case .open(let until) = breaker, waiting > 0, running.isEmpty {
            let probe = max(until, pausedUntil ?? until, rateDue ?? until)
            return [probe, timers.next].compactMap { $0 }.min()
        }
        // Who has nothing to send, or no room for it, needs no waking.
        guard breaker == .closed, !tickets.isEmpty, running.count < concurrency else { return timers.next }
        let leaving = [pausedUntil, rateDue].compactMap { $0 }.max()
        return [timers.next, leaving].compactMap { $0 }.min()
    }

    /// Takes a job; false when the lane is full. A job that waits already is not taken twice.
    package mutating func enqueue(
        _ job: PushJob, now: Moment, timestamp: Timestamp
    ) -> (accepted: Bool, actions: [Action]) {
        let id = job.push.id
        guard !running.contains(id), delayed[id] == nil, tickets[id] == nil else { return (true, []) }
        guard waiting < limit else { return (false, []) }
        wait(job)
        return (true, start(now: now, timestamp: timestamp))
    }

    private mutating func wait(_ job: PushJob) {
        tickets[job.push.id] = nextTicket
        ready.append((nextTicket, job))
        nextTicket += 1
        // While a breaker is open nothing leaves the front, and the cancelled must not pile up behind it.
        guard ready.count - head > 2 * tickets.count + Self.cancelledKept else { return }
        ready = ready[head...].filter { tickets[$0.job.push.id] == $0.ticket }
        head = 0
    }

    /// Takes a waiting job back; false when it is under way or unknown.
    package mutating func cancel(_ id: String) -> Bool {
        delayed.removeValue(forKey: id) != nil || tickets.removeValue(forKey: id) != nil
    }

    /// A push came back. `jitter` is drawn from 0..<1.
    package mutating func finished(
        _ job: PushJob, _ report: PushReport, now: Moment, timestamp: Timestamp, jitter: Double
    ) -> [Action] {
        running.remove(job.push.id)
        var actions: [Action] = []
        switch report.outcome {
        case .delivered, .gone, .rejected:
            actions += serviceAnswered()
            actions.append(.finished(job, report))
        case .retry(let after, let blame):
            let job = job.at(attempt: job.attempt + 1)
            let backOff = Self.pause(Self.pauses, job.attempt - 1, jitter)
            let wait = after.map { max($0, .milliseconds(100)) } ?? backOff
            if blame == .service {
                // What a service asks of one request it asks of its client: nothing else leaves before that.
                if after != nil { pausedUntil = max(pausedUntil ?? now, now + min(wait, Self.pauses.longest)) }
                actions += serviceFailed(report, wait: wait, now: now)
            } else {
                actions += serviceAnswered()
            }
            if timestamp + wait >= job.push.expires {
                actions.append(.finished(job, Self.expired(report)))
            } else {
                actions.append(.retry(job, report, after: wait))
                delay(job, until: now + wait)
            }
        case .credential:
            var until = now
            if case .open(let end) = breaker {
                // Others that were under way say the same: that is one refusal, not many.
                until = max(end, now + .seconds(1))
            } else {
                openings += 1
                let pause = Self.pause(Self.credentialPauses, openings - 1, 1)
                until = now + pause
                breaker = .open(until: until)
                actions.append(.breakerOpened(report, pause: pause))
            }
            if timestamp + (until - now) >= job.push.expires {
                actions.append(.finished(job, Self.expired(report)))
            } else {
                delay(job, until: until)
            }
        }
        return actions + start(now: now, timestamp: timestamp)
    }

    /// Time has come for a delayed job or a probe.
    package mutating func fire(now: Moment, timestamp: Timestamp) -> [Action] {
        while let id = timers.pop(at: now) {
            if let job = delayed.removeValue(forKey: id) { wait(job) }
        }
        return start(now: now, timestamp: timestamp)
    }

    private static func expired(_ report: PushReport?) -> PushReport {
        PushReport(.rejected, status: report?.status, reason: "expired")
    }

    private mutating func delay(_ job: PushJob, until: Moment) {
        delayed[job.push.id] = job
        timers.insert(job.push.id, due: until)
    }

    /// Whether one more may leave now, which is counted then.
    private mutating func mayLeave(at now: Moment) -> Bool {
        if let until = pausedUntil {
            guard now >= until else { return false }
            pausedUntil = nil
        }
        if let due = rateDue, now < due { return false }
        rateDue = nil
        guard rate?.take(at: now) == false else { return true }
        rateDue = now + max(Self.rateStep, rate?.wait(at: now) ?? .zero)
        return false
    }

    private mutating func serviceAnswered() -> [Action] {
        failures = 0
        openings = 0
        guard breaker != .closed else { return [] }
        breaker = .closed
        return [.breakerClosed]
    }

    private mutating func serviceFailed(_ report: PushReport, wait: Duration, now: Moment) -> [Action] {
        failures += 1
        let wasProbing = breaker == .probing
        guard wasProbing || failures >= Self.failuresToOpen else { return [] }
        if case .open = breaker { return [] }
        openings += 1
        let pause = max(wait, Self.pause(Self.pauses, openings - 1, 1))
        breaker = .open(until: now + pause)
        return [.breakerOpened(report, pause: pause)]
    }

    private mutating func start(now: Moment, timestamp: Timestamp) -> [Action] {
        var actions: [Action] = []
        while head < ready.count, running.count < concurrency {
            let (ticket, job) = ready[head]
            guard tickets[job.push.id] == ticket else {
                head += 1
                continue
            }
            if timestamp >= job.push.expires {
                head += 1
                tickets[job.push.id] = nil
                actions.append(.finished(job, Self.expired(nil)))
                continue
            }
            switch breaker {
            case .closed: break
            case .probing: return actions
            case .open(let until): guard now >= until, running.isEmpty else { return actions }
            }
            guard mayLeave(at: now) else { return actions }
            if breaker != .closed { breaker = .probing }
            head += 1
            tickets[job.push.id] = nil
            running.insert(job.push.id)
            actions.append(.start(job))
        }
        // The front of the array is given back in large pieces, so that taking one costs nothing.
        if head > 256, head * 2 > ready.count {
            ready.removeFirst(head)
            head = 0
        }
        return actions
    }

    /// Exponential with full jitter (`jitter` 1: none).
    static func pause(_ range: (first: Duration, longest: Duration), _ step: Int, _ jitter: Double) -> Duration {
        let ceiling = min(range.longest, range.first * (1 << min(step, 20)))
        return max(.milliseconds(50), .milliseconds(Int64(Double(ceiling.milliseconds) * jitter)))
    }
}
