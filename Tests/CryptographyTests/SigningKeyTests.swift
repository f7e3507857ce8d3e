import Base
import Cryptography
import Testing

@Suite struct SigningKeyTests {
    private let message = Array("a message".utf8)

    @Test("An ES256 signature has 64 bytes and fits its key, whatever the numbers' leading zeros")
    func es256() throws {
        let key = try ES256Key.generate()
        #expect(key.publicKey.count == 65 && key.publicKey[0] == 4)
        let publicPEM = try key.publicPEM()
        // One signature in 128 has an r or s that is shorter than 32 bytes.
        for index in 0..<600 {
            let message = Array("message \(index)".utf8)
            let signature = try key.sign(message)
            #expect(signature.count == 64)
            #expect(try ES256Key.verify(signature, of: message, publicKey: key.publicKey))
            if index == 0 { #expect(try ES256Key.verify(signature, of: message, publicPEM: publicPEM)) }
        }
    }

    @Test("An altered message, an altered signature and another key do not fit")
    func es256Tampering() throws {
        let key = try ES256Key.generate()
        var signature = try key.sign(message)
        #expect(try !ES256Key.verify(signature, of: message + [0], publicKey: key.publicKey))
        #expect(try !ES256Key.verify(signature, of: message, publicKey: ES256Key.generate().publicKey))
        #expect(try !ES256Key.verify(Array(signature.dropLast()), of: message, publicKey: key.publicKey))
        #expect(try !ES256Key.verify([], of: message, publicKey: key.publicKey))
        #expect(try !ES256Key.verify(.init(repeating: 0, count: 64), of: message, publicKey: key.publicKey))
        #expect(try !ES256Key.verify(.init(repeating: 255, count: 64), of: message, publicKey: key.publicKey))
        signature[40] ^= 1
        #expect(try !ES256Key.verify(signature, of: message, publicKey: key.publicKey))
    }

    @Test("A key survives PEM")
    func pem() throws {
        let key = try ES256Key.generate()
        let pem = try key.pem()
        #expect(pem.exposed.hasPrefix("-----BEGIN PRIVATE KEY-----\n"))
        #expect(try ES256Key(pem: pem).publicKey == key.publicKey)
    }

    @Test("PKCS#8, SEC1, and SEC1 without its public half are read as OpenSSL writes them")
    func foreignPEM() throws {
        let sec1 = try Helper.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"])
        let folder = try TemporaryFolder()
        let path = try folder.write(sec1, to: "key.pem")
        let pkcs8 = try Helper.run(["openssl", "pkcs8", "-topk8", "-nocrypt", "-in", path])
        let bare = try Helper.run(["openssl", "ec", "-in", path, "-no_public"])
        let compressed = try Helper.run(["openssl", "ec", "-in", path, "-conv_form", "compressed"])
        let key = try ES256Key(pem: Secret(bytes: sec1))
        #expect(String(decoding: sec1, as: UTF8.self).hasPrefix("-----BEGIN EC PRIVATE KEY"))
        #expect(try ES256Key(pem: Secret(bytes: pkcs8)).publicKey == key.publicKey)
        #expect(try ES256Key(pem: Secret(bytes: bare)).publicKey == key.publicKey)
        #expect(try ES256Key(pem: Secret(bytes: compressed)).publicKey == key.publicKey)
    }

    @Test("Other curves, encrypted keys, certificates and garbage are refused without quoting them")
    func badPEM() throws {
        let p384 = try Helper.run(["openssl", "ecparam", "-name", "secp384r1", "-genkey", "-noout"])
        #expect(code { _ = try ES256Key(pem: Secret(bytes: p384)) } == .invalidKey)
        let rsa = try RS256Key.generate().pem()
        #expect(code { _ = try ES256Key(pem: rsa) } == .invalidKey)
        let encrypted = try Helper.run([
            "openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-aes256", "-pass",
            "pass:secret",
        ])
        #expect(code { _ = try ES256Key(pem: Secret(bytes: encrypted)) } == .invalidKey)
        for text in ["", "hello", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"] {
            let error = #expect(throws: CryptographyError.self) { try ES256Key(pem: Secret(text)) }
            #expect(error?.code == .invalidKey)
            #expect(error.map { "\($0)".contains("hunter2") } == false)
        }
        let long = Secret(bytes: .init(repeating: 0x20, count: 70_000))
        #expect(code { _ = try ES256Key(pem: long) } == .tooLong)
        #expect(code { _ = try RS256Key(pem: try ES256Key.generate().pem()) } == .invalidKey)
    }

    @Test("A public key must be a point of the curve")
    func badPoint() throws {
        let key = try ES256Key.generate()
        let signature = try key.sign(message)
        var off = key.publicKey
        off[64] ^= 1
        let candidates: [[UInt8]] = [
            off, [], [0], [4] + .init(repeating: 0, count: 64), [4] + .init(repeating: 255, count: 64),
            [2] + key.publicKey[1...32], [6] + key.publicKey.dropFirst(), key.publicKey + [0],
        ]
        for point in candidates {
            #expect(code { _ = try ES256Key.verify(signature, of: message, publicKey: point) } == .invalidKey)
        }
    }

    @Test("A private number gives RFC 8291's public key; 0, the order and other lengths are refused")
    func scalar() throws {
        let scalar = try #require([UInt8](base64URL: "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"))
        let point = "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"
        #expect(try ES256Key(scalar: scalar).publicKey.base64URL == point)
        let order = try #require(
            [UInt8](hexadecimal: "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"))
        var aboveOrder = order
        aboveOrder[31] += 1
        for bad in [.init(repeating: 0, count: 32), order, aboveOrder, Array(scalar.dropLast()), scalar + [1]] {
            #expect(code { _ = try ES256Key(scalar: bad) } == .invalidKey)
        }
    }

    @Test("RS256 signs and verifies; short keys are refused")
    func rs256() throws {
        let key = try RS256Key.generate()
        let copy = try RS256Key(pem: try key.pem())
        let signature = try copy.sign(message)
        #expect(signature.count == 256)
        #expect(try RS256Key.verify(signature, of: message, publicPEM: key.publicPEM()))
        #expect(try !RS256Key.verify(signature, of: message + [0], publicPEM: key.publicPEM()))
        #expect(try !RS256Key.verify([], of: message, publicPEM: key.publicPEM()))
        let short = try Helper.run(["openssl", "genrsa", "1024"])
        #expect(code { _ = try RS256Key(pem: Secret(bytes: short)) } == .invalidKey)
    }
}
