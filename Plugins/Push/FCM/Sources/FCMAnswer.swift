internal import Base
internal import Gateway

/// What Google's answer to one push means, before what we know of other pushes is taken into account.
struct FCMAnswer: Sendable, Hashable {
    enum Meaning: Sendable, Hashable {
        case outcome(PushOutcome)
        /// The token is of another project: other tokens' luck decides whether that is its fault or ours.
        case foreignToken
        /// Nothing is known under our URL and project, or so it seems.
        case nothingThere
        /// Google has no credential for the service behind this token, Apple's or a browser's: other tokens may
        /// need none.
        case thirdParty
        /// Get a new access token and send again, once.
        case unauthenticated
        /// Send again without texts, once.
        case tooLarge
    }

    /// The pause after an exceeded quota for which Google names none; up to half of it is added, so that not all
    /// come back at once.
    static let quotaPause: Duration = .seconds(60)
    /// Bytes of the longest reason kept.
    static let reasonLimit = 64

    let status: Int
    /// Google's word, or ours where it gave none; empty for a success.
    let reason: String
    let meaning: Meaning

    /// - Parameter id: the push's id, which decides about the spread of pauses.
    init(_ response: HTTPResponse, id: String, now: Timestamp) {
        let error = GoogleError(response.body)
        let pause = response.retryAfter(now: now)
        status = response.status
        reason = response.status == 200 ? "" : error.code ?? error.status ?? "no_reason"
        guard status != 200 else {
            meaning = .outcome(.delivered)
            return
        }
        // The error code says more than the status, where there is one.
        meaning =
            switch error.code {
            case "UNREGISTERED": .outcome(.gone(since: nil))
            case "SENDER_ID_MISMATCH": .foreignToken
            case "INVALID_ARGUMENT": Self.invalidArgument(error)
            case "THIRD_PARTY_AUTH_ERROR": .thirdParty
            case "QUOTA_EXCEEDED": Self.quota(error, pause, id)
            case "UNAVAILABLE", "INTERNAL": .outcome(.retry(after: pause, .service))
            default: Self.meaning(ofStatus: response.status, error, pause, id)
            }
    }

    private static func meaning(ofStatus status: Int, _ error: GoogleError, _ pause: Duration?, _ id: String) -> Meaning
    {
        switch status {
        case 400 where error.isTooLarge: .tooLarge
        case 401: .unauthenticated
        // The account may not send for this project, or the interface is switched off.
        case 403: .outcome(.credential)
        case 404: .nothingThere
        case 413: .tooLarge
        case 429: quota(error, pause, id)
        case 100..<200, 300..<400, 408, 421, 425, 500...: .outcome(.retry(after: pause, .service))
        default: .outcome(.rejected)
        }
    }

    /// Mostly a mistake in what we send; a bad token only where Google says that it is the token.
    private static func invalidArgument(_ error: GoogleError) -> Meaning {
        if error.isTooLarge { return .tooLarge }
        return error.namesToken ? .outcome(.gone(since: nil)) : .outcome(.rejected)
    }

    private static func quota(_ error: GoogleError, _ pause: Duration?, _ id: String) -> Meaning {
        let sum = id.utf8.reduce(UInt64(14_695_981_039_346_656_037)) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
        let spread = Duration.milliseconds(Int64(sum % UInt64(quotaPause.milliseconds / 2)))
        return .outcome(.retry(after: pause ?? quotaPause + spread, error.isDeviceQuota ? .device : .service))
    }
}

/// The error document of Google's interfaces (google.rpc.Status).
private struct GoogleError {
    /// The code of FCM's own detail.
    private(set) var code: String?
    /// The general one, such as `PERMISSION_DENIED`.
    let status: String?
    private let message: String
    /// The fields that the request was refused for.
    private var fields: [String] = []
    /// What was exceeded.
    private var quotas: [String] = []

    init(_ body: [UInt8]) {
        let error = (try? JSONParser.parse(body))?["error"]
        status = Self.word(error?["status"]?.string)
        message = error?["message"]?.string?.lowercased() ?? ""
        for detail in error?["details"]?.array ?? [] {
            switch detail["@type"]?.string {
            case "type.googleapis.com/google.firebase.fcm.v1.FcmError":
                code = Self.word(detail["errorCode"]?.string)
            case "type.googleapis.com/google.rpc.BadRequest":
                fields += detail["fieldViolations"]?.array?.compactMap { $0["field"]?.string } ?? []
            case "type.googleapis.com/google.rpc.QuotaFailure":
                quotas += (detail["violations"]?.array ?? []).flatMap {
                    [$0["subject"]?.string, $0["description"]?.string].compactMap { $0?.lowercased() }
                }
            default: break
            }
        }
    }

    var namesToken: Bool { message.contains("registration token") && fields.allSatisfy { $0 == "message.token" } }
    var isTooLarge: Bool { message.contains("too big") || message.contains("too large") }
    /// Whether the limit is that of one device.
    var isDeviceQuota: Bool { quotas.contains { $0.contains("device") } }

    /// Google's codes are words in capitals; anything else in their place is not kept.
    private static func word(_ text: String?) -> String? {
        guard let text, (1...FCMAnswer.reasonLimit).contains(text.utf8.count),
            text.utf8.allSatisfy({ (0x41...0x5A).contains($0) || $0 == 0x5F })
        else { return nil }
        return text
    }
}
