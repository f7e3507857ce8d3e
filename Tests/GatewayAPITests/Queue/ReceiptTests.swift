import Base
import Gateway
import GatewayTestKit
import Testing

/// What senders hear, and what becomes of messages nobody can accept.
@Suite(.timeLimit(.minutes(2))) struct ReceiptTests {
    @Test("TT-6 G10 a device's message is acknowledged once; its sender hears so once, on its stream") func delivered()
        async throws
    {
        try await TestAPI.runQueue { api in
            let (alice, bob) = (try await api.device(), try await api.device("bob"))
            let (sender, receiver) = (try await api.stream(bob), try await api.stream(alice))
            let sent = try await api.send(to: ["account": "alice"], as: bob.token, "hi", ["correlation": "c"])
            let message = try await receiver.first("message")
            for _ in 0..<2 {
                let ack: JSON = ["upTo": .integer(message.id ?? 0)]
                #expect(try await api.call("POST", "/v1/stream/ack", token: alice.token, ack).status == 204)
            }
            let receipt = try await sender.first("receipt")
            #expect(receipt.data["message"]?.string == sent.id)
            #expect(receipt.data["correlation"]?.string == "c")
            #expect(receipt.data["state"]?.string == "delivered")
            #expect(receipt.data["device"]?.string == alice.id)
            #expect(try await api.call("POST", "/v1/messages/\(sent.id)/read", token: alice.token).status == 204)
            _ = try await sender.first("receipt") { $0.data["state"]?.string == "read" }
            let states = sender.events.filter { $0.event == "receipt" }.map { $0.data["state"]?.string }
            #expect(states == ["delivered", "read"])
        }
    }

    @Test("G10 who wants to hear of every hop hears that it was forwarded, too") func hops() async throws {
        try await TestAPI.runQueue { api in
            let (alice, bob) = (try await api.device(), try await api.device("bob"))
            let (sender, receiver) = (try await api.stream(bob), try await api.stream(alice))
            try await Eventually.wait("alice is live") { api.gateway.streams.isLive(DeviceID(alice.id)) }
            try await api.send(to: ["account": "alice"], as: bob.token, "hi", ["receipts": "all"])
            let message = try await receiver.first("message")
            _ = try await sender.first("receipt") { $0.data["state"]?.string == "forwarded" }
            let ack: JSON = ["upTo": .integer(message.id ?? 0)]
            #expect(try await api.call("POST", "/v1/stream/ack", token: alice.token, ack).status == 204)
            _ = try await sender.first("receipt") { $0.data["state"]?.string == "delivered" }
        }
    }

    @Test("G2 a message as large as may be reaches a device, with those behind it") func large() async throws {
        try await TestAPI.runQueue { api in
            let (alice, bob) = (try await api.device(), try await api.device("bob"))
            let text = String(repeating: "x", count: 1_000_000)
            try await api.send(to: ["account": "alice"], as: bob.token, text)
            try await api.send(to: ["account": "alice"], as: bob.token, "small")
            let receiver = try await api.stream(alice)
            let first = try await receiver.first("message")
            #expect(first.data["body"]?.string?.utf8.count == 1_000_000)
            _ = try await receiver.first("message") { $0.data["body"]?.string == "small" }
        }
    }

    @Test("G10 an app hears in its own queue, of the end only or of nothing, as it asked") func appReceipts()
        async throws
    {
        try await TestAPI.runQueue { api in
            let sent = try await api.send("text", ["receipts": "final"])
            try await api.send("silent")
            for message in try await api.receive(["max": 2]) {
                #expect(try await api.settle(message, "complete").status == 200)
            }
            let receipts = try await api.receive(["max": 5], as: TestAPI.deskKey)
            #expect(receipts.count == 1)
            let header = try #require(receipts.first?["header"])
            #expect(header["type"]?.string == "receipt")
            #expect(header["state"]?.string == "delivered")
            #expect(header["message"]?.string == sent.id)
            #expect(receipts.first?["correlation"]?.string == sent.id)
        }
    }

    @Test("A message for one device is done when the device acknowledges it on its stream") func deviceQueue()
        async throws
    {
        try await TestAPI.runQueue { api in
            let (alice, bob) = (try await api.device(), try await api.device("bob"))
            let sent = try await api.send(to: ["device": .string(alice.id)], as: TestAPI.talkKey)
            let queue = "device/\(alice.id)"
            #expect(try await api.peek(as: alice.token, queue: queue).map(\.id) == [sent.id])
            #expect(try await api.call("GET", "/v1/messages?queue=\(queue)", token: bob.token).status == 403)
            let message = try await (try await api.stream(alice)).first("message")
            #expect(message.data["queue"]?.string == queue)
            let ack: JSON = ["upTo": .integer(message.id ?? 0)]
            #expect(try await api.call("POST", "/v1/stream/ack", token: alice.token, ack).status == 204)
            #expect(try await api.peek(as: alice.token, queue: queue).isEmpty)
            let trace = try await api.trace(sent.id, as: alice.token)
            #expect(trace["history"]?.array?.last?["detail"]?.string == "acknowledged")
        }
    }

    @Test("PL-9 MN-12 completing an account's message takes its notification away from the devices") func clears()
        async throws
    {
        try await TestAPI.runQueue { api in
            let phone = try await api.device()
            let tablet = try await api.device("alice", "tablet", channel: nil)
            let sent = try await api.send(to: ["account": "alice"], as: TestAPI.talkKey)
            _ = try await api.test.push.alerts(count: 1)
            let reader = try await api.stream(tablet)
            let message = try #require(try await api.receive(as: phone.token).first)
            #expect(message.id == sent.id)
            let reply = try await api.settle(message, "complete", as: phone.token)
            #expect((reply.status, reply["state"]?.string) == (200, "done"))
            let clear = try await reader.first("clear")
            #expect(clear.data["message"]?.string == sent.id)
            #expect(clear.data["notifications"]?.array?.count == 1)
            // The same again, and something else.
            #expect(try await api.settle(message, "complete", as: phone.token)["state"]?.string == "done")
            #expect(try await api.settle(message, "abandon", as: phone.token).code == "lock_lost")
        }
    }

    @Test("Completing a device's message by request takes its notification away too") func clearsDevice() async throws {
        try await TestAPI.runQueue { api in
            let phone = try await api.device()
            try await api.send(to: ["device": .string(phone.id)], as: TestAPI.talkKey)
            _ = try await api.test.push.alerts(count: 1)
            try await api.test.waitUntilIdle()
            let queue: JSON = .string("device/\(phone.id)")
            let message = try #require(try await api.receive(["queue": queue], as: phone.token).first)
            #expect(try await api.settle(message, "complete", as: phone.token).status == 200)
            _ = try await api.test.waitForLog(.notificationCleared)
            #expect(api.gateway.notifier.pendingCount == 0)
        }
    }

    @Test("After limits.maxDeliveries hand-overs a message is dead, with who had it last; redriven it is like new")
    func dead() async throws {
        try await TestAPI.runQueue { limits in
            limits.maxDeliveries = 2
        } _: { api in
            let sent = try await api.send("text", ["receipts": "final"])
            for state in ["ready", "dead"] {
                let message = try #require(try await api.receive().first)
                #expect(try await api.settle(message, "abandon")["state"]?.string == state)
            }
            #expect(try await api.receive().isEmpty)
            #expect(try await api.peek().isEmpty)
            let dead = try await api.call("GET", "/v1/dead?queue=app/talk", token: TestAPI.talkKey).items
            #expect(dead.map(\.id) == [sent.id])
            #expect(dead.first?["reason"]?.string == "max_deliveries")
            #expect(dead.first?["consumer"]?.string == "talk")
            #expect(dead.first?["deliveries"]?.integer == 2)
            #expect(dead.first?.body == "text")
            let line = try await api.test.waitForLog(.messageDead)
            #expect(line.count == 1)
            #expect(line[0].fields["reason"] == "max_deliveries")
            #expect(try await api.receive(as: TestAPI.deskKey).first?["header"]?["state"]?.string == "dead")
            let queues = try await api.admin("GET", "queues").items
            let talk = queues.first { $0["queue"]?.string == "app/talk" }
            #expect(talk?["dead"]?.integer == 1)
            let status = try await api.admin("GET", "status")
            #expect(status["deadMessages"]?.integer == 1)
            #expect(status["lockedMessages"]?.integer == 1)
            try await api.restarted {
                let path = "/v1/dead/\(sent.id)/redrive"
                #expect(try await api.call("POST", path, token: TestAPI.deskKey).status == 403)
                let redriven = try await api.call("POST", path, token: TestAPI.talkKey)
                #expect((redriven.status, redriven.json) == (200, ["id": .string(sent.id), "state": "ready"]))
                #expect(try await api.call("POST", path, token: TestAPI.talkKey).status == 404)
                #expect(try await api.receive().map(\.body) == ["text"])
                #expect(try await api.call("GET", "/v1/dead", token: TestAPI.talkKey).items.isEmpty)
            }
        }
    }

    @Test("PL-9 a consumer can say that nobody can accept it, and why") func deadLetter() async throws {
        try await TestAPI.runQueue { api in
            for text in ["one", "two"] { try await api.send(text) }
            let taken = try await api.receive(["max": 2])
            let reply = try await api.settle(taken[0], "dead-letter", ["reason": "no such customer"])
            #expect(reply.json == ["id": .string(taken[0].id), "state": "dead"])
            #expect(try await api.settle(taken[1], "dead-letter").status == 200)
            let page = try await api.call("GET", "/v1/dead?limit=1", token: TestAPI.talkKey)
            #expect(page.items.map { $0["reason"]?.string } == ["no such customer"])
            let next = page["next"]?.string ?? ""
            let last = try await api.call("GET", "/v1/dead?limit=1&after=\(next)", token: TestAPI.talkKey)
            #expect(last.items.map { $0["reason"]?.string } == ["rejected"])
            #expect(last["next"]?.isNull == true)
            let trace = try await api.trace(taken[0].id)
            #expect(trace["history"]?.array?.last?["state"]?.string == "dead")
            #expect(trace["history"]?.array?.last?["detail"]?.string == "no such customer")
        }
    }
}
