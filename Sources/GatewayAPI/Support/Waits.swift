internal import Base
internal import Gateway

/// Ends the waits of long polls when their time is over: one heap and one task for all of them.
final class Waits: Service {
    /// Below so many entries those of waits that are over are not cleared away.
    private static let smallSize = 1024

    private struct State: Sendable {
        var deadlines = DeadlineQueue<UInt64>()
        /// Those that may still be waiting.
        var open: Set<UInt64> = []
    }

    let name = "waits"
    private let mailroom: Mailroom
    private let time: any TimeSource
    private let state = Locked(State())
    private let alarm: Alarm
    private let stopped = ShutdownSignal()

    init(mailroom: Mailroom, time: any TimeSource) {
        (self.mailroom, self.time) = (mailroom, time)
        alarm = Alarm(time: time)
    }

    /// Ends a wait at its time, if it has not been served.
    /// - Parameter id: as `Mailroom.take` returned it.
    func end(_ id: UInt64, at due: Moment) {
        state.withLock { state in
            state.open.insert(id)
            state.deadlines.insert(id, due: due)
            guard state.deadlines.count > max(Self.smallSize, 2 * state.open.count) else { return }
            let open = state.open
            state.deadlines.keep { open.contains($0) }
        }
        alarm.set(due)
    }

    /// The wait is over.
    func forget(_ id: UInt64) { state.withLock { _ = $0.open.remove(id) } }

    func run() async throws {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [self] in
                while (try? await alarm.wait()) != nil { ring() }
            }
            group.addTask { [stopped] in await stopped.wait() }
            await group.next()
            group.cancelAll()
        }
    }

    private func ring() {
        let now = time.now
        let (over, next) = state.withLock { state in
            var over: [UInt64] = []
            while let id = state.deadlines.pop(at: now) {
                if state.open.remove(id) != nil { over.append(id) }
            }
            return (over, state.deadlines.next)
        }
        for id in over { mailroom.stopWaiting(id) }
        alarm.set(next)
    }

    func beginShutdown() { stopped.raise() }
}
