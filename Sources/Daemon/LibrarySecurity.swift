internal import Base
internal import Cryptography
internal import Gateway

/// The core's cryptography, done by OpenSSL and libargon2; password hashing on a thread of its own.
struct LibrarySecurity: Security {
    private let box: SealedBox
    private let mac: HMACSHA256
    private let hasher = PasswordHasher()
    /// Argon2 takes tens of milliseconds and 19 MiB each: a few at a time, and a bounded number waiting.
    private let threads: [WorkThread]
    private let turn = Locked(0)

    /// - Parameter keyFile: base64 of 32 bytes; made, for the owner only, where it is missing.
    /// - Throws: `CryptographyError`.
    init(keyFile: String) throws {
        let key = try SealingKey.loadOrCreate(at: keyFile)
        box = SealedBox(key: key)
        mac = try HMACSHA256(
            key: HMACSHA256.authenticate(key: key.base64.bytes, message: Array("farbell authentication code".utf8)))
        threads = (0..<2).map { WorkThread(name: "argon2-\($0)", limit: 200) }
    }

    func randomBytes(_ count: Int) -> [UInt8] { Self.must { try SecureRandom.bytes(count) } }
    func hash(_ bytes: [UInt8]) -> [UInt8] { Self.must { try SHA256.hash(bytes) } }
    func authenticationCode(_ message: [UInt8], purpose: String) -> [UInt8] {
        Self.must { try mac.authenticate(Array((purpose + "|").utf8) + message) }
    }
    func equal(_ a: [UInt8], _ b: [UInt8]) -> Bool { ConstantTime.equal(a, b) }

    func isPublicKey(_ bytes: [UInt8]) -> Bool { AgreementKey.isPublicKey(bytes) }

    /// A library that cannot hash or draw random bytes leaves nothing safe to go on with.
    private static func must(_ body: () throws -> [UInt8]) -> [UInt8] {
        do { return try body() } catch { preconditionFailure("libcrypto failed: \(error)") }
    }

    func hashPassword(_ password: Secret) async throws -> String {
        try await thread().run { [hasher] in try hasher.hash(password) }
    }
    func verify(_ password: Secret, against encoded: String) async throws -> Bool {
        try await thread().run { [hasher] in try hasher.verify(password, against: encoded) }
    }
    private func thread() -> WorkThread {
        threads[
            turn.withLock { turn in
                turn = (turn + 1) % threads.count
                return turn
            }]
    }

    func seal(_ plaintext: [UInt8], context: String) throws -> [UInt8] {
        try box.seal(Secret(bytes: plaintext), context: context)
    }
    func open(_ sealed: [UInt8], context: String) throws -> [UInt8] {
        try box.open(sealed, context: context).bytes
    }
}
