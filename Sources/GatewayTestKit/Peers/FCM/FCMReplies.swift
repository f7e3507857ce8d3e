internal import Base

// Google's error answers as faults.
extension HTTPFault {
    /// An error answer in Google's form.
    /// - Parameters:
    ///   - code: what FCM's own detail says, such as `UNREGISTERED`; nil for an answer without that detail.
    ///   - word: Google's general word; nil: what usually goes with the status.
    ///   - quota: what a `QuotaFailure` beside it says was exceeded.
    package static func fcm(
        _ status: Int, code: String?, word: String? = nil, message: String = "", field: String? = nil,
        quota: String? = nil, retryAfter: String? = nil
    ) -> HTTPFault {
        .status(
            status, retryAfter: retryAfter,
            body: FCMReplies.error(
                status, word ?? FCMReplies.word(of: status), message: message, code: code, field: field, quota: quota))
    }
}

/// Google's answers.
package enum FCMReplies {
    /// The error document of Google's interfaces.
    package static func error(
        _ status: Int, _ word: String, message: String, code: String? = nil, field: String? = nil, quota: String? = nil
    ) -> String {
        var details: [JSON] = []
        if let code {
            details.append(
                ["@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": .string(code)])
        }
        if let field {
            let violation: JSON = ["field": .string(field), "description": .string(message)]
            details.append(["@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]])
        }
        if let quota {
            details.append(
                ["@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [["subject": .string(quota)]]])
        }
        var error: JSONObject = [
            "code": .integer(status), "message": .string(message), "status": .string(word),
        ]
        if !details.isEmpty { error.append("details", .array(details)) }
        return JSON.object(["error": .object(error)]).serialized
    }

    /// Google's general word for a status.
    package static func word(of status: Int) -> String {
        switch status {
        case 400: "INVALID_ARGUMENT"
        case 401: "UNAUTHENTICATED"
        case 403: "PERMISSION_DENIED"
        case 404: "NOT_FOUND"
        case 429: "RESOURCE_EXHAUSTED"
        case 500: "INTERNAL"
        case 503: "UNAVAILABLE"
        default: "UNKNOWN"
        }
    }

    static func json(_ status: Int, _ body: String) -> PeerReply {
        .answer(status, headers: ["Content-Type": "application/json; charset=UTF-8"], body: Array(body.utf8))
    }
}

/// Google's rules for grants (RFC 7523): who signed what for how long.
struct GrantCheck: Sendable {
    /// A refusal of the token endpoint (RFC 6749 section 5.2).
    struct Refusal: Error, Equatable {
        let error: String
        let description: String
        var status = 400
    }

    static let grantType = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    static let scope = "https://www.googleapis.com/auth/firebase.messaging"
    static let usualURL = "https://oauth2.googleapis.com/token"
    /// Seconds a grant may be valid.
    static let longestLife: Int64 = 3600
    /// Seconds by which clocks may differ.
    static let tolerance: Int64 = 300

    let email: String
    let keyID: String
    let key: RSAKey

    /// Judges a request for a token.
    func check(_ request: PeerRequest, tokenURL: String, now: Timestamp) throws(Refusal) {
        guard request.method == "POST" else {
            throw Refusal(error: "invalid_request", description: "method", status: 405)
        }
        guard WebForm.isForm(request), let form = WebForm.parse(request.body) else {
            throw Refusal(error: "invalid_request", description: "not a form")
        }
        guard form["grant_type"] == Self.grantType else {
            throw Refusal(error: "unsupported_grant_type", description: "grant_type")
        }
        guard let text = form["assertion"], let token = WebToken(text) else { throw Self.invalid("no JWT") }
        guard token.header["alg"]?.string == "RS256", token.header["kid"]?.string == keyID,
            token.header["typ"]?.string == "JWT"
        else { throw Self.invalid("header") }
        guard token.claims["iss"]?.string == email else { throw Self.invalid("account not found") }
        guard token.isSignedRS256(by: key) else { throw Self.invalid("Invalid JWT Signature.") }
        // Google's own libraries differ: some name the place they ask, some always the usual one.
        guard let audience = token.claims["aud"]?.string, [tokenURL, Self.usualURL].contains(audience) else {
            throw Self.invalid("aud")
        }
        guard token.claims["scope"]?.string == Self.scope else {
            throw Refusal(error: "invalid_scope", description: "scope")
        }
        guard case .integer(let issued) = token.claims["iat"]?.value,
            case .integer(let end) = token.claims["exp"]?.value,
            issued <= now.seconds + Self.tolerance, end > now.seconds, end > issued, end - issued <= Self.longestLife
        else { throw Self.invalid("Token must be a short-lived token (60 minutes) and in a reasonable timeframe.") }
    }

    private static func invalid(_ description: String) -> Refusal {
        Refusal(error: "invalid_grant", description: description)
    }
}
