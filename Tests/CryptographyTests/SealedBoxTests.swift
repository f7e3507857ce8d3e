import Base
import Cryptography
import Glibc
import Testing

@Suite struct SealedBoxTests {
    private let secret = Secret("imap password")

    @Test("A sealed secret opens with its key and context")
    func roundTrip() throws {
        let box = SealedBox(key: try .generate())
        let sealed = try box.seal(secret, context: "registration/1")
        #expect(sealed[0] == 1)
        #expect(sealed.count == secret.bytes.count + SealedBox.overhead)
        #expect(try box.open(sealed, context: "registration/1") == secret)
        #expect(try box.seal(secret, context: "registration/1") != sealed)
        #expect(try box.open(box.seal(Secret(""), context: ""), context: "") == Secret(""))
    }

    @Test("Another key or another context does not open it")
    func wrongKeyAndContext() throws {
        let box = SealedBox(key: try .generate())
        let other = SealedBox(key: try .generate())
        let sealed = try box.seal(secret, context: "registration/1")
        #expect(code { _ = try other.open(sealed, context: "registration/1") } == .notAuthentic)
        #expect(code { _ = try box.open(sealed, context: "registration/2") } == .notAuthentic)
    }

    @Test("Every flipped bit and every cut is noticed")
    func tampering() throws {
        let box = SealedBox(key: try .generate())
        let sealed = try box.seal(secret, context: "c")
        for index in sealed.indices {
            for bit in 0..<8 {
                var altered = sealed
                altered[index] ^= 1 << bit
                let expected: CryptographyError.Code = index == 0 ? .invalidInput : .notAuthentic
                #expect(code { _ = try box.open(altered, context: "c") } == expected, "byte \(index) bit \(bit)")
            }
            #expect(code { _ = try box.open(Array(sealed.prefix(index)), context: "c") } != nil)
        }
        #expect(code { _ = try box.open(sealed + [0], context: "c") } == .notAuthentic)
    }

    @Test("A secret above the limit is refused")
    func tooLong() throws {
        let box = SealedBox(key: try .generate())
        let long = Secret(bytes: .init(repeating: 0, count: SealedBox.plaintextLimit + 1))
        #expect(code { _ = try box.seal(long, context: "c") } == .tooLong)
    }

    @Test("A key is 32 bytes in base64", arguments: ["", "AAAA", "not base64 !", String(repeating: "A", count: 44)])
    func badKey(text: String) {
        #expect(code { _ = try SealingKey(base64: Secret(text)) } == .invalidKey)
    }

    @Test("The key file is made once, for its owner only, and read again")
    func keyFile() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("key")
        let made = try SealingKey.loadOrCreate(at: path)
        var status = stat()
        #expect(unsafe stat(path, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
        #expect(try SealingKey.loadOrCreate(at: path) == made)
        let content = try #require(FileSystem.contents(of: path, limit: 100))
        #expect(content.count == 45 && content.last == 0x0A)
        #expect(content == made.base64.bytes + [0x0A])
    }

    @Test("A key file that group or others may use is refused", arguments: [0o640, 0o604, 0o620, 0o666] as [mode_t])
    func openKeyFile(mode: mode_t) throws {
        let folder = try TemporaryFolder()
        let path = folder.path("key")
        _ = try SealingKey.loadOrCreate(at: path)
        #expect(unsafe chmod(path, mode) == 0)
        let error = #expect(throws: CryptographyError.self) { try SealingKey.loadOrCreate(at: path) }
        #expect(error?.code == .keyFile)
        #expect(error?.context["mode"] == String(mode, radix: 8))
        #expect(error?.message.contains("chmod 600") == true)
    }

    @Test("A key file without a key, a folder, and a missing folder are refused, quoting nothing of the content")
    func badKeyFile() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(Array("hunter2\n".utf8), to: "key")
        let error = #expect(throws: CryptographyError.self) { try SealingKey.loadOrCreate(at: path) }
        #expect(error?.code == .keyFile)
        #expect(error.map { "\($0)".contains("hunter2") } == false)
        #expect(code { _ = try SealingKey.loadOrCreate(at: "/") } == .keyFile)
        #expect(code { _ = try SealingKey.loadOrCreate(at: folder.path("no/such/key")) } == .keyFile)
        #expect(code { _ = try SealingKey.load(from: folder.path("none")) } == .keyFile)
    }

    @Test("Keys do not show themselves")
    func description() throws {
        let key = try SealingKey.generate()
        #expect(!"\(key)".contains(key.base64.exposed))
    }
}
