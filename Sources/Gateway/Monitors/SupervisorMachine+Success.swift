internal import Base

// The alarm: whose last success is older than it should be.
extension SupervisorMachine {
    /// How old a success may become; nil: as old as it likes.
    private static func patience(_ watch: Watch) -> Duration? {
        let expected = watch.health.state == .watching ? watch.heardEvery : watch.heardEvery ?? usualSuccess
        return expected.map { $0 * 2 }
    }

    mutating func expectSuccess(of id: RegistrationID) {
        guard let watch = watches[id], watch.isWanted, !watch.isTimed, let patience = Self.patience(watch) else {
            return
        }
        watches[id]?.isTimed = true
        timers.insert(.success(id), due: watch.lastSuccess + patience)
    }

    /// One that watches and hears nothing is started anew: its connection may be dead without anybody knowing.
    mutating func checkSuccess(of id: RegistrationID, now: Moment) -> [Action] {
        guard var watch = watches[id] else { return [] }
        watch.isTimed = false
        defer { expectSuccess(of: id) }
        guard watch.isWanted, let patience = Self.patience(watch) else {
            watches[id] = watch
            return []
        }
        guard watch.lastSuccess + patience <= now else {
            watches[id] = watch
            return []
        }
        var actions: [Action] = watch.health.isOverdue ? [] : [.overdue(id)]
        watch.health.isOverdue = true
        // The next look is after as much time again.
        watch.isTimed = true
        timers.insert(.success(id), due: now + patience)
        if watch.health.state == .watching, watch.isRunning {
            watch.restart = true
            actions.append(.stop(id))
        }
        watches[id] = watch
        return actions
    }
}
