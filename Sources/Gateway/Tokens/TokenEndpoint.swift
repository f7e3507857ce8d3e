package import Base

/// A token endpoint of OAuth 2 (RFC 6749 section 3.2): how it is asked.
package enum TokenEndpoint {
    /// From asking for a token to its answer.
    package static let timeout: Duration = .seconds(8)
    /// Bytes of the longest answer; tokens have some thousands.
    package static let answerLimit = 65_536

    /// One request for a token.
    /// - Parameters:
    ///   - form: the request, as `application/x-www-form-urlencoded`.
    ///   - pool: the connections to use.
    package static func request(_ url: String, form: [UInt8], caFile: String?, pool: String) -> HTTPRequest {
        var request = HTTPRequest(
            "POST", url,
            headers: ["Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"], body: form)
        (request.timeout, request.responseLimit) = (timeout, answerLimit)
        (request.caFile, request.pool) = (caFile, pool)
        return request
    }

    /// Fields as a form.
    package static func form(_ fields: [(name: String, value: String)]) -> [UInt8] {
        Array(fields.map { "\($0.name)=\($0.value.percentEncoded())" }.joined(separator: "&").utf8)
    }
}

/// What a token endpoint says (RFC 6749 section 5).
package enum TokenAnswer: Sendable, Hashable {
    /// - refresh: the refresh token from now on, where the server gives another one (RFC 6749 section 6).
    case granted(Secret, life: Duration, refresh: Secret?)
    /// The credential is refused; `word` such as `invalid_grant`, where the server says one.
    case refused(word: String?)
    /// The server cannot say now.
    case unavailable(word: String?, after: Duration?)
    /// The answer holds no token that can be used.
    case unusable

    /// Bytes of the longest token taken.
    private static let tokenLimit = 16_384
    /// A token's life where the answer names none.
    private static let usualLife: Int64 = 3600

    package init(_ response: HTTPResponse, now: Timestamp) {
        let json = try? JSONParser.parse(response.body)
        let word = Self.word(json?["error"]?.string)
        switch response.status {
        case 200: self = Self.token(json)
        // RFC 6749 has these two words for the other endpoint only, but they are seen here.
        case 400..<500
        where ![408, 425, 429].contains(response.status) && word != "temporarily_unavailable" && word != "server_error":
            self = .refused(word: word)
        default: self = .unavailable(word: word, after: response.retryAfter(now: now))
        }
    }

    private static func token(_ json: JSON?) -> Self {
        let type = json?["token_type"]?.string?.lowercased() ?? "bearer"
        let life = json?["expires_in"].map { $0.integer ?? $0.string.flatMap { Int64($0) } ?? 0 } ?? usualLife
        guard let text = json?["access_token"]?.string, isToken(text), type == "bearer", life > 0 else {
            return .unusable
        }
        let refresh = json?["refresh_token"]?.string.flatMap { isToken($0) ? Secret($0) : nil }
        return .granted(Secret(text), life: .seconds(life), refresh: refresh)
    }

    private static func isToken(_ text: String) -> Bool {
        (1...tokenLimit).contains(text.utf8.count) && text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    }

    /// Errors are words such as `invalid_client`; anything else in their place is not kept.
    private static func word(_ text: String?) -> String? {
        guard let text, (1...64).contains(text.utf8.count),
            text.utf8.allSatisfy({ (0x61...0x7A).contains($0 | 0x20) || $0 == 0x5F || (0x30...0x39).contains($0) })
        else { return nil }
        return text
    }
}
