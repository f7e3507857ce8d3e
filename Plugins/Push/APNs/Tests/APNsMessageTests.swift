import Base
import Cryptography
import Gateway
import GatewayTestKit
import Testing

@testable import APNsPush

@Suite("pushes in Apple's form")
struct APNsMessageTests {
    private func message(_ push: Push, idOnly: Bool = false) throws -> APNsMessage {
        try APNsMessage.make(push, topic: "com.example.client", idOnly: idOnly).get()
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
                == #"{"aps":{"alert":{"title":"Outlook","body":"New mail from Bob"},"badge":3,"sound":"default","interruption-level":"active","thread-id":"oa/t1"},"farbell":{"notification":"n1","app":"oa","collapse":"c1","tap":"tap1"}}"#
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

    @Test(
        "a priority decides Apple's, the sound and how much may be interrupted",
        arguments: [
            (Message.Priority.low, "5", nil, "passive"), (.normal, "10", "default", "active"),
            (.high, "10", "default", "time-sensitive"),
        ])
    func priority(priority: Message.Priority, header: String, sound: String?, level: String) throws {
        let message = try message(push(priority: priority))
        #expect(message.headers["apns-priority"] == header)
        let aps = try #require(JSONParser.parse(message.payload)["aps"])
        #expect(aps["sound"]?.string == sound)
        #expect(aps["interruption-level"]?.string == level)
    }

    @Test("a device with keys gets a sealed document, and nothing of the message stands beside it")
    func sealed() throws {
        let key = try AgreementKey.generate()
        let secret = [UInt8](repeating: 7, count: 16)
        let keys = Device.Encryption(publicKey: key.publicKey, secret: secret)
        let message = try message(push(priority: .high).sealed(keys, locale: "zh-Hans"))
        #expect(message.headers["apns-push-type"] == "alert")
        let json = try JSONParser.parse(message.payload)
        #expect(
            json["aps"]
                == [
                    "alert": ["title": "您有一条新消息"], "badge": 3, "sound": "default",
                    "interruption-level": "time-sensitive", "mutable-content": 1,
                ])
        #expect(json["farbell"]?.object?.keys == ["sealed"])
        let body = try #require([UInt8](base64URL: json["farbell"]?["sealed"]?.string ?? ""))
        let plain = try WebPushEncryption.decrypt(body, key: key, auth: secret)
        #expect(String(decoding: plain, as: UTF8.self) == Push.sampleDocument)
        let english = try self.message(push().sealed(keys, locale: nil))
        #expect(text(english).contains(#""alert":{"title":"You have a message"}"#))
    }

    @Test("a sealed document is cut to Apple's limit like any other", arguments: ["a", "👨‍👩‍👧‍👦", "\u{1}"])
    func sealedLimit(unit: String) throws {
        let key = try AgreementKey.generate()
        let keys = Device.Encryption(publicKey: key.publicKey, secret: [UInt8](repeating: 7, count: 16))
        let long = String(repeating: unit, count: 5000)
        let message = try message(push(title: long, body: long).sealed(keys, locale: nil))
        #expect(message.payload.count <= APNsMessage.payloadLimit)
        #expect(message.payload.count > APNsMessage.payloadLimit - 128)
    }

    @Test("a wakeup and a clearing push say nothing, sealed or not; keys that are none are refused")
    func sealedOthers() throws {
        let broken = Device.Encryption(
            publicKey: [UInt8](repeating: 4, count: 65), secret: [UInt8](repeating: 7, count: 16))
        for quiet in [push(payload: .wakeup), push(clear: ["n1"])] {
            #expect(try message(quiet.sealed(broken, locale: nil)) == message(quiet))
        }
        #expect(APNsMessage.make(push().sealed(broken, locale: nil), topic: "t") == .failure(.notSealed))
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
