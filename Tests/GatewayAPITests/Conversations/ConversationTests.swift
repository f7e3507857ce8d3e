import Base
import Gateway
import GatewayTestKit
import Testing

@Suite(.timeLimit(.minutes(2))) struct ConversationTests {
    @Test("IM-3 IM-6 IM-10 two accounts talk: both have the same history, page by page, with marks and unread counts")
    func history() async throws {
        try await TestAPI.runQueue { api in
            let (alice, bob) = (try await api.device("alice"), try await api.device("bob"))
            for number in 1...5 {
                try await api.say("a\(number)", to: "bob", as: alice.token)
                try await api.say("b\(number)", to: "alice", as: bob.token, ["subject": "S", "header": ["k": "v"]])
            }
            let whole = try await api.history("account%2Fbob", as: alice.token)
            #expect(whole.items.map(\.body) == (1...5).flatMap { ["a\($0)", "b\($0)"] })
            #expect(whole.items.map(\.entryNumber) == whole.items.map(\.entryNumber).sorted())
            #expect(whole.items[1]["from"]?.string == "account/bob")
            #expect(whole.items[1]["subject"]?.string == "S" && whole.items[1][path: "header", "k"]?.string == "v")
            #expect(whole["next"] == .null && whole["unread"]?.integer == 5 && whole["kind"]?.string == "account")
            // A bare name will do, and bob sees the same.
            let other = try await api.history("alice", as: bob.token)
            #expect(other.items.map(\.entryNumber) == whole.items.map(\.entryNumber))
            #expect(other.items.map(\.body) == whole.items.map(\.body))

            let last = try await api.history("bob", as: alice.token, "?limit=3")
            #expect(last.items.map(\.body) == ["b4", "a5", "b5"])
            let next = try #require(last["next"]?.string)
            let before = try await api.history("bob", as: alice.token, "?limit=3&before=\(next)")
            #expect(before.items.map(\.body) == ["a3", "b3", "a4"])
            let after = try await api.history("bob", as: alice.token, "?limit=2&after=\(before.items[2].entryNumber)")
            #expect(after.items.map(\.body) == ["b4", "a5"] && after["next"]?.string != nil)
            let first = try await api.history("bob", as: alice.token, "?before=\(whole.items[2].entryNumber)")
            #expect(first.items.map(\.body) == ["a1", "b1"] && first["next"] == .null)

            #expect(try await api.read("bob", upTo: whole.items[3].entryNumber, as: alice.token).status == 204)
            let list = try await api.conversations(as: alice.token)
            #expect(list.count == 1 && list[0]["unread"]?.integer == 3)
            #expect(list[0]["peer"]?.string == "account/bob" && list[0]["name"]?.string == "bob")
            #expect(list[0][path: "last", "body"]?.string == "b5")
            let seen = try await api.history("alice", as: bob.token)
            #expect(seen["peerRead"]?.integer == whole.items[3].entryNumber)
            #expect(
                seen.items.filter { $0["from"]?.string == "account/bob" }.map { $0["state"]?.string }
                    == ["read", "read", "sent", "sent", "sent"])
        }
    }

    @Test("IM-3 IM-6 every device of both sides sees the same state") func devices() async throws {
        try await TestAPI.runQueue { api in
            let house = try await Household(api)
            let first = try await api.say("one", to: "bob", as: house.alicePhone.token)
            let second = try await api.say("two", to: "bob", as: house.alicePhone.token)
            // Alice's devices hear of her own words, Bob's of the message, with the same number.
            var numbers: Set<Int64> = []
            for client in [house.alicePhone, house.aliceLaptop] {
                let event = try await house.stream(client).first("conversation") {
                    $0.data[path: "entry", "id"]?.string == second
                }
                #expect(event.data["peer"]?.string == "account/bob")
                #expect(event.data[path: "entry", "body"]?.string == "two")
                #expect(event.id != nil)
                numbers.insert(event.data["entry"]?.entryNumber ?? 0)
            }
            for client in [house.bobPhone, house.bobLaptop] {
                let event = try await house.stream(client).first("message") { $0.data.id == second }
                numbers.insert(event.data["entry"]?.integer ?? 0)
            }
            #expect(numbers.count == 1)

            // Bob reads on his phone: his laptop clears, Alice's both devices see it.
            #expect(try await api.read("alice", upTo: numbers.first, as: house.bobPhone.token).status == 204)
            for client in house.all {
                let event = try await house.stream(client).first("conversation") { $0.data["mark"] != nil }
                #expect(event.data[path: "mark", "by"]?.string == "account/bob")
                #expect(event.data[path: "mark", "read"]?.integer == numbers.first)
            }
            for id in [first, second] {
                _ = try await house.stream(house.bobLaptop).first("clear") { $0.data["message"]?.string == id }
            }
            #expect(try await api.peek(as: house.bobLaptop.token).isEmpty)

            // Alice edits one on her laptop and takes the other back on her phone.
            let edited = try await api.call(
                "PATCH", "/v1/messages/\(first)", token: house.aliceLaptop.token, ["body": "ONE"])
            #expect(edited.status == 200 && edited["body"]?.string == "ONE")
            let gone = try await api.call("DELETE", "/v1/messages/\(second)", token: house.alicePhone.token)
            #expect(gone.status == 204)
            for client in house.all {
                let stream = try house.stream(client)
                let edit = try await stream.first("conversation") { $0.data[path: "entry", "edited"] != nil }
                #expect(edit.data[path: "entry", "id"]?.string == first)
                #expect(edit.data[path: "entry", "body"]?.string == "ONE")
                let withdrawal = try await stream.first("conversation") {
                    $0.data[path: "entry", "withdrawn"] != nil
                }
                #expect(withdrawal.data[path: "entry", "id"]?.string == second)
                #expect(withdrawal.data[path: "entry", "body"]?.string == "")
            }
            for (mine, theirs) in [
                (house.alicePhone, house.aliceLaptop), (house.bobPhone, house.bobLaptop),
            ] {
                let peer = mine.account == "alice" ? "bob" : "alice"
                let one = try await api.history(peer, as: mine.token)
                let other = try await api.history(peer, as: theirs.token)
                #expect(one.json == other.json)
                #expect(one.items.map(\.body) == ["ONE", ""])
                #expect(one.items.map { $0["state"]?.string } == ["read", "read"])
            }
        }
    }

    @Test("IM-3 a device that was away is replayed what happened in its conversations, as it is now")
    func replay() async throws {
        try await TestAPI.runQueue { api in
            let (phone, laptop) = (try await api.device(), try await api.device("alice", "laptop", channel: nil))
            try await api.test.account("bob")
            let kept = try await api.say("kept", to: "bob", as: phone.token)
            let gone = try await api.say("gone", to: "bob", as: phone.token)
            _ = try await api.call("DELETE", "/v1/messages/\(gone)", token: phone.token)
            try await api.restarted {
                let stream = try await api.stream(laptop)
                let event = try await stream.first("conversation") {
                    $0.data[path: "entry", "id"]?.string == kept
                }
                #expect(event.data[path: "entry", "body"]?.string == "kept")
                _ = try await stream.first("conversation") { $0.data[path: "entry", "withdrawn"] != nil }
                // Its text is nowhere any more.
                #expect(!stream.all.contains("\"gone\""))
                let history = try await api.history("bob", as: laptop.token)
                #expect(history.items.map(\.body) == ["kept", ""])
                let further = try await api.say("after", to: "bob", as: phone.token)
                let all = try await api.history("bob", as: laptop.token).items
                #expect(all.last?.id == further && all.map(\.entryNumber) == all.map(\.entryNumber).sorted())
            }
        }
    }

    @Test("IM-4 an account and an application talk; the application sees it with its key") func application()
        async throws
    {
        try await TestAPI.runQueue { api in
            let alice = try await api.device()
            let question = try await api.send(to: ["account": "alice"], as: TestAPI.deskKey, "May Bob go?").id
            let reply = try await api.call(
                "POST", "/v1/messages/\(question)/reply", token: alice.token, ["body": "yes"])
            #expect(reply.status == 202)
            let mine = try await api.history("app%2Fdesk", as: alice.token)
            #expect(mine.items.map(\.body) == ["May Bob go?", "yes"])
            #expect(mine.items[1]["correlation"]?.string == question)
            #expect(mine["kind"]?.string == "app")
            #expect(try await api.history("desk", as: alice.token).json == mine.json)
            #expect(try await api.conversations(as: alice.token)[0]["name"]?.string == "Desk")
            let theirs = try await api.history("alice", as: TestAPI.deskKey)
            #expect(theirs.items.map(\.entryNumber) == mine.items.map(\.entryNumber))
            #expect(theirs["unread"]?.integer == 1)
            #expect(try await api.read("alice", upTo: mine.items[1].entryNumber, as: TestAPI.deskKey).status == 204)
            #expect(try await api.history("desk", as: alice.token)["peerRead"]?.integer == mine.items[1].entryNumber)
            // What an application has not taken stays in its queue: reading is no settlement of its work.
            #expect(try await api.peek(as: TestAPI.deskKey).count == 1)
            // Applications do not converse with each other, and others do not see this one.
            try await api.send()
            #expect(try await api.conversations(as: TestAPI.talkKey).isEmpty)
            #expect(try await api.call("GET", "/v1/conversations/app%2Fdesk", token: TestAPI.talkKey).status == 404)
        }
    }

    @Test("IM-4 what an application sends to several devices of an account is one entry, and is taken back from all")
    func tags() async throws {
        try await TestAPI.runQueue { api in
            let (phone, laptop) = (try await api.device(), try await api.device("alice", "laptop"))
            let bob = try await api.device("bob")
            for client in [phone, laptop, bob] {
                let tagged = try await api.call(
                    "PATCH", "/v1/devices/\(client.id)", token: client.token, ["tags": ["ward"]])
                #expect(tagged.status == 200)
            }
            let sent = try await api.post(to: ["tag": "ward"], as: TestAPI.deskKey, "fire drill")
            let ids = (sent["messages"]?.array ?? []).map(\.id)
            #expect(ids.count == 3)
            for client in [phone, bob] {
                #expect(try await api.history("desk", as: client.token).items.map(\.body) == ["fire drill"])
            }
            let entry = try await api.history("desk", as: phone.token).items[0].id
            #expect(ids.contains(entry))
            #expect(try await api.call("DELETE", "/v1/messages/\(entry)", token: TestAPI.deskKey).status == 204)
            for client in [phone, laptop] {
                #expect(try await api.peek(as: client.token, queue: "device%2F\(client.id)").isEmpty)
            }
            #expect(try await api.peek(as: bob.token, queue: "device%2F\(bob.id)").count == 1)
        }
    }

    @Test("IM-3 a message read by itself raises the mark; completing it does not, but it has arrived")
    func singleMessages() async throws {
        try await TestAPI.runQueue { api in
            let (alice, bob) = (try await api.device("alice"), try await api.device("bob"))
            let first = try await api.say("1", to: "bob", as: alice.token)
            try await api.say("2", to: "bob", as: alice.token)
            try await api.say("3", to: "bob", as: alice.token)
            #expect(try await api.call("POST", "/v1/messages/\(first)/read", token: bob.token).status == 204)
            let taken = try await api.receive(as: bob.token)
            #expect(taken.map(\.body) == ["2"])
            #expect(try await api.settle(taken[0], "complete", as: bob.token).status == 200)
            let states = try await api.history("bob", as: alice.token).items.map { $0["state"]?.string }
            #expect(states == ["read", "delivered", "sent"])
            #expect(try await api.history("alice", as: bob.token)["unread"]?.integer == 2)
        }
    }

    @Test("IM-3 what a device acknowledged has arrived, also when nobody asked for receipts, and after a restart")
    func arrivals() async throws {
        try await TestAPI.runQueue { api in
            let bob = try await api.device("bob")
            try await api.send(to: ["account": "bob"], as: TestAPI.deskKey, "1")
            try await api.restarted {
                let stream = try await api.stream(bob)
                let number = try await stream.first("message").id
                #expect(try await api.history("bob", as: TestAPI.deskKey).items[0]["state"]?.string == "sent")
                _ = try await api.call("POST", "/v1/stream/ack", token: bob.token, ["upTo": .integer(number ?? 0)])
                let history = try await api.history("bob", as: TestAPI.deskKey)
                #expect(history.items[0]["state"]?.string == "delivered" && history["peerRead"]?.integer == 0)
            }
        }
    }

    @Test("IM-3 a message for later is in the history when it is due, not before") func scheduled() async throws {
        try await TestAPI.runQueue { api in
            let (alice, bob) = (try await api.device("alice"), try await api.device("bob"))
            let due = (api.test.time.timestamp + .seconds(60)).description
            let later = try await api.say("later", to: "bob", as: alice.token, ["notBefore": .string(due)])
            let now = try await api.say("now", to: "bob", as: alice.token)
            #expect(try await api.history("alice", as: bob.token).items.map(\.id) == [now])
            try await api.test.advance(by: .seconds(61))
            try await Eventually.wait("it is due") {
                try await api.history("alice", as: bob.token).items.map(\.id) == [now, later]
            }
            #expect(try await api.peek(as: bob.token).compactMap { $0["entry"]?.integer }.count == 2)
            try await api.restarted {
                let number = try await api.history("alice", as: bob.token).items[1].entryNumber
                #expect(try await api.read("alice", upTo: number, as: bob.token).status == 204)
                #expect(try await api.peek(as: bob.token).isEmpty)
            }
        }
    }

    @Test("IM-6 typing reaches the other side's connected devices, and no flood of it does") func typing()
        async throws
    {
        try await TestAPI.runQueue { api in
            let house = try await Household(api)
            for _ in 0..<20 { try await api.typing("bob", "composing", as: house.alicePhone.token) }
            for client in [house.bobPhone, house.bobLaptop] {
                let event = try await house.stream(client).first("conversation")
                #expect(event.data["peer"]?.string == "account/alice")
                #expect(event.data[path: "typing", "state"]?.string == "composing")
                #expect(event.data[path: "typing", "seconds"]?.integer == 10)
            }
            for _ in 0..<20 {
                try await api.typing("bob", "paused", as: house.alicePhone.token)
                try await api.typing("bob", "composing", as: house.alicePhone.token)
            }
            // Later than all of it, on the same stream.
            try await api.say("done", to: "bob", as: house.alicePhone.token)
            let stream = try house.stream(house.bobPhone)
            _ = try await stream.first("message")
            #expect(stream.events.count { $0.data["typing"] != nil } == Int(TypingTable.burst))
            #expect(try house.stream(house.aliceLaptop).events.allSatisfy { $0.data["typing"] == nil })
            for (peer, status) in [("nobody", 204), ("alice", 404), ("device%2Fx", 404), ("desk", 204)] {
                let reply = try await api.call(
                    "POST", "/v1/conversations/\(peer)/typing", token: house.alicePhone.token, ["state": "composing"])
                #expect(reply.status == status, "\(peer)")
            }
        }
    }

    @Test("IM-10 names cannot be tried out: a conversation with nobody is as empty as a new one") func names()
        async throws
    {
        try await TestAPI.runQueue { api in
            let alice = try await api.device()
            try await api.test.account("bob")
            func shape(_ name: String) async throws -> String {
                try await api.history(name, as: alice.token).text.replacing(name, with: "NAME")
            }
            #expect(try await shape("bob") == (try await shape("eve")))
            for name in ["bob", "eve"] {
                #expect(try await api.read(name, upTo: 7, as: alice.token).status == 204)
            }
            #expect(try await api.conversations(as: alice.token).isEmpty)
        }
    }
}
