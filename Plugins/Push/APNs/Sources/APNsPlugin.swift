package import Base
internal import Cryptography
package import Gateway

/// Apple Push Notification service with a provider token, over HTTP/2.
package struct APNsPlugin: PushPlugin {
    /// Apple's production service.
    package static let productionURL = "https://api.push.apple.com"
    /// Pushes under way at once unless configured; Apple has been seen to allow 1,000 to 1,500 streams
    /// on a connection.
    package static let defaultConcurrency = 500

    package init() {}

    package var kind: String { "apns" }

    package func configure(name: String, _ reader: ConfigReader, _ context: PluginContext) -> (any PushAdapter)? {
        let team = Self.identifier(reader, "teamId")
        let keyID = Self.identifier(reader, "keyId")
        let topic = reader.string("topic")
        if !topic.isEmpty, let fault = Self.fault(inTopic: topic) { reader.report("topic", fault) }
        let url = reader.url("url", schemes: ["https"], default: Self.productionURL)
        let caFile = reader.optionalFile("caFile")
        let concurrency = reader.integer("concurrency", in: 1...1500, default: Self.defaultConcurrency)
        guard let key = Self.key(reader) else { return nil }
        let settings = APNsSettings(
            url: url, topic: topic, caFile: caFile, pool: "apns:\(name):\(keyID)", concurrency: concurrency)
        return APNsAdapter(
            settings, http: context.transport, time: context.time,
            tokens: ProviderTokenSigner(team: team, keyID: keyID, key: key))
    }

    /// Team and key ids have ten letters and digits.
    private static func identifier(_ reader: ConfigReader, _ key: String) -> String {
        let text = reader.string(key)
        let isGood = text.utf8.count == 10 && text.utf8.allSatisfy { isLetter($0) || isDigit($0) }
        if !text.isEmpty, !isGood { reader.report(key, "expected the ten letters and digits Apple shows") }
        return text
    }

    /// A topic is a bundle id, in some cases with a suffix.
    private static func fault(inTopic text: String) -> String? {
        text.utf8.count <= 255 && text.utf8.allSatisfy { isLetter($0) || isDigit($0) || $0 == 0x2D || $0 == 0x2E }
            ? nil : "expected the app's bundle id, such as 'com.example.client'"
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte | 0x20) }
    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    private static func key(_ reader: ConfigReader) -> ES256Key? {
        let given = reader.string("keyFile")
        guard !given.isEmpty else { return nil }
        let path = reader.document.resolve(given)
        guard let bytes = FileSystem.contents(of: path, limit: 65_536) else {
            reader.report("keyFile", "cannot read the file '\(path)': \(FileSystem.lastError)")
            return nil
        }
        do {
            return try ES256Key(pem: Secret(bytes: bytes))
        } catch {
            reader.report("keyFile", "not a key as Apple gives it (.p8): \(error.message)")
            return nil
        }
    }
}

/// Where and how one adapter sends.
struct APNsSettings: Sendable, Hashable {
    let url: String
    let topic: String
    let caFile: String?
    /// One pool of connections for each credential: Apple binds a connection to a team.
    let pool: String
    let concurrency: Int
}

/// Signs provider tokens: ES256 with the key's id and the team's.
struct ProviderTokenSigner: Sendable {
    let team: String
    let keyID: String
    let key: ES256Key

    func token(at now: Timestamp) throws(CryptographyError) -> String {
        try JSONWebToken.sign(
            header: ["kid": .string(keyID)], claims: ["iss": .string(team), "iat": .integer(now.seconds)], with: key)
    }
}
