package import Base

/// Identifies this server to push services (RFC 8292) with a key that lies in a file.
///
/// The key is made on its first use. Subscriptions are bound to it, so a new one would make them worthless: a file
/// that cannot be read is never replaced.
package final class VAPIDSigner: Sendable {
    private let file: String
    private let subject: String
    private let time: any TimeSource
    private let log: Log
    private let loaded = Locked<ES256Key?>(nil)
    private let authorizations = Locked(VAPIDCache())

    /// Reads nothing yet.
    /// - Parameters:
    ///   - file: the path of a private key on P-256 in PEM.
    ///   - subject: a `mailto:` or `https:` address of the operator.
    package init(file: String, subject: String, time: any TimeSource, log: Log) {
        (self.file, self.subject, self.time, self.log) = (file, subject, time, log)
    }

    /// Reads `subject` and `keyFile` of a push service's configuration, and reports what is wrong with them. A missing
    /// file is made on the first use, not here: configuring changes nothing.
    package convenience init(_ reader: ConfigReader, time: any TimeSource, log: Log) {
        let (subject, file) = (reader.string("subject"), reader.string("keyFile"))
        self.init(file: reader.document.resolve(file), subject: subject, time: time, log: log)
        if !subject.isEmpty, let fault = Self.fault(inSubject: subject) { reader.report("subject", fault) }
        if !file.isEmpty, let fault = faultIfPresent() { reader.report("keyFile", fault) }
    }

    /// What is wrong with the file, if there is one: a sentence for the operator.
    private func faultIfPresent() -> String? {
        guard FileSystem.exists(file) else { return nil }
        do {
            _ = try read()
            return nil
        } catch {
            return error.message
        }
    }

    /// Push services write to the subject when something is wrong (RFC 8292 section 2.1).
    private static func fault(inSubject text: String) -> String? {
        let isPrintable = text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
        let isMail = text.hasPrefix("mailto:") && text.contains("@") && text.utf8.count > 9
        let isPage = text.hasPrefix("https://") && (try? WebAddress(text)) != nil
        return isPrintable && (isMail || isPage) ? nil : "expected 'mailto:someone@example.com' or an https:// URL"
    }

    /// The public key, 65 bytes, read or made.
    /// - Throws: `keyFile` when the file cannot be used, `libraryFailure`.
    package func publicKey() throws(CryptographyError) -> [UInt8] { try key().publicKey }

    /// The value of `Authorization` for an origin: the same one for six hours, unless it was refused.
    /// - Throws: `keyFile` when the file cannot be used, `libraryFailure`.
    package func authorization(for origin: String) throws(CryptographyError) -> String {
        let key = try key()
        return try authorizations.withLock { cache throws(CryptographyError) in
            try cache.value(origin: origin, now: time.now) { () throws(CryptographyError) in
                try VAPID.authorization(
                    origin: origin, expires: time.timestamp + VAPIDCache.life, subject: subject, key: key)
            }
        }
    }

    /// The origin did not like what it got: the next push signs a new one.
    package func refused(origin: String) { authorizations.withLock { $0.refused(origin: origin) } }

    private func key() throws(CryptographyError) -> ES256Key {
        try loaded.withLock { loaded throws(CryptographyError) in
            if let loaded { return loaded }
            let key = FileSystem.exists(file) ? try read() : try make()
            loaded = key
            return key
        }
    }

    private func read() throws(CryptographyError) -> ES256Key {
        guard let bytes = FileSystem.contents(of: file, limit: KeyHandle.pemLimit) else {
            throw CryptographyError(.keyFile, "cannot read the file '\(file)': \(FileSystem.lastError)")
        }
        do {
            return try ES256Key(pem: Secret(bytes: bytes))
        } catch {
            throw CryptographyError(
                .keyFile, "not a private key on P-256 in PEM: \(error.message)", context: ["file": file],
                underlying: error)
        }
    }

    private func make() throws(CryptographyError) -> ES256Key {
        let key = try ES256Key.generate()
        guard FileSystem.writePrivate(try key.pem().bytes, to: file) else {
            let reason = FileSystem.lastError
            // Another process may have been faster; then its key is the one.
            if FileSystem.exists(file) { return try read() }
            throw CryptographyError(.keyFile, "cannot write the file '\(file)': \(reason)")
        }
        log.info("push.key_created", "Made the application server key of Web Push", ["file": .string(file)])
        return key
    }
}

/// `Authorization` values by origin. One is valid for twelve hours and replaced after six.
package struct VAPIDCache: Sendable {
    package static let life: Duration = .seconds(12 * 3600)
    package static let renewalAge: Duration = .seconds(6 * 3600)
    /// Origins remembered; browsers have a handful.
    package static let originLimit = 256

    private var entries: [String: (value: String, made: Moment)] = [:]

    package init() {}

    /// - Parameter make: signs a new value.
    /// - Throws: what `make` throws.
    package mutating func value<Failure: Error>(
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
    package mutating func refused(origin: String) { entries[origin] = nil }
}
