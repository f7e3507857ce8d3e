import Base
import Gateway
import Testing

@Suite("when which monitor runs")
struct SupervisorMachineTests {
    private struct Supervisor {
        var machine: SupervisorMachine
        var now = Moment(nanoseconds: 0)
        var timestamp = Timestamp(seconds: 1_795_262_400)

        mutating func want(
            _ id: RegistrationID, upstream: String = "mail", renewed: Bool = false
        ) -> [SupervisorMachine.Action] {
            machine.want(id, upstream: upstream, isRenewed: renewed, now: now, at: timestamp)
        }
        mutating func unwant(
            _ id: RegistrationID, as state: SupervisorMachine.State = .stopped
        ) -> [SupervisorMachine.Action] {
            machine.unwant(id, as: state, now: now, at: timestamp)
        }
        mutating func watching(_ id: RegistrationID) -> [SupervisorMachine.Action] {
            machine.watching(id, now: now, at: timestamp)
        }
        mutating func ended(
            _ id: RegistrationID, _ code: MonitorFailure.Code?, jitter: Double = 1
        ) -> (pause: Duration?, actions: [SupervisorMachine.Action]) {
            machine.ended(
                id, code.map { MonitorFailure($0, "by the test") }, now: now, at: timestamp, jitter: jitter)
        }
        mutating func pass(_ duration: Duration) -> [SupervisorMachine.Action] {
            now = now + duration
            timestamp = timestamp + duration
            return machine.fire(now: now, at: timestamp)
        }
    }

    private func supervisor(rate: Int = 10, connects: Int = 100) -> Supervisor {
        Supervisor(machine: SupervisorMachine(startsPerSecond: rate, connectsAtOnce: connects))
    }

    @Test("so many starts a second, at each server, in order")
    func rate() {
        var supervisor = supervisor()
        var started = 0
        for index in 0..<35 { started += supervisor.want(RegistrationID("r\(index)")).count }
        #expect(started == 10)
        #expect(supervisor.want("other", upstream: "chat") == [.start("other")])
        var seconds = 0
        while started < 35, seconds < 10 {
            for _ in 0..<10 { started += supervisor.pass(.milliseconds(100)).count }
            seconds += 1
            #expect(started <= 10 + 10 * seconds)
        }
        #expect(started == 35)
        #expect(seconds == 3)
    }

    @Test("so many connects in flight; one that watches or ends makes room")
    func connects() {
        var supervisor = supervisor(connects: 2)
        #expect(supervisor.want("a") == [.start("a")])
        #expect(supervisor.want("b") == [.start("b")])
        #expect(supervisor.want("c") == [])
        #expect(supervisor.want("c") == [])
        #expect(supervisor.machine.health("c")?.state == .starting)
        #expect(supervisor.watching("a") == [.start("c")])
        #expect(supervisor.want("d") == [])
        #expect(supervisor.ended("b", .network).actions == [.start("d")])
    }

    @Test(
        "each failure has its own pause, which grows",
        arguments: [
            (MonitorFailure.Code.network, [1, 2, 4, 8]), (.authTemporary, [30, 60, 120, 240]),
            (.sourceGone, [60, 120, 240, 480]), (.protocolViolation, [1, 2, 4, 8]), (.cursorInvalid, [0, 2, 4, 8]),
        ])
    func pauses(code: MonitorFailure.Code, seconds: [Int]) {
        var supervisor = supervisor()
        #expect(supervisor.want("a") == [.start("a")])
        for second in seconds {
            let (pause, actions) = supervisor.ended("a", code)
            #expect(pause == .seconds(second))
            if second == 0 {
                #expect(actions == [.start("a")])
                continue
            }
            #expect(actions == [])
            #expect(supervisor.machine.health("a")?.state == .backingOff)
            #expect(supervisor.want("a") == [])
            #expect(supervisor.pass(.seconds(second) - .milliseconds(1)) == [])
            #expect(supervisor.pass(.milliseconds(1)) == [.start("a")])
        }
        for _ in 0..<20 { _ = (supervisor.ended("a", code), supervisor.pass(.seconds(900))) }
        let longest: Duration = code == .authTemporary || code == .sourceGone ? .seconds(900) : .seconds(300)
        #expect(supervisor.ended("a", code).pause == longest)
    }

    @Test("throttled until a moment: not before; jitter shortens the others")
    func throttled() {
        var supervisor = supervisor()
        _ = supervisor.want("a")
        #expect(
            supervisor.ended("a", .throttled(until: supervisor.now + .seconds(77)), jitter: 0).pause == .seconds(77))
        #expect(supervisor.pass(.seconds(76)) == [])
        #expect(supervisor.pass(.seconds(1)) == [.start("a")])
        #expect(supervisor.ended("a", .network, jitter: 0.25).pause == .milliseconds(500))
    }

    @Test("having watched for a while clears the count of failures")
    func steady() {
        var supervisor = supervisor()
        _ = supervisor.want("a")
        for _ in 0..<5 { _ = (supervisor.ended("a", .network), supervisor.pass(.seconds(300))) }
        _ = supervisor.watching("a")
        _ = supervisor.pass(.seconds(61))
        #expect(supervisor.ended("a", .network).pause == .seconds(1))
    }

    @Test("refused: never again until the credentials change, and seen as refused after a restart too")
    func refused() {
        var supervisor = supervisor()
        _ = supervisor.want("a")
        #expect(supervisor.unwant("a", as: .refused) == [.stop("a")])
        let (pause, actions) = supervisor.ended("a", .authFailed)
        #expect(pause == nil && actions == [])
        #expect(supervisor.pass(.seconds(86_400)) == [])
        let health = supervisor.machine.health("a")
        #expect(health?.state == .refused)
        #expect(health?.lastError?.contains("auth_failed") == true)
        #expect(supervisor.want("a", renewed: true) == [.start("a")])
        #expect(supervisor.machine.health("a")?.lastError == nil)

        var fresh = self.supervisor()
        #expect(fresh.unwant("a", as: .refused) == [])
        #expect(fresh.machine.health("a")?.state == .refused)
        #expect(fresh.want("a", upstream: "mail", renewed: true) == [.start("a")])
        #expect(fresh.unwant("never") == [])
        #expect(fresh.machine.health("never") == nil)
    }

    @Test("renewed credentials stop the running monitor, and it starts again when that has ended")
    func renewed() {
        var supervisor = supervisor()
        _ = supervisor.want("a")
        #expect(supervisor.want("a") == [])
        #expect(supervisor.want("a", renewed: true) == [.stop("a")])
        #expect(supervisor.want("a") == [])
        #expect(supervisor.ended("a", .authFailed).actions == [.start("a")])
        _ = supervisor.ended("a", .network)
        #expect(supervisor.want("a", renewed: true) == [.start("a")])
    }

    @Test("switched off and on again while it runs: it ends once and starts once")
    func offAndOn() {
        var supervisor = supervisor()
        _ = supervisor.want("a")
        #expect(supervisor.unwant("a") == [.stop("a")])
        #expect(supervisor.want("a") == [])
        #expect(supervisor.ended("a", nil).actions == [.start("a")])
        _ = supervisor.unwant("a")
        #expect(supervisor.ended("a", nil).actions == [])
        supervisor.machine.forget("a")
        #expect(supervisor.machine.health("a") == nil)
        _ = supervisor.want("b")
        _ = supervisor.unwant("b")
        supervisor.machine.forget("b")
        #expect(supervisor.ended("b", nil).actions == [])
        #expect(supervisor.machine.counts().isEmpty)
    }
}
