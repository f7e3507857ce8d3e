import Base
@testable import Cryptography
import Testing

@Suite struct DigestTests {
    @Test("SHA-1 of nothing and of FIPS 180's example")
    func sha1() throws {
        #expect(try SHA1.hash([]).hexadecimal == "da39a3ee5e6b4b0d3255bfef95601890afd80709")
        #expect(try SHA1.hash(Array("abc".utf8)).hexadecimal == "a9993e364706816aba3e25717850c26c9cd0d89d")
    }

    @Test("SHA-256 gives the known hashes of FIPS 180")
    func sha256() throws {
        #expect(
            try SHA256.hash([]).hexadecimal == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(
            try SHA256.hash(Array("abc".utf8)).hexadecimal
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }

    struct Vector: Sendable {
        let key: [UInt8]
        let message: [UInt8]
        let code: String
    }

    static let vectors = [
        Vector(
            key: .init(repeating: 0x0B, count: 20), message: Array("Hi There".utf8),
            code: "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        Vector(
            key: Array("Jefe".utf8), message: Array("what do ya want for nothing?".utf8),
            code: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        Vector(
            key: .init(repeating: 0xAA, count: 20), message: .init(repeating: 0xDD, count: 50),
            code: "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        Vector(
            key: Array(1...25), message: .init(repeating: 0xCD, count: 50),
            code: "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
        Vector(
            key: .init(repeating: 0xAA, count: 131),
            message: Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
            code: "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
        Vector(
            key: .init(repeating: 0xAA, count: 131),
            message: Array(
                ("This is a test using a larger than block-size key and a larger than block-size data. "
                    + "The key needs to be hashed before being used by the HMAC algorithm.").utf8),
            code: "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
    ]

    @Test("HMAC-SHA-256 gives the codes of RFC 4231", arguments: vectors)
    func hmac(vector: Vector) throws {
        #expect(try HMACSHA256.authenticate(key: vector.key, message: vector.message).hexadecimal == vector.code)
    }

    @Test("HMAC takes an empty key and an empty message")
    func emptyHMAC() throws {
        #expect(
            try HMACSHA256.authenticate(key: [], message: []).hexadecimal
                == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad")
    }

    @Test("a key gives each message its own code, in whatever order and from several threads at once")
    func oneKey() async throws {
        let key = try HMACSHA256(key: Array(1...25))
        let messages = (0..<200).map { [UInt8](repeating: UInt8($0), count: $0) }
        let expected = try messages.map { try HMACSHA256.authenticate(key: Array(1...25), message: $0) }
        let codes = try await withThrowingTaskGroup(of: [[UInt8]].self) { group in
            for _ in 0..<4 { group.addTask { try messages.map { try key.authenticate($0) } } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(codes == Array(repeating: expected, count: 4))
    }

    @Test("HKDF gives the keys and outputs of RFC 5869 appendix A, also one after the other")
    func hkdf() throws {
        let derivation = try HKDF()
        let first = try derivation.extract(.init(repeating: 0x0B, count: 22), salt: Array(0...0x0C))
        #expect(first.hexadecimal == "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5")
        let output = try derivation.expand(first, info: Array(0xF0...0xF9), count: 42)
        #expect(
            output.hexadecimal
                == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
        // Neither salt nor info (A.3), after a derivation that had both.
        let third = try derivation.extract(.init(repeating: 0x0B, count: 22), salt: [])
        #expect(third.hexadecimal == "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04")
        #expect(
            try derivation.expand(third, info: [], count: 42).hexadecimal
                == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8")
        #expect(throws: CryptographyError.self) { try derivation.expand(third, info: [], count: 255 * 32 + 1) }
    }

    @Test("Constant-time comparison tells equal from unequal")
    func constantTime() {
        #expect(ConstantTime.equal([], []))
        #expect(ConstantTime.equal([1, 2, 3], [1, 2, 3]))
        #expect(!ConstantTime.equal([1, 2, 3], [1, 2, 4]))
        #expect(!ConstantTime.equal([1, 2, 3], [1, 2]))
        // é composed and decomposed are equal strings to Swift, but not the same bytes.
        #expect(!ConstantTime.equal("\u{E9}", "e\u{301}"))
    }

    @Test("Random bytes have the length asked and do not repeat")
    func random() throws {
        #expect(try SecureRandom.bytes(0).isEmpty)
        let first = try SecureRandom.bytes(32)
        #expect(first.count == 32)
        #expect(try SecureRandom.bytes(32) != first)
    }

    @Test("A token is base64url of the bytes its generator gives")
    func token() throws {
        let generator = TokenGenerator { .init(repeating: 0xFF, count: $0) }
        #expect(try generator.token(size: 18) == String(repeating: "_", count: 24))
        #expect(try TokenGenerator().token().utf8.count == 32)
        #expect(try TokenGenerator().secret() != TokenGenerator().secret())
    }
}
