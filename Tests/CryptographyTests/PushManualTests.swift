import Base
@testable import Cryptography
import Testing

/// What `Documentation/Push.md` tells writers of clients about opening `sealed`.
@Suite struct PushManualTests {
    /// What stands behind a word in the tables of the manual.
    private static func value(of name: String) throws -> String {
        let manual = try #require(FileSystem.contents(of: "\(Oracle.root)/Documentation/Push.md", limit: 1 << 20))
        let row = try #require(
            String(decoding: manual, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("| \(name) | `") },
            "the manual has no row '\(name)'")
        return String(row.split(separator: "`")[1])
    }

    private static func bytes(of name: String) throws -> [UInt8] {
        try #require([UInt8](base64URL: value(of: name)), "'\(name)' is not base64url")
    }

    @Test("the manual's example opens as it stands there, by us and by its program, which opens what we seal, too")
    func example() throws {
        let key = try AgreementKey(scalar: Self.bytes(of: "private"))
        let (auth, text) = (try Self.bytes(of: "auth"), Array(try Self.value(of: "text").utf8))
        #expect(try key.publicKey == Self.bytes(of: "p256dh"))
        let sealed = try Self.value(of: "sealed, first half") + Self.value(of: "sealed, second half")
        let body = try #require([UInt8](base64URL: sealed))
        #expect(try WebPushEncryption.decrypt(body, key: key, auth: auth) == text)

        let document = Array(#"{"notification":"n1","title":"Grüße\u2026","badge":3}"#.utf8)
        let ours = try WebPushEncryption.encrypt(document, p256dh: key.publicKey, auth: auth, padding: 9).base64URL
        for (sealed, text) in [(sealed, text), (ours, document)] {
            let input: JSONObject = [
                "private": .string(try Self.value(of: "private")), "auth": .string(auth.base64URL),
                "sealed": .string(sealed),
            ]
            #expect(try Oracle.run("Documentation/Examples/open-sealed.py", input) == text)
        }
        #expect(throws: HelperFailure.self, "another secret opens nothing") {
            try Oracle.run(
                "Documentation/Examples/open-sealed.py",
                [
                    "private": .string(try Self.value(of: "private")),
                    "auth": .string([UInt8](repeating: 1, count: 16).base64URL), "sealed": .string(sealed),
                ])
        }
    }
}
