internal import Base
internal import Cryptography

/// Why the application server key cannot be used: what to tell the operator.
struct ServerKeyError: Error, CustomStringConvertible {
    let description: String
}

/// The key that every subscription of this server is bound to. It is made on its first use; a new one
/// makes all earlier subscriptions worthless, so a file that cannot be read is never replaced.
final class ServerKey: Sendable {
    private let file: String
    private let log: Log
    private let loaded = Locked<ES256Key?>(nil)

    init(file: String, log: Log) { (self.file, self.log) = (file, log) }

    /// What is wrong with the file, if there is one.
    func faultIfPresent() -> String? {
        guard FileSystem.exists(file) else { return nil }
        do {
            _ = try read()
            return nil
        } catch {
            return error.description
        }
    }

    /// The key, read or made.
    func key() throws(ServerKeyError) -> ES256Key {
        try loaded.withLock { loaded throws(ServerKeyError) in
            if let loaded { return loaded }
            let key = FileSystem.exists(file) ? try read() : try make()
            loaded = key
            return key
        }
    }

    private func read() throws(ServerKeyError) -> ES256Key {
        guard let bytes = FileSystem.contents(of: file, limit: 65_536) else {
            throw ServerKeyError(description: "cannot read the file '\(file)': \(FileSystem.lastError)")
        }
        do {
            return try ES256Key(pem: Secret(bytes: bytes))
        } catch {
            throw ServerKeyError(description: "not a private key on P-256 in PEM: \(error.message)")
        }
    }

    private func make() throws(ServerKeyError) -> ES256Key {
        let key: ES256Key
        let pem: Secret
        do {
            key = try ES256Key.generate()
            pem = try key.pem()
        } catch {
            throw ServerKeyError(description: "cannot make a key: \(error.message)")
        }
        guard FileSystem.writePrivate(pem.bytes, to: file) else {
            let reason = FileSystem.lastError
            // Another process may have been faster; then its key is the one.
            if FileSystem.exists(file) { return try read() }
            throw ServerKeyError(description: "cannot write the file '\(file)': \(reason)")
        }
        log.info("push.key_created", "Made the application server key of Web Push", ["file": .string(file)])
        return key
    }
}

/// `Authorization` values by origin. One is valid for twelve hours and replaced after six.
struct VAPIDCache: Sendable {
    static let life: Duration = .seconds(12 * 3600)
    static let renewalAge: Duration = .seconds(6 * 3600)
    /// Origins remembered; browsers have a handful.
    static let originLimit = 256

    private var entries: [String: (value: String, made: Moment)] = [:]

    /// - Parameter make: signs a new value.
    /// - Throws: what `make` throws.
    mutating func value<Failure: Error>(
        origin: String, now: Moment, make: () throws(Failure) -> String
    ) throws(Failure) -> String {
        if let entry = entries[origin], now - entry.made < Self.renewalAge { return entry.value }
        let value = try make()
        if entries[origin] == nil, entries.count >= Self.originLimit,
            let oldest = entries.min(by: { $0.value.made < $1.value.made })?.key
        {
            entries[oldest] = nil
        }
        entries[origin] = (value, now)
        return value
    }

    /// The origin refused it: the next push signs a new one.
    mutating func refused(origin: String) { entries[origin] = nil }
}
