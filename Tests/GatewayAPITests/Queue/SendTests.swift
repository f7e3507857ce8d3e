import Base
import Gateway
import GatewayTestKit
import Testing

/// From a sender to a queue.
@Suite(.timeLimit(.minutes(2))) struct SendTests {
    @Test("TT-1 TT-2 TT-3 TT-4 TT-5 TT-8 a device reaches devices by tag: held while away, forwarded when there")
    func tags() async throws {
        try await TestAPI.runQueue { api in
            let phone = try await api.device("alice", "phone", channel: nil)
            let fridge = try await api.device("alice", "fridge", channel: nil)
            let path = "/v1/devices/\(fridge.id)"
            #expect(try await api.call("PATCH", path, token: phone.token, ["tags": ["kitchen"]]).status == 200)
            let held = try await api.send(to: ["tag": "kitchen"], as: phone.token, "cooler")
            #expect(held["to"]?.string == "device/\(fridge.id)")
            #expect(held["state"]?.string == "held")
            let reader = try await api.stream(fridge)
            let message = try await reader.first("message")
            #expect(message.data.id == held.id)
            #expect(message.data["sender"]?.string == "device/\(phone.id)")
            try await Eventually.wait("the stream is live") { api.gateway.streams.isLive(DeviceID(fridge.id)) }
            let forwarded = try await api.send(to: ["tag": "kitchen"], as: phone.token, "warmer")
            #expect(forwarded["state"]?.string == "forwarded")
            _ = try await reader.first("message") { $0.data.body == "warmer" }
            // Nobody else's business, and no push service's.
            #expect(try await api.peek(as: phone.token).isEmpty)
            #expect(api.test.push.alerts.isEmpty)
            #expect(try await api.post(to: ["tag": "attic"], as: phone.token).code == "unknown_recipient")
        }
    }

    @Test("TT-4 a device that is away is told through its push service") func notified() async throws {
        try await TestAPI.runQueue { api in
            _ = try await api.device()
            let sent = try await api.send(to: ["account": "alice"], as: TestAPI.talkKey)
            #expect(sent["to"]?.string == "account/alice")
            #expect(sent["state"]?.string == "notified")
            _ = try await api.test.push.alerts(count: 1)
        }
    }

    @Test("TT-6 the sender can trace its message to the end; others cannot") func trace() async throws {
        try await TestAPI.runQueue { api in
            let due = api.test.time.timestamp + .seconds(60)
            let sent = try await api.send("text", ["notBefore": .string(due.description)])
            #expect(try await api.trace(sent.id, as: TestAPI.deskKey)["state"]?.string == "scheduled")
            try await api.test.advance(by: .seconds(60))
            let message = try await Eventually.value("it is due") { try await api.receive().first }
            #expect(try await api.trace(sent.id)["state"]?.string == "locked")
            #expect(try await api.settle(message, "complete").status == 200)
            for token in [TestAPI.deskKey, TestAPI.talkKey] {
                let trace = try await api.trace(sent.id, as: token)
                #expect(trace["state"]?.string == "done")
                let history = trace["history"]?.array ?? []
                #expect(history.map { $0["state"]?.string } == ["accepted", "scheduled", "delivered", "done"])
                #expect(history.last?["consumer"]?.string == "talk")
                #expect(history.last?["detail"]?.string == "completed")
            }
            let stranger = try await api.device("bob")
            #expect(try await api.trace(sent.id, as: stranger.token).status == 403)
            #expect(try await api.trace("m9-9").status == 404)
        }
    }

    @Test("TT-7 the receiver answers the sender, correlated, also where it could not write by itself") func reply()
        async throws
    {
        try await TestAPI.runQueue { api in
            let (alice, bob) = (try await api.device(), try await api.device("bob"))
            let sent = try await api.send(
                to: ["account": "bob"], as: alice.token, "ping", ["from": "device", "correlation": "c-1"])
            let answer = try await api.call(
                "POST", "/v1/messages/\(sent.id)/reply", token: bob.token, ["body": "pong"])
            #expect(answer.status == 202)
            #expect(answer["messages"]?[0]?["to"]?.string == "device/\(alice.id)")
            let received = try #require(
                try await api.receive(["queue": .string("device/\(alice.id)")], as: alice.token).first)
            #expect(received.body == "pong")
            #expect(received["correlation"]?.string == "c-1")
            #expect(received["sender"]?.string == "device/\(bob.id)")
            // Without a correlation of its own the answer names the message.
            let plain = try await api.send("hello")
            let back = try await api.call(
                "POST", "/v1/messages/\(plain.id)/reply", token: TestAPI.talkKey, ["body": "x"])
            #expect(back["messages"]?[0]?["to"]?.string == "app/desk")
            #expect(try await api.receive(as: TestAPI.deskKey).first?["correlation"]?.string == plain.id)
            // Only whom it was sent to may answer.
            let path = "/v1/messages/\(plain.id)/reply"
            #expect(try await api.call("POST", path, token: alice.token, ["body": "x"]).status == 403)
        }
    }

    @Test("G2 a full queue refuses at send and takes again when there is room") func full() async throws {
        try await TestAPI.runQueue { limits in
            limits.queueMessages = 2
        } _: { api in
            for _ in 0..<2 { try await api.send() }
            let refused = try await api.post()
            #expect((refused.status, refused.code) == (507, "queue_full"))
            let batch: JSON = [
                "messages": [["to": ["app": "talk"], "body": "a"], ["to": ["app": "desk"], "body": "b"]]
            ]
            let results = try await api.call("POST", "/v1/messages/batch", token: TestAPI.deskKey, batch)["results"]
            #expect(results?[0]?["code"]?.string == "queue_full")
            #expect(results?[1]?["messages"]?[0]?["to"]?.string == "app/desk")
            let message = try #require(try await api.receive().first)
            #expect(try await api.settle(message, "complete").status == 200)
            #expect(try await api.post().status == 202)
        }
    }

    @Test("G7 the same id from the same sender is the same message for ten minutes, also after a restart")
    func repeats() async throws {
        try await TestAPI.runQueue { api in
            let first = try await api.send("text", ["id": "order-1"])
            #expect(try await api.send("text", ["id": "order-1"]).id == first.id)
            #expect(try await api.send("text", ["id": "order-2"]).id != first.id)
            #expect(try await api.send(as: TestAPI.talkKey, "text", ["id": "order-1"]).id != first.id)
            #expect(try await api.peek().count == 3)
            let message = try #require(try await api.receive().first)
            #expect(try await api.settle(message, "complete").status == 200)
            try await api.restarted {
                let again = try await api.send("text", ["id": "order-1"])
                #expect(again.id == first.id)
                let seen = try await api.peek()
                #expect(seen.count == 2)
                api.test.time.advance(by: .seconds(601))
                let new = try await api.send("text", ["id": "order-1"])
                #expect(new.id != first.id)
            }
        }
    }

    @Test("Urgent messages come first, scheduled ones when they are due, and what is too late not at all")
    func order() async throws {
        try await TestAPI.runQueue { api in
            let now = api.test.time.timestamp
            for priority in ["low", "normal", "high"] { try await api.send(priority, ["priority": .string(priority)]) }
            try await api.send("later", ["notBefore": .string((now + .seconds(30)).description), "priority": "high"])
            try await api.send("short", ["ttlSeconds": 10])
            #expect(
                try await api.peek().map { $0["state"]?.string } == ["ready", "ready", "ready", "scheduled", "ready"])
            try await api.test.advance(by: .seconds(10))
            try await Eventually.wait("one has expired") { try await api.peek().count == 4 }
            #expect(try await api.receive(["max": 9]).map(\.body) == ["high", "normal", "low"])
            try await api.test.advance(by: .seconds(20))
            let later = try await Eventually.value("it is due") { try await api.receive().first }
            #expect(later.body == "later")
        }
    }

    @Test("A newer message replaces one of the same collapse value that nobody has taken") func collapse() async throws
    {
        try await TestAPI.runQueue { api in
            let old = try await api.send("old", ["collapse": "state"])
            try await api.send("new", ["collapse": "state"])
            #expect(try await api.peek().map(\.body) == ["new"])
            let trace = try await api.trace(old.id, as: TestAPI.deskKey)
            #expect(trace["history"]?.array?.last?["detail"]?.string == "collapsed")
            _ = try await api.receive()
            try await api.send("newer", ["collapse": "state"])
            #expect(try await api.peek().map(\.body) == ["new", "newer"])
        }
    }

    @Test("A batch takes what is right and refuses the rest, each in its place") func batch() async throws {
        try await TestAPI.runQueue { api in
            let body = """
                {"messages":[{"to":{"app":"talk"},"body":"one"},{"to":{"app":"none"},"body":"x"},{"to":{"app":"talk"}},
                {"to":{"app":"talk"},"body":"x","colour":1},7,{"to":[{"app":"talk"},{"app":"desk"}],"body":"two"}]}
                """
            let reply = try await api.call(
                "POST", "/v1/messages/batch", token: TestAPI.deskKey, bytes: Array(body.utf8))
            #expect(reply.status == 202)
            let results = reply["results"]?.array ?? []
            #expect(results.map { $0["messages"]?.array?.count } == [1, nil, nil, nil, nil, 2])
            #expect(
                results.map { $0["code"]?.string }
                    == [nil, "unknown_recipient", "invalid_field", "unknown_field", "invalid_field", nil])
            #expect(results.map { $0["status"]?.integer } == [nil, 404, 400, 400, 400, nil])
            #expect(results[2]["field"]?.string == "body")
            #expect(try await api.peek().map(\.body) == ["one", "two"])
            // People's devices are told too.
            _ = try await api.device()
            let mixed: JSON = [
                "messages": [["to": ["account": "alice"], "body": "a"], ["to": ["app": "talk"], "body": "b"]]
            ]
            let told = try await api.call("POST", "/v1/messages/batch", token: TestAPI.deskKey, mixed)
            #expect(told["results"]?[0]?["messages"]?[0]?["state"]?.string == "notified")
            #expect(told["results"]?[1]?["messages"]?[0]?["state"]?.string == "held")
            for bad in ["{}", #"{"messages":[]}"#, #"{"messages":{}}"#, #"{"messages":[],"x":1}"#] {
                let refused = try await api.call(
                    "POST", "/v1/messages/batch", token: TestAPI.deskKey, bytes: Array(bad.utf8))
                #expect(refused.status == 400, "\(bad)")
            }
        }
    }

    @Test(
        "What is wrong with a message is told by its field",
        arguments: [
            (#"{"body":"x"}"#, "to"), (#"{"to":{"app":"talk"}}"#, "body"), (#"{"to":{},"body":"x"}"#, "to"),
            (#"{"to":[],"body":"x"}"#, "to"), (#"{"to":"app/talk","body":"x"}"#, "to"),
            (#"{"to":[{"app":"talk"},{"queue":"x"}],"body":"x"}"#, "to[1]"),
            (#"{"to":{"app":1},"body":"x"}"#, "to.app"), (#"{"to":{"app":"talk"},"body":{}}"#, "body"),
            (#"{"to":{"app":"talk"},"body":"x","header":{"a":1}}"#, "header.a"),
            (#"{"to":{"app":"talk"},"body":"x","priority":"urgent"}"#, "priority"),
            (#"{"to":{"app":"talk"},"body":"x","receipts":"some"}"#, "receipts"),
            (#"{"to":{"app":"talk"},"body":"x","from":"account"}"#, "from"),
            (#"{"to":{"app":"talk"},"body":"x","ttlSeconds":0}"#, "ttlSeconds"),
            (#"{"to":{"app":"talk"},"body":"x","ttlSeconds":9223372036854775807}"#, "ttlSeconds"),
            (#"{"to":{"app":"talk"},"body":"x","notBefore":"tomorrow"}"#, "notBefore"),
            (#"{"to":{"app":"talk"},"body":"x","id":""}"#, "id"),
            (#"{"to":{"app":"talk"},"body":"x","bdoy":"x"}"#, "bdoy"),
            (#"{"to":{"app":"talk"},"body":null}"#, "body"),
        ])
    func faults(body: String, field: String) async throws {
        try await TestAPI.runQueue { api in
            let reply = try await api.call("POST", "/v1/messages", token: TestAPI.deskKey, bytes: Array(body.utf8))
            #expect((reply.status, reply.field) == (400, field), "\(reply.text)")
            #expect(try await api.peek().isEmpty)
        }
    }

    @Test("A recipient that is not there is 404, and one that is not the sender's to write to 403") func recipients()
        async throws
    {
        try await TestAPI.runQueue { api in
            let (alice, bob) = (try await api.device(), try await api.device("bob"))
            let cases: [(JSON, String, Int)] = [
                (["account": "nobody"], alice.token, 404), (["app": "none"], alice.token, 404),
                (["device": "dev_none"], alice.token, 404), (["device": .string(bob.id)], alice.token, 403),
                (["device": .string(bob.id)], TestAPI.talkKey, 202), (["account": "bob"], alice.token, 202),
                (["device": .string(alice.id)], alice.token, 202),
                ([["account": "bob"], ["account": "nobody"]], alice.token, 404),
            ]
            for (to, token, status) in cases {
                #expect(try await api.post(to: to, as: token).status == status, "\(to)")
            }
        }
    }
}

extension TestAPI {
    func stream(_ client: Client) async throws -> EventReader {
        let reply = try await call("GET", "/v1/stream", token: client.token)
        return EventReader(try #require(reply.stream))
    }
}
