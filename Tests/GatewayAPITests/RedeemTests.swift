import Base
import Gateway
import GatewayTestKit
import Testing

@Suite("tickets over the API", .timeLimit(.minutes(2))) struct RedeemTests {
    private func launch(_ api: TestAPI, _ client: Client) async throws -> String {
        _ = try await api.call("POST", "/v1/launches", token: client.token, ["app": "mail"])
        return try #require(api.test.farm.requests.last).ticket.exposed
    }

    private func redeem(_ api: TestAPI, _ body: JSON) async throws -> Reply {
        try await api.call("POST", "/v1/launches/redeem", body)
    }

    @Test(
        "SG-11 a ticket is redeemed once, without any other credential",
        arguments: [
            LaunchStart.nothing, .program, .frame(url: Secret("https://farm.example/?password=once")),
            .rfb(
                module: "/farms/web/novnc/core/rfb.js", socket: Secret("wss://farm.example/?token=once"), password: nil),
            .rfb(module: "/rfb.js", socket: Secret("wss://farm.example/?token=once"), password: Secret("vnc")),
        ])
    func once(start: LaunchStart) async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            api.test.farm.starts.withLock { $0 = start }
            let ticket = try await launch(api, client)
            let reply = try await redeem(api, ["ticket": .string(ticket)])
            #expect(reply.status == 200 && reply.headers["Cache-Control"] == "no-store")
            #expect(reply["app"]?.string == "mail" && reply["account"]?.string == "alice")
            #expect((reply["key"] != nil) == (start == .program))
            let again = try await redeem(api, ["ticket": .string(ticket)])
            #expect((again.status, again.code) == (410, "launch_expired"))
        }
    }

    @Test("SG-11 what is neither a good ticket nor a good key opens nothing") func bad() async throws {
        try await TestAPI.run { api in
            let cases: [(JSON, Int, String)] = [
                ([:], 400, "invalid_field"), (["ticket": "a", "key": "b"], 400, "invalid_field"),
                (["ticket": "a"], 410, "launch_expired"), (["key": "a"], 401, "bad_token"),
                (["key": "fsk_AAAA"], 401, "bad_token"), (["other": 1], 400, "unknown_field"),
            ]
            for (body, status, code) in cases {
                let reply = try await redeem(api, body)
                #expect((reply.status, reply.code) == (status, code), "\(body.serialized)")
            }
        }
    }

    @Test("SG-11 a program in the session fetches the waiting launch with its key") func key() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            api.test.farm.starts.withLock { $0 = .program }
            let first = try await redeem(api, ["ticket": .string(try await launch(api, client))])
            let key = try #require(first["key"])
            #expect(try await redeem(api, ["key": key]).status == 204)
            _ = try await launch(api, client)
            let second = try await redeem(api, ["key": key])
            #expect((second.status, second["app"]?.string) == (200, "mail"))
            #expect(try await redeem(api, ["key": key]).status == 204)
        }
    }

    @Test("SG-7 a page's presence token opens and reports its own run, and nothing else") func presence() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            try await api.test.register()
            let redeemed = try await redeem(api, ["ticket": .string(try await launch(api, client))])
            let token = try #require(redeemed["presence"]?["token"]?.string)
            let instance = try #require(redeemed["presence"]?["instance"])
            let order: JSON = ["app": "mail", "instance": instance]
            let session = try await api.call("POST", "/v1/sessions", token: token, order)
            #expect(session.status == 201 && session["device"]?.string == client.id)
            #expect(session["farm"]?.string == "unknown" && session["foreground"]?.bool == true)
            let path = "/v1/sessions/\(session["id"]?.string ?? "")/presence"
            let hidden = try await api.call("POST", path, token: token, ["seq": 1, "state": "hidden"])
            #expect((hidden.status, hidden["state"]?.string) == (200, "hidden"))
            for other: JSON in [["app": "chat", "instance": instance], ["app": "mail", "instance": "other"]] {
                let reply = try await api.call("POST", "/v1/sessions", token: token, other)
                #expect((reply.status, reply.code) == (403, "forbidden"))
            }
            let own = try await api.call(
                "POST", "/v1/sessions", token: client.token, ["app": "mail", "instance": "native"])
            let foreign = try await api.call(
                "POST", "/v1/sessions/\(own["id"]?.string ?? "")/presence", token: token,
                ["seq": 1, "state": "hidden"])
            #expect((foreign.status, foreign.code) == (403, "forbidden"))
            for path in ["/v1/sessions", "/v1/devices", "/v1/apps"] {
                #expect(try await api.call("GET", path, token: token).status == 401, "\(path)")
            }
            #expect(try await api.call("POST", "/v1/launches", token: token, ["app": "mail"]).status == 401)
            let forged = String(token.dropLast(3)) + "AAA"
            #expect(try await api.call("POST", "/v1/sessions", token: forged, order).status == 401)
            _ = try await api.call("DELETE", "/v1/devices/\(client.id)", token: client.token)
            #expect(try await api.call("POST", "/v1/sessions", token: token, order).status == 401)
        }
    }

    @Test("the page that shows apps runs only its own program and is framed only by this server") func page()
        async throws
    {
        try await TestAPI.run { api in
            for (path, type) in [
                ("/screen", "text/html"), ("/screen.js", "text/javascript"), ("/screen.css", "text/css"),
            ] {
                let reply = try await api.call("GET", path)
                #expect(reply.status == 200 && reply.contentType == "\(type); charset=utf-8")
                let policy = try #require(reply.headers["Content-Security-Policy"])
                for rule in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'self'", "frame-src 'none'"] {
                    #expect(policy.contains(rule), "\(rule)")
                }
                #expect(!policy.contains("unsafe"))
                #expect(reply.headers["Referrer-Policy"] == "no-referrer")
            }
            let html = try await api.call("GET", "/screen").text
            for word in ["onclick", "style=", "javascript:"] { #expect(!html.contains(word)) }
        }
    }

    @Test("a farm answers under its own path only") func farmPath() async throws {
        try await TestAPI.run { api in
            api.test.farm.pages.withLock { $0 = ["a/b/c.js": FarmAnswer(contentType: "text/javascript", body: [0x31])] }
            let reply = try await api.call("GET", "/farms/farm/a/b/c.js")
            #expect((reply.status, reply.text) == (200, "1"))
            #expect(reply.headers["X-Content-Type-Options"] == "nosniff")
            for path in ["/farms/farm/a/b", "/farms/other/a/b/c.js", "/farms/farm/a//c.js", "/farms/farm"] {
                #expect(try await api.call("GET", path).status == 404, "\(path)")
            }
        }
    }
}
