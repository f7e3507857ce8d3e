import Base
import Gateway
import GatewayTestKit
import Testing

@testable import APNsPush

@Suite("pushes in Apple's form")
struct APNsMessageTests {
    private func message(_ push: Push, idOnly: Bool = false) throws -> APNsMessage {
        try #require(APNsMessage(push, topic: "com.example.client", idOnly: idOnly))
    }

    private func text(_ message: APNsMessage) -> String { String(decoding: message.payload, as: UTF8.self) }

    @Test("SG-8 SG-10 an alert: headers and payload are the golden ones")
    func alert() throws {
        let message = try message(push())
        #expect(
            message.headers == [
                "apns-id": "11111111-2222-4333-8444-555555555555", "apns-topic": "com.example.client",
                "apns-push-type": "alert", "apns-priority": "10", "apns-expiration": "1800000000",
                "apns-collapse-id": "c1",
            ])
        #expect(
            text(message)
                == #"{"aps":{"alert":{"title":"Outlook","body":"New mail from Bob"},"badge":3,"sound":"default","thread-id":"oa/t1"},"farbell":{"notification":"n1","app":"oa","collapse":"c1","tap":"tap1"}}"#
        )
        #expect(try !text(self.message(push(body: nil))).contains("body"))
    }

    @Test("MN-13 a wakeup is a background push of priority 5 without texts", arguments: Message.Priority.allCases)
    func wakeup(priority: Message.Priority) throws {
        let message = try message(push(payload: .wakeup, priority: priority))
        #expect(message.headers["apns-push-type"] == "background")
        #expect(message.headers["apns-priority"] == "5")
        #expect(
            text(message)
                == #"{"aps":{"content-available":1},"farbell":{"notification":"n1","app":"oa","collapse":"c1","tap":"tap1","badge":3}}"#
        )
    }

    @Test("clearing is a background push that names the notifications")
    func clear() throws {
        let message = try message(push(clear: ["n1", "n2"]))
        #expect(message.headers["apns-push-type"] == "background")
        #expect(message.headers["apns-priority"] == "5")
        #expect(message.headers["apns-collapse-id"] == "c1")
        #expect(
            text(message)
                == #"{"aps":{"content-available":1},"farbell":{"clear":["n1","n2"],"collapse":"c1","badge":0}}"#)
        let many = (0..<1000).map { NotificationID("notification-\($0)") }
        let cut = try self.message(push(clear: many))
        #expect(cut.payload.count <= APNsMessage.payloadLimit)
        #expect(cut.payload.count > APNsMessage.payloadLimit - 32)
    }

    @Test("priorities", arguments: [(Message.Priority.low, "5"), (.normal, "10"), (.high, "10")])
    func priority(priority: Message.Priority, header: String) throws {
        #expect(try message(push(priority: priority)).headers["apns-priority"] == header)
    }

    @Test(
        "a collapse id that Apple would refuse is replaced by its hash, the same each time",
        arguments: [String(repeating: "c", count: 65), "with space", "ümlaut", "a\r\nb: c"])
    func collapse(value: String) throws {
        let header = try #require(try message(push(collapse: value)).headers["apns-collapse-id"])
        #expect(header.utf8.count == 43)
        #expect(try message(push(collapse: value)).headers["apns-collapse-id"] == header)
        #expect(try message(push(collapse: value + "x")).headers["apns-collapse-id"] != header)
    }

    @Test("64 bytes of collapse id stay as they are")
    func collapseLimit() throws {
        let value = String(repeating: "c", count: 64)
        #expect(try message(push(collapse: value)).headers["apns-collapse-id"] == value)
    }

    @Test(
        "payloads never exceed 4096 bytes and never split a character",
        arguments: ["a", "ä", "日本", "👨‍👩‍👧‍👦", "🇩🇪", "e\u{301}\u{302}", "\"\\\n", "\u{1}"])
    func truncation(unit: String) throws {
        for count in stride(from: 1, through: 5000, by: 311) {
            let body = String(repeating: unit, count: count)
            let message = try message(push(title: body, body: body))
            #expect(message.payload.count <= APNsMessage.payloadLimit)
            let alert = try #require(JSONParser.parse(message.payload)["aps"]?["alert"])
            for kept in [alert["title"]?.string, alert["body"]?.string] {
                let kept = try #require(kept)
                guard kept != body else { continue }
                #expect(kept.last == "…")
                #expect(Array(body).starts(with: Array(kept.dropLast())))
                #expect(message.payload.count > APNsMessage.payloadLimit - 64)
            }
        }
    }

    @Test("id-only leaves the texts out and nothing else")
    func idOnly() throws {
        #expect(try message(push(), idOnly: true) == message(push(payload: .wakeup)))
    }
}
