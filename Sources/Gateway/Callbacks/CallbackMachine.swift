package import Base

/// When a web application is called, and with which of its messages: proof first, then at most one message of a
/// conversation at a time, back-off for each, and a breaker for all. No clock, no lock, no network.
///
/// The order within a conversation is the queue's work: a message in hand is locked, and its group waits.
package struct CallbackMachine: Sendable {
    /// Messages in hand: under way, or waiting to be tried again.
    package static let handLimit = 256
    /// How long a message is locked, and when the lock is renewed while it is in hand.
    package static let lock: Duration = .seconds(120)
    package static let renewal: Duration = .seconds(50)
    /// First and longest pause: of a message, of the breaker, of the proof.
    package static let pauses: (first: Duration, longest: Duration) = (.seconds(1), .seconds(300))
    /// Failures in a row that open the breaker.
    package static let failuresToOpen = 5
    /// After so many refusals a message is dead: one may be a mistake of a proxy's.
    package static let refusals = 3

    package enum Action: Sendable, Hashable {
        case prove
        /// Ask the queue for up to so many messages; `took` answers.
        case take(Int)
        case deliver(MessageKey, attempt: Int)
        case complete(MessageKey)
        case deadLetter(MessageKey, CallbackReport)
        case renew(MessageKey)
        case proven
        case unproven(CallbackReport, pause: Duration)
        case retry(MessageKey, CallbackReport, pause: Duration)
        case breakerOpened(CallbackReport, pause: Duration)
        case breakerClosed
        case ended
    }

    private enum Phase: Sendable, Hashable {
        case unproven(failures: Int)
        case proven
        case ended
    }

    private enum Breaker: Sendable, Hashable {
        case closed
        case open
        /// One message is under way to find out.
        case probing
    }

    private enum Timer: Sendable, Hashable {
        case proof
        case message(MessageKey)
        case renewal(MessageKey)
        case breaker
    }

    private struct Delivery: Sendable {
        let taken: Moment
        var attempts = 0
        var refusals = 0
        var isUnderWay = false
    }

    private let concurrency: Int
    private let patience: Duration
    private var phase = Phase.unproven(failures: 0)
    private var breaker = Breaker.closed
    private var failures = 0
    private var openings = 0
    private var isTaking = false
    private var hand: [MessageKey: Delivery] = [:]
    private var ready: [MessageKey] = []
    private var underWay = 0
    private var timers = DeadlineQueue<Timer>()

    /// - Parameters:
    ///   - concurrency: messages under way at once.
    ///   - patience: how long a message is tried.
    package init(concurrency: Int, patience: Duration) {
        (self.concurrency, self.patience) = (concurrency, patience)
    }

    package var nextDeadline: Moment? { timers.next }
    package var isProven: Bool { phase == .proven }
    /// Messages under way or waiting to be tried again.
    package var inHand: Int { hand.count }
    package var isOpen: Bool { breaker != .closed }
    package func holds(_ key: MessageKey) -> Bool { hand[key] != nil }

    /// The first thing to do.
    package func start() -> [Action] { [.prove] }

    /// The proof's answer.
    package mutating func proved(_ report: CallbackReport, now: Moment, jitter: Double) -> [Action] {
        guard case .unproven(let failures) = phase else { return [] }
        switch report.outcome {
        case .accepted:
            phase = .proven
            return [.proven] + next()
        case .ended:
            phase = .ended
            return [.ended]
        case .retry, .refused:
            phase = .unproven(failures: failures + 1)
            let pause = Self.pause(report, failures, jitter)
            timers.insert(.proof, due: now + pause)
            return [.unproven(report, pause: pause)]
        }
    }

    /// The queue's answer to `take`; empty when it was told to stop waiting.
    package mutating func took(_ keys: [MessageKey], now: Moment) -> [Action] {
        isTaking = false
        for key in keys where hand[key] == nil {
            hand[key] = Delivery(taken: now)
            ready.append(key)
            timers.insert(.renewal(key), due: now + Self.renewal)
        }
        return next()
    }

    /// The lock of a message in hand is lost: somebody else has it, or it is settled.
    package mutating func lost(_ key: MessageKey) -> [Action] {
        guard let delivery = hand[key], !delivery.isUnderWay else { return [] }
        hand[key] = nil
        ready.removeAll { $0 == key }
        return next()
    }

    /// A call has been answered.
    package mutating func finished(
        _ key: MessageKey, _ report: CallbackReport, now: Moment, jitter: Double
    ) -> [Action] {
        guard var delivery = hand[key], delivery.isUnderWay else { return [] }
        delivery.isUnderWay = false
        underWay -= 1
        hand[key] = delivery
        var actions: [Action] = []
        switch report.outcome {
        case .accepted:
            hand[key] = nil
            actions = [.complete(key)] + succeeded()
        case .ended:
            phase = .ended
            // What is in hand stays in the queue: the locks run out.
            (hand, ready, underWay) = ([:], [], 0)
            return [.ended]
        case .refused:
            // The application has answered: the way to it is open.
            actions = succeeded()
            hand[key]?.refusals += 1
            let isDead = delivery.refusals + 1 >= Self.refusals
            actions += isDead ? give(up: key, report) : later(key, report, delivery.attempts, now, jitter)
        case .retry:
            actions = failed(report, now: now, jitter: jitter)
            let isDead = now - delivery.taken >= patience
            actions += isDead ? give(up: key, report) : later(key, report, delivery.attempts, now, jitter)
        }
        return actions + next()
    }

    /// Does what is due.
    package mutating func fire(now: Moment) -> [Action] {
        var actions: [Action] = []
        while let timer = timers.pop(at: now) {
            switch timer {
            case .proof: if case .unproven = phase { actions.append(.prove) }
            case .message(let key): if hand[key] != nil { ready.append(key) }
            case .renewal(let key):
                guard hand[key] != nil else { continue }
                timers.insert(.renewal(key), due: now + Self.renewal)
                actions.append(.renew(key))
            case .breaker:
                guard breaker == .open else { continue }
                breaker = .probing
            }
        }
        return actions + next()
    }

    // MARK: Parts

    private mutating func next() -> [Action] {
        guard phase == .proven else { return [] }
        var actions: [Action] = []
        let allowed = breaker == .closed ? concurrency : breaker == .probing ? 1 : 0
        while underWay < allowed, !ready.isEmpty {
            let key = ready.removeFirst()
            guard let delivery = hand[key], !delivery.isUnderWay else { continue }
            hand[key]?.isUnderWay = true
            hand[key]?.attempts += 1
            underWay += 1
            actions.append(.deliver(key, attempt: delivery.attempts + 1))
        }
        // Nothing is taken that could not be tried: it would only be locked for nothing.
        let room = min(Self.handLimit - hand.count, 2 * concurrency - ready.count)
        if breaker == .closed, !isTaking, room > 0 {
            isTaking = true
            actions.append(.take(min(room, TakeOrder.maxLimit)))
        }
        return actions
    }

    private mutating func give(up key: MessageKey, _ report: CallbackReport) -> [Action] {
        hand[key] = nil
        return [.deadLetter(key, report)]
    }

    private mutating func later(
        _ key: MessageKey, _ report: CallbackReport, _ attempts: Int, _ now: Moment, _ jitter: Double
    ) -> [Action] {
        let pause = Self.pause(report, attempts - 1, jitter)
        timers.insert(.message(key), due: now + pause)
        return [.retry(key, report, pause: pause)]
    }

    private mutating func succeeded() -> [Action] {
        failures = 0
        guard breaker != .closed else { return [] }
        (breaker, openings) = (.closed, 0)
        return [.breakerClosed]
    }

    private mutating func failed(_ report: CallbackReport, now: Moment, jitter: Double) -> [Action] {
        failures += 1
        guard breaker == .probing || (breaker == .closed && failures >= Self.failuresToOpen) else { return [] }
        breaker = .open
        let pause = Self.pause(report, openings, jitter)
        openings += 1
        timers.insert(.breaker, due: now + pause)
        return [.breakerOpened(report, pause: pause)]
    }

    private static func pause(_ report: CallbackReport, _ failures: Int, _ jitter: Double) -> Duration {
        // Never all at once: half of the pause is drawn.
        let own = LaneMachine.pause(pauses, failures, 0.5 + jitter / 2)
        if case .retry(let asked?) = report.outcome { return min(max(asked, own), .seconds(3600)) }
        return own
    }
}
