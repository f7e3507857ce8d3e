internal import Base
internal import Gateway

/// What Microsoft's answer to one push means, before what we know of other pushes is taken into account.
struct WNSAnswer: Sendable, Hashable {
    enum Meaning: Sendable, Hashable {
        case outcome(PushOutcome)
        /// The channel is another app's: other channels' luck decides whether that is its fault or ours.
        case foreignChannel
        /// Get a new access token and send again, once.
        case unauthorized
        /// Send again without texts, once.
        case tooLarge
    }

    /// Whether the device is connected to the service, which tells it when asked.
    enum Connection: String, Sendable {
        case connected
        case disconnected
        /// For a moment, as the device sees it. Microsoft's table has a second name for it.
        case temporarily = "tempdisconnected"

        init?(_ text: String?) {
            switch text?.lowercased() {
            case "tempconnected": self = .temporarily
            case let text?: self.init(rawValue: text)
            case nil: return nil
            }
        }
    }

    /// The pause after a throttled request for which Microsoft names none.
    static let throttlePause: Duration = .seconds(60)
    /// The pause before a toast is tried again that a device was not there for.
    static let absencePause: Duration = .seconds(300)

    let status: Int
    /// What the operator reads; empty for a push that a connected device has.
    let reason: String
    let meaning: Meaning
    /// Where it failed, if that does not follow from the outcome.
    let hop: PushHop?

    init(_ response: HTTPResponse, now: Timestamp) {
        status = response.status
        let pause = response.retryAfter(now: now) ?? Self.continueAfter(response)
        guard status == 200 else {
            (meaning, reason) = Self.refusal(status, pause)
            hop = nil
            return
        }
        let connection = Connection(response.headers["X-WNS-DeviceConnectionStatus"])
        let away = connection == .connected ? nil : connection?.rawValue
        switch response.headers["X-WNS-Status"]?.lowercased() {
        case nil, "received":
            (meaning, reason, hop) = (.outcome(.delivered), away ?? "", nil)
        case "channelthrottled":
            (meaning, reason, hop) = (.outcome(.retry(after: pause, .device)), "channelthrottled", nil)
        case "dropped" where connection == .connected:
            // The device is there, so its user or the app does not want notifications.
            (meaning, reason, hop) = (.outcome(.rejected), "dropped", .token)
        case "dropped":
            // Toasts are not kept for a device that is away; that is our work.
            let wait = pause ?? (connection == .disconnected ? Self.absencePause : nil)
            (meaning, hop) = (.outcome(.retry(after: wait, .device)), nil)
            reason = away.map { "dropped_\($0)" } ?? "dropped"
        default:
            (meaning, reason, hop) = (.outcome(.rejected), "unknown_status", .service)
        }
    }

    private static func refusal(_ status: Int, _ pause: Duration?) -> (Meaning, String) {
        switch status {
        case 400: (.outcome(.rejected), "bad_request")
        case 401: (.unauthorized, "unauthorized")
        case 403: (.foreignChannel, "forbidden")
        case 404: (.outcome(.gone(since: nil)), "channel_unknown")
        case 410: (.outcome(.gone(since: nil)), "channel_expired")
        // 429 is not in Microsoft's table, but what else could it mean?
        case 406, 429: (.outcome(.retry(after: pause ?? throttlePause, .service)), "throttled")
        case 413: (.tooLarge, "payload_too_large")
        case 100..<200, 300..<400, 408, 421, 425, 500...:
            (.outcome(.retry(after: pause, .service)), "service_error")
        default: (.outcome(.rejected), "refused")
        }
    }

    /// Seconds until the channel is no longer throttled.
    private static func continueAfter(_ response: HTTPResponse) -> Duration? {
        guard let text = response.headers["X-WNS-CONTINUE-AFTER"], let seconds = Int64(text.trimmingSpace) else {
            return nil
        }
        return min(max(.zero, .seconds(seconds)), HTTPResponse.longestRetryAfter)
    }
}
