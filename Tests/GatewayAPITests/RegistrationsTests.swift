import Base
import Gateway
import GatewayTestKit
import Testing

@Suite(.timeLimit(.minutes(2))) struct RegistrationsTests {
    @Test("SG-1 a registration is stored, and its credentials are never returned") func create() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            let apps = try await api.call("GET", "/v1/apps", token: client.token)
            let mail = try #require(apps.items.first { $0["id"]?.string == "mail" })
            #expect(mail["name"]?.string == "Mail")
            #expect(mail["farm"]?.string == "farm")
            #expect(
                mail["monitor"] == [
                    "kind": "scripted", "credentials": ["username", "password"], "public": ["username"],
                ])
            #expect(apps.items.first { $0["id"]?.string == "talk" }?["monitor"] == nil)
            let reply = try await api.call("POST", "/v1/registrations", token: client.token, TestAPI.registration)
            #expect(reply.status == 201)
            #expect(reply["app"]?.string == "mail")
            #expect(reply["enabled"]?.bool == true)
            #expect(reply["credentials"] == nil)
            #expect(!reply.text.contains("mail-password"))
            let id = try #require(reply["id"]?.string)
            try await api.restarted {
                let shown = try await api.call("GET", "/v1/registrations/\(id)", token: client.token)
                #expect(shown.status == 200)
                #expect(!shown.text.contains("mail-password"))
            }
        }
    }

    @Test("SG-1 SG-11 an app that nothing watches takes a name and a password for its farm, where the farm signs in")
    func signIn() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            func app(_ id: String) async throws -> JSON? {
                try await api.call("GET", "/v1/apps", token: client.token).items.first { $0["id"]?.string == id }
            }
            let order: JSON = ["app": "desk", "credentials": ["username": "al", "password": "for the farm"]]
            #expect(try await app("desk")?["signIn"] == nil)
            let refused = try await api.call("POST", "/v1/registrations", token: client.token, order)
            #expect((refused.status, refused.code) == (400, "invalid_field"))
            api.test.farm.takesCredentials.withLock { $0 = true }
            #expect(try await app("desk")?["signIn"] == ["username", "password"])
            // Its monitor asks for both already.
            #expect(try await app("mail")?["signIn"] == nil)
            let reply = try await api.call("POST", "/v1/registrations", token: client.token, order)
            #expect(reply.status == 201 && !reply.text.contains("for the farm"), "\(reply.text)")
            _ = try await api.call("POST", "/v1/launches", token: client.token, ["app": "desk"])
            let ticket = try #require(api.test.farm.requests.last).ticket
            _ = try await api.test.gateway.launches.redeem(ticket)
            let given = api.test.farm.started.last?.credentials.mapValues(\.exposed)
            #expect(given == ["username": "al", "password": "for the farm"])
        }
    }

    @Test("SG-2 registering again replaces the one registration; one serves all later log-ins") func again()
        async throws
    {
        try await TestAPI.run { api in
            let (phone, tablet) = (try await api.device(), try await api.device("alice", "tablet"))
            let id = try await api.register(phone)
            let second = try await api.call(
                "POST", "/v1/registrations", token: tablet.token,
                ["app": "mail", "credentials": ["username": "alice@mail", "password": "newer"], "enabled": false])
            #expect(second.status == 200)
            #expect(second["id"]?.string == id)
            #expect(second["enabled"]?.bool == false)
            #expect(try await api.call("GET", "/v1/registrations", token: phone.token).items.count == 1)
            for (client, run) in [(phone, "a"), (tablet, "b"), (phone, "c")] {
                let session = try await api.call(
                    "POST", "/v1/sessions", token: client.token, ["app": "mail", "instance": .string(run)])
                #expect(session.status == 201)
                #expect(session["registration"]?.string == id)
            }
        }
    }

    @Test("SG-3 the first log-in starts monitoring, not the registration") func starting() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            let id = try await api.register(client)
            let path = "/v1/registrations/\(id)"
            #expect(try await api.call("GET", path, token: client.token)["monitor"]?["state"]?.string == "stopped")
            #expect(api.test.monitor.watches.count == 0)
            try await api.logIn(client)
            try await api.test.waitForWatching(RegistrationID(id))
            let watching = try await api.call("GET", path, token: client.token)
            #expect(watching["monitor"]?["state"]?.string == "watching")
            let seen = try await api.admin("GET", "monitors/\(id)")
            #expect(seen["state"]?.string == "watching")
            #expect(seen["kind"]?.string == "scripted")
        }
    }

    @Test("SG-15 the registration's switch stops and starts monitoring") func switching() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            let registration = try await api.watched(client)
            let path = "/v1/registrations/\(registration.id)"
            let off = try await api.call("PATCH", path, token: client.token, ["enabled": false])
            #expect(off["enabled"]?.bool == false)
            try await api.test.monitor.waitUntilRunning(registration.id, false)
            #expect(try await api.call("GET", path, token: client.token)["monitor"]?["state"]?.string == "stopped")
            #expect(try await api.call("PATCH", path, token: client.token, ["enabled": true]).status == 200)
            try await api.test.waitForWatching(registration.id)
        }
    }

    @Test("A refused password shows as such, with why, and a new one is tried") func refused() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            api.test.monitor.accept(only: "right-password")
            let id = try await api.register(client)
            try await api.logIn(client)
            let path = "/v1/registrations/\(id)"
            try await Eventually.wait("the monitor is refused") {
                try await api.call("GET", path, token: client.token)["monitor"]?["state"]?.string == "refused"
            }
            try await Eventually.wait("the reason is shown") {
                let shown = try await api.call("GET", path, token: client.token)
                return shown["monitor"]?["lastError"]?.string?.contains("refuses the password") == true
            }
            try await api.restarted {
                let shown = try await api.call("GET", path, token: client.token)
                #expect(shown["monitor"]?["state"]?.string == "refused")
            }
            let changed = try await api.call(
                "PATCH", path, token: client.token,
                ["credentials": ["username": "alice@mail", "password": "right-password"]])
            #expect(changed.status == 200)
            try await api.test.waitForWatching(RegistrationID(id))
        }
    }

    @Test("A refused password that is put again stays refused, unless the caller insists with 'retry'")
    func refusedAgain() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            api.test.monitor.accept(only: "right-password")
            let id = try await api.register(client)
            try await api.logIn(client)
            let path = "/v1/registrations/\(id)"
            try await api.test.waitForLog(.monitorRefused)
            let secret = api.test.monitor.watches.all.first?.credentials["password"]?.exposed ?? ""
            let order: JSON = ["app": "mail", "credentials": ["username": "alice@mail", "password": .string(secret)]]
            let again = try await api.call("POST", "/v1/registrations", token: client.token, order)
            #expect(again.status == 200)
            #expect(again["monitor"]?["state"]?.string == "refused")
            #expect(api.test.monitor.watches.count == 1)
            api.test.monitor.accept(only: nil)
            try await api.test.advance(by: .seconds(60))
            let insisted = try await api.call("PATCH", path, token: client.token, ["retry": true])
            #expect(insisted.status == 200)
            try await api.test.waitForWatching(RegistrationID(id))
        }
    }

    @Test("The health of a monitor: last success, lag, failures, next attempt, overdue") func health() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            let registration = try await api.watched(client)
            let path = "/v1/registrations/\(registration.id)"
            var item = Item(key: "1", sender: "Bob", title: "Lunch")
            item.time = api.test.time.timestamp + .seconds(-3)
            try await api.test.monitor.emit(registration.id, .new(item))
            let watching = try await api.call("GET", path, token: client.token)["monitor"]
            #expect(watching?["lagMilliseconds"]?.integer == 3000)
            #expect(watching?["lastSuccess"]?.string != nil && watching?["lastItem"]?.string != nil)
            #expect(watching?["failures"]?.integer == 0 && watching?["overdue"]?.bool == false)
            try await api.test.monitor.fail(registration.id, MonitorFailure(.network, "lost"))
            try await api.test.waitForLog(.monitorBackingOff)
            let failing = try await api.call("GET", path, token: client.token)["monitor"]
            #expect(failing?["state"]?.string == "backing_off" && failing?["failures"]?.integer == 1)
            #expect(failing?["nextAttempt"]?.string != nil && failing?["lastError"]?.string == "network: lost")
            let status = try await api.admin("GET", "status")
            #expect(status["monitorsOverdue"]?.integer == 0)
        }
    }

    @Test("SG-12 targets are stored as they were given; only the account's own devices can be named")
    func targets() async throws {
        try await TestAPI.run { api in
            let (alice, bob) = (try await api.device(), try await api.device("bob"))
            let id = try await api.register(alice)
            let path = "/v1/registrations/\(id)"
            let choices: [JSON] = [
                "latest", "all", [.string(alice.id)], ["escalate": [.string(alice.id)], "afterSeconds": 30],
            ]
            for targets in choices {
                let reply = try await api.call("PATCH", path, token: alice.token, ["notify": ["targets": targets]])
                #expect(reply["notify"]?["targets"] == targets)
            }
            for targets: JSON in [[.string(bob.id)], ["escalate": ["dev_none"], "afterSeconds": 30], "newest", 7] {
                let reply = try await api.call("PATCH", path, token: alice.token, ["notify": ["targets": targets]])
                #expect((reply.status, reply.field) == (400, "notify.targets"))
            }
            let unknown = try await api.call("PATCH", path, token: alice.token, ["notify": ["sumary": "full"]])
            #expect((unknown.status, unknown.code, unknown.field) == (400, "unknown_field", "notify.sumary"))
            let reset = try await api.call("PATCH", path, token: alice.token, ["notify": .null])
            #expect(reset["notify"] == [:])
        }
    }

    @Test("SG-1 fields with a dot in their name stand in an object, or are written so", arguments: [true, false])
    func nested(asObject: Bool) async throws {
        var parts = TestGateway.Parts()
        parts.monitor = ScriptedMonitor(credentialFields: [
            CredentialField("username", isSecret: false), CredentialField("oauth.refreshToken", isSecret: true),
        ])
        try await TestAPI.run(parts) { api in
            let client = try await api.device()
            let credentials: JSON =
                asObject
                ? ["username": "alice", "oauth": ["refreshToken": "r-1"]]
                : ["username": "alice", "oauth.refreshToken": "r-1"]
            let reply = try await api.call(
                "POST", "/v1/registrations", token: client.token, ["app": "mail", "credentials": credentials])
            #expect(reply.status == 201)
            try await api.logIn(client)
            let target = try await api.test.monitor.watches.wait(count: 1)[0]
            #expect(
                target.credentials.mapValues(\.exposed) == ["username": "alice", "oauth.refreshToken": "r-1"])
        }
    }

    @Test("What is wrong with a registration is told by field") func faults() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            let cases: [(JSON, Int, String, String?)] = [
                (["app": "mial", "credentials": [:]], 404, "unknown_app", "app"),
                (["app": "mail", "credentials": [:]], 400, "invalid_field", "credentials.username"),
                (["app": "mail"], 400, "invalid_field", "credentials.username"),
                (["credentials": [:]], 400, "invalid_field", "app"),
                (["app": "mail", "credentials": ["username": 1]], 400, "invalid_field", "credentials.username"),
                (["app": "mail", "credentials": []], 400, "invalid_field", "credentials"),
                (
                    ["app": "mail", "credentials": ["username": "a", "password": "b", "pasword": "c"]], 400,
                    "invalid_field", "credentials.pasword"
                ),
                (["app": "mail", "credentials": ["oauth": ["a": 1]]], 400, "invalid_field", "credentials.oauth.a"),
                (
                    ["app": "mail", "credentials": ["oauth": ["a": "b"], "oauth.a": "c"]], 400, "invalid_field",
                    "credentials.oauth.a"
                ),
                (
                    ["app": "mail", "credentials": ["username": "a", "password": "b", "oauth": ["x": "c"]]], 400,
                    "invalid_field", "credentials.oauth.x"
                ),
            ]
            for (body, status, code, field) in cases {
                let reply = try await api.call("POST", "/v1/registrations", token: client.token, body)
                #expect((reply.status, reply.code, reply.field) == (status, code, field), "\(body.serialized)")
            }
        }
    }

    @Test("MN-7 another account's registration is 403, an unknown one 404") func ownership() async throws {
        try await TestAPI.run { api in
            let (alice, bob) = (try await api.device(), try await api.device("bob"))
            let id = try await api.register(alice)
            for (method, body) in [("GET", nil), ("PATCH", ["enabled": false]), ("DELETE", nil)] as [(String, JSON?)] {
                let foreign = try await api.call(method, "/v1/registrations/\(id)", token: bob.token, body)
                #expect((foreign.status, foreign.code) == (403, "forbidden"))
                let unknown = try await api.call(method, "/v1/registrations/reg_none", token: bob.token, body)
                #expect((unknown.status, unknown.code) == (404, "not_found"))
            }
            #expect(try await api.call("GET", "/v1/registrations/\(id)", token: alice.token).status == 200)
        }
    }
}
