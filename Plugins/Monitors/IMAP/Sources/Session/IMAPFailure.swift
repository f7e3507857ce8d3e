internal import Base
internal import Gateway

/// What a server's refusal means to the host.
enum IMAPFailure {
    /// The pause after a server asked for one without saying how long.
    static let throttlePause = Duration.seconds(300)

    /// A tagged `NO` or `BAD`, or a `BYE`, in answer to `command`. Response codes: RFC 5530 section 3.
    static func of(_ status: IMAPStatus, to command: String, now: Moment) -> MonitorFailure {
        let words = IMAPSyntax.clean(
            ([status.code.map { "[\($0)]" }, status.text]).compactMap { $0 }.joined(separator: " "))
        let message = "the server answered \(command) with \(status.kind.rawValue) \(words)"
        if let code = status.code.flatMap({ code(for: $0, now: now) }) { return MonitorFailure(code, message) }
        switch status.kind {
        case .bad: return MonitorFailure(.protocolViolation, message)
        case .no where command == "EXAMINE": return MonitorFailure(.sourceGone, message)
        case .no, .bye, .ok, .preauth: return MonitorFailure(.network, message)
        }
    }

    /// The pause asked for in a server's last words at a login that failed, if they ask for one.
    static func code(inGreeting text: String, now: Moment) -> MonitorFailure.Code? {
        ["[LIMIT]", "[THROTTLED]"].contains { text.uppercased().contains($0) }
            ? .throttled(until: now + throttlePause) : nil
    }

    private static func code(for name: String, now: Moment) -> MonitorFailure.Code? {
        switch name {
        case "AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED": .authFailed
        case "UNAVAILABLE", "INUSE", "SERVERBUG", "CONTACTADMIN": .network
        case "LIMIT", "THROTTLED", "OVERQUOTA": .throttled(until: now + throttlePause)
        case "NONEXISTENT", "NOPERM": .sourceGone
        default: nil
        }
    }
}
