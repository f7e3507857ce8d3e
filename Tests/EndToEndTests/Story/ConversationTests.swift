import Base
import GatewayTestKit
import Testing

/// Two people talk over the built program and its database.
@Suite(.timeLimit(.minutes(3))) struct ConversationTests {
    private static func numbers(_ history: JSON) -> [Int64] {
        (history["items"]?.array ?? []).compactMap { $0["number"]?.integer }
    }

    @Test("IM-3 IM-6 what was said survives kill -9; the operator exports an account, and ends it")
    func life() async throws {
        var options = Scenario.Options()
        (options.hasMailServer, options.users) = (false, ["alice", "bob"])
        try await Scenario.run(options) { world in
            let (alice, bob) = (try await world.phone("alice").client, try await world.phone("bob").client)
            world.gateway.keepSecret("what alice says")
            var said: [String] = []
            for number in 0..<5 {
                // Answered: so it must be there after a kill at any moment.
                let sent = try await alice.call(
                    "POST", "/v1/messages", ["to": ["account": "bob"], "body": .string("what alice says \(number)")])
                said.append(sent["messages"]?[0]?["id"]?.string ?? "")
                try await world.gateway.kill()
                try await world.gateway.start()
            }
            let history = try await bob.call("GET", "/v1/conversations/account%2Falice")
            #expect((history["items"]?.array ?? []).compactMap { $0["id"]?.string } == said)
            let numbers = Self.numbers(history)
            #expect(numbers.count == 5 && numbers == Set(numbers).sorted())
            let read: JSON = ["upTo": .integer(numbers[3])]
            #expect(try await bob.send("POST", "/v1/conversations/alice/read", read).status == 204)
            try await world.gateway.kill()
            try await world.gateway.start()
            let seen = try await alice.call("GET", "/v1/conversations/bob")
            #expect(seen["peerRead"]?.integer == numbers[3])
            let open = try await bob.call("GET", "/v1/messages")
            #expect((open["items"]?.array ?? []).compactMap { $0["id"]?.string } == [said[4]])

            let export = try await world.gateway.run("account", "export", "alice")
            #expect(export.exit == .code(0), "\(export.errors)")
            let items = try export.output.map { try JSONParser.parse($0) }
            #expect(
                items.compactMap { $0["type"]?.string }
                    == ["account", "device", "status", "conversation"] + Array(repeating: "message", count: 5))
            #expect(try await world.gateway.run("account", "delete", "alice").exit == .code(64), "without --yes")
            #expect(try await alice.send("GET", "/v1/devices").status == 200)
            #expect(try await world.gateway.run("account", "delete", "alice", "--yes").exit == .code(0))
            #expect(try await alice.send("GET", "/v1/devices").status == 401)
            let after = try await bob.call("GET", "/v1/conversations/alice")
            #expect(after["items"]?.array == [])
            // What she had sent and he had not taken is gone, too.
            let left = try await bob.call("GET", "/v1/messages")
            #expect(left["items"]?.array == [])
        }
    }
}
