import Base
import Gateway
import GatewayTestKit
import Testing

/// Answers typed into notifications.
@Suite(.timeLimit(.minutes(2))) struct TapReplyTests {
    @Test("IM-12 IM-6 an answer typed into the notification reaches whoever wrote, once, and the message is read")
    func answer() async throws {
        try await TestAPI.runQueue { api in
            let alice = try await api.device("alice", "phone", channel: nil)
            let bob = try await api.device("bob", "phone")
            let question = try await api.say("Are you coming?", to: "bob", as: alice.token)
            let alert = try #require(try await api.test.push.alerts(count: 1).first)
            #expect(alert.isAnswerable)
            let reply: JSON = ["tap": .string(alert.tap), "body": "In five minutes", "id": "reply/1"]
            for _ in 1...2 {
                let sent = try await api.call("POST", "/v1/replies", token: bob.token, reply)
                #expect(sent.status == 202, "\(sent.text)")
            }
            let said = try await api.history("bob", as: alice.token)
            #expect(said.items.map(\.body) == ["Are you coming?", "In five minutes"])
            #expect(said.items.last?["correlation"]?.string == question)
            #expect(try await api.peek(as: bob.token).isEmpty)
        }
    }

    @Test("IM-12 an application is answered, too; what a monitor found cannot be answered")
    func application() async throws {
        try await TestAPI.runQueue { api in
            let bob = try await api.device("bob", "phone")
            try await api.send(to: ["account": "bob"], as: TestAPI.deskKey, "May I?")
            let alert = try #require(try await api.test.push.alerts(count: 1).first)
            #expect(alert.isAnswerable)
            let sent = try await api.call(
                "POST", "/v1/replies", token: bob.token, ["tap": .string(alert.tap), "body": "yes"])
            #expect(sent.status == 202 && sent["messages"]?[0]?["to"] == "app/desk", "\(sent.text)")
            let registration = try await api.watched(bob)
            _ = try await api.test.news(registration, "1")
            let mail = try #require(try await api.test.push.alerts(count: 2).last)
            #expect(!mail.isAnswerable)
        }
    }

    @Test("IM-2 a tap says which conversation it is about, also when the message is settled; a monitor's mail has none")
    func subject() async throws {
        try await TestAPI.runQueue { api in
            let alice = try await api.device("alice", "phone", channel: nil)
            let bob = try await api.device("bob", "phone")
            func ask(_ tap: String) async throws -> Reply {
                try await api.call("POST", "/v1/taps", token: bob.token, ["tap": .string(tap)])
            }
            let id = try await api.say("Are you coming?", to: "bob", as: alice.token)
            let people = try #require(try await api.test.push.alerts(count: 1).last).tap
            try await api.send(to: ["account": "bob"], as: TestAPI.deskKey, "May I?")
            let app = try #require(try await api.test.push.alerts(count: 2).last).tap
            let registration = try await api.watched(bob)
            _ = try await api.test.news(registration, "1")
            let mail = try #require(try await api.test.push.alerts(count: 3).last).tap
            for _ in 0..<2 {
                let answer = try await ask(people)
                #expect(answer.status == 200 && answer["peer"] == "account/alice", "\(answer.text)")
                #expect(answer["message"]?.string == id)
                #expect(try await ask(app)["peer"] == "app/desk")
                let other = try await ask(mail)
                #expect(other.status == 200 && other["peer"] == nil, "\(other.text)")
                _ = try await api.call("POST", "/v1/messages/\(id)/read", token: bob.token)
            }
            for (token, tap) in [(alice.token, people), (bob.token, "forged")] {
                let reply = try await api.call("POST", "/v1/taps", token: token, ["tap": .string(tap)])
                #expect((reply.status, reply.code) == (410, "launch_expired"))
            }
        }
    }

    @Test("another device's tap, and a forged one, answer nothing")
    func foreign() async throws {
        try await TestAPI.runQueue { api in
            let alice = try await api.device("alice", "phone", channel: nil)
            let bob = try await api.device("bob", "phone")
            try await api.say("Are you coming?", to: "bob", as: alice.token)
            let tap = try #require(try await api.test.push.alerts(count: 1).first).tap
            for (token, tap) in [(alice.token, tap), (bob.token, "forged"), (bob.token, "")] {
                let reply = try await api.call("POST", "/v1/replies", token: token, ["tap": .string(tap), "body": "x"])
                #expect((reply.status, reply.code) == (410, "launch_expired"))
            }
            let empty = try await api.call("POST", "/v1/replies", token: bob.token, ["tap": .string(tap)])
            #expect((empty.status, empty.code) == (400, "invalid_field"))
            #expect(try await api.history("bob", as: alice.token).items.count == 1)
        }
    }
}
