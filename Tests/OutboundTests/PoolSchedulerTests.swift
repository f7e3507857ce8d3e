import Base
import Testing

@testable import Outbound

/// The same numbers in every run (a linear congruential generator, Knuth's MMIX constants).
private struct Sequence: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ state >> 33
    }
}

@Suite
struct PoolSchedulerTests {
    typealias Action = PoolScheduler.Action

    let a = PoolKey(name: "a", http2Only: false, destination: .any)
    let b = PoolKey(name: "b", http2Only: false, destination: .any)
    let c = PoolKey(name: "c", http2Only: false, destination: .any)
    let late = Moment.distantFuture

    private func scheduler(running: Int = 1, waiting: Int = 2, pools: Int = 2) -> PoolScheduler {
        PoolScheduler(limits: .init(runningPerPool: running, waitingPerPool: waiting, pools: pools))
    }

    @Test("requests of a pool run up to the limit, wait up to the limit, and start in order")
    func order() {
        var scheduler = scheduler()
        #expect(scheduler.submit(1, a, deadline: late) == [.openPool(a), .start(1, a)])
        #expect(scheduler.submit(2, a, deadline: late) == [])
        #expect(scheduler.submit(3, a, deadline: late) == [])
        #expect(scheduler.submit(4, a, deadline: late) == [.refuse(4)])
        #expect(scheduler.submit(5, b, deadline: late) == [.openPool(b), .start(5, b)])
        #expect(scheduler.running == 2 && scheduler.waiting == 2)
        #expect(scheduler.finished(1) == [.start(2, a)])
        #expect(scheduler.finished(1) == [])
        #expect(scheduler.finished(2) == [.start(3, a)])
        #expect(scheduler.finished(3) == [])
        #expect(scheduler.running == 1 && scheduler.waiting == 0)
    }

    @Test("a cancelled request gives its place to the next")
    func cancel() {
        var scheduler = scheduler(waiting: 3)
        for id in 1...4 { _ = scheduler.submit(UInt64(id), a, deadline: late) }
        #expect(scheduler.cancel(2) == [])
        #expect(scheduler.cancel(1) == [.abort(1), .start(3, a)])
        #expect(scheduler.cancel(1) == [])
        #expect(scheduler.finished(3) == [.start(4, a)])
        #expect(scheduler.finished(4) == [])
        #expect(scheduler.running == 0 && scheduler.waiting == 0)
    }

    @Test("requests that wait too long expire, running ones do not")
    func expiry() {
        var scheduler = scheduler()
        let soon = Moment(nanoseconds: 10)
        _ = scheduler.submit(1, a, deadline: soon)
        _ = scheduler.submit(2, a, deadline: soon)
        _ = scheduler.submit(3, a, deadline: late)
        #expect(scheduler.expire(now: Moment(nanoseconds: 9)) == [])
        #expect(scheduler.expire(now: soon) == [.expire(2)])
        #expect(scheduler.expire(now: soon) == [])
        #expect(scheduler.finished(1) == [.start(3, a)])
    }

    @Test("the idle pool unused longest makes room; busy ones stay")
    func eviction() {
        var scheduler = scheduler()
        _ = scheduler.submit(1, a, deadline: late)
        _ = scheduler.submit(2, b, deadline: late)
        #expect(scheduler.submit(3, c, deadline: late) == [.refuse(3)])
        _ = scheduler.finished(2)
        _ = scheduler.finished(1)
        #expect(scheduler.submit(4, c, deadline: late) == [.closePool(a), .openPool(c), .start(4, c)])
        #expect(scheduler.poolCount == 2)
    }

    @Test("whatever happens, the limits hold and every request ends once")
    func random() {
        var generator = Sequence(state: 20_261_121)
        var scheduler = scheduler(running: 3, waiting: 5, pools: 2)
        var running: Set<UInt64> = []
        var alive: Set<UInt64> = []
        for step in 1...5000 as ClosedRange<UInt64> {
            var actions: [Action] = []
            switch Int.random(in: 0..<4, using: &generator) {
            case 0, 1:
                alive.insert(step)
                actions = scheduler.submit(
                    step, [a, b, c].randomElement(using: &generator)!, deadline: .init(nanoseconds: Int64(step) + 50))
            case 2:
                guard let id = running.randomElement(using: &generator) else { continue }
                running.remove(id)
                alive.remove(id)
                actions = scheduler.finished(id)
            default:
                guard let id = alive.randomElement(using: &generator) else { continue }
                actions = scheduler.cancel(id)
                alive.remove(id)
            }
            if step % 100 == 0 { actions += scheduler.expire(now: Moment(nanoseconds: Int64(step))) }
            for action in actions {
                switch action {
                case .start(let id, _): #expect(alive.contains(id) && running.insert(id).inserted)
                case .refuse(let id), .expire(let id): #expect(alive.remove(id) != nil && !running.contains(id))
                case .abort(let id): #expect(running.remove(id) != nil)
                case .openPool, .closePool: break
                }
            }
            #expect(scheduler.running == running.count)
            #expect(scheduler.waiting == alive.count - running.count)
            #expect(scheduler.poolCount <= 2 && running.count <= 6 && scheduler.waiting <= 10)
        }
    }
}
