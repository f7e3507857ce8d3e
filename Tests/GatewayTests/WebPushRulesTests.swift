import Base
import Gateway
import Testing

@Suite("what the adapters of Web Push share")
struct WebPushRulesTests {
    @Test(
        "time to live and urgency",
        arguments: [
            (Message.Priority.low, "low", Int64(-5), "1"), (.normal, "normal", 1, "1"),
            (.high, "high", 10_000_000, "2419200"),
        ])
    func headers(priority: Message.Priority, urgency: String, life: Int64, ttl: String) {
        #expect(WebPushHeaders.urgency(priority) == urgency)
        let now = Timestamp(seconds: 1_000)
        #expect(WebPushHeaders.ttl(expires: now + .seconds(life), now: now) == ttl)
    }

    @Test("a refused identity is the subscription's matter until many are refused without a success")
    func credential() {
        var ledger = RefusalLedger()
        let now = Moment(nanoseconds: 0)
        for _ in 0..<20 { #expect(ledger.refused("same", isIdentity: true, now: now) == .rejected) }
        for number in 2..<RefusalLedger.endpointsUntilCredential {
            #expect(ledger.refused("\(number)", isIdentity: true, now: now) == .rejected)
        }
        #expect(ledger.refused("e", isIdentity: true, now: now) == .credential)
        ledger.succeeded("f", now: now)
        #expect(ledger.refused("e", isIdentity: true, now: now) == .rejected)
        var others = RefusalLedger()
        for number in 0..<20 {
            #expect(others.refused("\(number)", isIdentity: false, now: now) == .rejected, "a 400 names no key")
        }
    }

    @Test("a subscription refused ten times in a row, while others succeed, is gone")
    func reaped() {
        var ledger = RefusalLedger()
        let now = Moment(nanoseconds: 0)
        ledger.succeeded("good", now: now)
        for _ in 1..<RefusalLedger.refusalsUntilGone {
            #expect(ledger.refused("old", isIdentity: true, now: now) == .rejected)
        }
        #expect(ledger.refused("old", isIdentity: true, now: now) == .gone(since: nil))
        for _ in 1..<RefusalLedger.refusalsUntilGone { _ = ledger.refused("flaky", isIdentity: false, now: now) }
        ledger.succeeded("flaky", now: now)
        #expect(ledger.refused("flaky", isIdentity: false, now: now) == .rejected, "a success starts the count anew")
    }

    @Test("the ledger's memory is bounded")
    func bounded() {
        var ledger = RefusalLedger()
        let now = Moment(nanoseconds: 0)
        ledger.succeeded("good", now: now)
        for number in 0..<3 * RefusalLedger.limit {
            #expect(ledger.refused("\(number)", isIdentity: true, now: now) == .rejected)
        }
    }

    @Test("an origin that keeps failing is left alone, and asked again by one push after a pause")
    func origins() {
        var health = OriginHealth()
        var now = Moment(nanoseconds: 0)
        for _ in 1..<OriginHealth.failuresUntilPause {
            health.failed("a", now: now)
            #expect(health.wait(for: "a", now: now) == nil)
        }
        health.failed("a", now: now)
        #expect(health.wait(for: "a", now: now) == OriginHealth.pause)
        #expect(health.wait(for: "b", now: now) == nil)
        now = now + OriginHealth.pause
        #expect(health.wait(for: "a", now: now) == nil)
        #expect(health.wait(for: "a", now: now) != nil, "only one push tries")
        health.failed("a", now: now)
        #expect(health.wait(for: "a", now: now) == OriginHealth.pause)
        health.answered("a")
        #expect(health.wait(for: "a", now: now) == nil)
    }
}
