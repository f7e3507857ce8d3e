import Base
import Gateway
import GatewayAPI
import GatewayTestKit
import Testing

@Suite(.timeLimit(.minutes(2))) struct WalkTests {
    /// Every route is called; `TestAPI` holds each answer against the document.
    @Test("Each route's real answers fit the document, and no answer or log line shows a secret") func walk()
        async throws
    {
        var parts = TestAPI.withKeys
        let configure = parts.configure
        parts.configure = { configuration in
            configure(&configuration)
            configuration.apps.append(App(id: "called", name: "Called", monitorKind: "hook", monitor: CalledMonitor()))
        }
        try await TestAPI.run(parts) { api in
            try await system(api)
            try await hooks(api)
            let (phone, tablet) = (try await api.device(), try await api.device("alice", "tablet", channel: nil))
            try await devices(api, phone, tablet)
            let registration = try await api.watched(phone)
            try await registrations(api, phone, registration)
            let key = try await api.test.news(
                registration, "1", title: "Subject of the mail", preview: "Body of the mail")
            try await messages(api, phone, key)
            try await sessions(api, phone)
            try await people(api, phone)
            try await queue(api, phone)
            try await conversations(api, phone)
            try await farms(api, phone)
            try await administration(api, phone, registration)
            try await portal(api)
            try await endings(api, phone, tablet)
            let walked = Set(api.replies.all.filter { $0.reply.status < 300 }.map(\.route))
            #expect(Set(api.handler.routes).subtracting(walked) == [])
            checkSecrets(api, tokens: [phone.token, tablet.token])
        }
    }

    private func expect(_ status: Int, _ reply: Reply, at location: SourceLocation = #_sourceLocation) {
        #expect(reply.status == status, "\(reply.text)", sourceLocation: location)
    }

    private func hooks(_ api: TestAPI) async throws {
        for method in ["POST", "PUT"] {
            expect(204, try await api.call(method, "/hooks/called", ["say": "something"]))
            expect(400, try await api.call(method, "/hooks/called", [:]))
            expect(202, try await api.call(method, "/hooks/called", ["say": "later"]))
            let echo = try await api.call(method, "/hooks/called?say=%3Cb%3E+%26%2B", ["say": "something"])
            expect(200, echo)
            #expect(echo.text == "<b> &+" && echo.contentType == "text/plain; charset=utf-8")
            #expect(echo.headers["X-Content-Type-Options"] == "nosniff")
            let long = String(repeating: "x", count: InboundAnswer.textLimit + 1)
            expect(400, try await api.call(method, "/hooks/called?say=\(long)", ["say": "something"]))
            expect(401, try await api.call(method, "/hooks/mail", ["say": "something"]))
            expect(401, try await api.call(method, "/hooks/nothing", ["say": "something"]))
        }
    }

    private func system(_ api: TestAPI) async throws {
        for path in [
            "/healthz", "/readyz", "/metrics", "/openapi.json", "/", "/l/anything", "/service-worker.js",
            "/manifest.webmanifest", "/portal/app.js",
        ] {
            expect(200, try await api.call("GET", path))
        }
        expect(201, try await api.admin("POST", "accounts", ["name": "carol", "password": "carols-password"]))
        expect(
            204,
            try await api.call(
                "PUT", "/v1/account/password", basic: ("carol", "carols-password"), ["password": "another-password"]))
    }

    private func devices(_ api: TestAPI, _ phone: Client, _ tablet: Client) async throws {
        expect(204, try await api.call("PUT", "/v1/account/locale", token: phone.token, ["locale": "zh-CN"]))
        expect(400, try await api.call("PUT", "/v1/account/locale", token: phone.token, ["locale": "?"]))
        expect(204, try await api.call("PUT", "/v1/account/locale", token: phone.token, ["locale": .null]))
        expect(200, try await api.call("GET", "/v1/devices", token: phone.token))
        expect(200, try await api.call("GET", "/v1/devices/\(tablet.id)", token: phone.token))
        let subscription: JSON = [
            "adapter": "browser",
            "subscription": [
                "endpoint": "https://push.example/1", "expirationTime": .null,
                "keys": ["p256dh": "p256dh-key", "auth": "auth-secret"],
            ],
        ]
        expect(
            200,
            try await api.call(
                "PATCH", "/v1/devices/\(tablet.id)", token: phone.token,
                ["name": "Tablet", "channel": subscription, "tags": ["work"], "payload": "wakeup"]))
        expect(200, try await api.call("GET", "/v1/devices/\(tablet.id)", token: phone.token))
        expect(200, try await api.call("POST", "/v1/devices/\(tablet.id)/test", token: phone.token, [:]))
    }

    private func registrations(_ api: TestAPI, _ phone: Client, _ registration: Registration) async throws {
        expect(200, try await api.call("GET", "/v1/apps", token: phone.token))
        expect(200, try await api.call("GET", "/v1/push", token: phone.token))
        expect(200, try await api.call("GET", "/v1/registrations", token: phone.token))
        let path = "/v1/registrations/\(registration.id)"
        expect(200, try await api.call("GET", path, token: phone.token))
        let notify: JSON = [
            "summary": "full", "targets": ["escalate": [.string(phone.id)], "afterSeconds": 60],
            "quietHours": ["from": "22:00", "to": "07:00", "timeZone": "Europe/Berlin"], "groupSeconds": 10,
        ]
        expect(200, try await api.call("PATCH", path, token: phone.token, ["notify": notify]))
        expect(200, try await api.call("PATCH", path, token: phone.token, ["notify": .null, "enabled": true]))
    }

    private func messages(_ api: TestAPI, _ phone: Client, _ key: MessageKey) async throws {
        let push = try await api.test.push.alerts(count: 1)
        expect(200, try await api.call("GET", "/v1/messages", token: phone.token))
        let reply = try await api.call("GET", "/v1/stream", token: phone.token)
        expect(200, reply)
        let reader = EventReader(try #require(reply.stream))
        _ = try await reader.first("message")
        expect(204, try await api.call("POST", "/v1/stream/ack", token: phone.token, ["upTo": .integer(key.seq)]))
        expect(201, try await api.call("POST", "/v1/launches", token: phone.token, ["tap": .string(push[0].tap)]))
        expect(
            201,
            try await api.call(
                "POST", "/v1/launches", token: phone.token, ["app": "mail", "message": .string(key.description)]))
        expect(204, try await api.call("POST", "/v1/messages/\(key)/read", token: phone.token))
        expect(200, try await api.call("GET", "/v1/messages/\(key)", token: phone.token))
    }

    private func queue(_ api: TestAPI, _ phone: Client) async throws {
        let body = "Text of a message"
        let batch: JSON = ["messages": [["to": ["app": "talk"], "body": .string(body)]]]
        for number in 0..<8 { try await api.send(body, ["subject": .string("Subject \(number)")]) }
        expect(202, try await api.call("POST", "/v1/messages/batch", token: TestAPI.deskKey, batch))
        let seen = try await api.peek()
        expect(200, try await api.call("POST", "/v1/messages/\(seen[0].id)/lock", token: TestAPI.talkKey))
        let taken = try await api.receive(["max": 100])
        for (verb, message) in zip(["complete", "abandon", "renew", "defer", "dead-letter"], taken) {
            expect(200, try await api.settle(message, verb))
        }
        let settlement: JSON = [
            "id": .string(taken[5].id), "token": taken[5]["receipt"]?["token"] ?? .null, "as": "complete",
        ]
        expect(
            200,
            try await api.call("POST", "/v1/messages/settle", token: TestAPI.talkKey, ["settlements": [settlement]]))
        let dead = try await api.call("GET", "/v1/dead", token: TestAPI.talkKey)
        expect(200, dead)
        expect(
            200, try await api.call("POST", "/v1/dead/\(dead.items[0].id)/redrive", token: TestAPI.talkKey))
        try await api.send(to: ["account": "alice"], as: TestAPI.talkKey, body)
        let mine = try #require(try await api.peek(as: phone.token).last)
        expect(
            202,
            try await api.call(
                "POST", "/v1/messages/\(mine.id)/reply", token: phone.token, ["body": .string(body)]))
        let tap = api.gateway.identities.tap(try #require(MessageKey(mine.id)), DeviceID(phone.id))
        expect(200, try await api.call("POST", "/v1/taps", token: phone.token, ["tap": .string(tap)]))
        expect(
            202,
            try await api.call("POST", "/v1/replies", token: phone.token, ["tap": .string(tap), "body": .string(body)]))
    }

    private func sessions(_ api: TestAPI, _ phone: Client) async throws {
        let session = try await api.logIn(phone, instance: "run-2")
        expect(200, try await api.report(phone, session, 1, "visible"))
        expect(200, try await api.call("GET", "/v1/sessions", token: phone.token))
        expect(200, try await api.admin("GET", "sessions"))
        expect(200, try await api.admin("GET", "sessions/\(session)"))
        expect(204, try await api.call("DELETE", "/v1/sessions/\(session)", token: phone.token))
        let second = try await api.logIn(phone, instance: "run-3")
        expect(204, try await api.admin("DELETE", "sessions/\(second)"))
    }

    private func people(_ api: TestAPI, _ phone: Client) async throws {
        for method in ["PUT", "GET"] {
            expect(200, try await api.call(method, "/v1/contacts/carol", token: phone.token))
        }
        expect(204, try await api.call("PUT", "/v1/blocks/carol", token: phone.token))
        for list in ["contacts", "blocks"] { expect(200, try await api.call("GET", "/v1/\(list)", token: phone.token)) }
        expect(204, try await api.call("DELETE", "/v1/blocks/carol", token: phone.token))
        expect(204, try await api.call("DELETE", "/v1/contacts/carol", token: phone.token))
        expect(
            200, try await api.call("PUT", "/v1/status", token: phone.token, ["status": "busy", "text": "Own words"]))
        expect(200, try await api.call("GET", "/v1/status", token: phone.token))
    }

    private func farms(_ api: TestAPI, _ phone: Client) async throws {
        for path in ["/screen", "/screen.js", "/screen.css"] { expect(200, try await api.call("GET", path)) }
        api.test.farm.pages.withLock { $0 = ["a/b.js": FarmAnswer(contentType: "text/javascript", body: [0x31])] }
        expect(200, try await api.call("GET", "/farms/farm/a/b.js"))
        api.test.farm.file.withLock { $0 = [0x31] }
        for path in ["/RDWeb/Feed/webfeed.aspx", "/RDWeb/Feed/apps/mail.rdp"] {
            expect(200, try await api.call("GET", path, basic: ("alice", TestAPI.password)))
        }
        expect(201, try await api.call("POST", "/v1/launches", token: phone.token, ["app": "mail"]))
        let ticket = try #require(api.test.farm.requests.last).ticket.exposed
        expect(200, try await api.call("POST", "/v1/launches/redeem", ["ticket": .string(ticket)]))
    }

    private func administration(_ api: TestAPI, _ phone: Client, _ registration: Registration) async throws {
        for list in ["accounts", "devices", "registrations", "monitors", "queues", "launches", "status"] {
            expect(200, try await api.admin("GET", list))
        }
        let queue = try await api.admin("GET", "queues").items[0]["id"]?.string ?? ""
        let launch = try await api.admin("GET", "launches").items[0]["id"]?.string ?? ""
        for path in [
            "accounts/alice", "devices/\(phone.id)", "registrations/\(registration.id)", "monitors/\(registration.id)",
            "queues/\(queue)", "launches/\(launch)",
        ] {
            expect(200, try await api.admin("GET", path))
        }
        expect(200, try await api.admin("PATCH", "accounts/carol", ["disabled": true, "password": "set-by-admin"]))
        expect(200, try await api.admin("POST", "devices/\(phone.id)/test"))
        expect(200, try await api.admin("PATCH", "registrations/\(registration.id)", ["enabled": false]))
        expect(202, try await api.admin("POST", "reload"))
    }

    private func conversations(_ api: TestAPI, _ phone: Client) async throws {
        let id = try await api.send(to: ["account": "alice"], as: TestAPI.deskKey, "Text of a message").id
        let reply = try await api.call(
            "POST", "/v1/messages/\(id)/reply", token: phone.token, ["body": "Text of a message"])
        let own = reply["messages"]?[0]?.id ?? ""
        expect(200, try await api.call("GET", "/v1/conversations?limit=1", token: phone.token))
        let history = try await api.call("GET", "/v1/conversations/app%2Fdesk", token: phone.token)
        expect(200, history)
        expect(204, try await api.read("desk", upTo: history.items.first?.entryNumber, as: phone.token))
        try await api.typing("desk", "composing", as: phone.token)
        expect(200, try await api.call("PATCH", "/v1/messages/\(own)", token: phone.token, ["body": "New text"]))
        expect(204, try await api.call("DELETE", "/v1/messages/\(own)", token: phone.token))
        expect(200, try await api.call("GET", "/v1/account/export", token: phone.token))
        expect(200, try await api.admin("GET", "accounts/alice/export?limit=2"))
        try await api.test.account("mallory")
        expect(204, try await api.call("DELETE", "/v1/account", basic: ("mallory", TestAPI.password)))
    }

    private func portal(_ api: TestAPI) async throws {
        expect(204, try await api.call("GET", "/v1/portal/session"))
        let browser = try await api.browser()
        expect(200, try await api.call("GET", "/v1/portal/session", headers: browser.headers))
        expect(204, try await api.call("DELETE", "/v1/portal/session", headers: browser.headers))
    }

    private func endings(_ api: TestAPI, _ phone: Client, _ tablet: Client) async throws {
        let id = try await api.register(phone)
        expect(204, try await api.call("DELETE", "/v1/registrations/\(id)", token: phone.token))
        expect(204, try await api.admin("DELETE", "registrations/\(try await api.register(phone))"))
        expect(204, try await api.call("DELETE", "/v1/devices/\(tablet.id)", token: phone.token))
        expect(204, try await api.admin("DELETE", "devices/\(phone.id)"))
        expect(204, try await api.admin("DELETE", "accounts/alice"))
    }

    private func checkSecrets(_ api: TestAPI, tokens: [String]) {
        let secrets =
            tokens + [
                TestAPI.password, TestAPI.adminToken.exposed, "mail-password", "carols-password", "another-password",
                "set-by-admin", "auth-secret", "p256dh-key", TestAPI.talkKey, TestAPI.deskKey,
            ]
        for (route, reply) in api.replies.all where route != "POST /v1/devices" {
            for secret in secrets { #expect(!reply.text.contains(secret), "\(route)") }
        }
        // Nor do lines of the log show what mails say.
        let hidden =
            secrets + [
                "Subject of the mail", "Body of the mail", "channel-token-1", "Text of a message", "Subject 1",
                "Own words",
            ]
        #expect(api.test.log.records.count > 20)
        for record in api.test.log.records {
            let line = "\(record.event) \(record.message) \(record.fields.pairs)"
            for text in hidden { #expect(!line.contains(text), "\(record.event)") }
        }
    }
}

extension RecordingPushAdapter {
    /// Returns when so many notifications were sent.
    func alerts(count: Int) async throws -> [Notification] {
        try await Eventually.wait("\(count) notifications pushed") { self.alerts.count >= count }
        return alerts
    }
}

/// Takes every call that says something.
private struct CalledMonitor: InboundMonitor {
    var credentialFields: [CredentialField] { [] }
    var upstream: String { "called" }

    func watch(_ target: MonitorTarget, host: any MonitorHost) async throws {
        while true { try await Task.sleep(for: .seconds(86_400)) }
    }

    func receive(_ call: InboundCall, desk: any InboundDesk) async throws -> InboundAnswer {
        if let word = call.query("say") { return .text(word) }
        if call.body == JSON.object(["say": "later"]).serializedBytes { return .accepted }
        guard call.body != Array("{}".utf8) else { throw InboundRefusal(.malformed, "says nothing") }
        try await desk.accept(MonitorBatch(cursor: [1]), for: "alice")
        return .done
    }
}
