import Base
import Gateway
import GatewayAPI
import GatewayTestKit
import Inbound
import Testing

@Suite(.timeLimit(.minutes(2))) struct SessionsTests {
    @Test("SG-3 a log-in opens a session with its lease; the same instance again is the same one") func open()
        async throws
    {
        try await TestAPI.run { api in
            let client = try await api.device()
            let registration = try await api.register(client)
            let order: JSON = ["app": "mail", "instance": "run-1"]
            let first = try await api.call("POST", "/v1/sessions", token: client.token, order)
            #expect(first.status == 201)
            #expect(first["app"]?.string == "mail")
            #expect(first["device"]?.string == client.id)
            #expect(first["state"]?.string == "active")
            #expect(first["leaseSeconds"]?.integer == 15)
            #expect(first["registration"]?.string == registration)
            let second = try await api.call("POST", "/v1/sessions", token: client.token, order)
            #expect(second.status == 200)
            #expect(second["id"] == first["id"])
            // A client that started anew counts from one again, and is heard.
            let session = try #require(first["id"]?.string)
            #expect(try await api.report(client, session, 7, "hidden")["state"]?.string == "hidden")
            #expect(try await api.call("POST", "/v1/sessions", token: client.token, order)["state"]?.string == "active")
            #expect(try await api.report(client, session, 1, "hidden")["state"]?.string == "hidden")
        }
    }

    @Test("A log-in without registration is 409, to an unknown app 404") func refused() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            for (app, status, code) in [("mail", 409, "not_registered"), ("none", 404, "unknown_app")] {
                let reply = try await api.call(
                    "POST", "/v1/sessions", token: client.token, ["app": .string(app), "instance": "1"])
                #expect((reply.status, reply.code) == (status, code))
            }
            let empty = try await api.call(
                "POST", "/v1/sessions", token: client.token, ["app": "mail", "instance": ""])
            #expect((empty.status, empty.field) == (400, "instance"))
        }
    }

    @Test("Reports change the state, a stale one is answered with the state that holds") func presence() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            try await api.register(client)
            let session = try await api.logIn(client)
            let steps: [(Int, String, String, Int64)] = [
                (1, "visible", "visible", 15), (3, "hidden", "hidden", 0), (2, "active", "hidden", 0),
                (3, "active", "hidden", 0), (4, "active", "active", 15),
            ]
            for (seq, state, holds, lease) in steps {
                let reply = try await api.report(client, session, seq, state)
                #expect(reply.status == 200)
                #expect(reply.json == ["state": .string(holds), "leaseSeconds": .integer(lease)])
            }
            api.test.time.advance(by: .milliseconds(4500))
            #expect(try await api.report(client, session, 4, "active")["leaseSeconds"]?.integer == 11)
            #expect(try await api.report(client, session, 5, "gone")["state"]?.string == "gone")
            #expect(try await api.report(client, session, 6, "active").status == 404)
        }
    }

    @Test("SG-7 gone repeated after a lost answer is answered as before, from the same device and for 300 s")
    func repeatedGone() async throws {
        try await TestAPI.run { api in
            let (phone, tablet) = (try await api.device(), try await api.device("alice", "tablet"))
            try await api.register(phone)
            let session = try await api.logIn(phone)
            let first = try await api.report(phone, session, 5, "gone")
            api.test.time.advance(by: .seconds(299))
            let second = try await api.report(phone, session, 5, "gone")
            #expect((second.status, second.text) == (200, first.text))
            #expect(second.json == ["state": "gone", "leaseSeconds": 0])
            #expect(api.test.log.records(of: .sessionClosed).count == 1)
            #expect(try await api.report(tablet, session, 5, "gone").status == 404)
            #expect(try await api.report(phone, session, 6, "visible").status == 404)
            #expect(try await api.call("GET", "/v1/sessions", token: phone.token).items.isEmpty)
            api.test.time.advance(by: .seconds(1))
            #expect(try await api.report(phone, session, 5, "gone").status == 404)
        }
    }

    @Test("SG-3 a session opened again after its registration was replaced by another names the new one")
    func registeredAnew() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            let old = try await api.register(client)
            let session = try await api.logIn(client)
            #expect(try await api.call("DELETE", "/v1/registrations/\(old)", token: client.token).status == 204)
            let new = try await api.register(client)
            #expect(new != old)
            let reply = try await api.call(
                "POST", "/v1/sessions", token: client.token, ["app": "mail", "instance": "run-1"])
            #expect((reply.status, reply["id"]?.string) == (200, session))
            #expect(reply["registration"]?.string == new)
            let listed = try await api.call("GET", "/v1/sessions", token: client.token).items
            #expect(listed.map { $0["registration"]?.string } == [new])
        }
    }

    @Test("A report is answered in place, without a task") func inPlace() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            try await api.register(client)
            let session = try await api.logIn(client)
            let request = try InboundRequest(
                "POST", "/v1/sessions/\(session)/presence", headers: ["Authorization": "Bearer \(client.token)"],
                body: Array(#"{"seq":1,"state":"active"}"#.utf8))
            guard case .now(let response) = try api.handler.answer(request) else {
                Issue.record("the answer takes a task")
                return
            }
            #expect(response.status == 200)
        }
    }

    @Test("MN-7 only the session's own device reports; another account's is 403, an unknown one 404")
    func ownership() async throws {
        try await TestAPI.run { api in
            let (alice, bob) = (try await api.device(), try await api.device("bob"))
            let tablet = try await api.device("alice", "tablet")
            try await api.register(alice)
            let session = try await api.logIn(alice)
            #expect(try await api.report(bob, session, 1, "gone").status == 403)
            #expect(try await api.report(tablet, session, 1, "gone").status == 403)
            #expect(try await api.report(bob, "ses_none", 1, "gone").status == 404)
            #expect(try await api.call("DELETE", "/v1/sessions/\(session)", token: bob.token).status == 403)
            #expect(try await api.call("DELETE", "/v1/sessions/ses_none", token: bob.token).status == 404)
            #expect(try await api.call("GET", "/v1/sessions", token: bob.token).items.isEmpty)
            // The account's other device sees it and may end it.
            #expect(try await api.call("GET", "/v1/sessions", token: tablet.token).items.count == 1)
            #expect(try await api.call("DELETE", "/v1/sessions/\(session)", token: tablet.token).status == 204)
            #expect(try await api.call("GET", "/v1/sessions", token: alice.token).items.isEmpty)
        }
    }

    @Test("SG-12 the device whose client came to the front last is the default target") func latest() async throws {
        try await TestAPI.run { api in
            let phone = try await api.device()
            let registration = try await api.watched(phone)
            let tablet = try await api.device("alice", "tablet", channel: TestAPI.channel("channel-token-tablet"))
            let onPhone = try await api.logIn(phone, instance: "p")
            let onTablet = try await api.logIn(tablet, instance: "t")
            #expect(try await api.report(phone, onPhone, 1, "hidden").status == 200)
            #expect(try await api.report(tablet, onTablet, 1, "hidden").status == 200)
            #expect(try await api.report(phone, onPhone, 2, "visible").status == 200)
            #expect(try await api.report(phone, onPhone, 3, "hidden").status == 200)
            _ = try await api.test.news(registration, "1")
            _ = try await api.test.push.alerts(count: 1)
            #expect(api.test.push.pushes.all.map(\.device.text) == [phone.id])
        }
    }

    @Test("A report's fields are checked") func faults() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            try await api.register(client)
            let session = try await api.logIn(client)
            let cases: [(JSON, String, String)] = [
                (["state": "active"], "invalid_field", "seq"), (["seq": 1], "invalid_field", "state"),
                (["seq": "1", "state": "active"], "invalid_field", "seq"),
                (["seq": 1.5, "state": "active"], "invalid_field", "seq"),
                (["seq": -1, "state": "active"], "invalid_field", "seq"),
                (["seq": 1, "state": "front"], "invalid_field", "state"),
                (["seq": 1, "state": "active", "sate": 1], "unknown_field", "sate"),
            ]
            for (body, code, field) in cases {
                let reply = try await api.call(
                    "POST", "/v1/sessions/\(session)/presence", token: client.token, body)
                #expect((reply.status, reply.code, reply.field) == (400, code, field), "\(body.serialized)")
            }
        }
    }
}
