import Base
import Cryptography
import Testing

/// Other implementations must read what we write, and we what they write.
@Suite struct OracleTests {
    private func bytes(_ json: JSON?) throws -> [UInt8] {
        try #require(json?.string.flatMap { [UInt8](base64URL: $0) })
    }

    @Test("http_ece decrypts our Web Push body", arguments: [(0, 0), (1, 0), (500, 37), (3993, 0), (0, 3993)])
    func webPushOut(size: Int, padding: Int) throws {
        let keys = try Oracle.ask("webpush-keys")
        let (auth, text) = (try SecureRandom.bytes(16), try SecureRandom.bytes(size))
        let body = try WebPushEncryption.encrypt(text, p256dh: bytes(keys["p256dh"]), auth: auth, padding: padding)
        let answer = try Oracle.ask(
            "webpush-decrypt",
            ["scalar": try #require(keys["scalar"]), "auth": .string(auth.base64URL), "body": .string(body.base64URL)])
        #expect(try bytes(answer["text"]) == text)
    }

    @Test("We decrypt pywebpush's body")
    func webPushIn() throws {
        let keys = try Oracle.ask("webpush-keys")
        let browser = try AgreementKey(scalar: bytes(keys["scalar"]))
        #expect(try bytes(keys["p256dh"]) == browser.publicKey)
        let (auth, text) = (try SecureRandom.bytes(16), Array("Neue Post".utf8))
        let answer = try Oracle.ask(
            "webpush-encrypt",
            [
                "p256dh": .string(browser.publicKey.base64URL), "auth": .string(auth.base64URL),
                "text": .string(text.base64URL),
            ])
        #expect(try WebPushEncryption.decrypt(bytes(answer["body"]), key: browser, auth: auth) == text)
    }

    @Test("PyJWT verifies our ES256 and RS256 tokens")
    func tokensOut() throws {
        let claims: JSONObject = ["iss": "TEAM123456", "iat": 1_700_000_000, "text": "Grüße/\"\\\u{1F600}"]
        let (es256, rs256) = (try ES256Key.generate(), try RS256Key.generate())
        let tokens = [
            (try JSONWebToken.sign(header: ["kid": "K"], claims: claims, with: es256), "ES256", try es256.publicPEM()),
            (try JSONWebToken.sign(header: ["kid": "K"], claims: claims, with: rs256), "RS256", try rs256.publicPEM()),
        ]
        for (token, algorithm, pem) in tokens {
            let answer = try Oracle.ask(
                "jwt-verify", ["token": .string(token), "algorithm": .string(algorithm), "publicPEM": .string(pem)])
            #expect(answer["claims"] == .object(claims))
            #expect(answer["header"]?["alg"]?.string == algorithm)
            #expect(answer["header"]?["kid"]?.string == "K")
        }
    }

    @Test("PyJWT refuses our token under another key, so it does check")
    func oracleRefuses() throws {
        let token = try JSONWebToken.sign(claims: [:], with: ES256Key.generate())
        let other = try ES256Key.generate().publicPEM()
        #expect(throws: HelperFailure.self) {
            try Oracle.ask(
                "jwt-verify", ["token": .string(token), "algorithm": "ES256", "publicPEM": .string(other)])
        }
    }

    @Test("We verify PyJWT's tokens")
    func tokensIn() throws {
        let (es256, rs256) = (try ES256Key.generate(), try RS256Key.generate())
        let sign = { (pem: Secret, algorithm: String) in
            try #require(
                Oracle.ask(
                    "jwt-sign",
                    ["privatePEM": .string(pem.exposed), "algorithm": .string(algorithm), "claims": ["sub": "x"]])[
                        "token"]?.string)
        }
        let first = try JSONWebToken.verify(sign(es256.pem(), "ES256"), es256PublicKey: es256.publicKey)
        #expect(first.claims["sub"]?.string == "x")
        let second = try JSONWebToken.verify(sign(rs256.pem(), "RS256"), rs256PublicPEM: rs256.publicPEM())
        #expect(second.claims["sub"]?.string == "x")
    }

    @Test("argon2-cffi agrees on password hashes, both ways")
    func argon2() throws {
        let password = "Paßwort 密码"
        let ours = try PasswordHasher().hash(Secret(password))
        for (candidate, valid) in [(password, true), (password + " ", false)] {
            let answer = try Oracle.ask("argon2-verify", ["hash": .string(ours), "password": .string(candidate)])
            #expect(answer["valid"]?.bool == valid)
        }
        let theirs = try #require(try Oracle.ask("argon2-hash", ["password": .string(password)])["hash"]?.string)
        #expect(try PasswordHasher().verify(Secret(password), against: theirs))
        #expect(try !PasswordHasher().verify(Secret("other"), against: theirs))
        #expect(PasswordHasher().needsRehash(theirs))
    }

    @Test("Python's AES-GCM opens a sealed box, so its format is what is documented")
    func sealedBox() throws {
        let key = try SealingKey.generate()
        let sealed = try SealedBox(key: key).seal(Secret("geheim"), context: "registration/7")
        let answer = try Oracle.ask(
            "aes-gcm-open",
            [
                "key": .string(try #require([UInt8](base64: key.base64.exposed)).base64URL),
                "sealed": .string(sealed.base64URL),
                "associated": .string(([1] + Array("registration/7".utf8)).base64URL),
            ])
        #expect(try bytes(answer["text"]) == Array("geheim".utf8))
    }
}
