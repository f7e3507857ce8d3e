package import Base
internal import Cryptography
package import Gateway

/// Apple Push Notification service with a provider token or a certificate, over HTTP/2.
package struct APNsPlugin: PushPlugin {
    /// Apple's production service.
    package static let productionURL = "https://api.push.apple.com"
    /// Apple's service for builds that were not distributed.
    package static let sandboxURL = "https://api.sandbox.push.apple.com"
    /// Pushes under way at once unless configured; Apple has been seen to allow 1,000 to 1,500 streams
    /// on a connection.
    package static let defaultConcurrency = 500
    /// Bytes of the largest file with a key or a certificate.
    private static let fileLimit = 65_536

    private enum Environment: String, CaseIterable {
        case production
        case sandbox
    }

    private let shelf = ProviderTokenShelf()

    package init() {}

    package var kind: String { "apns" }

    package func configure(name: String, _ reader: ConfigReader, _ context: PluginContext) -> (any PushAdapter)? {
        let topic = reader.string("topic")
        if !topic.isEmpty, let fault = Self.fault(inTopic: topic) { reader.report("topic", fault) }
        let url = Self.url(reader)
        let caFile = reader.optionalFile("caFile")
        guard let credential = credential(reader, context) else { return nil }
        let settings = APNsSettings(
            path: "\(url)/3/device/", topic: topic, caFile: caFile, pool: "apns:\(name):\(credential.name)",
            credential: credential)
        return APNsAdapter(settings, http: context.transport, time: context.time)
    }

    private static func url(_ reader: ConfigReader) -> String {
        let environment: Environment? = reader.optionalChoice("environment")
        if environment != nil, reader.has("url") {
            reader.report("url", "'environment' names the service already: give one of them")
        }
        return reader.url(
            "url", schemes: ["https"], default: environment == .sandbox ? sandboxURL : productionURL)
    }

    private func credential(_ reader: ConfigReader, _ context: PluginContext) -> APNsCredential? {
        guard reader.has("certificateFile") else {
            let team = Self.identifier(reader, "teamId")
            let keyID = Self.identifier(reader, "keyId")
            guard let key = Self.key(reader) else { return nil }
            let signer = ProviderTokenSigner(team: team, keyID: keyID, key: key)
            return .tokens(shelf.tokens(signer, time: context.time))
        }
        for key in ["teamId", "keyId", "keyFile"] where reader.value(key) != nil {
            reader.report(key, "a certificate needs no key: give 'certificateFile' or a key with its ids")
        }
        return Self.certificate(reader, context)
    }

    private static func certificate(_ reader: ConfigReader, _ context: PluginContext) -> APNsCredential? {
        let file = reader.file("certificateFile")
        let keyFile = reader.optionalFile("certificateKeyFile")
        let password = reader.optionalSecret("certificatePassword")
        guard let bytes = contents(reader, "certificateFile", file) else { return nil }
        var key: Secret?
        if let keyFile {
            guard let bytes = contents(reader, "certificateKeyFile", keyFile) else { return nil }
            key = Secret(bytes: bytes)
        }
        do {
            let identity = try ClientIdentity(certificate: bytes, key: key, password: password)
            if identity.format == .pkcs12, keyFile != nil {
                reader.report("certificateKeyFile", "a PKCS#12 file holds the key itself")
            }
            if identity.expires <= context.time.timestamp {
                reader.report("certificateFile", "the certificate is no longer valid: it ended \(identity.expires)")
            }
            let certificate = HTTPRequest.ClientCertificate(
                file: file, format: identity.format == .pem ? .pem : .pkcs12, keyFile: keyFile, password: password)
            return .certificate(certificate, expires: identity.expires)
        } catch {
            reader.report("certificateFile", "not a certificate with its key: \(error.message)")
            return nil
        }
    }

    private static func contents(_ reader: ConfigReader, _ key: String, _ path: String) -> [UInt8]? {
        if let bytes = FileSystem.contents(of: path, limit: fileLimit) { return bytes }
        reader.report(key, "cannot read the file '\(path)': \(FileSystem.lastError)")
        return nil
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
        guard let bytes = contents(reader, "keyFile", path) else { return nil }
        do {
            return try ES256Key(pem: Secret(bytes: bytes))
        } catch {
            reader.report("keyFile", "not a key as Apple gives it (.p8): \(error.message)")
            return nil
        }
    }
}

/// What Apple knows us by.
enum APNsCredential: Sendable {
    case tokens(ProviderTokens)
    case certificate(HTTPRequest.ClientCertificate, expires: Timestamp)

    /// Tells the credentials of one adapter apart, without anything secret.
    var name: String {
        switch self {
        case .tokens(let tokens): tokens.keyID
        case .certificate: "certificate"
        }
    }

    var tokens: ProviderTokens? {
        if case .tokens(let tokens) = self { tokens } else { nil }
    }
}

/// Where and how one adapter sends.
struct APNsSettings: Sendable {
    /// The URL up to the device token.
    let path: String
    let topic: String
    let caFile: String?
    /// One pool of connections for each adapter: Apple binds a connection to a team and its topics.
    let pool: String
    let credential: APNsCredential
}
