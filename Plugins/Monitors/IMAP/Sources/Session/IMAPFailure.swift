internal import Base
internal import Gateway
internal import MailMonitoring

/// What a server's refusal means to the host.
enum IMAPFailure {
    /// A tagged `NO` or `BAD`, or a `BYE`, in answer to `command`. Response codes: RFC 5530 section 3.
    static func of(_ status: IMAPStatus, to command: String, now: Moment) -> MonitorFailure {
        let words = ServerWords.clean(
            ([status.code.map { "[\($0)]" }, status.text]).compactMap { $0 }.joined(separator: " "))
        let message = "the server answered \(command) with \(status.kind.rawValue) \(words)"
        if let code = status.code.flatMap({ code(for: $0, now: now) }) { return MonitorFailure(code, message) }
        switch status.kind {
        case .bad: return MonitorFailure(.protocolViolation, message)
        case .no where command == "EXAMINE": return MonitorFailure(.sourceGone, message)
        case .no, .bye, .ok, .preauth: return MonitorFailure(.network, message)
        }
    }

    private static func code(for name: String, now: Moment) -> MonitorFailure.Code? {
        switch name {
        case "AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED": .authFailed
        case "UNAVAILABLE", "INUSE", "SERVERBUG", "CONTACTADMIN": .network
        case "LIMIT", "THROTTLED", "OVERQUOTA": .throttled(until: now + OutboundMailConnector.throttlePause)
        case "NONEXISTENT", "NOPERM": .sourceGone
        default: nil
        }
    }
}
