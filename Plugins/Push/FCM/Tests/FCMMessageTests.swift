import Base
import Cryptography
import Gateway
import GatewayTestKit
import Testing

@testable import FCMPush

@Suite("pushes in Google's form")
struct FCMMessageTests {
    private let now = Timestamp(seconds: 3_999_996_400)

    private func message(_ push: Push) throws -> JSON {
        let message = try #require(try FCMMessage(push, token: registration, now: now))
        return try #require(JSONParser.parse(message.body)["message"])
    }

    private func size(_ message: JSON) -> Int {
        (message["data"]?.object?.members ?? []).reduce(0) {
            $0 + $1.key.utf8.count + ($1.value.string?.utf8.count ?? 0)
        }
    }

    @Test("SG-8 SG-10 an alert is the golden message: data only, every value a string")
    func alert() throws {
        let message = try #require(try FCMMessage(push(), token: "T", now: now))
        #expect(
            String(decoding: message.body, as: UTF8.self)
                == #"{"message":{"token":"T","data":{"id":"11111111-2222-4333-8444-555555555555","notification":"n1","app":"oa","title":"Outlook","body":"New mail from Bob","badge":"3","collapse":"c1","tap":"tap1","level":"active"},"android":{"priority":"HIGH","ttl":"3600s"}}}"#
        )
        #expect(try self.message(push(body: nil))["data"]?["body"] == nil)
    }

    @Test("MN-13 a wakeup carries no text")
    func wakeup() throws {
        let data = try #require(try message(push(payload: .wakeup))["data"]?.object)
        #expect(data.keys == ["id", "notification", "app", "badge", "collapse", "tap", "level"])
    }

    @Test("clearing names what to take away, without waking anybody")
    func clear() throws {
        let message = try message(push(clear: ["n1", "n2"]))
        #expect(
            message["data"] == [
                "id": "11111111-2222-4333-8444-555555555555", "clear": "n1,n2", "badge": "0", "collapse": "c1",
            ])
        #expect(message["android"]?["priority"] == "NORMAL")
        let cut = try self.message(push(clear: (0..<2000).map { NotificationID("notification-\($0)") }))
        #expect(size(cut) <= FCMMessage.dataLimit)
        #expect(try #require(cut["data"]?["clear"]?.string).utf8.count > 3000)
    }

    @Test(
        "priority and level",
        arguments: [
            (Message.Priority.low, "NORMAL", "passive"), (.normal, "HIGH", "active"), (.high, "HIGH", "time-sensitive"),
        ])
    func priority(priority: Message.Priority, android: String, level: String) throws {
        let message = try message(push(priority: priority))
        #expect(message["android"]?["priority"]?.string == android)
        #expect(message["data"]?["level"]?.string == level)
    }

    @Test("the life is whole seconds, never negative, at most four weeks", arguments: [(-5, "0s"), (42, "42s")])
    func life(seconds: Int, text: String) throws {
        #expect(try message(push(expires: now + .seconds(seconds)))["android"]?["ttl"]?.string == text)
        #expect(try message(push(expires: now + .seconds(9_000_000)))["android"]?["ttl"]?.string == "2419200s")
    }

    @Test("long texts are cut at characters, and the limit is used", arguments: ["a", "é", "👨‍👩‍👧‍👦", "\"", "\u{1}"])
    func longTexts(unit: String) throws {
        let message = try message(push(title: unit, body: String(repeating: unit, count: 5000)))
        let body = try #require(message["data"]?["body"]?.string)
        #expect(body.hasSuffix("…"))
        #expect(body.dropLast().allSatisfy { String($0) == unit })
        let json = try #require(message["data"]).serializedBytes.count
        #expect((FCMMessage.dataLimit - 64...FCMMessage.dataLimit).contains(json))
        #expect(size(message) <= FCMMessage.dataLimit)
    }

    @Test("SG-12 a device with keys gets everything sealed: no text and no id of ours is readable")
    func sealed() throws {
        let key = try AgreementKey.generate()
        let secret = try SecureRandom.bytes(16)
        let keys = Device.Encryption(publicKey: key.publicKey, secret: secret)
        for (push, plain) in [
            (push(encryption: keys), Push.sampleDocument), (push(payload: .wakeup, encryption: keys), Push.sampleIDs),
            (push(clear: ["n1"], encryption: keys), #"{"clear":["n1"],"badge":0,"collapse":"c1"}"#),
        ] {
            let data = try #require(try message(push)["data"]?.object)
            #expect(data.keys == ["id", "level", "sealed"])
            let body = try #require(data["sealed"]?.string.flatMap { [UInt8](base64URL: $0) })
            let opened = try WebPushEncryption.decrypt(body, key: key, auth: secret)
            #expect(String(decoding: opened, as: UTF8.self) == plain)
        }
        let long = try message(push(body: String(repeating: "x", count: 9000), encryption: keys))
        #expect((4000...FCMMessage.dataLimit).contains(size(long)))
    }

    @Test("a device's key that is none is an error, not a plain text")
    func badKey() async throws {
        let keys = Device.Encryption(
            publicKey: [UInt8](repeating: 4, count: 65), secret: [UInt8](repeating: 1, count: 16))
        let http = service { _, _ in google(200) }
        let report = try await Rig(http).adapter.send(push(encryption: keys))
        #expect(report == PushReport(.rejected, reason: "sealing_failed"))
        #expect(http.requests.all.allSatisfy { $0.url == Rig.tokenURL })
    }
}
