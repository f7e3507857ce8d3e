import Base
import Gateway
import GatewayTestKit
import Testing

@testable import WNSPush

@Suite("the WNS adapter", .timeLimit(.minutes(1)))
struct WNSAdapterTests {
    private func form(_ request: HTTPRequest?) -> String {
        String(decoding: request?.body ?? [], as: UTF8.self)
    }

    @Test("SG-13 a Store app's credentials go to live.com, and the token with the notification")
    func store() async throws {
        let http = service { _, _ in windows() }
        let rig = try Rig(http)
        #expect(await rig.adapter.send(push()) == PushReport(.delivered, status: 200))
        let grant = try #require(http.requests.all.first)
        #expect(grant.url == "https://login.live.com/accesstoken.srf")
        #expect(grant.headers["Content-Type"] == "application/x-www-form-urlencoded")
        #expect(
            form(grant) == "grant_type=client_credentials&client_id=ms-app%3A%2F%2Fs-1-15-2-1234567890"
                + "&client_secret=s3cr%26t%3D%2B%2F&scope=notify.windows.com")
        let sent = try #require(http.requests.last)
        #expect(sent.method == "POST")
        #expect(sent.url == channel)
        #expect(sent.headers["Authorization"] == "Bearer t1")
        #expect(sent.version == .http1)
        #expect(sent.pool == "wns:tested")
        #expect(sent.destination == .publicExcept(hosts: []))
        #expect(sent.redirectLimit == 0)
    }

    @Test("with a tenant the token is Entra's")
    func entra() async throws {
        let http = service { _, _ in windows() }
        #expect(try await Rig(http, tenant: "contoso.example").adapter.send(push()).outcome == .delivered)
        let grant = try #require(http.requests.all.first)
        #expect(grant.url == "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token")
        #expect(
            form(grant) == "grant_type=client_credentials&client_id=0a1b2c3d-0001-0002-0003-0123456789ab"
                + "&client_secret=s3cr%26t%3D%2B%2F&scope=https%3A%2F%2Fwns.windows.com%2F.default")
    }

    @Test("one access token serves all pushes, and is renewed before it expires")
    func cached() async throws {
        let http = service { _, _ in windows() }
        let rig = try Rig(http)
        for _ in 0..<3 { _ = await rig.adapter.send(push()) }
        rig.time.advance(by: .seconds(86_000))
        _ = await rig.adapter.send(push())
        #expect(http.requests.count == 5)
        rig.time.advance(by: .seconds(200))
        _ = await rig.adapter.send(push())
        #expect(http.requests.count == 7)
        #expect(http.requests.last?.headers["Authorization"] == "Bearer t2")
    }

    @Test("a refused secret is our credential's fault, and nothing is sent")
    func refusedGrant() async throws {
        let http = StubTransport { _, _ in
            HTTPResponse(status: 400, body: Array(#"{"error":"invalid_client"}"#.utf8))
        }
        let report = try await Rig(http).adapter.send(push())
        #expect(report == PushReport(.credential, status: 400, reason: "invalid_client"))
        #expect(http.requests.count == 1)
    }

    @Test("MN-8 only channels at Microsoft's hosts are taken as addresses, others where their host is allowed")
    func addresses() async throws {
        let http = service { _, _ in windows() }
        let adapter = try Rig(http, more: #","allowHosts":["LocalHost","10.0.0.7"]"#).adapter
        for good in [
            channel, "https://db5.NOTIFY.windows.com/?token=x", "https://a.notify.windows.com:443/?token=x",
            "https://localhost:8443/?token=x", "https://10.0.0.7/x",
        ] {
            #expect(adapter.fault(in: .url(good)) == nil, "\(good)")
        }
        for bad in [
            "", "http://a.notify.windows.com/?token=x", "https://notify.windows.com.evil.example/",
            "https://evil.example/",
            "https://notify.windows.com/", "https://xnotify.windows.com/", "https://a.notify.windows.com@evil.example/",
            "https://a.notify.windows.com:8443/", "http://localhost/", "https://evil.example/?.notify.windows.com",
            "https://evil.example#.notify.windows.com", "https://a.notify.windows.com\\@evil.example/",
            "https://a.notify.windows.com/" + String(repeating: "x", count: 2048),
        ] {
            #expect(adapter.fault(in: .url(bad)) != nil, "\(bad)")
        }
        #expect(adapter.fault(in: .token("x")) != nil)
        let report = await adapter.send(push(to: "https://evil.example/"))
        #expect(report == PushReport(.rejected, reason: "invalid_address", hop: .token))
        #expect(http.requests.count == 0)
    }

    @Test("the example configuration is read")
    func example() throws {
        let folder = try TemporaryFolder()
        try folder.write("secret\n", to: "wns.secret")
        let adapter = try WNSPlugin().adapter(
            WNSPlugin().example("windows").serialized, folder: folder.path, http: NoTransport(), time: SystemTime())
        #expect(adapter.canClear)
    }

    @Test(
        "faults of the configuration are named, and the secret never shown",
        arguments: [
            ("{}", ["the key 'clientId' is missing", "the key 'clientSecret' is missing"]),
            (
                #"{"clientId":"x","clientSecret":{"env":"S"}}"#,
                ["clientId: without a 'tenantId' this is the package SID"]
            ),
            (
                #"{"clientId":"ms-app://s-1","tenantId":"t.example","clientSecret":{"env":"S"}}"#,
                ["clientId: with a 'tenantId' this is the application id"]
            ),
            (#"{"clientId":"ms-app://s-1","tenantId":"a/b","clientSecret":{"env":"S"}}"#, ["tenantId: expected"]),
            (#"{"clientId":"ms-app://s-1","clientSecret":"topsecret"}"#, ["never as the value itself"]),
            (#"{"clientId":"ms-app://s-1","clientSecret":{"env":"NONE"}}"#, ["no environment variable"]),
            (#"{"clientID":"ms-app://s-1","clientSecret":{"env":"S"}}"#, ["did you mean 'clientId'?"]),
            (
                #"{"clientId":"ms-app://s-1","clientSecret":{"env":"S"},"tokenURL":"http://x"}"#,
                ["tokenURL: the scheme"]
            ),
            (
                #"{"clientId":"ms-app://s-1","clientSecret":{"env":"S"},"allowHosts":["a:1"]}"#,
                ["allowHosts: 'a:1' is not a host"]
            ),
        ])
    func faults(text: String, messages: [String]) throws {
        do {
            _ = try WNSPlugin().adapter(
                text, folder: ".", http: NoTransport(), time: SystemTime(), environment: ["S": "topsecret"])
            Issue.record("taken without a fault")
        } catch let error as ConfigError {
            for message in messages { #expect(error.description.contains(message), "\(error)") }
            #expect(!error.description.contains("topsecret"))
        }
    }
}
