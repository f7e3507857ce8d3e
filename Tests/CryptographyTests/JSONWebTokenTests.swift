import Base
import Cryptography
import Testing

@Suite struct JSONWebTokenTests {
    private let key: ES256Key
    private let token: String

    init() throws {
        key = try ES256Key.generate()
        token = try JSONWebToken.sign(
            header: ["kid": "ABC123DEFG"], claims: ["iss": "TEAM", "iat": 1_700_000_000], with: key)
    }

    @Test("Members keep their order and the algorithm comes first")
    func form() throws {
        let parts = token.split(separator: ".").map(String.init)
        #expect([UInt8](base64URL: parts[0]) == Array(#"{"alg":"ES256","kid":"ABC123DEFG"}"#.utf8))
        #expect([UInt8](base64URL: parts[1]) == Array(#"{"iss":"TEAM","iat":1700000000}"#.utf8))
        #expect([UInt8](base64URL: parts[2])?.count == 64)
    }

    @Test("A token is verified with its key only")
    func verify() throws {
        let verified = try JSONWebToken.verify(token, es256PublicKey: key.publicKey)
        #expect(verified.header["kid"]?.string == "ABC123DEFG")
        #expect(verified.claims["iat"]?.integer == 1_700_000_000)
        let other = try ES256Key.generate().publicKey
        #expect(code { _ = try JSONWebToken.verify(token, es256PublicKey: other) } == .notAuthentic)
    }

    @Test("RS256 tokens are verified; the algorithms are not mixed up")
    func rs256() throws {
        let rsa = try RS256Key.generate()
        let token = try JSONWebToken.sign(claims: ["a": 1], with: rsa)
        #expect(try JSONWebToken.verify(token, rs256PublicPEM: rsa.publicPEM()).claims["a"]?.integer == 1)
        #expect(code { _ = try JSONWebToken.verify(token, es256PublicKey: key.publicKey) } == .invalidInput)
    }

    @Test("An altered byte anywhere is refused")
    func tampering() throws {
        let bytes = Array(token.utf8)
        for index in bytes.indices {
            var altered = bytes
            altered[index] = altered[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            let text = String(decoding: altered, as: UTF8.self)
            #expect(code { _ = try JSONWebToken.verify(text, es256PublicKey: key.publicKey) } != nil, "byte \(index)")
        }
    }

    @Test("Other forms are refused")
    func malformed() throws {
        let parts = token.split(separator: ".").map(String.init)
        let none = Array(#"{"alg":"none"}"#.utf8).base64URL
        let lower = Array(#"{"alg":"es256"}"#.utf8).base64URL
        let extended = Array(#"{"alg":"ES256","crit":["b64"]}"#.utf8).base64URL
        let texts = [
            "", "..", "a.b", "\(parts[0]).\(parts[1])", token + ".", token + "=", " " + token,
            "\(none).\(parts[1]).", "\(lower).\(parts[1]).\(parts[2])", "\(extended).\(parts[1]).\(parts[2])",
            "\(parts[0])==.\(parts[1]).\(parts[2])",
        ]
        for text in texts {
            #expect(
                code { _ = try JSONWebToken.verify(text, es256PublicKey: key.publicKey) } == .invalidInput, "\(text)")
        }
        let long = String(repeating: "A", count: JSONWebToken.sizeLimit + 1)
        #expect(code { _ = try JSONWebToken.verify(long, es256PublicKey: key.publicKey) } == .tooLong)
        #expect(code { _ = try JSONWebToken.sign(header: ["alg": "none"], claims: [:], with: key) } == .invalidInput)
    }

    @Test("VAPID's header holds the token and the key of RFC 8292")
    func vapid() throws {
        let header = try VAPID.authorization(
            origin: "https://push.example", expires: Timestamp(seconds: 1_800_000_000),
            subject: "mailto:admin@example.org",
            key: key)
        let fields = try #require(header.wholeMatchOfVAPID)
        #expect([UInt8](base64URL: fields.key) == key.publicKey)
        let verified = try JSONWebToken.verify(fields.token, es256PublicKey: key.publicKey)
        #expect(verified.header["typ"]?.string == "JWT")
        #expect(verified.claims["aud"]?.string == "https://push.example")
        #expect(verified.claims["exp"]?.integer == 1_800_000_000)
        #expect(verified.claims["sub"]?.string == "mailto:admin@example.org")
    }

    @Test(
        "VAPID refuses endpoints for origins, and other subjects",
        arguments: [
            ("https://push.example/send/1", "mailto:a@example.org"), ("push.example", "mailto:a@example.org"),
            ("https://", "mailto:a@example.org"), ("https://push.example", "a@example.org"),
        ])
    func badVAPID(origin: String, subject: String) {
        let failure = code {
            _ = try VAPID.authorization(
                origin: origin, expires: Timestamp(seconds: 1), subject: subject, key: key)
        }
        #expect(failure == .invalidInput)
    }
}

extension String {
    /// Token and key of `vapid t=…, k=…`.
    var wholeMatchOfVAPID: (token: String, key: String)? {
        let parts = split(separator: " ")
        guard parts.count == 3, parts[0] == "vapid", parts[1].hasPrefix("t="), parts[1].hasSuffix(","),
            parts[2].hasPrefix("k=")
        else { return nil }
        return (String(parts[1].dropFirst(2).dropLast()), String(parts[2].dropFirst(2)))
    }
}
