import Base
import Gateway
import GatewayTestKit
import Testing

/// Peek-lock between an application's consumers and its queue.
@Suite(.timeLimit(.minutes(2))) struct ConsumerTests {
    @Test("PL-1 PL-2 PL-5 PL-6 PL-14 competing consumers each get the next message that is not locked")
    func competing() async throws {
        try await TestAPI.runQueue { api in
            for number in 1...3 { try await api.send("number \(number)") }
            let first = try await api.receive()
            let second = try await api.receive()
            #expect(first.map(\.body) == ["number 1"])
            #expect(second.map(\.body) == ["number 2"])
            #expect(try await api.receive(["max": 100]).map(\.body) == ["number 3"])
            #expect(try await api.receive().isEmpty)
        }
    }

    @Test("PL-3 PL-4 what is received stays in the queue, and looking at it locks nothing") func view() async throws {
        try await TestAPI.runQueue { api in
            let sent = try await api.send("text")
            for _ in 0..<2 { #expect(try await api.peek().map { $0["state"]?.string } == ["ready"]) }
            let taken = try await api.receive()
            #expect(taken.map(\.id) == [sent.id])
            let seen = try await api.peek()
            #expect(seen.map(\.id) == [sent.id])
            #expect(seen.map { $0["state"]?.string } == ["locked"])
        }
    }

    @Test("PL-10 PL-11 PL-12 the view is a body in an envelope, and carries the property of its lock")
    func envelope() async throws {
        try await TestAPI.runQueue { api in
            let client = try await api.device()
            try await api.send(
                as: client.token, "the body \u{2028} \"quoted\"",
                ["header": ["b": "2", "a": "1\n"], "subject": "Hello", "group": "g", "correlation": "c"])
            let message = try #require(try await api.receive(["lockSeconds": 45]).first)
            #expect(message.body == "the body \u{2028} \"quoted\"")
            #expect(message["header"] == ["a": "1\n", "b": "2"])
            #expect(message["subject"]?.string == "Hello")
            #expect(message["sender"]?.string == "account/alice")
            #expect(message["queue"]?.string == "app/talk")
            #expect(message["group"]?.string == "g")
            #expect(message["correlation"]?.string == "c")
            #expect(message["enqueued"]?.string == api.test.time.timestamp.description)
            let receipt = try #require(message["receipt"]?.object)
            #expect(receipt.keys == ["token", "remainingMilliseconds", "delivery"])
            #expect(receipt["remainingMilliseconds"]?.integer == 45_000)
            #expect(receipt["delivery"]?.integer == 1)
            #expect(receipt["token"]?.string?.wholeMatch(of: /1-[0-9a-f]{16}/) != nil)
        }
    }

    @Test("PL-7 PL-8 PL-9 accepted: done and gone. Not accepted: ready again, for anybody") func verdicts() async throws
    {
        try await TestAPI.runQueue { api in
            try await api.send("one")
            let first = try #require(try await api.receive().first)
            let abandoned = try await api.settle(first, "abandon")
            #expect((abandoned.status, abandoned["state"]?.string) == (200, "ready"))
            let again = try #require(try await api.receive().first)
            #expect((again.id, again.delivery) == (first.id, 2))
            let done = try await api.settle(again, "complete")
            #expect((done.status, done.json) == (200, ["id": .string(first.id), "state": "done"]))
            #expect(try await api.peek().isEmpty)
            #expect(try await api.receive().isEmpty)
        }
    }

    @Test("PL-9 one that is put back for a time comes up when that is over") func delay() async throws {
        try await TestAPI.runQueue { api in
            try await api.send()
            let first = try #require(try await api.receive().first)
            let reply = try await api.settle(first, "abandon", ["delaySeconds": 10])
            #expect(reply["state"]?.string == "scheduled")
            #expect(try await api.receive().isEmpty)
            try await api.test.advance(by: .seconds(9))
            #expect(try await api.receive().isEmpty)
            try await api.test.advance(by: .seconds(1))
            let again = try await Eventually.value("it comes up") { try await api.receive().first }
            #expect((again.id, again.delivery) == (first.id, 2))
        }
    }

    @Test("PL-14 G4 a lock that ends frees the message; the old receipt settles nothing any more") func expiry()
        async throws
    {
        try await TestAPI.runQueue { api in
            try await api.send()
            let first = try #require(try await api.receive(["lockSeconds": 5]).first)
            try await api.test.advance(by: .seconds(4))
            #expect(try await api.receive().isEmpty)
            try await api.test.advance(by: .seconds(1))
            let second = try await Eventually.value("it is ready again") { try await api.receive().first }
            #expect((second.id, second.delivery) == (first.id, 2))
            for verb in ["complete", "abandon", "renew", "defer", "dead-letter"] {
                let reply = try await api.settle(first, verb)
                #expect((reply.status, reply.code) == (409, "lock_lost"), "\(verb)")
            }
            #expect(try await api.settle(second, "complete").status == 200)
            let line = try await api.test.waitForLog(.messageLockExpired)[0]
            #expect(line.fields["messageId"] == .string(first.id))
            #expect(line.fields["consumer"] == "talk")
        }
    }

    @Test("G4 what is no receipt of a lock is answered like one that is lost") func tokens() async throws {
        try await TestAPI.runQueue { api in
            try await api.send()
            let message = try #require(try await api.receive().first)
            let right = message["receipt"]?["token"]?.string ?? ""
            for token in ["", "x", "1-", "1-0123456789abcdeg", "0-0123456789abcdef", "1-0123456789abcdef", right + "0"]
            {
                let reply = try await api.settle(message, "complete", ["token": .string(token)])
                #expect((reply.status, reply.code) == (409, "lock_lost"), "\(token)")
            }
            #expect(try await api.settle(message, "complete").status == 200)
        }
    }

    @Test(
        "G5 the same settlement again is answered the same, also after a restart",
        arguments: [("complete", "done"), ("abandon", "ready"), ("defer", "deferred"), ("dead-letter", "dead")])
    func repeated(verb: String, state: String) async throws {
        try await TestAPI.runQueue { api in
            try await api.send()
            let message = try #require(try await api.receive().first)
            for _ in 0..<2 {
                let reply = try await api.settle(message, verb)
                #expect((reply.status, reply["state"]?.string) == (200, state), "\(reply.text)")
            }
            try await api.restarted {
                let reply = try await api.settle(message, verb)
                #expect((reply.status, reply["state"]?.string) == (200, state), "\(reply.text)")
                let other = verb == "complete" ? "abandon" : "complete"
                #expect(try await api.settle(message, other).code == "lock_lost")
            }
        }
    }

    @Test("G6 a group's messages are given out one after the other; others go on") func groups() async throws {
        try await TestAPI.runQueue { api in
            for text in ["a1", "a2", "b1"] { try await api.send(text, ["group": .string(String(text.first!))]) }
            let taken = try await api.receive(["max": 10])
            #expect(taken.map(\.body) == ["a1", "b1"])
            let second = try #require(try await api.peek().first { $0.body == "a2" })
            let locked = try await api.call("POST", "/v1/messages/\(second.id)/lock", token: TestAPI.talkKey, [:])
            #expect((locked.status, locked.code) == (409, "not_available"))
            #expect(try await api.settle(taken[0], "complete").status == 200)
            #expect(try await api.receive(["max": 10]).map(\.body) == ["a2"])
        }
    }

    @Test("G3 G11 after a restart nothing is locked, and what may come twice says so") func restart() async throws {
        try await TestAPI.runQueue { api in
            try await api.send("taken")
            try await api.send("waiting")
            let taken = try #require(try await api.receive().first)
            try await api.restarted {
                let again = try await api.receive(["max": 2])
                #expect(again.map(\.body) == ["taken", "waiting"])
                #expect(again.allSatisfy { ($0.delivery ?? 0) >= 2 })
                // The one from before the restart has lost its lock.
                #expect(try await api.settle(taken, "complete").code == "lock_lost")
                try await api.send("new")
                #expect(try await api.receive().map(\.delivery) == [1])
            }
        }
    }

    @Test("G12 a corrected wall clock neither ends a lock nor keeps it") func clock() async throws {
        try await TestAPI.runQueue { api in
            try await api.send()
            _ = try await api.receive(["lockSeconds": 10])
            api.test.time.correctWallClock(by: .seconds(86_400))
            try await api.test.advance(by: .seconds(5))
            #expect(try await api.receive().isEmpty)
            api.test.time.correctWallClock(by: .seconds(-2 * 86_400))
            try await api.test.advance(by: .seconds(5))
            _ = try await Eventually.value("it is ready again") { try await api.receive().first }
        }
    }

    @Test("PL-12 a lock can be renewed as long as it holds, up to limits.lockTotalSeconds") func renewal() async throws
    {
        try await TestAPI.runQueue { limits in
            limits.lockTotalSeconds = 300
        } _: { api in
            try await api.send()
            let message = try #require(try await api.receive(["lockSeconds": 200]).first)
            try await api.test.advance(by: .seconds(150))
            let renewed = try await api.settle(message, "renew", ["lockSeconds": 100])
            #expect((renewed.status, renewed["state"]?.string) == (200, "locked"))
            #expect(renewed["receipt"]?["token"] == message["receipt"]?["token"])
            #expect(renewed["receipt"]?["remainingMilliseconds"]?.integer == 100_000)
            try await api.test.advance(by: .seconds(90))
            // No more than what is left of the 300 s since the hand-over.
            let last = try await api.settle(message, "renew", ["lockSeconds": 300])
            #expect(last["receipt"]?["remainingMilliseconds"]?.integer == 60_000)
            #expect(try await api.settle(message, "complete").status == 200)
            #expect(try await api.settle(message, "renew").code == "lock_lost")
        }
    }

    @Test("PL-4 a message that was seen can be locked by its id") func lockByID() async throws {
        try await TestAPI.runQueue { api in
            try await api.send("one")
            let two = try await api.send("two")
            let path = "/v1/messages/\(two.id)/lock"
            let locked = try await api.call(
                "POST", path, token: TestAPI.talkKey, ["lockSeconds": 60, "queue": "app/talk"])
            #expect((locked.status, locked.json.body, locked.json.delivery) == (200, "two", 1))
            #expect(locked["receipt"]?["remainingMilliseconds"]?.integer == 60_000)
            let again = try await api.call("POST", path, token: TestAPI.talkKey)
            #expect((again.status, again.code) == (409, "not_available"))
            #expect(try await api.receive(["max": 5]).map(\.body) == ["one"])
            #expect(try await api.settle(locked.json, "complete").status == 200)
            #expect(try await api.call("POST", path, token: TestAPI.talkKey).status == 404)
            #expect(try await api.call("POST", "/v1/messages/m1-zzz/lock", token: TestAPI.talkKey).status == 404)
        }
    }

    @Test("PL-9 what is deferred comes by its id only") func deferring() async throws {
        try await TestAPI.runQueue { api in
            for text in ["one", "two"] { try await api.send(text) }
            let taken = try await api.receive(["max": 2])
            for message in taken { #expect(try await api.settle(message, "defer")["state"]?.string == "deferred") }
            #expect(try await api.receive(["max": 5]).isEmpty)
            let ids: [JSON] = [.string(taken[1].id), .string(taken[0].id)]
            let back = try await api.receive(["deferred": .array(ids), "lockSeconds": 20])
            #expect(back.map(\.body) == ["two", "one"])
            #expect(back.map(\.delivery) == [2, 2])
            // One that is locked now is left out.
            #expect(try await api.receive(["deferred": .array(ids)]).isEmpty)
            for message in back { #expect(try await api.settle(message, "complete").status == 200) }
        }
    }

    @Test("Mode delete settles what is handed over") func deleting() async throws {
        try await TestAPI.runQueue { api in
            try await api.send()
            let message = try #require(try await api.receive(["mode": "delete"]).first)
            #expect(message["receipt"]?["remainingMilliseconds"]?.integer == 0)
            #expect(try await api.peek().isEmpty)
            #expect(try await api.trace(message.id)["state"]?.string == "done")
            let client = try await api.device()
            try await api.test.post()
            #expect(try await api.receive(["mode": "delete", "max": 5], as: client.token).count == 1)
            #expect(try await api.peek(as: client.token).isEmpty)
        }
    }

    @Test("Several settlements in one request each have their result") func many() async throws {
        try await TestAPI.runQueue { api in
            for number in 0..<4 { try await api.send("\(number)") }
            let taken = try await api.receive(["max": 4])
            func item(_ message: JSON, _ verb: String) -> JSON {
                ["id": .string(message.id), "token": message["receipt"]?["token"] ?? .null, "as": .string(verb)]
            }
            let foreign = try await api.send(to: ["app": "desk"], as: TestAPI.talkKey)
            let items: [JSON] = [
                item(taken[0], "complete"), item(taken[1], "abandon"), item(taken[2], "renew"),
                item(taken[3], "dead-letter"), ["id": .string(taken[0].id), "token": "1-0", "as": "complete"],
                ["id": .string(foreign.id), "token": "1-0", "as": "complete"],
                ["id": "m9-9", "token": "1-0", "as": "complete"],
                // Twice in one request: the same answer.
                item(taken[0], "complete"),
            ]
            let reply = try await api.call(
                "POST", "/v1/messages/settle", token: TestAPI.talkKey, ["settlements": .array(items)])
            #expect(reply.status == 200)
            let results = reply["results"]?.array ?? []
            #expect(
                results.map { $0["state"]?.string ?? $0["code"]?.string }
                    == ["done", "ready", "locked", "dead", "lock_lost", "forbidden", "not_found", "done"])
            #expect(results[2]["receipt"]?["delivery"]?.integer == 1)
            #expect(results[5]["id"]?.string == foreign.id)
        }
    }
}
