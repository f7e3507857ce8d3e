import Base
import Gateway
import GatewayTestKit
import Testing

@testable import GatewayAPI

@Suite(.timeLimit(.minutes(2))) struct PeopleTests {
    private static var consent: TestGateway.Parts {
        var parts = TestGateway.Parts()
        parts.configure = { $0.contacts = .consent }
        return parts
    }

    private static func contact(
        _ api: TestAPI, _ client: Client, _ method: String, _ peer: String
    ) async throws -> Reply {
        try await api.call(method, "/v1/contacts/\(peer)", token: client.token)
    }

    @Test("IM-8 IM-13 a contact is asked for, agreed to, listed with kind and presence, and ended") func contacts()
        async throws
    {
        try await TestAPI.run(Self.consent) { api in
            _ = try await api.gateway.accounts.create("robot", password: TestGateway.password, kind: .program)
            let (alice, robot) = (try await api.device(), try await api.device("robot"))
            let asked = try await Self.contact(api, alice, "PUT", "robot")
            #expect(asked.status == 200 && asked["state"]?.string == "asked" && asked["kind"] == nil)
            let waiting = try await api.call("GET", "/v1/contacts", token: robot.token)
            #expect(waiting.items.map { $0["state"]?.string } == ["asking"])
            #expect(try await Self.contact(api, robot, "PUT", "alice")["state"]?.string == "contact")
            let reader = EventReader(
                try #require(try await api.call("GET", "/v1/stream", token: alice.token).stream))
            _ = try await reader.first("hello")
            try await Eventually.wait("alice is seen") {
                api.test.time.advance(by: .milliseconds(500))
                return try await Self.contact(api, robot, "GET", "alice")["status"]?.string == "online"
            }
            let list = try await api.call("GET", "/v1/contacts", token: alice.token)
            #expect(list.items[0]["kind"]?.string == "program" && list.items[0]["status"]?.string == "offline")
            #expect(try await Self.contact(api, alice, "DELETE", "robot").status == 204)
            #expect(try await Self.contact(api, alice, "GET", "robot").status == 404)
            #expect(try await Self.contact(api, robot, "GET", "alice")["status"]?.string == "offline")
            #expect(try await Self.contact(api, alice, "PUT", "alice").code == "invalid_field")
            #expect(try await Self.contact(api, alice, "DELETE", "nobody").status == 204)
        }
    }

    @Test("IM-8 with a directory contacts are there at once, and unknown names are 404") func directory() async throws {
        try await TestAPI.run { api in
            let alice = try await api.device()
            _ = try await api.device("bob")
            #expect(try await Self.contact(api, alice, "PUT", "bob")["state"]?.string == "contact")
            #expect(try await Self.contact(api, alice, "PUT", "nobody").code == "not_found")
            try await api.gateway.setDisabled("bob", true)
            let carol = try await api.device("carol")
            #expect(try await Self.contact(api, carol, "PUT", "bob").code == "not_found")
        }
    }

    @Test("Unknown, blocked and not consenting have the same answers: send, send many, batch, contact, block")
    func noEnumeration() async throws {
        try await TestAPI.run(Self.consent) { api in
            let alice = try await api.device()
            for name in ["strng", "bobby", "carol"] { _ = try await api.device(name) }
            let carol = try await api.device("carol", "tablet")
            for (client, peer) in [(alice, "carol"), (carol, "alice")] {
                #expect(try await Self.contact(api, client, "PUT", peer).status == 200)
            }
            #expect(try await api.post(to: ["account": "carol"], as: alice.token).status == 202)
            #expect(try await api.call("PUT", "/v1/blocks/alice", token: carol.token).status == 204)
            var answers: [Set<String>] = [[], [], [], [], []]
            for name in ["nobdy", "bobby", "carol"] {
                let to: JSON = ["account": .string(name)]
                let message: JSON = ["to": to, "body": "x"]
                let replies: [Reply?] = [
                    try await api.post(to: to, as: alice.token),
                    try await api.post(to: [["app": "talk"], to], as: alice.token),
                    try await api.call(
                        "POST", "/v1/messages/batch", token: alice.token, ["messages": .array([message])]),
                    try await api.call("PUT", "/v1/blocks/\(name)", token: alice.token),
                    name == "carol" ? nil : try await Self.contact(api, alice, "PUT", name),
                ]
                for (index, reply) in replies.enumerated() {
                    guard let reply else { continue }
                    let headers = reply.headers.fields.map(\.name).joined(separator: ",")
                    answers[index].insert("\(reply.status) \(headers) \(reply.text.replacing(name, with: "NAME"))")
                }
            }
            for answer in answers { #expect(answer.count == 1, "\(answer)") }
        }
    }

    @Test("IM-3 an account's export has its status, contacts and blocks") func export() async throws {
        try await TestAPI.run(Self.consent) { api in
            let (alice, bob) = (try await api.device(), try await api.device("bob"))
            _ = try await Self.contact(api, alice, "PUT", "carol")
            _ = try await Self.contact(api, bob, "PUT", "alice")
            _ = try await api.call("PUT", "/v1/blocks/mallory", token: alice.token)
            _ = try await api.call("PUT", "/v1/status", token: alice.token, ["status": "lunch"])
            let items = try await api.call("GET", "/v1/account/export", token: alice.token).items
            let texts = items.map { item in
                ["type", "account", "state", "status"].compactMap { item[$0]?.string }.joined(separator: " ")
            }
            #expect(texts.contains { $0.hasPrefix("status") && $0.hasSuffix("lunch") })
            #expect(texts.contains("contact bob asking offline") && texts.contains("contact carol asked offline"))
            #expect(texts.contains("block mallory"))
        }
    }

    @Test("IM-9 the own status: a word, own words, settings that stay, and what is refused") func status() async throws
    {
        try await TestAPI.run { api in
            let alice = try await api.device()
            func put(_ body: JSON) async throws -> Reply {
                try await api.call("PUT", "/v1/status", token: alice.token, body)
            }
            let first = try await api.call("GET", "/v1/status", token: alice.token)
            #expect(
                first.json == [
                    "status": "online", "fromSessions": false, "showLastSeen": false, "tellApps": false,
                    "seenAs": "offline",
                ])
            #expect(try await put(["status": "lunch", "text": "noodles"])["text"]?.string == "noodles")
            let settings = try await put(["fromSessions": true, "showLastSeen": true, "tellApps": true])
            #expect(settings["status"]?.string == "lunch" && settings["text"]?.string == "noodles")
            let own = try await put(["status": "Gone fishing"])
            #expect(own["status"]?.string == "online" && own["text"]?.string == "Gone fishing")
            #expect(own["tellApps"]?.bool == true)
            #expect(try await put(["status": "busy"])["text"] == nil)
            for (body, field) in [
                (["status": .string(String(repeating: "x", count: 101))], "text"), (["status": ""], "status"),
                (["status": 1], "status"), (["tellApps": "yes"], "tellApps"), (["statuss": "busy"], "statuss"),
            ] as [(JSON, String)] {
                let reply = try await put(body)
                #expect((reply.status, reply.field) == (400, field))
            }
        }
    }

    @Test("IM-9 a presence event carries status, words and, where it may be told, since when") func events()
        async throws
    {
        try await TestAPI.run { api in
            let (alice, bob) = (try await api.device(), try await api.device("bob"))
            #expect(try await Self.contact(api, bob, "PUT", "alice").status == 200)
            let reader = EventReader(try #require(try await api.call("GET", "/v1/stream", token: bob.token).stream))
            _ = try await reader.first("hello")
            _ = try await api.call(
                "PUT", "/v1/status", token: alice.token, ["status": "busy", "text": "soon", "showLastSeen": true])
            try await Eventually.wait("bob is live") { api.gateway.streams.isLive(DeviceID(bob.id)) }
            let stream = RecordingStream()
            api.gateway.streams.open(
                try #require(api.gateway.devices.device(DeviceID(alice.id))), stream: stream, after: 0)
            try await Eventually.wait("announced") {
                api.test.time.advance(by: .milliseconds(100))
                return api.gateway.people.presence(of: "alice").state == .busy
            }
            let busy = try await reader.first("presence")
            #expect(busy.data == ["account": "alice", "status": "busy", "text": "soon"])
            api.gateway.streams.closed(DeviceID(alice.id), stream: stream, reason: "closed")
            let left = api.test.time.timestamp
            try await Eventually.wait("announced") {
                api.test.time.advance(by: .milliseconds(500))
                return api.gateway.people.presence(of: "alice").state == .offline
            }
            let gone = try await reader.first("presence") { $0.data["status"]?.string == "offline" }
            #expect(gone.data == ["account": "alice", "status": "offline", "lastSeen": .timestamp(left)])
        }
    }

    @Test("IM-1 an application is told a presence; a user's message with such a header is a message") func callbacks() {
        func document(_ sender: QueueAddress, _ header: [String: String]) -> JSON {
            let message = Message(
                key: MessageKey(queue: 1, seq: 2), address: .app("talk"), sender: sender, app: nil, header: header,
                subject: nil, body: [], priority: .normal, enqueued: Timestamp(seconds: 0), expires: nil, origin: nil,
                state: .ready)
            return CallbackDocument.document(of: message, attempt: 1)
        }
        let header = ["type": "presence", "account": "alice", "status": "busy", "text": "soon", "other": "x"]
        let presence = document(.app("talk"), header)
        #expect(
            presence == [
                "type": "presence", "account": "alice", "status": "busy", "text": "soon",
                "at": .timestamp(Timestamp(seconds: 0)),
            ])
        for forged in [header, ["type": "receipt", "message": "m1-1", "state": "read"]] {
            for sender in [QueueAddress.account("mallory"), .device("d"), .app("desk")] {
                #expect(document(sender, forged)["type"]?.string == "message")
            }
        }
    }
}
