import Base
import Gateway
import Testing

@Suite("a push service's lane")
struct LaneMachineTests {
    private let start = Moment(nanoseconds: 0)
    private let noon = Timestamp(seconds: 1_795_262_400)

    private func job(_ id: String, lasting: Duration = .seconds(86_400)) -> PushJob {
        let channel = Channel(adapter: "phone", address: .token("t"), since: noon)
        let push = Push(
            id: id, device: "d1", address: channel.address, content: .clear([], collapse: "c", badge: 0),
            payload: .summary, priority: .normal, expires: noon + lasting)
        return PushJob(
            push: push, account: "alice", channel: channel, messages: [], representative: nil, accepted: start)
    }

    /// A lane with its clock.
    private struct Lane {
        var machine: LaneMachine
        var now = Moment(nanoseconds: 0)
        var timestamp = Timestamp(seconds: 1_795_262_400)

        mutating func enqueue(_ job: PushJob) -> [String] {
            let (accepted, actions) = machine.enqueue(job, now: now, timestamp: timestamp)
            return accepted ? texts(actions) : ["full"]
        }
        mutating func finish(_ job: PushJob, _ outcome: PushOutcome, jitter: Double = 1) -> [String] {
            texts(
                machine.finished(job, PushReport(outcome), now: now, timestamp: timestamp, jitter: jitter))
        }
        mutating func cancel(_ id: String) -> Bool { machine.cancel(id) }
        mutating func pass(_ duration: Duration) -> [String] {
            now = now + duration
            timestamp = timestamp + duration
            return texts(machine.fire(now: now, timestamp: timestamp))
        }
        func texts(_ actions: [LaneMachine.Action]) -> [String] {
            actions.map { action in
                switch action {
                case .start(let job): "start \(job.push.id)"
                case .finished(let job, let report):
                    "finished \(job.push.id) \(report.outcome.name)\(report.reason.map { " \($0)" } ?? "")"
                case .retry(let job, _, let after): "retry \(job.push.id) \(after.milliseconds)"
                case .breakerOpened(_, let pause): "open \(pause.milliseconds)"
                case .breakerClosed: "closed"
                }
            }
        }
    }

    private func lane(_ concurrency: Int = 2, limit: Int = 100) -> Lane {
        Lane(machine: LaneMachine(concurrency: concurrency, limit: limit))
    }

    @Test("so many at once, the rest in order, no more than the limit, none twice")
    func concurrency() {
        var lane = lane(limit: 2)
        #expect(lane.enqueue(job("a")) == ["start a"])
        #expect(lane.enqueue(job("b")) == ["start b"])
        #expect(lane.enqueue(job("c")) == [])
        #expect(lane.enqueue(job("c")) == [])
        #expect(lane.enqueue(job("a")) == [])
        #expect(lane.enqueue(job("d")) == [])
        #expect(lane.enqueue(job("e")) == ["full"])
        #expect((lane.machine.waiting, lane.machine.underWay) == (2, 2))
        #expect(lane.finish(job("a"), .delivered) == ["finished a delivered", "start c"])
        #expect(lane.finish(job("b"), .rejected) == ["finished b rejected", "start d"])
    }

    @Test("back-off doubles, with jitter, and Retry-After counts where there is one")
    func backOff() {
        var lane = lane()
        var current = job("a")
        _ = lane.enqueue(current)
        for (attempt, expected) in [1000, 2000, 4000, 8000].enumerated() {
            current = current.at(attempt: attempt)
            #expect(lane.finish(current, .retry(after: nil, .device)) == ["retry a \(expected)"])
            #expect(lane.pass(.milliseconds(expected - 1)) == [])
            #expect(lane.pass(.milliseconds(1)) == ["start a"])
        }
        current = current.at(attempt: 30)
        #expect(lane.finish(current, .retry(after: nil, .device), jitter: 0.5) == ["retry a 150000"])
        _ = lane.pass(.seconds(150))
        #expect(lane.finish(current, .retry(after: .seconds(7), .device)) == ["retry a 7000"])
        _ = lane.pass(.seconds(7))
        #expect(lane.finish(current, .retry(after: .zero, .device)) == ["retry a 100"])
    }

    @Test(
        "five failures of the service in a row open the breaker; one probe decides; a device's trouble does not count")
    func breaker() {
        var lane = lane(5)
        for id in ["a", "b", "c", "d", "e"] { _ = lane.enqueue(job(id)) }
        for id in ["a", "b", "c", "d"] {
            #expect(lane.finish(job(id), .retry(after: .seconds(60), .service)) == ["retry \(id) 60000"])
        }
        #expect(lane.finish(job("e"), .retry(after: .seconds(60), .service)) == ["open 60000", "retry e 60000"])
        #expect(lane.machine.isOpen)
        #expect(lane.enqueue(job("f")) == [])
        #expect(lane.machine.nextDeadline == lane.now + .seconds(60))
        let probe = lane.pass(.seconds(60))
        #expect(probe.count == 1)
        #expect(lane.pass(.seconds(1)) == [])
        #expect(probe == ["start f"])
        #expect(lane.finish(job("f"), .retry(after: nil, .service)) == ["open 2000", "retry f 1000"])
        let second = lane.pass(.seconds(2))
        #expect(second.count == 1)
        let id = String(second[0].dropFirst(6))
        let after = lane.finish(job(id), .delivered)
        #expect(after.first == "closed")
        #expect(after.count { $0.hasPrefix("start") } == 5)
        #expect(!lane.machine.isOpen)
    }

    @Test("a limited rate: a tenth of a second's pushes at once, then as they become due, in order")
    func rate() {
        var lane = Lane(machine: LaneMachine(concurrency: 1000, limit: 1000, ratePerSecond: 50))
        var started: [String] = []
        for index in 0..<60 { started += lane.enqueue(job("\(index)")) }
        #expect(started == (0..<5).map { "start \($0)" })
        #expect(lane.machine.nextDeadline == lane.now + .milliseconds(20))
        #expect(lane.pass(.milliseconds(19)) == [])
        #expect(lane.pass(.milliseconds(1)) == ["start 5"])
        started = []
        for _ in 0..<100 { started += lane.pass(.milliseconds(10)) }
        #expect((49...51).contains(started.count), "\(started.count) in a second")
        #expect(started.first == "start 6")
        // Nobody is woken for what waits for room, or for nothing.
        var idle = Lane(machine: LaneMachine(concurrency: 1, limit: 10, ratePerSecond: 1))
        _ = idle.enqueue(job("a"))
        _ = idle.enqueue(job("b"))
        #expect(idle.machine.nextDeadline == nil)
        #expect(idle.finish(job("a"), .delivered) == ["finished a delivered"])
        #expect(idle.machine.nextDeadline == idle.now + .seconds(1))
        let isCancelled = idle.cancel("b")
        #expect(isCancelled && idle.machine.nextDeadline == nil)
    }

    @Test("a rate below one a second, and none lost or early over a long time")
    func slowRate() {
        var lane = Lane(machine: LaneMachine(concurrency: 10, limit: 100, ratePerSecond: 0.5))
        for index in 0..<10 { _ = lane.enqueue(job("\(index)")) }
        var started = 1
        for second in 1...18 {
            started += lane.pass(.seconds(1)).count
            #expect(started == 1 + second / 2)
        }
    }

    @Test("a pause the service asks for holds the whole lane, one about a device only that device")
    func servicePause() {
        var lane = lane(3)
        for id in ["a", "b"] { _ = lane.enqueue(job(id)) }
        #expect(lane.finish(job("a"), .retry(after: .seconds(30), .service)) == ["retry a 30000"])
        #expect(lane.enqueue(job("c")) == [])
        #expect(!lane.machine.isOpen)
        #expect(lane.machine.nextDeadline == lane.now + .seconds(30))
        // What was under way already comes back as it likes.
        #expect(lane.finish(job("b"), .delivered) == ["finished b delivered"])
        #expect(lane.pass(.seconds(29)) == [])
        #expect(lane.pass(.seconds(1)) == ["start c", "start a"])
        #expect(lane.finish(job("c"), .retry(after: .seconds(30), .device)) == ["retry c 30000"])
        #expect(lane.enqueue(job("d")) == ["start d"])
    }

    @Test("a rate and an open breaker together: the probe leaves when both allow it, and nothing spins")
    func rateAndBreaker() {
        var lane = Lane(machine: LaneMachine(concurrency: 5, limit: 100, ratePerSecond: 10))
        for index in 0..<20 { _ = lane.enqueue(job("\(index)")) }
        var started = (0..<1).map { "\($0)" }
        while !lane.machine.isOpen {
            let failing = started
            started = []
            for id in failing {
                let actions = lane.finish(job(id), .retry(after: .seconds(60), .service))
                started += actions.filter { $0.hasPrefix("start") }.map { String($0.dropFirst(6)) }
            }
            started += lane.pass(.seconds(60)).filter { $0.hasPrefix("start") }.map { String($0.dropFirst(6)) }
        }
        for id in started { _ = lane.finish(job(id), .retry(after: .seconds(60), .service)) }
        for _ in 0..<200 {
            guard let next = lane.machine.nextDeadline else { break }
            let wait = max(.zero, next - lane.now)
            let actions = lane.pass(wait)
            #expect(wait > .zero || !actions.isEmpty, "woken for nothing")
            for action in actions where action.hasPrefix("start") {
                _ = lane.finish(job(String(action.dropFirst(6))), .delivered)
            }
        }
        #expect(lane.machine.waiting == 0 && !lane.machine.isOpen)
    }

    @Test("a success between failures starts the count anew")
    func notInARow() {
        var lane = lane(10)
        for index in 0..<20 {
            let job = job("\(index)")
            _ = lane.enqueue(job)
            let actions = lane.finish(job, index % 5 == 4 ? .delivered : .retry(after: .seconds(3600), .service))
            #expect(!actions.contains { $0.hasPrefix("open") })
        }
    }

    @Test("a refused credential pauses the lane once, however many were under way, and longer each time")
    func credential() {
        var lane = lane(10)
        for index in 0..<10 { _ = lane.enqueue(job("\(index)")) }
        #expect(lane.finish(job("0"), .credential) == ["open 60000"])
        for index in 1..<10 { #expect(lane.finish(job("\(index)"), .credential) == []) }
        #expect(lane.machine.waiting == 10)
        #expect(lane.pass(.seconds(59)) == [])
        let probe = lane.pass(.seconds(1))
        #expect(probe.count == 1)
        #expect(lane.finish(job(String(probe[0].dropFirst(6))), .credential) == ["open 120000"])
        let next = lane.pass(.seconds(120))
        #expect(lane.finish(job(String(next[0].dropFirst(6))), .delivered).count { $0.hasPrefix("start") } == 9)
    }

    @Test("pushes cancelled behind an open breaker leave those that wait in their order")
    func cancelledBehindBreaker() {
        var lane = lane(1, limit: 10)
        _ = lane.enqueue(job("bad"))
        _ = lane.finish(job("bad"), .credential)
        #expect(lane.enqueue(job("first")) == [])
        for index in 0..<5000 {
            #expect(lane.enqueue(job("\(index)")) == [])
            if index == 2500 { #expect(lane.enqueue(job("second")) == []) }
            let isTaken = lane.cancel("\(index)")
            #expect(isTaken)
        }
        #expect(lane.machine.waiting == 3)
        #expect(lane.pass(.seconds(60)) == ["start first"])
        #expect(lane.finish(job("first"), .delivered) == ["closed", "finished first delivered", "start second"])
        #expect(lane.finish(job("second"), .delivered) == ["finished second delivered", "start bad"])
    }

    @Test("while pushes are under way an open breaker has no deadline in the past")
    func noSpinning() {
        var lane = lane(6)
        for id in ["a", "b", "c", "d", "e", "slow", "g"] { _ = lane.enqueue(job(id)) }
        for id in ["a", "b", "c", "d", "e"] { _ = lane.finish(job(id), .retry(after: .seconds(300), .service)) }
        _ = lane.pass(.seconds(299))
        #expect(lane.machine.isOpen)
        #expect(lane.pass(.seconds(2)) == [])
        #expect(lane.machine.nextDeadline.map { $0 > lane.now } ?? true)
        #expect(lane.finish(job("slow"), .rejected).contains("closed"))
    }

    @Test("what has expired is given up: before it is sent, at a retry, and at a credential's pause")
    func expiry() {
        var lane = lane(1)
        _ = lane.enqueue(job("a"))
        _ = lane.enqueue(job("b", lasting: .seconds(5)))
        _ = lane.pass(.seconds(10))
        #expect(lane.finish(job("a"), .delivered) == ["finished a delivered", "finished b rejected expired"])
        _ = lane.enqueue(job("c", lasting: .seconds(12)))
        #expect(
            lane.finish(job("c", lasting: .seconds(12)), .retry(after: .seconds(3), .device)) == [
                "finished c rejected expired"
            ])
        _ = lane.enqueue(job("d", lasting: .seconds(20)))
        #expect(
            lane.finish(job("d", lasting: .seconds(20)), .credential) == ["open 60000", "finished d rejected expired"])
        #expect(lane.machine.waiting == 0)
    }

    @Test("a waiting push can be taken back, one under way cannot, and it can be given again")
    func cancel() {
        var lane = lane(1)
        for id in ["a", "b", "c"] { _ = lane.enqueue(job(id)) }
        #expect(lane.cancel("a") == false)
        #expect(lane.cancel("b") == true)
        #expect(lane.cancel("b") == false)
        #expect(lane.machine.waiting == 1)
        #expect(lane.enqueue(job("b")) == [])
        #expect(lane.finish(job("a"), .retry(after: .seconds(1), .device)) == ["retry a 1000", "start c"])
        #expect(lane.cancel("a") == true)
        #expect(lane.finish(job("c"), .delivered) == ["finished c delivered", "start b"])
        #expect(lane.pass(.seconds(10)) == [])
    }
}
