import Base
import Gateway
import GatewayTestKit
import Testing

@testable import WebPush

@Suite("push services' answers")
struct WebPushAnswerTests {
    private func report(_ response: HTTPResponse) async throws -> (PushReport, requests: Int) {
        let http = StubTransport { _, _ in response }
        let rig = try Rig(http)
        return (await rig.adapter.send(.sample(to: try Browser().address)), http.requests.count)
    }

    @Test(
        "each status has its outcome",
        arguments: [
            (200, PushOutcome.delivered, nil), (201, .delivered, nil), (202, .delivered, nil), (299, .delivered, nil),
            (301, .rejected, "redirect"), (307, .rejected, "redirect"), (400, .rejected, "refused"),
            (401, .rejected, "refused"), (403, .rejected, "refused"), (402, .rejected, "refused"),
            (404, .gone(since: nil), "subscription_gone"), (410, .gone(since: nil), "subscription_gone"),
            (405, .rejected, "refused"), (413, .rejected, "payload_too_large"),
            (429, .retry(after: nil, .device), "too_many_requests"),
            (408, .retry(after: nil, .device), "service_error"), (500, .retry(after: nil, .device), "service_error"),
            (502, .retry(after: nil, .device), "service_error"), (503, .retry(after: nil, .device), "service_error"),
        ] as [(Int, PushOutcome, String?)])
    func table(status: Int, outcome: PushOutcome, reason: String?) async throws {
        let (report, requests) = try await report(HTTPResponse(status: status))
        #expect(report == PushReport(outcome, status: status, reason: reason))
        #expect(requests == (status == 413 ? 2 : 1))
    }

    @Test("Retry-After is honoured, as seconds and as a date", arguments: [429, 503])
    func retryAfter(status: Int) async throws {
        let (report, _) = try await report(HTTPResponse(status: status, headers: ["Retry-After": "120"]))
        #expect(report.outcome == .retry(after: .seconds(120), .device))
    }

    @Test("a service's own word is kept where it is one word")
    func word() async throws {
        let body = Array(#"{"reason":"VapidPkHashMismatch"}"#.utf8)
        #expect(try await report(HTTPResponse(status: 403, body: body)).0.reason == "VapidPkHashMismatch")
        let other = Array(#"{"reason":"two\nlines"}"#.utf8)
        #expect(try await report(HTTPResponse(status: 403, body: other)).0.reason == "refused")
    }

    @Test("every failed hop is named", arguments: HTTPTransportError.Code.allCases)
    func transport(code: HTTPTransportError.Code) async throws {
        let error = HTTPTransportError(code, "no", surelyNotProcessed: false)
        let rig = try Rig(StubTransport { _, _ in throw error })
        let report = try await rig.adapter.send(.sample(to: Browser().address))
        #expect(report == PushReport(transportError: error, blame: .device))
    }

    @Test("413 is answered by the ids alone, once")
    func tooLarge() async throws {
        let browser = try Browser()
        let http = StubTransport { _, number in HTTPResponse(status: number == 1 ? 413 : 201) }
        let rig = try Rig(http)
        let report = await rig.adapter.send(.sample(to: browser.address))
        #expect(report.outcome == .delivered)
        let texts = try http.requests.all.map(browser.text)
        #expect(texts == [Push.sampleDocument, Push.sampleIDs])
    }

    @Test("a wakeup that is too large cannot become smaller")
    func tooLargeWakeup() async throws {
        let http = StubTransport { _, _ in HTTPResponse(status: 413) }
        let rig = try Rig(http)
        let report = try await rig.adapter.send(.sample(to: Browser().address, payload: .wakeup))
        #expect(report.outcome == .rejected)
        #expect(http.requests.count == 1)
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

    @Test("a dead origin costs others nothing")
    func isolation() async throws {
        let http = StubTransport { request, _ in
            if request.url.hasPrefix("https://dead.example") {
                throw HTTPTransportError(.connect, "no", surelyNotProcessed: true)
            }
            return HTTPResponse(status: 201)
        }
        let rig = try Rig(http)
        let (dead, good) = (try Browser("https://dead.example/1"), try Browser())
        for _ in 0..<5 { #expect(await rig.adapter.send(.sample(to: dead.address)).reason == "connect") }
        #expect(
            await rig.adapter.send(.sample(to: dead.address))
                == PushReport(.retry(after: OriginHealth.pause, .device), reason: "origin_paused"))
        #expect(http.requests.count == 5)
        #expect(await rig.adapter.send(.sample(to: good.address)).outcome == .delivered)
        rig.time.advance(by: OriginHealth.pause)
        #expect(await rig.adapter.send(.sample(to: dead.address)).reason == "connect")
    }
}
