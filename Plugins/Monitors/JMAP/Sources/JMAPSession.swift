internal import Base
internal import Gateway

/// Where a server's parts are, and what it can do (RFC 8620 section 2).
struct JMAPSession: Sendable, Hashable {
    static let core = "urn:ietf:params:jmap:core"
    static let mail = "urn:ietf:params:jmap:mail"

    let apiURL: String
    /// With `{types}`, `{closeafter}` and `{ping}`; nil for a server that does not push this way.
    let eventSourceURL: String?
    let account: String
    /// Objects in one `get`.
    let getLimit: Int

    /// Objects asked for at once where the server would take more.
    private static let largestGet = 200

    /// - Parameter url: where the session was found: some servers write addresses without the host.
    /// - Throws: `MonitorFailure`.
    init(_ json: JSON, at url: String) throws {
        guard let api = json["apiUrl"]?.string, let apiURL = Self.resolve(api, at: url) else {
            throw MonitorFailure(.protocolViolation, "the session names no apiUrl, or one without TLS")
        }
        guard let account = json["primaryAccounts"]?[Self.mail]?.string else {
            throw MonitorFailure(.sourceGone, "the user has no account for mail")
        }
        let limit = json["capabilities"]?[Self.core]?["maxObjectsInGet"]?.integer ?? 0
        getLimit = limit > 0 ? Int(min(limit, Int64(Self.largestGet))) : Self.largestGet
        eventSourceURL = json["eventSourceUrl"]?.string.flatMap { Self.resolve($0, at: url) }
        (self.apiURL, self.account) = (apiURL, account)
    }

    /// What was found over TLS never leads to where there is none.
    private static func resolve(_ reference: String, at url: String) -> String? {
        guard let resolved = WebAddress.resolve(reference, at: url),
            (try? WebAddress(url))?.isSecure == false || (try? WebAddress(resolved))?.isSecure == true
        else { return nil }
        return resolved
    }

    /// The address of the event stream (RFC 8620 section 7.3): news of mail, and a sign of life now and then.
    func eventSource(ping: Duration) -> String? {
        eventSourceURL?.replacing("{types}", with: "Email").replacing("{closeafter}", with: "no")
            .replacing("{ping}", with: "\(ping.wholeSeconds)")
    }
}
