import Base
import Gateway
import GatewayTestKit
import Testing

@Suite("limiter, directory, deadlines, alarm")
struct SupportTests {
    private let start = Moment(nanoseconds: 0)

    @Test("so many refusals in five minutes, then a wait; success forgets them")
    func limiter() {
        var limiter = LoginLimiter(limit: 3)
        for second in 0..<3 {
            #expect(limiter.wait("alice", now: start + .seconds(second)) == nil)
            limiter.begin("alice")
            limiter.refused("alice", now: start + .seconds(second))
        }
        #expect(limiter.wait("alice", now: start + .seconds(10)) == .seconds(290))
        #expect(limiter.wait("bob", now: start) == nil)
        #expect(limiter.wait("alice", now: start + .seconds(300)) == nil)
        limiter.succeeded("alice")
        #expect(limiter.wait("alice", now: start + .seconds(10)) == nil)
        #expect(limiter.count == 0)
    }

    @Test("what is being checked counts; what could not be checked does not")
    func limiterUnderWay() {
        var limiter = LoginLimiter(limit: 2)
        limiter.begin("alice")
        limiter.begin("alice")
        #expect(limiter.wait("alice", now: start) == .seconds(1))
        limiter.abandoned("alice")
        #expect(limiter.wait("alice", now: start) == nil)
        limiter.abandoned("alice")
        #expect(limiter.count == 0)
    }

    @Test("the limiter remembers a bounded number of names, the newest")
    func limiterBound() {
        var limiter = LoginLimiter(limit: 1)
        let extra = 5000
        for index in 0..<(LoginLimiter.namesLimit + extra) { limiter.refused("name \(index)", now: start) }
        #expect(limiter.count == LoginLimiter.namesLimit)
        #expect(limiter.wait("name 0", now: start) == nil)
        #expect(limiter.wait("name \(extra - 1)", now: start) == nil)
        #expect(limiter.wait("name \(extra)", now: start) != nil)
    }

    @Test("the directory finds by every key, and forgets with its owner")
    func directory() {
        var directory = Directory()
        directory.put(StoreSamples.account("alice"))
        var device = StoreSamples.device("d1", of: "alice")
        directory.put(device)
        directory.put(StoreSamples.registration("r1", of: "alice"))
        #expect(directory.device(tokenHash: Array(0..<32))?.id == "d1")
        device.tokenHash = [9]
        directory.put(device)
        #expect(directory.device(tokenHash: Array(0..<32)) == nil)
        #expect(directory.device(tokenHash: [9])?.id == "d1")
        #expect(directory.device(installation: "installation-d1")?.id == "d1")
        #expect(directory.registration(of: "alice", app: "mail")?.id == "r1")
        var newer = StoreSamples.device("d2", of: "alice")
        newer.tokenHash = [8]
        newer.lastSeen = device.lastSeen + .seconds(1)
        directory.put(newer)
        #expect(directory.devices(of: "alice").map(\.id) == ["d2", "d1"])
        directory.removeAccount("alice")
        #expect(directory.devices.isEmpty && directory.registrations.isEmpty && directory.accounts.isEmpty)
        #expect(directory.device(tokenHash: [9]) == nil && directory.device(installation: "installation-d1") == nil)
        #expect(directory.registration(of: "alice", app: "mail") == nil)
    }

    @Test("deadlines come in order, none early, and can be thinned out")
    func deadlines() {
        var queue = DeadlineQueue<Int>()
        var random = ManualRandom(seed: 7)
        let dues = (0..<500).map { _ in Int64.random(in: 0..<1000, using: &random) }
        for (key, due) in dues.enumerated() { queue.insert(key, due: Moment(nanoseconds: due)) }
        queue.keep { $0 % 2 == 0 }
        #expect(queue.count == 250)
        #expect(queue.pop(at: Moment(nanoseconds: -1)) == nil)
        var popped: [Int64] = []
        while let next = queue.next, let key = queue.pop(at: next) {
            #expect(dues[key] == next.nanoseconds && key % 2 == 0)
            popped.append(dues[key])
        }
        #expect(popped.count == 250 && popped == popped.sorted())
    }

    @Test("an alarm rings for the earliest deadline, also when that is set while it waits", .timeLimit(.minutes(1)))
    func alarm() async throws {
        let time = ManualTime()
        let alarm = Alarm(time: time)
        let rung = Recorder<Moment>()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while true {
                    try await alarm.wait()
                    rung.append(time.now)
                }
            }
            alarm.set(time.now + .seconds(60))
            try await Eventually.wait("it waits") { time.nextDeadline == time.now + .seconds(60) }
            alarm.set(time.now + .seconds(5))
            try await Eventually.wait("it waits for less") { time.nextDeadline == time.now + .seconds(5) }
            alarm.set(time.now + .seconds(30))
            time.advance(by: .seconds(5))
            try await rung.wait(count: 1)
            alarm.set(time.now + .zero)
            try await rung.wait(count: 2)
            group.cancelAll()
            while let result = await group.nextResult() {
                if case .failure(let error) = result { #expect(error is CancellationError) }
            }
        }
        #expect(time.sleeperCount == 0)
    }

    @Test("no wake-up of an alarm is lost while many set it", .timeLimit(.minutes(1)))
    func alarmStress() async throws {
        let alarm = Alarm(time: SystemTime())
        let count = Locked(0)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while count.withLock({ $0 }) < 500 {
                    try await alarm.wait()
                    count.withLock { $0 += 1 }
                }
            }
            group.addTask {
                for index in 0..<500 {
                    alarm.set(SystemTime().now + .microseconds(index % 3 * 10))
                    let seen = index + 1
                    try await Eventually.wait("ring \(seen)", every: .microseconds(100)) {
                        count.withLock { $0 } >= seen
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(count.withLock { $0 } == 500)
    }
}
