import Base
import Gateway
import GatewayAPI
import GatewayTestKit
import Testing

/// Edits, withdrawals, attachments, what is remembered and for how long, and the end of an account.
@Suite(.timeLimit(.minutes(2))) struct ConversationChangeTests {
    @Test("IM-3 an edit changes what still waits, and the notification that is shown is replaced by one of its name")
    func edit() async throws {
        var parts = TestAPI.withKeys
        parts.notify.summary = .full
        try await TestAPI.run(parts) { api in
            let (alice, bob) = (try await api.device("alice"), try await api.device("bob"))
            let id = try await api.say("at nine", to: "bob", as: alice.token)
            let shown = try await api.test.push.alerts(count: 1)[0]
            #expect(shown.body?.contains("at nine") == true)
            let edited = try await api.call("PATCH", "/v1/messages/\(id)", token: alice.token, ["body": "at ten"])
            #expect(edited.status == 200 && edited["edited"]?.string != nil)
            let again = try await api.test.push.alerts(count: 2)[1]
            #expect(again.id == shown.id && again.collapse == shown.collapse && again.device == shown.device)
            #expect(again.body?.contains("at ten") == true)
            let taken = try await api.receive(as: bob.token)
            #expect(taken.map(\.body) == ["at ten"])
            let trace = try await api.trace(id, as: alice.token)
            #expect(!trace.text.contains("at nine"))
        }
    }

    @Test("IM-3 a message taken back leaves the queue, and its notification goes") func withdraw() async throws {
        try await TestAPI.runQueue { api in
            let (alice, bob) = (try await api.device("alice"), try await api.device("bob"))
            let id = try await api.say("oops", to: "bob", as: alice.token)
            let shown = try await api.test.push.alerts(count: 1)[0]
            for _ in 0..<2 {
                #expect(try await api.call("DELETE", "/v1/messages/\(id)", token: alice.token).status == 204)
            }
            try await Eventually.wait("the notification is taken away") {
                api.test.push.clears.contains { $0.contains(shown.id) }
            }
            #expect(try await api.peek(as: bob.token).isEmpty)
            let history = try await api.history("alice", as: bob.token)
            #expect(history.items[0]["withdrawn"]?.string != nil && history.items[0].body == "")
            #expect(history["unread"]?.integer == 0)
            let late = try await api.call("PATCH", "/v1/messages/\(id)", token: alice.token, ["body": "x"])
            #expect((late.status, late.code) == (409, "withdrawn"))
        }
    }

    @Test("IM-3 only whoever sent a message may change it, and only for limits.editSeconds") func bounds()
        async throws
    {
        try await TestAPI.runQueue { limits in
            limits.editSeconds = 60
        } _: { api in
            let (alice, bob) = (try await api.device("alice"), try await api.device("bob"))
            let eve = try await api.device("eve")
            let id = try await api.say("mine", to: "bob", as: alice.token)
            let unremembered = try await api.send().id
            for (who, what, status, code) in [
                (bob, id, 403, "forbidden"), (eve, id, 404, "not_found"), (alice, "m9-9", 404, "not_found"),
                (alice, "x", 404, "not_found"), (alice, unremembered, 404, "not_found"),
            ] {
                let edit = try await api.call("PATCH", "/v1/messages/\(what)", token: who.token, ["body": "x"])
                #expect((edit.status, edit.code) == (status, code))
                let withdrawal = try await api.call("DELETE", "/v1/messages/\(what)", token: who.token)
                #expect((withdrawal.status, withdrawal.code) == (status, code))
            }
            for (body, field) in [
                (#"{}"#, "body"), (#"{"body":1}"#, "body"), (#"{"body":"x","to":"y"}"#, "to"),
                (#"{"body":"x","subject":"\#(String(repeating: "s", count: 1025))"}"#, "subject"),
            ] {
                let reply = try await api.call(
                    "PATCH", "/v1/messages/\(id)", token: alice.token, bytes: Array(body.utf8))
                #expect((reply.status, reply.field) == (400, field))
            }
            try await api.test.advance(by: .seconds(61))
            let late = try await api.call("DELETE", "/v1/messages/\(id)", token: alice.token)
            #expect((late.status, late.code) == (409, "too_late"))
            #expect(try await api.history("bob", as: alice.token).items.map(\.body) == ["mine"])
        }
    }

    @Test("IM-3 edits are limited, for each may ring: a flood of them is 429, and rings no more than other news")
    func flood() async throws {
        var parts = TestAPI.withKeys
        parts.notify.devicePerMinute = 5
        try await TestAPI.run(parts) { api in
            let (alice, laptop) = (try await api.device("alice"), try await api.device("alice", "laptop"))
            _ = try await api.device("bob")
            let id = try await api.say("0", to: "bob", as: alice.token)
            _ = try await api.test.push.alerts(count: 1)
            var statuses: [Int] = []
            for number in 1...30 {
                let token = number % 2 == 0 ? alice.token : laptop.token
                let reply = try await api.call(
                    "PATCH", "/v1/messages/\(id)", token: token, ["body": .string("\(number)")])
                statuses.append(reply.status)
                if reply.status == 429 { #expect(reply.headers["Retry-After"] == "1") }
            }
            #expect(statuses == Array(repeating: 200, count: 20) + Array(repeating: 429, count: 10))
            #expect(api.test.push.alerts.count <= 5)
            api.test.time.advance(by: .seconds(1))
            #expect(try await api.call("DELETE", "/v1/messages/\(id)", token: alice.token).status == 204)
        }
    }

    @Test("IM-3 attachments are spoken of, never fetched: URL, type, size and number are checked")
    func attachments() async throws {
        try await TestAPI.runQueue { limits in
            limits.attachmentBytes = 1000
        } _: { api in
            let (alice, bob) = (try await api.device("alice"), try await api.device("bob"))
            let good: JSON = [
                "url": "https://files.example/x.png?a=b", "contentType": "image/png", "name": "x.png",
                "sizeBytes": 1000,
            ]
            try await api.say("see", to: "bob", as: alice.token, ["attachments": [good]])
            #expect(try await api.receive(as: bob.token)[0]["attachments"] == [good])
            #expect(try await api.history("alice", as: bob.token).items[0]["attachments"] == [good])
            func with(_ name: String, _ value: JSON) -> JSON {
                var object = good.object ?? JSONObject()
                object[name] = value
                return .array([.object(object)])
            }
            for (attachments, field) in [
                (with("url", "http://files.example/x"), "attachments[0].url"),
                (with("url", "https://user@files.example/x"), "attachments[0].url"),
                (with("url", "file:///etc/passwd"), "attachments[0].url"),
                (with("sizeBytes", 1001), "attachments[0].sizeBytes"),
                (with("sizeBytes", -1), "attachments[0].sizeBytes"),
                (with("sizeBytes", "1"), "attachments[0].sizeBytes"),
                (with("contentType", ""), "attachments[0].contentType"),
                (with("name", .string(String(repeating: "n", count: 256))), "attachments[0].name"),
                (with("data", "x"), "attachments[0].data"),
                (.array(Array(repeating: good, count: 11)), "attachments"), ("x", "attachments"),
            ] as [(JSON, String)] {
                let reply = try await api.post(
                    to: ["account": "bob"], as: alice.token, "x", ["attachments": attachments])
                #expect((reply.status, reply.field) == (400, field), "\(attachments.serialized)")
            }
        }
    }

    @Test("IM-3 what is remembered: neither what monitors find, nor what is off, nor what is over") func retention()
        async throws
    {
        var parts = TestAPI.withKeys
        let configure = parts.configure
        parts.configure = { configuration in
            configure(&configuration)
            configuration.history = .seconds(10 * 86_400)
            for index in configuration.apps.indices where configuration.apps[index].id == "talk" {
                configuration.apps[index].history = .zero
            }
        }
        try await TestAPI.run(parts) { api in
            let alice = try await api.device()
            try await api.test.account("bob")
            let registration = try await api.watched(alice)
            try await api.test.news(registration, "1")
            try await api.send(to: ["account": "alice"], as: TestAPI.talkKey, "unremembered")
            try await api.send(as: alice.token, "unremembered")
            try await api.send(to: ["device": .string(alice.id)], as: alice.token, "to myself")
            #expect(try await api.conversations(as: alice.token).isEmpty)
            try await api.say("old", to: "bob", as: alice.token)
            try await api.send(to: ["account": "alice"], as: TestAPI.deskKey, "longer")
            api.test.time.advance(by: .seconds(6 * 86_400))
            try await api.say("young", to: "bob", as: alice.token)
            api.test.time.advance(by: .seconds(5 * 86_400))
            try await api.gateway.messages.purge()
            #expect(try await api.history("bob", as: alice.token).items.map(\.body) == ["young"])
            #expect(try await api.history("desk", as: alice.token).items.map(\.body) == ["longer"])
        }
    }

    @Test("An account takes everything along, page by page, without what opens doors") func export() async throws {
        try await TestAPI.runQueue { api in
            let (alice, bob) = (try await api.device("alice"), try await api.device("bob"))
            try await api.register(alice)
            for number in 1...7 {
                try await api.say("a\(number)", to: "bob", as: alice.token)
                try await api.send(to: ["account": "alice"], as: TestAPI.deskKey, "d\(number)")
            }
            try await api.test.account("eve")
            try await api.say("not alice's", to: "eve", as: bob.token)
            _ = try await api.call("PUT", "/v1/contacts/bob", token: alice.token)
            _ = try await api.call("PUT", "/v1/blocks/eve", token: alice.token)
            func everything(_ page: (String) async throws -> Reply) async throws -> [JSON] {
                var (items, next): ([JSON], String?) = ([], "?limit=3")
                while let query = next {
                    let reply = try await page(query)
                    #expect(reply.status == 200, "\(reply.text)")
                    items += reply.items
                    next = reply["next"]?.string.map { "?limit=3&after=\($0.replacing("/", with: "%2F"))" }
                }
                return items
            }
            let own = try await everything { query in
                try await api.call("GET", "/v1/account/export\(query)", token: alice.token)
            }
            #expect(
                own.prefix(6).map { $0["type"]?.string } == [
                    "account", "device", "registration", "status", "contact", "block",
                ])
            #expect(own[4]["account"] == "bob" && own[5]["account"] == "eve")
            let messages = own.filter { $0["type"]?.string == "message" }
            #expect(Set(messages.map(\.body)) == Set((1...7).flatMap { ["a\($0)", "d\($0)"] }))
            #expect(messages.count == 14)
            #expect(own.filter { $0["type"]?.string == "conversation" }.count == 2)
            let admins = try await everything { query in try await api.admin("GET", "accounts/alice/export\(query)") }
            #expect(admins == own)
            for secret in [alice.token, TestAPI.password, "mail-password"] {
                #expect(!JSON.array(own).serialized.contains(secret))
            }
            for after in ["x", "1", "-1@x", "@"] {
                let reply = try await api.call("GET", "/v1/account/export?after=\(after)", token: alice.token)
                #expect(reply.status == 400, "\(after)")
            }
        }
    }

    @Test("An account ends by its password: its conversations are nowhere any more, not even for a successor")
    func end() async throws {
        try await TestAPI.runQueue { api in
            let (alice, bob) = (try await api.device("alice"), try await api.device("bob"))
            try await api.say("from alice", to: "bob", as: alice.token)
            try await api.say("from bob", to: "alice", as: bob.token)
            try await api.send(to: ["account": "bob"], as: TestAPI.deskKey, "bob's own")
            let wrong = try await api.call("DELETE", "/v1/account", basic: ("alice", "wrong"))
            #expect(wrong.status == 401)
            #expect(try await api.call("DELETE", "/v1/account", token: alice.token).status == 401)
            let gone = try await api.call("DELETE", "/v1/account", basic: ("alice", TestAPI.password))
            #expect(gone.status == 204)
            #expect(try await api.call("GET", "/v1/conversations", token: alice.token).status == 401)
            try await api.restarted {
                #expect(try await api.history("alice", as: bob.token).items.isEmpty)
                #expect(try await api.conversations(as: bob.token).map { $0["peer"]?.string } == ["app/desk"])
                let successor = try await api.device("alice")
                #expect(try await api.history("bob", as: successor.token).items.isEmpty)
                try await api.say("a new alice", to: "bob", as: successor.token)
                #expect(try await api.history("alice", as: bob.token).items.map(\.body) == ["a new alice"])
            }
        }
    }

    @Test("IM-1 an application is called for messages; nobody else can send it what looks like the gateway's own word")
    func forged() async throws {
        try await TestAPI.runQueue { api in
            let alice = try await api.device()
            for type in ["receipt", "read", "edit", "withdraw"] {
                let header: JSON = ["type": .string(type), "message": "m1-1", "state": "read", "from": "account/bob"]
                let id = try await api.send(as: alice.token, "text", ["header": header]).id
                let key = try #require(MessageKey(id))
                let message = try #require(try await api.test.store.message(key))
                #expect(CallbackDocument.document(of: message, attempt: 1)["type"]?.string == "message")
            }
        }
    }
}
