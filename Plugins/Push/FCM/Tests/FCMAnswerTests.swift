import Base
import Gateway
import GatewayTestKit
import Testing

@testable import FCMPush

@Suite("Google's answers")
struct FCMAnswerTests {
    /// The verdict of a fresh adapter on one answer, given to each attempt.
    private func report(_ response: HTTPResponse) async throws -> (PushReport, messages: Int) {
        let http = service { _, _ in response }
        let report = try await Rig(http).adapter.send(push())
        return (report, http.requests.all.filter { $0.url != Rig.tokenURL }.count)
    }

    @Test("200 is delivered")
    func delivered() async throws {
        let (report, messages) = try await report(google(200))
        #expect(report == PushReport(.delivered, status: 200))
        #expect(messages == 1)
    }

    @Test(
        "each code of FCM's table has its outcome",
        arguments: [
            (404, "UNREGISTERED", PushOutcome.gone(since: nil)), (400, "UNREGISTERED", .gone(since: nil)),
            (400, "INVALID_ARGUMENT", .rejected), (401, "THIRD_PARTY_AUTH_ERROR", .credential),
            (500, "INTERNAL", .retry(after: nil, .service)), (503, "UNAVAILABLE", .retry(after: nil, .service)),
            (400, "UNSPECIFIED_ERROR", .rejected), (500, "UNSPECIFIED_ERROR", .retry(after: nil, .service)),
            (400, "SOMETHING_NEW", .rejected), (403, "SOMETHING_NEW", .credential),
        ] as [(Int, String, PushOutcome)])
    func codes(status: Int, code: String, outcome: PushOutcome) async throws {
        let (report, messages) = try await report(google(status, code: code))
        #expect(report == PushReport(outcome, status: status, reason: code))
        #expect(messages == 1)
    }

    @Test(
        "each status without a code has its outcome",
        arguments: [
            (400, "INVALID_ARGUMENT", PushOutcome.rejected), (403, "PERMISSION_DENIED", .credential),
            (405, "UNKNOWN", .rejected), (409, "UNKNOWN", .rejected), (408, "UNKNOWN", .retry(after: nil, .service)),
            (302, "UNKNOWN", .retry(after: nil, .service)), (500, "INTERNAL", .retry(after: nil, .service)),
            (502, "UNKNOWN", .retry(after: nil, .service)), (503, "UNAVAILABLE", .retry(after: nil, .service)),
        ] as [(Int, String, PushOutcome)])
    func statuses(status: Int, word: String, outcome: PushOutcome) async throws {
        #expect(try await report(google(status)).0 == PushReport(outcome, status: status, reason: word))
    }

    @Test(
        "an answer that is not Google's still has its outcome",
        arguments: ["", "<html>\u{0}", "{}", "[]", #"{"error":7}"#])
    func foreignBody(body: String) async throws {
        #expect(
            try await report(HTTPResponse(status: 403, body: Array(body.utf8))).0
                == PushReport(.credential, status: 403, reason: "no_reason"))
        #expect(try await report(HTTPResponse(status: 200, body: [0xFF])).0.outcome == .delivered)
    }

    @Test("INVALID_ARGUMENT prunes only where FCM's own detail and the message name the token")
    func invalidArgument() async throws {
        let text = "The registration token is not a valid FCM registration token"
        let code = "INVALID_ARGUMENT"
        for named in [
            google(400, code: code, message: text), google(400, code: code, message: text, field: "message.token"),
        ] {
            #expect(try await report(named).0 == PushReport(.gone(since: nil), status: 400, reason: code))
        }
        for ours in [
            google(400, message: text), google(400, message: text, field: "message.token"),
            google(400, code: code, message: "Invalid value", field: "message.token"),
            google(400, code: code, message: text, field: "message.data[0].value"),
            google(400, code: code, message: "Invalid data payload key: from"),
        ] {
            #expect(try await report(ours).0 == PushReport(.rejected, status: 400, reason: code))
        }
    }

    @Test("Retry-After is honoured", arguments: [(429, "QUOTA_EXCEEDED"), (503, "UNAVAILABLE"), (500, "INTERNAL")])
    func retryAfter(status: Int, code: String) async throws {
        let (report, _) = try await report(google(status, code: code, retryAfter: "7"))
        #expect(report == PushReport(.retry(after: .seconds(7), .service), status: status, reason: code))
    }

    @Test("an exceeded quota without Retry-After is a pause of 60 to 90 seconds, of the device or of all of us")
    func quota() async throws {
        for (answer, blame) in [
            (google(429, code: "QUOTA_EXCEEDED"), PushOutcome.Blame.service),
            (google(429), .service),
            (google(429, code: "QUOTA_EXCEEDED", quota: "project:farbell-test"), .service),
            (google(429, code: "QUOTA_EXCEEDED", quota: "device:abc"), .device),
            (google(429, code: "QUOTA_EXCEEDED", quota: "Device message rate exceeded"), .device),
        ] {
            guard case .retry(let pause?, blame) = try await report(answer).0.outcome else {
                Issue.record("no pause, or another's fault")
                continue
            }
            #expect(.seconds(60)...(.seconds(90)) ~= pause)
        }
        let ids = (0..<50).map { "id-\($0)" }
        let pauses = ids.map { FCMAnswer(google(429), id: $0, now: Timestamp(seconds: 0)).meaning }
        #expect(Set(pauses).count > 25, "pushes of one moment come back at different ones")
    }

    @Test("every failed hop is named", arguments: HTTPTransportError.Code.allCases)
    func transport(code: HTTPTransportError.Code) async throws {
        let error = HTTPTransportError(code, "no", surelyNotProcessed: false)
        let http = service { _, _ in throw error }
        #expect(try await Rig(http).adapter.send(push()) == PushReport(transportError: error, blame: .service))
        let none = StubTransport { _, _ in throw error }
        #expect(try await Rig(none).adapter.send(push()) == PushReport(transportError: error, blame: .service))
        #expect(none.requests.count == 1)
    }

    @Test("a message that is too big is sent again without texts, once")
    func tooLarge() async throws {
        let big = "Android message is too big"
        for answer in [google(413), google(400, code: "INVALID_ARGUMENT", message: big), google(400, message: big)] {
            let http = service { _, number in number == 1 ? answer : google(200) }
            #expect(try await Rig(http).adapter.send(push()) == PushReport(.delivered, status: 200))
            let bodies = http.requests.all.filter { $0.url != Rig.tokenURL }.map {
                String(decoding: $0.body, as: UTF8.self)
            }
            #expect(bodies.count == 2)
            #expect(bodies[0].contains("Outlook"))
            #expect(!bodies[1].contains("Outlook"))
            #expect(try await report(answer) == (report(answer).0, messages: 2))
        }
        let http = service { _, _ in google(413) }
        let rig = try Rig(http)
        #expect(await rig.adapter.send(push(payload: .wakeup)).outcome == .rejected)
        #expect(await rig.adapter.send(push(clear: ["n1"])).outcome == .rejected)
        #expect(http.requests.all.filter { $0.url != Rig.tokenURL }.count == 2)
    }

    @Test("SENDER_ID_MISMATCH prunes only while other tokens succeed; many without success are our account's fault")
    func mismatch() async throws {
        let foreign = Locked(true)
        let http = service { request, _ in
            let isOther = String(decoding: request.body, as: UTF8.self).contains("other-token")
            return isOther || !foreign.withLock { $0 } ? google(200) : google(403, code: "SENDER_ID_MISMATCH")
        }
        let adapter = try Rig(http).adapter
        let refused = PushReport(.rejected, status: 403, reason: "SENDER_ID_MISMATCH", hop: .token)
        #expect(await adapter.send(push()) == refused)
        #expect(await adapter.send(push(token: "other-token-other-token")).outcome == .delivered)
        #expect(await adapter.send(push()).outcome == .gone(since: nil))

        let wrong = try Rig(http).adapter
        for number in 1...9 { #expect(await wrong.send(push(token: "\(registration)\(number)")) == refused) }
        #expect(
            await wrong.send(push())
                == PushReport(.credential, status: 403, reason: "SENDER_ID_MISMATCH", hop: .credential))
    }

    @Test("404 without FCM's code never prunes; ten tokens of it are a wrong URL or project")
    func nothingThere() async throws {
        let http = service { request, _ in
            String(decoding: request.body, as: UTF8.self).contains("other-token") ? google(200) : google(404)
        }
        let adapter = try Rig(http).adapter
        for number in 1...9 {
            let report = await adapter.send(push(token: "\(registration)\(number)"))
            #expect(report == PushReport(.rejected, status: 404, reason: "NOT_FOUND", hop: .service))
        }
        #expect(await adapter.send(push()).outcome == .credential)
        #expect(await adapter.send(push(token: "other-token-other-token")).outcome == .delivered)
        #expect(await adapter.send(push()).outcome == .rejected)
    }
}
