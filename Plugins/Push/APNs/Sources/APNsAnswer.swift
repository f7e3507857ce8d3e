internal import Base
internal import Gateway

/// What Apple's answer to one push means, before what we know of other pushes is taken into account.
struct APNsAnswer: Sendable, Hashable {
    enum Meaning: Sendable, Hashable {
        case outcome(PushOutcome)
        /// The token is dead or of another app or environment: other tokens' luck decides.
        case suspectToken
        /// Sign a new provider token and send again, once.
        case expiredProviderToken
        /// Send again without texts, once.
        case tooLarge
    }

    let status: Int
    /// Apple's word, or ours where it gave none.
    let reason: String
    let meaning: Meaning
    /// The step that failed, where it does not follow from the outcome.
    let hop: PushHop?

    /// Bytes of the longest reason kept.
    static let reasonLimit = 64

    init(_ response: HTTPResponse, now: Timestamp) {
        // What nearly all answers are, at no cost.
        guard response.status != 200 else {
            (status, reason, meaning, hop) = (200, "", .outcome(.delivered), nil)
            return
        }
        let json = try? JSONParser.parse(response.body)
        let reason = Self.clean(json?["reason"]?.string)
        let pause = response.retryAfter(now: now)
        status = response.status
        self.reason = reason ?? "no_reason"
        hop = Self.hop(status, reason)
        meaning =
            switch response.status {
            case 400: Self.badRequest(reason, pause)
            case 403: reason == "ExpiredProviderToken" ? .expiredProviderToken : .outcome(.credential)
            case 410: .outcome(.gone(since: Self.timestamp(json)))
            case 413: .tooLarge
            // Of one token; every other 429 (TooManyProviderTokenUpdates) is about all of ours.
            case 429: .outcome(.retry(after: pause, reason == "TooManyRequests" ? .device : .service))
            // Apple's side, a proxy between us, or a connection meant for another host.
            case 100..<200, 300..<400, 408, 421, 425, 500...: .outcome(.retry(after: pause, .service))
            default: .outcome(.rejected)
            }
    }

    private static func hop(_ status: Int, _ reason: String?) -> PushHop? {
        switch (status, reason) {
        // The topic is not one of the credential's, or none at all; our token came too soon after another.
        case (400, "BadTopic"), (400, "TopicDisallowed"), (429, "TooManyProviderTokenUpdates"): .credential
        case (400, "MissingDeviceToken"): .token
        default: nil
        }
    }

    private static func badRequest(_ reason: String?, _ pause: Duration?) -> Meaning {
        switch reason {
        case "BadDeviceToken", "DeviceTokenNotForTopic": .suspectToken
        // The connection was idle too long; the next attempt makes a new one.
        case "IdleTimeout": .outcome(.retry(after: pause, .service))
        // All others name a mistake in what we send: a repeat would be refused as well.
        default: .outcome(.rejected)
        }
    }

    /// When the token became invalid, in milliseconds of the wall clock.
    private static func timestamp(_ json: JSON?) -> Timestamp? {
        guard let milliseconds = json?["timestamp"]?.integer, milliseconds > 0 else { return nil }
        return Timestamp(milliseconds: milliseconds)
    }

    /// Apple's reasons are one word of letters; anything else in its place is not kept.
    private static func clean(_ reason: String?) -> String? {
        guard let reason, (1...reasonLimit).contains(reason.utf8.count),
            reason.utf8.allSatisfy({ (0x61...0x7A).contains($0 | 0x20) || (0x30...0x39).contains($0) })
        else { return nil }
        return reason
    }
}
