import Base
import Gateway
import GatewayTestKit
import Testing

@testable import WNSPush

@Suite("Microsoft's answers")
struct WNSAnswerTests {
    /// The verdict of a fresh adapter on one answer, given to each attempt.
    private func report(_ response: HTTPResponse) async throws -> (PushReport, pushes: Int) {
        let http = service { _, _ in response }
        let report = try await Rig(http).adapter.send(push())
        return (report, http.requests.all.filter { $0.url == channel }.count)
    }

    @Test(
        "200 is a delivery only if Microsoft says so; whether the device is there is told",
        arguments: [
            ("received", "connected", PushOutcome.delivered, nil, nil), (nil, nil, .delivered, nil, nil),
            ("Received", "Connected", .delivered, nil, nil),
            ("received", "disconnected", .delivered, "disconnected", nil),
            ("received", "tempconnected", .delivered, "tempdisconnected", nil),
            ("received", "who knows", .delivered, nil, nil),
            ("dropped", "connected", .rejected, "dropped", .token),
            ("dropped", "disconnected", .retry(after: .seconds(300), .device), "dropped_disconnected", .token),
            ("dropped", "tempdisconnected", .retry(after: nil, .device), "dropped_tempdisconnected", .token),
            ("dropped", nil, .retry(after: nil, .device), "dropped", .token),
            ("channelthrottled", "connected", .retry(after: nil, .device), "channelthrottled", .token),
            ("something new", "connected", .rejected, "unknown_status", .service),
        ] as [(String?, String?, PushOutcome, String?, PushHop?)])
    func success(word: String?, connection: String?, outcome: PushOutcome, reason: String?, hop: PushHop?) async throws
    {
        let (report, pushes) = try await report(windows(200, word, connection: connection))
        #expect(report == PushReport(outcome, status: 200, reason: reason, hop: hop))
        #expect(pushes == 1)
    }

    @Test(
        "each status of Microsoft's table has its outcome",
        arguments: [
            (400, PushOutcome.rejected, "bad_request"), (404, .gone(since: nil), "channel_unknown"),
            (405, .rejected, "refused"), (406, .retry(after: .seconds(60), .service), "throttled"),
            (410, .gone(since: nil), "channel_expired"), (418, .rejected, "refused"),
            (429, .retry(after: .seconds(60), .service), "throttled"),
            (500, .retry(after: nil, .service), "service_error"), (503, .retry(after: nil, .service), "service_error"),
            (302, .retry(after: nil, .service), "service_error"), (408, .retry(after: nil, .service), "service_error"),
        ] as [(Int, PushOutcome, String)])
    func table(status: Int, outcome: PushOutcome, reason: String) async throws {
        let (report, pushes) = try await report(windows(status, nil, connection: nil))
        #expect(report == PushReport(outcome, status: status, reason: reason))
        #expect(pushes == 1)
    }

    @Test(
        "pauses are honoured, by either header",
        arguments: [
            (200, "channelthrottled", PushOutcome.Blame.device), (200, "dropped", .device), (406, "dropped", .service),
            (503, "dropped", .service),
        ])
    func pauses(status: Int, word: String, blame: PushOutcome.Blame) async throws {
        for name in ["Retry-After", "X-WNS-CONTINUE-AFTER"] {
            let answer = windows(status, word, connection: "disconnected", more: [name: "7"])
            #expect(try await report(answer).0.outcome == .retry(after: .seconds(7), blame))
        }
    }

    @Test("401 renews the token once and sends again; a second one waits for the operator")
    func unauthorized() async throws {
        let http = service { request, _ in
            request.headers["Authorization"] == "Bearer t1" ? windows(401, nil) : windows()
        }
        #expect(try await Rig(http).adapter.send(push()) == PushReport(.delivered, status: 200))
        let (report, pushes) = try await report(windows(401, nil))
        #expect(report == PushReport(.credential, status: 401, reason: "unauthorized"))
        #expect(pushes == 2)
    }

    @Test("403 is the channel's fault, which is kept; ten channels without a success are our credential's")
    func forbidden() async throws {
        let good = "https://a.notify.windows.com/?token=good"
        let http = service { request, _ in request.url == good ? windows() : windows(403, nil, connection: nil) }
        let adapter = try Rig(http).adapter
        let refused = PushReport(.rejected, status: 403, reason: "forbidden", hop: .token)
        for number in 1...9 { #expect(await adapter.send(push(to: channel + "\(number)")) == refused) }
        #expect(await adapter.send(push()) == PushReport(.credential, status: 403, reason: "forbidden"))
        #expect(await adapter.send(push(to: good)).outcome == .delivered)
        #expect(await adapter.send(push()) == refused)
    }

    @Test("413 is answered by the ids alone, as a raw notification, once")
    func tooLarge() async throws {
        let http = service { _, number in number == 1 ? windows(413, nil) : windows() }
        #expect(try await Rig(http).adapter.send(push()) == PushReport(.delivered, status: 200))
        let sent = http.requests.all.filter { $0.url == channel }
        #expect(sent.map { $0.headers["X-WNS-Type"] } == ["wns/toast", "wns/raw"])
        #expect(String(decoding: sent[1].body, as: UTF8.self) == Push.sampleIDs)
        let (report, pushes) = try await report(windows(413, nil))
        #expect(report == PushReport(.rejected, status: 413, reason: "payload_too_large"))
        #expect(pushes == 2)
    }

    @Test(
        "every failed hop is named; a host name the device made up is its own trouble",
        arguments: HTTPTransportError.Code.allCases)
    func transport(code: HTTPTransportError.Code) async throws {
        let error = HTTPTransportError(code, "no", surelyNotProcessed: false)
        let blame: PushOutcome.Blame = code == .nameResolution ? .device : .service
        let http = service { _, _ in throw error }
        #expect(try await Rig(http).adapter.send(push()) == PushReport(transportError: error, blame: blame))
        let none = StubTransport { _, _ in throw error }
        #expect(try await Rig(none).adapter.send(push()) == PushReport(transportError: error, blame: .service))
    }
}
