import Base
import Testing

@testable import Gateway

@Suite struct CallbackMachineTests {
    private static let now = Moment(nanoseconds: 1_000_000_000)
    private static let ok = CallbackReport(.accepted, status: 200)
    private static let trouble = CallbackReport(.retry(after: nil), status: 503, reason: "status")

    private func key(_ seq: Int64) -> MessageKey { MessageKey(queue: 1, seq: seq) }

    private func proven(concurrency: Int = 2) -> CallbackMachine {
        var machine = CallbackMachine(concurrency: concurrency, patience: .seconds(600))
        #expect(machine.start() == [.prove])
        #expect(
            machine.proved(Self.ok, now: Self.now, jitter: 1) == [.proven, .take(2 * concurrency)])
        return machine
    }

    @Test("IM-1 nothing is taken before the application has echoed the challenge")
    func proof() {
        var machine = CallbackMachine(concurrency: 2, patience: .seconds(600))
        let wrong = CallbackReport(.retry(after: nil), status: 200, reason: "challenge_not_echoed")
        #expect(machine.proved(wrong, now: Self.now, jitter: 1) == [.unproven(wrong, pause: .seconds(1))])
        #expect(machine.fire(now: Self.now) == [])
        #expect(machine.fire(now: Self.now + .seconds(1)) == [.prove])
        #expect(machine.proved(wrong, now: Self.now, jitter: 1) == [.unproven(wrong, pause: .seconds(2))])
        _ = machine.fire(now: Self.now + .seconds(3))
        #expect(machine.proved(Self.ok, now: Self.now, jitter: 1) == [.proven, .take(4)])
    }

    @Test("IM-1 as many as the concurrency allows are under way, and no more are taken than can be tried")
    func concurrency() {
        var machine = proven()
        #expect(
            machine.took([key(1), key(2), key(3)], now: Self.now) == [
                .deliver(key(1), attempt: 1), .deliver(key(2), attempt: 1), .take(3),
            ])
        #expect(
            machine.finished(key(1), Self.ok, now: Self.now, jitter: 1) == [
                .complete(key(1)), .deliver(key(3), attempt: 1),
            ])
        // An answer that comes twice, or of a message that is not under way, changes nothing.
        #expect(machine.finished(key(1), Self.ok, now: Self.now, jitter: 1) == [])
    }

    @Test("IM-1 a message that did not go through is tried again, later and later, at least after what is asked for")
    func backOff() {
        var machine = proven()
        _ = machine.took([key(1)], now: Self.now)
        #expect(
            machine.finished(key(1), Self.trouble, now: Self.now, jitter: 1)
                == [.retry(key(1), Self.trouble, pause: .seconds(1))])
        #expect(machine.fire(now: Self.now + .milliseconds(999)) == [])
        let later = Self.now + .seconds(1)
        #expect(machine.fire(now: later) == [.deliver(key(1), attempt: 2)])
        let asked = CallbackReport(.retry(after: .seconds(90)), status: 429)
        #expect(
            machine.finished(key(1), asked, now: later, jitter: 1) == [.retry(key(1), asked, pause: .seconds(90))])
    }

    @Test("IM-1 what the application refuses three times, or is not taken in time, is dead with the reason")
    func dead() {
        var machine = proven()
        let refusal = CallbackReport(.refused, status: 422, reason: "refused")
        _ = machine.took([key(1), key(2)], now: Self.now)
        var now = Self.now
        for pause in [1, 2] {
            #expect(
                machine.finished(key(1), refusal, now: now, jitter: 1)
                    == [.retry(key(1), refusal, pause: .seconds(pause))])
            now = now + .seconds(pause)
            #expect(machine.fire(now: now) == [.deliver(key(1), attempt: pause + 1)])
        }
        #expect(machine.finished(key(1), refusal, now: now, jitter: 1) == [.deadLetter(key(1), refusal)])
        let end = Self.now + .seconds(600)
        #expect(machine.finished(key(2), Self.trouble, now: end, jitter: 1) == [.deadLetter(key(2), Self.trouble)])
        #expect(machine.inHand == 0)
    }

    @Test("IM-1 failures in a row pause all calls; one message finds out whether they go on")
    func breaker() {
        var machine = proven(concurrency: 5)
        _ = machine.took((1...6).map(key), now: Self.now)
        for seq in 1...4 { _ = machine.finished(key(Int64(seq)), Self.trouble, now: Self.now, jitter: 1) }
        #expect(!machine.isOpen)
        let opening = machine.finished(key(5), Self.trouble, now: Self.now, jitter: 1)
        #expect(opening.contains(.breakerOpened(Self.trouble, pause: .seconds(1))) && machine.isOpen)
        // The sixth was under way already, and fails too.
        _ = machine.finished(key(6), Self.trouble, now: Self.now, jitter: 1)
        let next = machine.fire(now: Self.now + .seconds(1))
        #expect(next.count == 1)
        guard case .deliver(let probe, _)? = next.first else {
            Issue.record("no probe: \(next)")
            return
        }
        let again = machine.finished(probe, Self.trouble, now: Self.now + .seconds(1), jitter: 1)
        #expect(again.first == .breakerOpened(Self.trouble, pause: .seconds(2)))
        let later = machine.fire(now: Self.now + .seconds(3))
        guard case .deliver(let second, _)? = later.first, later.count == 1 else {
            Issue.record("no probe: \(later)")
            return
        }
        let closing = machine.finished(second, Self.ok, now: Self.now + .seconds(3), jitter: 1)
        #expect(closing.prefix(2) == [.complete(second), .breakerClosed] && !machine.isOpen)
        #expect(closing.count > 3, "the others go on")
    }

    @Test("IM-1 410 ends the calls; what waits stays in the queue")
    func gone() {
        var machine = proven()
        _ = machine.took([key(1), key(2)], now: Self.now)
        #expect(machine.finished(key(1), CallbackReport(.ended, status: 410), now: Self.now, jitter: 1) == [.ended])
        #expect(machine.finished(key(2), Self.ok, now: Self.now, jitter: 1) == [])
        #expect(machine.fire(now: Self.now + .seconds(1000)) == [] && machine.inHand == 0)
    }

    @Test("IM-1 the lock of a message in hand is renewed; one that is lost is let go")
    func renewal() {
        var machine = proven(concurrency: 1)
        _ = machine.took([key(1), key(2)], now: Self.now)
        let actions = machine.fire(now: Self.now + CallbackMachine.renewal)
        #expect(actions == [.renew(key(1)), .renew(key(2))])
        #expect(machine.lost(key(2)) == [])
        #expect(!machine.holds(key(2)))
        // The one under way is answered first.
        #expect(machine.lost(key(1)) == [] && machine.holds(key(1)))
    }
}
