import Base
import Gateway
import GatewayTestKit
import Testing
import WebPush

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
            (200, PushOutcome.delivered, nil, nil), (201, .delivered, nil, nil), (202, .delivered, nil, nil),
            (299, .delivered, nil, nil), (301, .rejected, "redirect", .token), (307, .rejected, "redirect", .token),
            (400, .rejected, "refused", .payload), (401, .rejected, "refused", .credential),
            (403, .rejected, "refused", .credential), (402, .rejected, "refused", .payload),
            (404, .gone(since: nil), "subscription_gone", .token),
            (410, .gone(since: nil), "subscription_gone", .token), (405, .rejected, "refused", .payload),
            (413, .rejected, "payload_too_large", .payload),
            (429, .retry(after: nil, .device), "too_many_requests", .service),
            (408, .retry(after: nil, .device), "service_error", .service),
            (500, .retry(after: nil, .device), "service_error", .service),
            (503, .retry(after: nil, .device), "service_error", .service),
            (507, .retry(after: .seconds(300), .device), "no_subscriber", .service),
        ] as [(Int, PushOutcome, String?, PushHop?)])
    func table(status: Int, outcome: PushOutcome, reason: String?, hop: PushHop?) async throws {
        let (report, requests) = try await report(HTTPResponse(status: status))
        #expect(report == PushReport(outcome, status: status, reason: reason, hop: hop))
        #expect(requests == (status == 413 ? 2 : 1))
    }

    @Test("Mozilla's word that a repeat may come at once is heard, but not above its Retry-After")
    func immediate() async throws {
        let body = Array(#"{"code":503,"errno":202}"#.utf8)
        let plain = HTTPResponse(status: 503, body: body)
        #expect(try await report(plain).0.outcome == .retry(after: .seconds(1), .device))
        let asked = HTTPResponse(status: 503, headers: ["Retry-After": "9"], body: body)
        #expect(try await report(asked).0.outcome == .retry(after: .seconds(9), .device))
        let backOff = HTTPResponse(status: 503, body: Array(#"{"errno":201}"#.utf8))
        #expect(try await report(backOff).0.outcome == .retry(after: nil, .device))
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
                == PushReport(.retry(after: OriginHealth.pause, .device), reason: "origin_paused", hop: .service))
        #expect(http.requests.count == 5)
        #expect(await rig.adapter.send(.sample(to: good.address)).outcome == .delivered)
        rig.time.advance(by: OriginHealth.pause)
        #expect(await rig.adapter.send(.sample(to: dead.address)).reason == "connect")
    }
}
