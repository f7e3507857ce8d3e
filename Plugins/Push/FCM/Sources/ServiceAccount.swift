internal import Base
internal import Cryptography

/// The JSON file of a Google service account: who we are, and the key that proves it.
struct ServiceAccount: Sendable {
    /// Bytes of the largest file read; Google's have about 2,400.
    static let sizeLimit = 65_536
    /// Where grants are sent unless the file names another place.
    static let usualTokenURL = "https://oauth2.googleapis.com/token"

    let project: String
    let email: String
    let keyID: String
    let key: RS256Key
    let tokenURL: String

    /// - Throws: `ConfigError` with the places in the file; never shows the key.
    init(file: String, text: [UInt8]) throws(ConfigError) {
        let document = ConfigDocument(file: file, text: text, environment: [:])
        let account = try document.read { reader -> ServiceAccount? in
            // Google's files hold more keys, which are of no use here.
            defer { reader.ignore(reader.keys) }
            guard Self.isServiceAccount(reader) else { return nil }
            return Self(reader)
        }
        // Nil only after a fault, which `read` has thrown.
        guard let account else { throw ConfigError(problems: document.problems) }
        self = account
    }

    private init?(_ reader: ConfigReader) {
        project = reader.string("project_id")
        if !project.isEmpty, !Self.isProject(project) { reader.report("project_id", "not the id of a project") }
        email = reader.string("client_email")
        if !email.isEmpty, !email.contains("@") { reader.report("client_email", "not an address") }
        keyID = reader.string("private_key_id")
        tokenURL = reader.url("token_uri", schemes: ["https"], default: Self.usualTokenURL)
        let pem = reader.string("private_key")
        guard !pem.isEmpty else { return nil }
        do {
            key = try RS256Key(pem: Secret(pem))
        } catch {
            reader.report("private_key", "not a private key as Google gives it (RSA, PEM): \(error.message)")
            return nil
        }
    }

    /// Google hands out several kinds of JSON files, and people take the wrong one.
    private static func isServiceAccount(_ reader: ConfigReader) -> Bool {
        if reader.has("project_info") {
            reader.report(nil, "this is an app's google-services.json; the file of a service account is needed")
            return false
        }
        guard reader.optionalString("type") == "service_account" else {
            let key = reader.has("type") ? "type" : nil
            reader.report(key, "not the file of a service account: 'type' must be \"service_account\"")
            return false
        }
        return true
    }

    /// Lower-case letters, digits and hyphens; old ones have a domain and a colon in front.
    private static func isProject(_ text: String) -> Bool {
        text.utf8.count <= 128
            && text.utf8.allSatisfy {
                (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D || $0 == 0x2E || $0 == 0x3A
            }
    }
}

extension ServiceAccount {
    /// What the access token may be used for.
    static let scope = "https://www.googleapis.com/auth/firebase.messaging"
    /// A grant may be valid for an hour at most.
    static let grantLife: Int64 = 3600
    private static let grantType = "urn:ietf:params:oauth:grant-type:jwt-bearer"

    /// The body of the request for an access token: a grant that the account signed (RFC 7523).
    /// - Throws: `CryptographyError.libraryFailure`.
    func grant(at now: Timestamp) throws(CryptographyError) -> [UInt8] {
        let assertion = try JSONWebToken.sign(
            header: ["typ": "JWT", "kid": .string(keyID)],
            claims: [
                "iss": .string(email), "scope": .string(Self.scope), "aud": .string(tokenURL),
                "iat": .integer(now.seconds), "exp": .integer(now.seconds + Self.grantLife),
            ], with: key)
        return Array("grant_type=\(Self.grantType.percentEncoded())&assertion=\(assertion)".utf8)
    }
}
