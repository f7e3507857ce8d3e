import Base
import Gateway
import GatewayTestKit
import Testing

/// What somebody does and another one must not learn.
@Suite(.timeLimit(.minutes(2))) struct UntoldTests {
    @Test(
        "IM-10 IM-11 after a block the sender does not learn what is read: no event, no receipt, no mark in the history",
        arguments: ["bob", "alice"])
    func blocked(by blocker: String) async throws {
        try await TestAPI.runQueue { api in
            let house = try await Household(api)
            let (alice, bob) = (house.alicePhone, house.bobPhone)
            func numbers() async throws -> [Int64] {
                try await api.history("bob", as: alice.token).items.map(\.entryNumber)
            }
            func mark(_ number: Int64, on client: Client) async throws {
                _ = try await house.stream(client).first("conversation") {
                    $0.data[path: "mark", "read"]?.integer == number
                }
            }
            try await api.say("one", to: "bob", as: alice.token)
            let first = try #require(try await numbers().last)
            #expect(try await api.read("alice", upTo: first, as: bob.token).status == 204)
            try await mark(first, on: alice)
            let second = try await api.say("two", to: "bob", as: alice.token)
            let third = try await api.say("three", to: "bob", as: alice.token)
            let newest = try #require(try await numbers().last)

            let (token, other) = blocker == "bob" ? (bob.token, "alice") : (alice.token, "bob")
            #expect(try await api.call("PUT", "/v1/blocks/\(other)", token: token).status == 204)
            #expect(try await api.call("POST", "/v1/messages/\(second)/read", token: bob.token).status == 204)
            #expect(try await api.read("alice", upTo: newest, as: bob.token).status == 204)
            try await mark(newest, on: house.bobLaptop)
            let own = try await api.history("alice", as: bob.token)
            #expect(own["unread"]?.integer == 0 && own["read"]?.integer == newest)
            let seen = try await api.history("bob", as: alice.token)
            #expect(seen["peerRead"]?.integer == first)
            #expect(seen.items.map { $0["state"]?.string } == ["read", "sent", "sent"])
            #expect(try await api.conversations(as: alice.token).first?["peerRead"]?.integer == first)

            #expect(try await api.call("DELETE", "/v1/blocks/\(other)", token: token).status == 204)
            try await api.say("four", to: "bob", as: alice.token)
            let last = try #require(try await numbers().last)
            #expect(try await api.read("alice", upTo: last, as: bob.token).status == 204)
            // Later than all of it, on the same stream.
            try await mark(last, on: alice)
            let events = try house.stream(alice).events
            #expect(events.compactMap { $0.data[path: "mark", "read"]?.integer } == [first, last])
            #expect(
                events.allSatisfy {
                    $0.event != "receipt" || ![second, third].contains($0.data["message"]?.string ?? "")
                })
            #expect(try await api.history("bob", as: alice.token)["peerRead"]?.integer == last)
        }
    }

    @Test("IM-11 whoever has blocked somebody is not seen typing by them") func typing() async throws {
        try await TestAPI.runQueue { api in
            let house = try await Household(api)
            #expect(try await api.call("PUT", "/v1/blocks/alice", token: house.bobPhone.token).status == 204)
            try await api.typing("alice", "composing", as: house.bobPhone.token)
            try await api.say("still here", to: "alice", as: house.bobPhone.token)
            let stream = try house.stream(house.alicePhone)
            _ = try await stream.first("message")
            #expect(stream.events.allSatisfy { $0.data["typing"] == nil })
        }
    }
}
