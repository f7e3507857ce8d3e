import Base
import Gateway
import GatewayTestKit
import Testing

@testable import NtfyPush

@Suite("ntfy's answers")
struct NtfyAnswerTests {
    private static let own = Channel.Address.token("alice")
    private static let foreign = Channel.Address.url("https://other.example/alice")

    private func adapter(_ http: any HTTPTransport) throws -> any PushAdapter {
        try NtfyPlugin().adapter(
            #"{"url":"https://ntfy.example"}"#, folder: ".", http: http, time: ManualTime())
    }

    private func report(
        _ response: HTTPResponse, to address: Channel.Address = own, clear: [NotificationID]? = nil
    ) async throws -> PushReport {
        try await adapter(StubTransport { _, _ in response }).send(.sample(to: address, clear: clear))
    }

    @Test(
        "each status of the configured server has its outcome",
        arguments: [
            (200, PushOutcome.delivered, nil, nil), (301, .rejected, "redirect", .service),
            (400, .rejected, "refused", .payload), (401, .credential, "unauthorized", .credential),
            (403, .rejected, "forbidden", .credential), (404, .rejected, "not_ntfy", .service),
            (405, .rejected, "not_ntfy", .service), (413, .rejected, "payload_too_large", .payload),
            (429, .retry(after: .seconds(5), .service), "too_many_requests", .service),
            (500, .retry(after: nil, .service), "service_error", .service),
            (502, .retry(after: nil, .service), "service_error", .service),
            (507, .retry(after: .seconds(300), .device), "no_subscriber", .service),
        ] as [(Int, PushOutcome, String?, PushHop?)])
    func table(status: Int, outcome: PushOutcome, reason: String?, hop: PushHop?) async throws {
        let report = try await report(HTTPResponse(status: status))
        #expect(report == PushReport(outcome, status: status, reason: reason, hop: hop))
    }

    @Test(
        "of another server, no answer speaks against our token or the configured server",
        arguments: [
            (401, PushOutcome.rejected), (403, .rejected), (429, .retry(after: .seconds(5), .device)),
            (500, .retry(after: nil, .device)), (507, .retry(after: .seconds(300), .device)),
        ] as [(Int, PushOutcome)])
    func foreign(status: Int, outcome: PushOutcome) async throws {
        #expect(try await report(HTTPResponse(status: status), to: Self.foreign).outcome == outcome)
    }

    @Test("ntfy's own number is kept, and says whether the topic is at fault")
    func codes() async throws {
        func answer(_ status: Int, _ code: Int) -> HTTPResponse {
            HTTPResponse(status: status, body: Array(#"{"code":\#(code),"http":\#(status),"error":"x"}"#.utf8))
        }
        #expect(
            try await report(answer(400, 40_009))
                == PushReport(.rejected, status: 400, reason: "ntfy_40009", hop: .token))
        #expect(
            try await report(answer(400, 40_017))
                == PushReport(.rejected, status: 400, reason: "ntfy_40017", hop: .payload))
        #expect(
            try await report(answer(429, 42_908))
                == PushReport(
                    .retry(after: .seconds(900), .service), status: 429, reason: "quota_exceeded", hop: .service))
        #expect(try await report(answer(400, 7)).reason == "refused")
    }

    @Test("Retry-After is honoured", arguments: [429, 503, 507])
    func retryAfter(status: Int) async throws {
        let response = HTTPResponse(status: status, headers: ["Retry-After": "17"])
        guard case .retry(let after, _) = try await report(response).outcome else {
            Issue.record("not tried again")
            return
        }
        #expect(after == .seconds(17))
    }

    @Test("an old server cannot take messages back", arguments: [404, 405])
    func oldServer(status: Int) async throws {
        #expect(
            try await report(HTTPResponse(status: status), clear: ["n1"])
                == PushReport(.rejected, status: status, reason: "clear_not_supported", hop: .service))
    }

    @Test("one forbidden topic is its device's matter; many without a success are ours")
    func forbidden() async throws {
        let adapter = try adapter(StubTransport { _, _ in HTTPResponse(status: 403) })
        for _ in 0..<20 { #expect(await adapter.send(.sample(to: .token("same"))).outcome == .rejected) }
        var outcomes: [PushOutcome] = []
        for number in 0..<10 { outcomes.append(await adapter.send(.sample(to: .token("t\(number)"))).outcome) }
        #expect(outcomes.last == .credential)
        #expect(outcomes.first == .rejected)
    }

    @Test("a topic forbidden ten times, while others succeed, is gone")
    func reaped() async throws {
        let http = StubTransport { request, _ in
            HTTPResponse(status: String(decoding: request.body, as: UTF8.self).contains(#""good""#) ? 200 : 403)
        }
        let adapter = try adapter(http)
        _ = await adapter.send(.sample(to: .token("good")))
        for _ in 0..<9 { #expect(await adapter.send(.sample(to: .token("bad"))).outcome == .rejected) }
        #expect(await adapter.send(.sample(to: .token("bad"))).outcome == .gone(since: nil))
    }

    @Test(
        "every failed hop is named, and its blame is the server's whose it is",
        arguments: HTTPTransportError.Code.allCases)
    func transport(code: HTTPTransportError.Code) async throws {
        let error = HTTPTransportError(code, "no", surelyNotProcessed: false)
        let adapter = try adapter(StubTransport { _, _ in throw error })
        #expect(await adapter.send(.sample(to: Self.own)) == PushReport(transportError: error, blame: .service))
        #expect(await adapter.send(.sample(to: Self.foreign)) == PushReport(transportError: error, blame: .device))
    }

    @Test("another server that is dead is left alone, and costs the configured one nothing")
    func isolation() async throws {
        let http = StubTransport { request, _ in
            if request.url.hasPrefix("https://other.example") {
                throw HTTPTransportError(.connect, "no", surelyNotProcessed: true)
            }
            return HTTPResponse(status: 200)
        }
        let adapter = try adapter(http)
        for _ in 0..<5 { #expect(await adapter.send(.sample(to: Self.foreign)).reason == "connect") }
        #expect(
            await adapter.send(.sample(to: Self.foreign))
                == PushReport(.retry(after: OriginHealth.pause, .device), reason: "origin_paused", hop: .service))
        #expect(await adapter.send(.sample(to: Self.own)).outcome == .delivered)
    }
}
