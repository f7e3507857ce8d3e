import Base
import Cryptography
import Testing

@Suite struct PasswordHasherTests {
    /// Cheap, so that tests are fast; the format is the same.
    private let hasher = PasswordHasher(parameters: .init(memoryKiB: 64, passes: 1, lanes: 1))

    @Test("The default cost is OWASP's and stands in the hash")
    func defaults() throws {
        let encoded = try PasswordHasher().hash(Secret("correct horse"))
        #expect(encoded.hasPrefix("$argon2id$v=19$m=19456,t=2,p=1$"))
        #expect(try PasswordHasher().verify(Secret("correct horse"), against: encoded))
        #expect(try !PasswordHasher().verify(Secret("correct hors"), against: encoded))
    }

    @Test("Two hashes of one password differ, and both fit")
    func salted() throws {
        let (a, b) = (try hasher.hash(Secret("päss")), try hasher.hash(Secret("päss")))
        #expect(a != b)
        #expect(try hasher.verify(Secret("päss"), against: a))
        #expect(try hasher.verify(Secret("päss"), against: b))
    }

    @Test("Empty passwords and ones with NUL are hashed whole")
    func unusual() throws {
        let empty = try hasher.hash(Secret(""))
        #expect(try hasher.verify(Secret(""), against: empty))
        let encoded = try hasher.hash(Secret("a\0b"))
        #expect(try hasher.verify(Secret("a\0b"), against: encoded))
        #expect(try !hasher.verify(Secret("a\0c"), against: encoded))
        #expect(try !hasher.verify(Secret("a"), against: encoded))
    }

    @Test("A password above the limit is refused and never fits")
    func tooLong() throws {
        let longest = Secret(bytes: .init(repeating: 0x61, count: PasswordHasher.passwordLimit))
        let longer = Secret(bytes: .init(repeating: 0x61, count: PasswordHasher.passwordLimit + 1))
        let encoded = try hasher.hash(longest)
        #expect(try hasher.verify(longest, against: encoded))
        #expect(try !hasher.verify(longer, against: encoded))
        #expect(code { _ = try hasher.hash(longer) } == .tooLong)
    }

    @Test(
        "A text that is no Argon2id hash, or demands too much, is refused",
        arguments: [
            "", "plain", "$argon2id$", "$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAA",
            "$argon2id$v=16$m=64,t=1,p=1$c29tZXNhbHQ$AAAA", "$argon2id$v=19$m=64,t=1$c29tZXNhbHQ$AAAA",
            "$argon2id$v=19$m=65,t=1,p=1$!!!!$AAAA", "$argon2id$v=19$m=-1,t=1,p=1$c29tZXNhbHQ$AAAA",
            "$argon2id$v=19$m=999999999,t=1,p=1$c29tZXNhbHRzYWx0$QUFBQUFBQUFBQUFBQUFBQQ",
            "$argon2id$v=19$m=64,t=4000000000,p=1$c29tZXNhbHRzYWx0$QUFBQUFBQUFBQUFBQUFBQQ",
        ])
    func malformed(encoded: String) {
        #expect(code { _ = try hasher.verify(Secret("x"), against: encoded) } == .invalidInput)
        #expect(hasher.needsRehash(encoded))
    }

    @Test("Only a hash of other parameters needs to be made anew")
    func rehash() throws {
        let encoded = try hasher.hash(Secret("x"))
        #expect(!hasher.needsRehash(encoded))
        #expect(PasswordHasher().needsRehash(encoded))
        #expect(PasswordHasher(parameters: .init(memoryKiB: 64, passes: 2, lanes: 1)).needsRehash(encoded))
    }

    @Test("Parameters that Argon2 refuses are an error of the caller's")
    func badParameters() {
        let impossible = PasswordHasher(parameters: .init(memoryKiB: 1, passes: 0, lanes: 0))
        #expect(code { _ = try impossible.hash(Secret("x")) } == .invalidInput)
    }
}
