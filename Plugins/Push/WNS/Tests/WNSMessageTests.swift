import Base
import Cryptography
import Gateway
import GatewayTestKit
import Testing

@testable import WNSPush

@Suite("pushes in Microsoft's form")
struct WNSMessageTests {
    private let now = Timestamp(seconds: 3_999_996_400)
    private let launch = #"{"notification":"n1","app":"oa","badge":3,"collapse":"c1","tap":"tap1"}"#

    private func message(_ push: Push) throws -> WNSMessage { try #require(try WNSMessage(push, now: now)) }
    private func text(_ message: WNSMessage) -> String { String(decoding: message.payload, as: UTF8.self) }

    @Test("SG-8 SG-10 an alert is the golden toast, with the headers of one")
    func alert() throws {
        let message = try message(push())
        #expect(
            message.headers == [
                "X-WNS-TTL": "3600", "X-WNS-RequestForStatus": "true", "X-WNS-Type": "wns/toast",
                "Content-Type": "text/xml", "X-WNS-Tag": "d0f631ca1ddba8db", "X-WNS-Group": "farbell",
            ])
        let escaped = launch.replacing("\"", with: "&quot;")
        #expect(
            text(message)
                == #"<toast launch="\#(escaped)"><visual><binding template="ToastGeneric"><text>Outlook</text><text>New mail from Bob</text></binding></visual></toast>"#
        )
        #expect(try text(self.message(push(body: nil))).contains("<text>Outlook</text></binding>"))
    }

    @Test("a tag is the start of the collapse id's SHA-256: letters and digits, never more than sixteen")
    func tags() throws {
        for collapse in ["", "c1", "f-12.34", String(repeating: "ü", count: 99)] {
            let tag = try WNSMessage.tag(of: collapse)
            #expect(tag.utf8.count == WNSMessage.tagLimit)
            #expect(try SHA256.hash(Array(collapse.utf8)).hexadecimal.hasPrefix(tag))
        }
    }

    @Test("low is silent, high stays longer")
    func priority() throws {
        #expect(try text(message(push(priority: .low))).contains(#"<audio silent="true"/></toast>"#))
        #expect(try text(message(push(priority: .high))).contains(#" duration="long">"#))
        #expect(try !text(message(push())).contains("audio"))
    }

    @Test("MN-13 wakeups and clearing pushes are raw, for the app alone, and kept for an absent device")
    func raw() throws {
        for (push, document) in [
            (push(payload: .wakeup), Push.sampleIDs),
            (push(clear: ["n1", "n2"]), #"{"clear":["n1","n2"],"badge":0,"collapse":"c1"}"#),
        ] {
            let message = try message(push)
            #expect(
                message.headers == [
                    "X-WNS-TTL": "3600", "X-WNS-RequestForStatus": "true", "X-WNS-Type": "wns/raw",
                    "Content-Type": "application/octet-stream", "X-WNS-Cache-Policy": "cache",
                ])
            #expect(text(message) == document)
        }
        let many = try message(push(clear: (0..<2000).map { NotificationID("notification-\($0)") }))
        #expect((WNSMessage.payloadLimit - 64...WNSMessage.payloadLimit).contains(many.payload.count))
    }

    @Test("SG-12 a device with keys gets everything sealed in a raw notification")
    func sealed() throws {
        let key = try AgreementKey.generate()
        let secret = try SecureRandom.bytes(16)
        let keys = Device.Encryption(publicKey: key.publicKey, secret: secret)
        for (push, plain) in [
            (push(encryption: keys), Push.sampleDocument), (push(payload: .wakeup, encryption: keys), Push.sampleIDs),
            (push(clear: ["n1"], encryption: keys), #"{"clear":["n1"],"badge":0,"collapse":"c1"}"#),
        ] {
            let message = try message(push)
            #expect(message.headers["X-WNS-Type"] == "wns/raw")
            let document = try JSONParser.parse(message.payload)
            #expect(document.object?.keys == ["sealed"])
            let body = try #require(document["sealed"]?.string.flatMap { [UInt8](base64URL: $0) })
            #expect(
                String(decoding: try WebPushEncryption.decrypt(body, key: key, auth: secret), as: UTF8.self) == plain)
        }
        let long = try message(push(body: String(repeating: "x", count: 9000), encryption: keys))
        #expect((4900...WNSMessage.payloadLimit).contains(long.payload.count))
    }

    @Test(
        "the life is at least a second and at most thirty days",
        arguments: [(-9, "1"), (0, "1"), (42, "42"), (9_000_000, "2592000")])
    func life(seconds: Int, text: String) throws {
        #expect(try message(push(expires: now + .seconds(seconds))).headers["X-WNS-TTL"] == text)
    }

    @Test(
        "long texts are cut at characters, and the limit is used",
        arguments: ["a", "é", "👨‍👩‍👧‍👦", "&", "<", "\"", "'", "\u{1}", "\n", "\u{FFFF}"])
    func longTexts(unit: String) throws {
        let message = try message(push(title: unit, body: String(repeating: unit, count: 9000)))
        #expect((WNSMessage.payloadLimit - 32...WNSMessage.payloadLimit).contains(message.payload.count))
        let toast = try #require(ToastReader(message.payload))
        let kept = toast.texts[1].dropLast()
        #expect(toast.texts[1].hasSuffix("…"))
        let shown = ["\u{1}", "\u{FFFF}"].contains(unit) ? "\u{FFFD}" : unit
        #expect(kept.allSatisfy { String($0) == shown })
        #expect(kept.count > 100)
    }

    /// Texts that would break XML, attributes, or a document around them.
    private static let hostile = [
        "a & b < c > d", "]]>", "<script>", "\"quoted\" 'single'", "</text><text>", "&amp;", "&#65;", "<!--",
        "tab\tline\nreturn\r",
        "\u{0}\u{1}\u{8}\u{B}\u{1F}\u{7F}", "\u{FFFE}\u{FFFF}", "Grüße 👋🏽", "\u{2028}", "",
    ]

    @Test("any text comes out as it went in", arguments: hostile)
    func escaping(text: String) throws {
        let message = try message(push(title: text, body: text))
        let toast = try #require(ToastReader(message.payload))
        let expected = String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { scalar in
                    let isLost = [0, 1, 8, 0xB, 0x1F, 0xFFFE, 0xFFFF].contains(scalar.value)
                    return isLost ? "\u{FFFD}" : scalar
                }))
        #expect(toast.texts == [expected, expected])
        #expect(toast.attributes["launch"] == launch)
    }

    @Test("another XML parser reads the same")
    func oracle() async throws {
        let script = """
            import sys, json, xml.etree.ElementTree as E
            t = E.fromstring(open(sys.argv[1], 'rb').read())
            print(json.dumps([t.get('launch')] + [x.text or '' for x in t.iter('text')]))
            """
        for text in Self.hostile {
            let folder = try TemporaryFolder()
            let message = try message(push(title: text, body: "b"))
            let file = try folder.write(message.payload, to: "toast.xml")
            let result = try await ChildProcess.run("python3", ["-c", script, file])
            #expect(result.exit == .code(0), "\(result.errors)")
            let read = try JSONParser.parse(result.output.joined(separator: "\n"))
            #expect(read[0]?.string == launch)
            #expect(read[1]?.string == ToastReader(message.payload)?.texts[0])
        }
    }
}
