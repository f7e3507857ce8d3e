internal import Base
internal import Cryptography
internal import Gateway
internal import Storage

/// Fills a gateway's database before it starts: thousands of accounts without a password hash each.
struct Seed: Sendable {
    /// The users are those of the mail server: `u00000` and so on.
    var accounts: Int
    /// The password at the mail server.
    var mailPassword = "secret"
    /// Whether registrations hold the user's name and password.
    var hasCredentials = true
    /// Whether the account is registered for the app `mail` and has logged in to it, so that it is watched.
    var isWatched = true

    /// An account's device and its token, both derived from the account's number.
    static func device(_ number: Int) -> DeviceID { DeviceID("dev_bench\(number)") }
    static func token(_ number: Int) -> String { "fbd_bench_token_of_device_\(number)" }
    /// What the push service knows the device as: 32 bytes in hexadecimal.
    static func pushToken(_ number: Int) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 64 - digits.count) + digits
    }

    /// Rows of one submission.
    private static let chunk = 500

    /// - Throws: `StoreError`, `CryptographyError`.
    func write(database: String, keyFile: String, names: (Int) -> String) async throws {
        let box = SealedBox(key: try SealingKey.loadOrCreate(at: keyFile))
        let store = try await SQLiteStore.open(path: database)
        do {
            for start in stride(from: 0, to: accounts, by: Self.chunk) {
                var changes: [StoreChange] = []
                for number in start..<min(start + Self.chunk, accounts) {
                    changes += try rows(number, names(number), box)
                }
                try await store.commit(changes)
            }
        } catch {
            await store.close()
            throw error
        }
        await store.close()
    }

    private func rows(_ number: Int, _ name: String, _ box: SealedBox) throws -> [StoreChange] {
        let created = SystemTime().timestamp
        let account = Account(id: AccountID(name), passwordHash: nil, created: created)
        let device = Device(
            id: Self.device(number), account: account.id, installation: "bench-\(number)", name: "Phone",
            platform: "ios",
            channel: Channel(adapter: "apple", address: .token(Self.pushToken(number)), since: created),
            tokenHash: try SHA256.hash(Array(Self.token(number).utf8)), created: created)
        let queue = QueueRecord(number: Int64(number) + 1, address: .account(account.id), reserved: 1)
        let id = RegistrationID("reg_bench\(number)")
        let credentials: JSON =
            hasCredentials ? ["password": .string(mailPassword), "username": .string(name)] : [:]
        var registration = Registration(
            id: id, account: account.id, app: "mail",
            sealedCredentials: try box.seal(Secret(bytes: credentials.serializedBytes), context: "registration/\(id)"),
            isEnabled: true, preferences: NotifyPreferences(), created: created)
        registration.isArmed = isWatched
        // As after a restart: who has never been accepted logs in one at a time.
        registration.provenRevision = registration.credentialsRevision
        return [.putAccount(account), .putDevice(device), .putQueue(queue), .putRegistration(registration)]
    }
}
