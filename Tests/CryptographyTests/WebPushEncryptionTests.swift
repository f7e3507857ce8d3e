import Base
@testable import Cryptography
import Testing

@Suite struct WebPushEncryptionTests {
    private let receiver: AgreementKey
    private let auth: [UInt8]

    init() throws {
        receiver = try .generate()
        auth = try SecureRandom.bytes(16)
    }

    private func bytes(_ text: String) throws -> [UInt8] { try #require([UInt8](base64URL: text)) }

    @Test("RFC 8291 appendix A byte for byte, both ways")
    func appendixA() throws {
        let plaintext = Array("When I grow up, I want to be a watermelon".utf8)
        let sender = try AgreementKey(scalar: bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"))
        let browser = try AgreementKey(scalar: bytes("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"))
        let p256dh = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
        #expect(browser.publicKey.base64URL == p256dh)
        let auth = try bytes("BTBZMqHH6r4Tts7J_aSIgg")
        let body = try WebPushEncryption.encrypt(
            plaintext, p256dh: browser.publicKey, auth: auth,
            ephemeral: .init(key: sender, salt: bytes("DGv6ra1nlYgDCS1FRnbzlw")))
        let expected =
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz"
            + "AC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
        #expect(body.base64URL == expected)
        #expect(try WebPushEncryption.decrypt(bytes(expected), key: browser, auth: auth) == plaintext)
    }

    @Test("RFC 8188 section 3.1: the keys of its example open its record")
    func contentCoding() throws {
        let body = try bytes("I1BsxtFttlv3u_Oo94xnmwAAEAAA-NAVub2qFgBEuQKRapoZu-IxkIva3MEB1PD-ly8Thjg")
        let (key, salt) = (try bytes("yqdlZ-tYemfogSmv7Ws5PQ"), Array(body.prefix(16)))
        let derivation = try HKDF()
        let secret = try derivation.extract(key, salt: salt)
        let content = try derivation.expand(secret, info: Array("Content-Encoding: aes128gcm\0".utf8), count: 16)
        let nonce = try derivation.expand(secret, info: Array("Content-Encoding: nonce\0".utf8), count: 12)
        let record = try AESGCM.open(Array(body.dropFirst(21)), key: content, nonce: nonce)
        #expect(record == Array("I am the walrus".utf8) + [2])
    }

    @Test("Any length up to the limit fits into 4096 bytes", arguments: [0, 1, 100, 3992, 3993])
    func sizes(count: Int) throws {
        let plaintext = try SecureRandom.bytes(count)
        let body = try WebPushEncryption.encrypt(plaintext, p256dh: receiver.publicKey, auth: auth)
        #expect(body.count == count + 103)
        #expect(body.count <= 4096)
        #expect(try WebPushEncryption.decrypt(body, key: receiver, auth: auth) == plaintext)
    }

    @Test("Padding hides the length and is taken off, also behind a plaintext of zeros")
    func padding() throws {
        let plaintext: [UInt8] = [1, 0, 2, 0, 0]
        let body = try WebPushEncryption.encrypt(plaintext, p256dh: receiver.publicKey, auth: auth, padding: 100)
        #expect(body.count == 5 + 100 + 103)
        #expect(try WebPushEncryption.decrypt(body, key: receiver, auth: auth) == plaintext)
    }

    @Test("Too much text or padding, and a wrong auth, are refused")
    func limits() throws {
        let key = receiver.publicKey
        let most: [UInt8] = .init(repeating: 7, count: 3993)
        #expect(code { _ = try WebPushEncryption.encrypt(most + [7], p256dh: key, auth: auth) } == .tooLong)
        #expect(code { _ = try WebPushEncryption.encrypt(most, p256dh: key, auth: auth, padding: 1) } == .tooLong)
        #expect(code { _ = try WebPushEncryption.encrypt([], p256dh: key, auth: auth, padding: .max) } == .tooLong)
        #expect(code { _ = try WebPushEncryption.encrypt([], p256dh: key, auth: auth, padding: -1) } == .invalidInput)
        #expect(code { _ = try WebPushEncryption.encrypt([], p256dh: key, auth: auth + [0]) } == .invalidInput)
    }

    @Test("A subscription's key off the curve is refused")
    func invalidKey() throws {
        var off = receiver.publicKey
        off[64] ^= 1
        for key in [off, [], [4] + .init(repeating: 0, count: 64), Array(receiver.publicKey.dropLast())] {
            #expect(code { _ = try WebPushEncryption.encrypt([1], p256dh: key, auth: auth) } == .invalidKey)
        }
    }

    @Test("Salt and key pair are fresh for every message")
    func fresh() throws {
        let bodies = try (0..<20).map { _ in
            try WebPushEncryption.encrypt([1], p256dh: receiver.publicKey, auth: auth)
        }
        #expect(Set(bodies.map { Array($0.prefix(16)) }).count == 20)
        #expect(Set(bodies.map { Array($0[21..<86]) }).count == 20)
    }

    @Test("Every altered byte, another auth and another key are noticed")
    func tampering() throws {
        let body = try WebPushEncryption.encrypt([1, 2, 3], p256dh: receiver.publicKey, auth: auth)
        for index in body.indices where !(16..<20).contains(index) {
            var altered = body
            altered[index] ^= 1
            #expect(code { _ = try WebPushEncryption.decrypt(altered, key: receiver, auth: auth) } != nil)
        }
        for count in body.indices {
            #expect(
                code { _ = try WebPushEncryption.decrypt(Array(body.prefix(count)), key: receiver, auth: auth) } != nil)
        }
        let stranger = try AgreementKey.generate()
        #expect(code { _ = try WebPushEncryption.decrypt(body, key: stranger, auth: auth) } == .notAuthentic)
        let otherAuth = try SecureRandom.bytes(16)
        #expect(code { _ = try WebPushEncryption.decrypt(body, key: receiver, auth: otherAuth) } == .notAuthentic)
    }
}
