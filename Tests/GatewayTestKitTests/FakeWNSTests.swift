import Base
import GatewayTestKit
import Testing

@Suite("The fake WNS", .timeLimit(.minutes(2))) struct FakeWNSTests {
    private let authority: TestCertificateAuthority
    private let time = ManualTime()
    private let fake: FakeWNS
    private let channel: String

    init() throws {
        authority = try TestCertificateAuthority()
        var configuration = FakeWNS.Configuration(secret: "secret")
        configuration.time = time
        fake = try FakeWNS(configuration, identity: authority.localhost)
        channel = fake.openChannel()
    }

    private func grant(
        _ url: String, _ form: String, type: String = "application/x-www-form-urlencoded"
    ) async throws
        -> CurlAnswer
    {
        try await CurlAnswer.send(
            url, ca: authority.caFile, headers: [("Content-Type", type)], body: Array(form.utf8), options: [])
    }

    private static func form(
        _ client: String, secret: String = "secret", scope: String, type: String = "client_credentials"
    ) -> String {
        "grant_type=\(type)&client_id=\(client)&client_secret=\(secret)&scope=\(scope)"
    }

    private static let store = form("ms-app%3A%2F%2Fs-1-15-2-1234567890", scope: "notify.windows.com")
    private static let entra = form(
        "0a1b2c3d-0001-0002-0003-0123456789ab", scope: "https%3A%2F%2Fwns.windows.com%2F.default")

    private func accessToken() async throws -> String {
        let answer = try await grant(fake.storeTokenURL, Self.store)
        #expect(answer.status == 200)
        return try #require(JSONParser.parse(answer.body)["access_token"]?.string)
    }

    @Test("both token services check who asks for what")
    func grants() async throws {
        #expect(try await grant(fake.entraTokenURL, Self.entra).status == 200)
        _ = try await accessToken()
        let sid = "ms-app%3A%2F%2Fs-1-15-2-1234567890"
        for (form, error) in [
            ("", "unsupported_grant_type"), (Self.entra, "invalid_client"),
            (Self.form(sid, secret: "x", scope: "notify.windows.com"), "invalid_client"),
            (Self.form(sid, scope: "s"), "invalid_scope"),
            (Self.form(sid, scope: "notify.windows.com", type: "password"), "unsupported_grant_type"),
            (Self.form("ms-app://s-1-15-2-1234567890 ", scope: "notify.windows.com"), "invalid_request"),
        ] {
            let answer = try await grant(fake.storeTokenURL, form)
            #expect(answer.status == 400)
            #expect(try JSONParser.parse(answer.body)["error"]?.string == error, "\(form)")
        }
        #expect(try await grant(fake.entraTokenURL, Self.store).status == 401)
        #expect(try await grant(fake.storeTokenURL, Self.store, type: "text/plain").status == 400)
    }

    private static let toast =
        #"<toast launch="a"><visual><binding template="ToastGeneric"><text>t</text></binding></visual></toast>"#

    private func notify(
        _ headers: [String: String] = [:], body: String = toast, token: String? = nil, method: String = "POST",
        to url: String? = nil, options: [String] = []
    ) async throws -> CurlAnswer {
        let access = if let token { token } else { try await accessToken() }
        var fields = [
            "Authorization": "Bearer \(access)", "X-WNS-Type": "wns/toast", "Content-Type": "text/xml",
            "X-WNS-RequestForStatus": "true",
        ]
        fields.merge(headers) { $1 }
        return try await CurlAnswer.send(
            url ?? channel, ca: authority.caFile, headers: fields.filter { $0.value != "-" }.map { ($0.key, $0.value) },
            body: Array(body.utf8), method: method, options: options)
    }

    @Test("a good toast is recorded, and the device's state told")
    func good() async throws {
        let answer = try await notify(["X-WNS-Tag": "a1", "X-WNS-Group": "b2", "X-WNS-TTL": "60"])
        #expect(answer.status == 200)
        #expect(answer.headers["x-wns-status"] == "received")
        #expect(answer.headers["x-wns-deviceconnectionstatus"] == "connected")
        #expect(fake.pushes.last?.toast?.texts == ["t"])
        #expect(try await notify(["X-WNS-RequestForStatus": "-"]).headers["x-wns-deviceconnectionstatus"] == nil)
    }

    @Test("headers are checked")
    func badHeaders() async throws {
        let token = try await accessToken()
        let raw = ["X-WNS-Type": "wns/raw", "Content-Type": "application/octet-stream"]
        let bad: [[String: String]] = [
            ["X-WNS-Type": "-"], ["X-WNS-Type": "toast"], ["Content-Type": "application/xml"],
            ["X-WNS-Type": "wns/raw"], ["X-WNS-Cache-Policy": "cache"], ["X-WNS-Tag": "with-hyphen"],
            ["X-WNS-Tag": "aaaaaaaaaaaaaaaaa"], ["X-WNS-Group": "ü"], ["X-WNS-TTL": "soon"], ["X-WNS-TTL": "0"],
            ["X-WNS-TTL": "-1"], ["X-WNS-RequestForStatus": "yes"], ["X-WNS-SuppressPopup": "true"],
            raw.merging(["X-WNS-Tag": "a"]) { $1 }, raw.merging(["X-WNS-Cache-Policy": "no"]) { $1 },
            ["Transfer-Encoding": "chunked"], ["Expect": "100-continue"],
        ]
        for headers in bad {
            _ = try await notify(headers, token: token)
            // curl shows the 100 that came first for `Expect`.
            #expect(fake.requests.last?.status == 400, "\(headers)")
        }
        let good = raw.merging(["X-WNS-Cache-Policy": "no-cache", "X-WNS-TTL": "0"]) { $1 }
        #expect(try await notify(good, token: token).status == 200)
        #expect(try await notify(token: token, method: "PUT").status == 405)
        #expect(try await notify(body: "", token: token).status == 400)
        #expect(try await notify(body: String(repeating: "x", count: 5001), token: token).status == 413)
        #expect(fake.pushes.count == 1)
    }

    @Test("tokens and channels are checked")
    func refusals() async throws {
        #expect(try await notify(token: "x").status == 401)
        #expect(try await notify(["Authorization": "-"]).status == 401)
        let token = try await accessToken()
        #expect(try await notify(token: token, to: fake.origin + "/?token=x").status == 404)
        for (condition, status) in [(FakeWNS.Condition.foreign, 403), (.expired, 410)] {
            fake.set(channel, condition)
            #expect(try await notify(token: token).status == status)
        }
        fake.set(channel, .connected)
        time.advance(by: .seconds(86_400))
        #expect(try await notify(token: token).status == 401)
    }

    @Test(
        "what a device does with toasts is told",
        arguments: [
            (FakeWNS.Condition.disconnected, "dropped"), (.temporarilyDisconnected, "dropped"), (.muted, "dropped"),
            (.throttled(5), "channelthrottled"),
        ])
    func conditions(condition: FakeWNS.Condition, status: String) async throws {
        fake.set(channel, condition)
        let answer = try await notify()
        #expect(answer.status == 200)
        #expect(answer.headers["x-wns-status"] == status)
        #expect(answer.headers["x-wns-continue-after"] == (status == "dropped" ? nil : "5"))
        #expect(fake.pushes.count == 0)
    }

    @Test(
        "only well-formed toasts are read",
        arguments: [
            "", "<toast>", "<toast launch=\"a\"/>", "<toast launch='a'></toast>", toast + " ", toast.dropLast(1) + " >",
            toast.replacing(">t<", with: ">&<"), toast.replacing(">t<", with: ">&nbsp;<"),
            toast.replacing(">t<", with: ">\u{1}<"), toast.replacing(">t<", with: ">&#1;<"),
            toast.replacing("</text>", with: ""), toast.replacing("text>", with: "b>"),
            toast.replacing("Generic", with: "Text01"), toast.replacing("\"a\"", with: "\"<\""),
        ])
    func badToasts(text: String) {
        #expect(ToastReader(Array(text.utf8)) == nil)
    }
}
