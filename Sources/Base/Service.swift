/// A part of the daemon that runs until it is told to stop.
///
/// The life of a service: `run()` is called once, in a child task of the group's; `beginShutdown()`
/// asks it to stop accepting, finish what it has and return from `run()`; a service that has not
/// returned when the deadline passes is cancelled.
package protocol Service: Sendable {
    /// A short name for the log.
    var name: String { get }
    /// Works until shut down or cancelled. Returning earlier or throwing stops the whole group.
    func run() async throws
    /// Asks `run()` to come to its end; returns at once. May be called more than once.
    func beginShutdown()
}

/// Runs services together: `run()` is called in order (what a later one relies on must stand when its
/// initializer returned, since nothing waits for readiness here), they are stopped in the reverse
/// order, and all of them are stopped when one fails.
package struct ServiceGroup: Sendable {
    /// A service returned although nobody had asked it to.
    package struct EndedEarly: Error, Sendable, CustomStringConvertible {
        package let service: String
        package var description: String { "the service '\(service)' ended by itself" }
    }

    /// A service had not ended when its time to stop was over, so everything was cancelled.
    package struct MissedDeadline: Error, Sendable, CustomStringConvertible {
        package let service: String
        package var description: String { "the service '\(service)' did not stop in time" }
    }

    private enum Event: Sendable {
        case ended(index: Int, (any Error)?)
        case stopRequested
        case deadline(step: Int)
        case deadlineCancelled
    }

    private let services: [any Service]
    private let stepDeadline: Duration
    private let time: any TimeSource

    /// - Parameters:
    ///   - services: in starting order: a service may rely on those before it.
    ///   - stepDeadline: how long each service may take to stop before it is cancelled.
    package init(_ services: [any Service], stepDeadline: Duration = .seconds(10), time: any TimeSource = SystemTime())
    {
        (self.services, self.stepDeadline, self.time) = (services, stepDeadline, time)
    }

    /// Runs until `stop` returns, a service fails or the task is cancelled.
    /// - Throws: the first failure of a service, after all have ended; nothing after a mere cancellation.
    package func run(until stop: @escaping @Sendable () async -> Void) async throws {
        var failure: (any Error)?
        await withTaskGroup(of: Event.self) { group in
            group.addTask {
                await stop()
                return .stopRequested
            }
            for (index, service) in services.enumerated() {
                group.addTask {
                    do {
                        try await service.run()
                        return .ended(index: index, nil)
                    } catch {
                        return .ended(index: index, error)
                    }
                }
            }
            var machine = ShutdownSequence(count: services.count)
            while let event = await group.next() {
                let wasStopping = machine.isStopping || Task.isCancelled
                let actions: [ShutdownSequence.Action]
                switch event {
                case .stopRequested: actions = machine.stop()
                case .deadline(let step): actions = machine.deadline(step: step)
                case .deadlineCancelled: actions = []
                case .ended(let index, let error):
                    failure = failure ?? self.failure(of: index, error, wasStopping: wasStopping)
                    actions = machine.ended(index)
                }
                for action in actions {
                    switch action {
                    case .shutDown(let index, let step):
                        services[index].beginShutdown()
                        group.addTask { [time, stepDeadline] in
                            do {
                                try await time.sleep(for: stepDeadline)
                                return .deadline(step: step)
                            } catch {
                                // Everything is cancelled by now: there is nothing left to do at a deadline.
                                return .deadlineCancelled
                            }
                        }
                    case .missed(let index):
                        failure = failure ?? MissedDeadline(service: services[index].name)
                        group.cancelAll()
                    case .cancelAll: group.cancelAll()
                    }
                }
            }
        }
        if let failure { throw failure }
    }

    /// What is wrong with a service having ended like this; nil if that was wanted.
    private func failure(of index: Int, _ error: (any Error)?, wasStopping: Bool) -> (any Error)? {
        guard let error else { return wasStopping ? nil : EndedEarly(service: services[index].name) }
        return error is CancellationError && wasStopping ? nil : error
    }
}

/// The order of stopping, without tasks: services end last to first, each when the one after it has
/// ended; a missed deadline cancels everything that still runs.
package struct ShutdownSequence: Sendable {
    package enum Action: Sendable, Equatable {
        /// Call `beginShutdown()` and report `deadline(step:)` when its time is over.
        case shutDown(index: Int, step: Int)
        /// This service took too long: cancel everything.
        case missed(index: Int)
        /// All have ended: cancel what only waited for them.
        case cancelAll
    }

    private var running: Set<Int>
    private var step = 0
    private var current: Int?
    private var cancelled = false
    package private(set) var isStopping = false

    package init(count: Int) { running = Set(0..<count) }

    /// Somebody asked for the end.
    package mutating func stop() -> [Action] {
        guard !isStopping else { return [] }
        isStopping = true
        return next()
    }

    /// A service returned or failed.
    package mutating func ended(_ index: Int) -> [Action] {
        running.remove(index)
        isStopping = true
        return next()
    }

    /// The time of a step is over.
    package mutating func deadline(step: Int) -> [Action] {
        guard step == self.step, let late = current, running.contains(late), !cancelled else { return [] }
        cancelled = true
        return [.missed(index: late)] + next()
    }

    private mutating func next() -> [Action] {
        guard let last = running.max() else {
            // The task that waits for the stop signal, and deadlines of the past.
            cancelled = true
            return [.cancelAll]
        }
        if cancelled {
            // The order is lost; those that heed no cancellation are still asked.
            defer { current = nil }
            guard current != nil else { return [] }
            return running.sorted(by: >).filter { $0 != current }.map { .shutDown(index: $0, step: step) }
        }
        // Another than the one being waited for has ended: its time goes on.
        guard last != current else { return [] }
        current = last
        step += 1
        return [.shutDown(index: last, step: step)]
    }
}

/// A flag that tasks can wait for: how `beginShutdown()` reaches `run()`. Once raised it stays so.
package final class ShutdownSignal: Sendable {
    private struct State {
        var raised = false
        var nextID = 0
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
    }
    private let state = Locked(State())

    package init() {}

    /// Whether `raise()` was called.
    package var isRaised: Bool { state.withLock { $0.raised } }

    /// Raises the flag and wakes all who wait; more calls do nothing.
    package func raise() {
        let waiters = state.withLock { state in
            state.raised = true
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns when the flag is raised or the task is cancelled.
    package func wait() async {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                // No wake-up is lost: the task is marked as cancelled before `onCancel` runs, and both
                // sides hold the lock, so either this sees the mark or `onCancel` sees the waiter.
                let ready = state.withLock { state in
                    if state.raised || Task.isCancelled { return true }
                    state.waiters[id] = continuation
                    return false
                }
                if ready { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
        }
    }
}
