import Base
import Gateway
import Testing

/// Restarts, refused logins and the alarm: what keeps a server well-disposed, on a clock that tests move.
@Suite("who may connect when, and who has not been heard for too long")
struct SupervisorAdmissionTests {
    private struct Supervisor {
        var machine: SupervisorMachine
        var now = Moment(nanoseconds: 0)
        var timestamp = Timestamp(seconds: 1_795_262_400)

        mutating func want(
            _ id: RegistrationID, proven: Bool = true, every: Duration? = nil, renewed: Bool = false
        ) -> [SupervisorMachine.Action] {
            machine.want(
                id, upstream: "mail", isRenewed: renewed, isProven: proven, heardEvery: every, now: now, at: timestamp)
        }
        mutating func watching(_ id: RegistrationID) -> [SupervisorMachine.Action] {
            machine.watching(id, now: now, at: timestamp)
        }
        mutating func heard(_ id: RegistrationID, items: Int = 0, lag: Duration? = nil) -> Bool {
            machine.heard(id, items: items, lag: lag, now: now, at: timestamp)
        }
        mutating func ended(
            _ id: RegistrationID, _ code: MonitorFailure.Code?, jitter: Double = 1
        ) -> [SupervisorMachine.Action] {
            machine.ended(
                id, code.map { MonitorFailure($0, "by the test") }, now: now, at: timestamp, jitter: jitter
            ).actions
        }
        /// As the supervisor does: the registration is refused, then its run has ended.
        mutating func refused(_ id: RegistrationID) -> [SupervisorMachine.Action] {
            machine.unwant(id, as: .refused, now: now, at: timestamp).filter { $0 != .stop(id) }
                + ended(id, .authFailed)
        }
        mutating func pass(_ duration: Duration) -> [SupervisorMachine.Action] {
            now = now + duration
            timestamp = timestamp + duration
            return machine.fire(now: now, at: timestamp)
        }
        func health(_ id: RegistrationID) -> SupervisorMachine.Health? { machine.health(id) }
    }

    private func supervisor(rate: Int = 10, connects: Int = 100, refusals: Int = 1) -> Supervisor {
        Supervisor(
            machine: SupervisorMachine(startsPerSecond: rate, connectsAtOnce: connects, refusalsPerMinute: refusals))
    }

    /// Credentials that worked before the restart; each login takes a tenth of a second.
    @Test("ten thousand registrations start within the rate and the connects at once, all within a minute")
    func restart() {
        let limits = Limits()
        var supervisor = supervisor(
            rate: limits.monitorStartsPerSecond, connects: limits.monitorConnects,
            refusals: limits.monitorRefusalsPerMinute)
        var connecting: [RegistrationID] = []
        var (started, watching) = (0, 0)
        func start(_ actions: [SupervisorMachine.Action]) {
            for case .start(let id) in actions {
                connecting.append(id)
                started += 1
            }
            #expect(connecting.count <= limits.monitorConnects)
        }
        for number in 0..<10_000 { start(supervisor.want(RegistrationID("r\(number)"))) }
        var tenths = 0
        while watching < 10_000, tenths < 1000 {
            tenths += 1
            let (loggedIn, before) = (connecting, started)
            connecting = []
            start(supervisor.pass(.milliseconds(100)))
            for id in loggedIn {
                start(supervisor.watching(id))
                watching += 1
            }
            #expect(started - before <= limits.monitorStartsPerSecond, "no more in a tenth than in a second")
            #expect(started <= limits.monitorStartsPerSecond * (1 + tenths / 10 + 1))
        }
        #expect(watching == 10_000)
        #expect(tenths <= 600, "\(tenths) tenths of a second")
        #expect(supervisor.machine.counts() == [.watching: 10_000])
    }

    @Test("fifty wrong passwords at one server: one refused login a minute, one under way at a time")
    func wrongPasswords() {
        var supervisor = supervisor()
        var started: [(RegistrationID, Moment)] = []
        for number in 0..<50 {
            for case .start(let id) in supervisor.want(RegistrationID("r\(number)"), proven: false) {
                started.append((id, supervisor.now))
            }
        }
        #expect(started.count == 1)
        for _ in 0..<600 {
            let count = started.count
            if let (id, since) = started.last, supervisor.health(id)?.state == .starting, supervisor.now > since {
                for case .start(let id) in supervisor.refused(id) { started.append((id, supervisor.now)) }
            }
            for case .start(let id) in supervisor.pass(.seconds(1)) { started.append((id, supervisor.now)) }
            #expect(started.count <= count + 1)
        }
        #expect((9...10).contains(started.count), "\(started.count) in ten minutes")
        for (former, next) in zip(started, started.dropFirst()) { #expect(next.1 - former.1 >= .seconds(60)) }
        let waiting = supervisor.health("r49")
        #expect(waiting?.state == .starting)
        #expect(
            waiting?.nextAttempt.map { $0 > supervisor.timestamp && $0 <= supervisor.timestamp + .seconds(60) } == true)
    }

    @Test("good new passwords follow one another at once; those that worked before wait for none of them")
    func newcomers() {
        var supervisor = supervisor()
        #expect(supervisor.want("new", proven: false) == [.start("new")])
        #expect(supervisor.want("second", proven: false) == [])
        #expect(supervisor.want("old") == [.start("old")])
        #expect(supervisor.watching("new") == [.start("second")])
        #expect(supervisor.refused("second") == [])
        #expect(supervisor.want("third", proven: false) == [])
        #expect(supervisor.want("older") == [.start("older")], "a wrong password costs the others nothing")
        #expect(supervisor.pass(.seconds(59)) == [])
        #expect(supervisor.pass(.seconds(1)) == [.start("third")])
    }

    @Test("a login that hangs holds the next one up for half a minute only")
    func hanging() {
        var supervisor = supervisor()
        _ = supervisor.want("hangs", proven: false)
        #expect(supervisor.want("next", proven: false) == [])
        #expect(supervisor.pass(.seconds(29)) == [])
        #expect(supervisor.pass(.seconds(1)) == [.start("next")])
    }

    @Test("passwords that worked before are refused in a row: one try a minute until one succeeds, then all")
    func distrust() {
        var supervisor = supervisor(connects: 3)
        for id in ["a", "b", "c", "d", "e", "f", "g"] { _ = supervisor.want(RegistrationID(id)) }
        #expect(supervisor.refused("a") == [.start("d")])
        #expect(supervisor.refused("b") == [], "the second one in a minute")
        #expect(supervisor.refused("c") == [])
        #expect(supervisor.refused("d") == [])
        #expect(supervisor.pass(.seconds(59)) == [])
        #expect(supervisor.pass(.seconds(1)) == [.start("e")])
        #expect(supervisor.watching("e") == [.start("f"), .start("g")])
    }

    @Test("without a limit all are tried at once")
    func noLimit() {
        var supervisor = supervisor(refusals: 0)
        for id in ["a", "b", "c"] {
            #expect(supervisor.want(RegistrationID(id), proven: false) == [.start(RegistrationID(id))])
        }
        #expect(supervisor.refused("a") == [])
        #expect(supervisor.refused("b") == [])
        #expect(supervisor.want("d", proven: false) == [.start("d")])
    }

    @Test("full jitter: every pause is drawn from nothing to the whole")
    func jitter() {
        for code in [MonitorFailure.Code.network, .authTemporary, .sourceGone, .protocolViolation] {
            var supervisor = supervisor()
            _ = supervisor.want("a")
            let whole = supervisor.machine.ended(
                "a", MonitorFailure(code, ""), now: supervisor.now, at: supervisor.timestamp, jitter: 1
            ).pause
            var other = self.supervisor()
            _ = other.want("a")
            let tenth = other.machine.ended(
                "a", MonitorFailure(code, ""), now: other.now, at: other.timestamp, jitter: 0.1
            ).pause
            #expect(tenth.map { $0 * 10 } == whole || tenth == .seconds(1), "\(code)")
            let next = other.health("a")?.nextAttempt
            #expect(next == tenth.map { other.timestamp + $0 })
            #expect(other.health("a")?.failures == 1)
        }
    }

    @Test("a watch that is silent for twice as long as expected: one alarm, and it is started anew; heard again: over")
    func silent() {
        var supervisor = supervisor()
        _ = supervisor.want("a", every: .seconds(300))
        _ = supervisor.watching("a")
        #expect(supervisor.pass(.seconds(300)) == [])
        #expect(supervisor.heard("a", items: 1, lag: .seconds(2)) == false)
        #expect(supervisor.health("a")?.lag == .seconds(2) && supervisor.health("a")?.lastItem != nil)
        #expect(supervisor.pass(.seconds(599)) == [])
        #expect(supervisor.pass(.seconds(1)) == [.overdue("a"), .stop("a")])
        #expect(supervisor.health("a")?.isOverdue == true)
        #expect(supervisor.machine.oldest(now: supervisor.now).overdue == 1)
        #expect(supervisor.machine.oldest(now: supervisor.now).age == .seconds(600))
        #expect(supervisor.ended("a", nil) == [.start("a")])
        #expect(supervisor.pass(.seconds(1200)) == [], "said once")
        #expect(supervisor.heard("a") == true)
        #expect(supervisor.health("a")?.isOverdue == false)
    }

    @Test("a watch that may be silent never alarms; one that cannot connect does after half an hour")
    func cannotConnect() {
        var supervisor = supervisor()
        _ = supervisor.want("hook")
        _ = supervisor.watching("hook")
        _ = supervisor.want("a")
        var alarms: [SupervisorMachine.Action] = []
        _ = supervisor.ended("a", .network)
        for _ in 0..<8 {
            for action in supervisor.pass(.seconds(300)) {
                if case .start(let id) = action { _ = supervisor.ended(id, .network) } else { alarms.append(action) }
            }
            if supervisor.now < Moment(nanoseconds: 0) + .seconds(1800) { #expect(alarms == []) }
        }
        #expect(alarms == [.overdue("a")])
        #expect(supervisor.health("hook")?.isOverdue == false)
        _ = supervisor.machine.unwant("a", as: .refused, now: supervisor.now, at: supervisor.timestamp)
        #expect(supervisor.health("a")?.isOverdue == false, "who is refused is not waited for")
    }
}
