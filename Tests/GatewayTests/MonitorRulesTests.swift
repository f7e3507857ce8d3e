import Base
import GatewayTestKit
import Testing

@testable import Gateway

@Suite("rules of a registration, and what two registrations both see", .timeLimit(.minutes(1)))
struct MonitorRulesTests {
    @Test("SG-10 a rule by sender or title ignores an item or gives it another priority; the first that fits decides")
    func rules() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            var notify = NotifyPreferences()
            notify.rules = [
                NotifyRule(from: "NEWSLETTER@", title: nil, then: .ignore),
                NotifyRule(from: "boss", title: "urgent", then: .high),
                NotifyRule(from: "boss", title: nil, then: .low),
            ]
            let registration = try await test.watched(phone, notify: notify)
            var ad = Item(key: "ad", sender: "Shop", senderAddress: "newsletter@shop.example", title: "Sale")
            ad.priority = .high
            try await test.monitor.emit(
                registration.id, .new(ad), .new(Item(key: "u", sender: "The Boss", title: "URGENT: budget")),
                .new(Item(key: "b", sender: "The Boss", title: "Lunch")), .new(Item(key: "n", title: "Anything")))
            let items = try await test.store.items(registration: registration.id, keys: ["ad", "u", "b", "n"])
            #expect(items.mapValues(\.isOpen) == ["ad": false, "u": true, "b": true, "n": true])
            var priorities: [String: Message.Priority] = [:]
            for (key, item) in items where item.isOpen {
                priorities[key] = try await test.gateway.messages.trace(item.message).message.priority
            }
            #expect(priorities == ["u": .high, "b": .low, "n": .normal])
            #expect(test.gateway.mailroom.openCount(.account("alice")) == 3)
        }
    }

    @Test("a message that two registrations of an account see rings once; another account's rings too")
    func twoRegistrations() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let (mail, chat) = (try await test.watched(phone), try await test.watched(phone, app: "chat"))
            let other = try await test.watched(try await test.device("bob"))
            func item(_ key: String) -> Item { Item(key: key, contentKey: "<1@example.org>", title: "Once") }
            try await test.monitor.emit(mail.id, .new(item("a")))
            try await test.monitor.emit(chat.id, .new(item("b")), .new(Item(key: "c", title: "Its own")))
            // A move to another folder of the same mailbox is the monitor's affair.
            try await test.monitor.emit(mail.id, .new(item("d")))
            try await test.monitor.emit(other.id, .new(item("e")))
            func open(_ registration: Registration, _ keys: [String]) async throws -> [String: Bool] {
                try await test.store.items(registration: registration.id, keys: keys).mapValues(\.isOpen)
            }
            #expect(try await open(mail, ["a", "d"]) == ["a": true, "d": true])
            #expect(try await open(chat, ["b", "c"]) == ["b": false, "c": true])
            #expect(try await open(other, ["e"]) == ["e": true])
            test.time.advance(by: RecentContents.lifetime)
            try await test.monitor.emit(chat.id, .new(item("f")))
            #expect(try await open(chat, ["f"]) == ["f": true])
        }
    }

    @Test(
        "SG-10 rules that cannot be understood are refused with their place",
        arguments: [
            (#"[{"then":"ignore"}]"#, "notify.rules[0]"), (#"[{"from":"x","then":"delete"}]"#, "notify.rules[0]"),
            (#"[{"from":"x","then":"low"},{"title":"","then":"low"}]"#, "notify.rules[1].title"),
            (#"{}"#, "notify.rules"), (#"[{"from":"x","to":"y","then":"low"}]"#, "notify.rules[0]"),
        ])
    func refused(text: String, field: String) throws {
        let error = #expect(throws: GatewayError.self) {
            try NotifyPreferences(json: ["rules": JSONParser.parse(text)])
        }
        #expect(error?.field == field)
    }

    @Test("rules survive their JSON form")
    func form() throws {
        let rules = [
            NotifyRule(from: "a", title: nil, then: .ignore), NotifyRule(from: nil, title: "b", then: .high),
        ]
        #expect(try [NotifyRule](json: rules.json) == rules)
    }
}
