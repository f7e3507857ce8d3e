import Base
import Gateway
import GatewayTestKit
import Testing

@testable import APNsPush

@Suite("Apple's answers")
struct APNsAnswerTests {
    /// The verdict of a fresh adapter on one answer, given to each attempt.
    private func report(_ response: HTTPResponse) async throws -> (PushReport, requests: Int) {
        let http = StubTransport { _, _ in response }
        let rig = try Rig(http)
        return (await rig.adapter.send(push()), http.requests.count)
    }

    @Test("200 is delivered")
    func delivered() async throws {
        let (report, requests) = try await report(apple(200))
        #expect(report == PushReport(.delivered, status: 200))
        #expect(requests == 1)
    }

    @Test(
        "each status and reason of Apple's table has its outcome",
        arguments: [
            (400, "BadTopic", PushOutcome.rejected), (400, "TopicDisallowed", .rejected),
            (400, "MissingTopic", .rejected), (400, "BadPriority", .rejected),
            (400, "BadExpirationDate", .rejected), (400, "BadCollapseId", .rejected),
            (400, "BadMessageId", .rejected), (400, "InvalidPushType", .rejected), (400, "PayloadEmpty", .rejected),
            (400, "DuplicateHeaders", .rejected), (400, "MissingDeviceToken", .rejected),
            (400, "SomethingNew", .rejected), (400, "IdleTimeout", .retry(after: nil, .service)),
            // The first refused token of an adapter without any success yet: see the suspicion's tests.
            (400, "BadDeviceToken", .rejected), (400, "DeviceTokenNotForTopic", .rejected),
            (403, "InvalidProviderToken", .credential), (403, "MissingProviderToken", .credential),
            (403, "BadCertificate", .credential), (403, "BadCertificateEnvironment", .credential),
            (403, "Forbidden", .credential), (403, "UnrelatedKeyIdInToken", .credential),
            (403, "BadEnvironmentKeyIdInToken", .credential), (403, "SomethingNew", .credential),
            (403, "ExpiredProviderToken", .credential), (404, "BadPath", .rejected),
            (405, "MethodNotAllowed", .rejected), (410, "Unregistered", .gone(since: nil)),
            (410, "ExpiredToken", .gone(since: nil)), (410, "SomethingNew", .gone(since: nil)),
            (413, "PayloadTooLarge", .rejected), (418, "Teapot", .rejected),
            (429, "TooManyRequests", .retry(after: nil, .device)),
            (429, "TooManyProviderTokenUpdates", .retry(after: nil, .service)),
            (429, "SomethingNew", .retry(after: nil, .service)),
            (500, "InternalServerError", .retry(after: nil, .service)),
            (503, "ServiceUnavailable", .retry(after: nil, .service)),
            (503, "Shutdown", .retry(after: nil, .service)), (502, "SomethingNew", .retry(after: nil, .service)),
            (302, "Moved", .retry(after: nil, .service)), (421, "Misdirected", .retry(after: nil, .service)),
            (408, "Timeout", .retry(after: nil, .service)),
        ])
    func table(status: Int, reason: String, outcome: PushOutcome) async throws {
        let (report, _) = try await report(apple(status, reason))
        let hop: PushHop? =
            switch reason {
            case "BadTopic", "TopicDisallowed", "TooManyProviderTokenUpdates": .credential
            case "BadDeviceToken", "DeviceTokenNotForTopic", "MissingDeviceToken": .token
            default: nil
            }
        #expect(report == PushReport(outcome, status: status, reason: reason, hop: hop))
    }

    @Test("an answer without a reason, or with none of Apple's making, still has its outcome")
    func noReason() async throws {
        for body in ["", "<html>\u{0}oops", "{}", #"{"reason":7}"#, #"{"reason":"two words\n"}"#, "[]"] {
            let response = HTTPResponse(status: 403, body: Array(body.utf8))
            #expect(try await report(response).0 == PushReport(.credential, status: 403, reason: "no_reason"))
        }
        #expect(try await report(HTTPResponse(status: 200, body: [0xFF])).0.outcome == .delivered)
    }

    @Test("410 says since when; a time that is none is left out")
    func gone() async throws {
        let since = Timestamp(milliseconds: 1_700_000_000_123)
        #expect(
            try await report(apple(410, "Unregistered", timestamp: since.milliseconds)).0
                == PushReport(.gone(since: since), status: 410, reason: "Unregistered"))
        #expect(try await report(apple(410, "Unregistered", timestamp: -1)).0.outcome == .gone(since: nil))
    }

    @Test(
        "Retry-After is honoured",
        arguments: [(429, "TooManyRequests", PushOutcome.Blame.device), (503, "ServiceUnavailable", .service)])
    func retryAfter(status: Int, reason: String, blame: PushOutcome.Blame) async throws {
        let (report, _) = try await report(apple(status, reason, retryAfter: "900"))
        #expect(report.outcome == .retry(after: .seconds(900), blame))
    }

    @Test("every failed hop is named", arguments: HTTPTransportError.Code.allCases)
    func transport(code: HTTPTransportError.Code) async throws {
        let error = HTTPTransportError(code, "no", surelyNotProcessed: false)
        let http = StubTransport { _, _ in throw error }
        let report = try await Rig(http).adapter.send(push())
        #expect(report == PushReport(transportError: error, blame: .service))
        #expect(http.requests.count == 1)
    }

    @Test("413 is answered by the ids alone, once, under the same apns-id")
    func tooLarge() async throws {
        let http = StubTransport { _, number in number == 1 ? apple(413, "PayloadTooLarge") : apple(200) }
        let report = try await Rig(http).adapter.send(push())
        #expect(report == PushReport(.delivered, status: 200))
        let sent = http.requests.all
        #expect(sent.count == 2)
        #expect(sent[0].headers["apns-id"] == sent[1].headers["apns-id"])
        #expect(sent[1].headers["apns-push-type"] == "background")
        #expect(!String(decoding: sent[1].body, as: UTF8.self).contains("Outlook"))
        let (_, requests) = try await self.report(apple(413, "PayloadTooLarge"))
        #expect(requests == 2)
    }

    @Test("a wakeup that is too large cannot become smaller")
    func tooLargeWakeup() async throws {
        let http = StubTransport { _, _ in apple(413, "PayloadTooLarge") }
        let report = try await Rig(http).adapter.send(push(payload: .wakeup))
        #expect(report == PushReport(.rejected, status: 413, reason: "PayloadTooLarge"))
        #expect(http.requests.count == 1)
    }

    @Test("a bad token is pruned only while other tokens succeed")
    func suspicion() {
        var suspicion = TokenSuspicion()
        let start = Moment(nanoseconds: 0)
        #expect(suspicion.refused("a", now: start) == .rejected)
        suspicion.succeeded("a", now: start)
        #expect(suspicion.refused("a", now: start) == .rejected, "its own success proves nothing about others")
        suspicion.succeeded("b", now: start)
        #expect(suspicion.refused("a", now: start) == .gone(since: nil))
        #expect(suspicion.refused("b", now: start) == .gone(since: nil))
        let late = start + TokenSuspicion.recent
        #expect(suspicion.refused("a", now: late) == .rejected)
    }

    @Test("different tokens refused without any success point to the configuration")
    func wrongEnvironment() {
        var suspicion = TokenSuspicion()
        let now = Moment(nanoseconds: 0)
        for _ in 0..<20 { #expect(suspicion.refused("same", now: now) == .rejected) }
        for number in 2..<TokenSuspicion.tokensUntilCredential {
            #expect(suspicion.refused("\(number)", now: now) == .rejected)
        }
        #expect(suspicion.refused("e", now: now) == .credential)
        suspicion.succeeded("f", now: now)
        #expect(suspicion.refused("e", now: now) == .gone(since: nil))
    }
}
