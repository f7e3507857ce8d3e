internal import Base
internal import Gateway
internal import MonitorTools

/// What response codes mean to the host
/// (learn.microsoft.com/exchange/client-developer/web-service-reference/responsecode).
enum EWSFailure {
    /// The pause where the server names none.
    private static let pause = MonitorHTTP.pause
    /// After a limit that only the end of other connections or subscriptions relieves.
    private static let longPause: Duration = .seconds(300)

    static let lostSubscription: Set<String> = [
        "ErrorSubscriptionNotFound", "ErrorMissedNotificationEvents", "ErrorInvalidWatermark",
        "ErrorExpiredSubscription", "ErrorInvalidSubscription", "ErrorReadEventsFailed",
        "ErrorSubscriptionUnsubscribed", "ErrorProxiedSubscriptionCallFailure",
    ]

    static func of(_ code: String, backOff: Duration?, now: Moment) -> MonitorFailure {
        let text = "the server says \(code.printable)"
        switch code {
        case "ErrorServerBusy": return MonitorFailure(.throttled(until: now + (backOff ?? pause)), text)
        case "ErrorExceededConnectionCount":
            return MonitorFailure(
                .throttled(until: now + (backOff ?? pause)),
                text + ": lower \"connections\", or raise HangingConnectionLimit")
        case "ErrorExceededSubscriptionCount":
            return MonitorFailure(
                .throttled(until: now + (backOff ?? longPause)), text + ": raise EwsMaxSubscriptions of the policy")
        case "ErrorAccessDenied", "ErrorImpersonateUserDenied", "ErrorImpersonationDenied", "ErrorImpersonationFailed":
            return MonitorFailure(.authFailed, text + ": the account lacks the right to this mailbox")
        case "ErrorPasswordExpired", "ErrorPasswordChangeRequired", "ErrorInvalidUserPrincipalName",
            "ErrorAccountDisabled":
            return MonitorFailure(.authFailed, text)
        case "ErrorNonExistentMailbox", "ErrorFolderNotFound", "ErrorMailboxConfiguration",
            "ErrorMissingEmailAddress", "ErrorInvalidSmtpAddress":
            return MonitorFailure(.sourceGone, text)
        case "ErrorInvalidSyncStateData", "ErrorSyncFolderNotFound": return MonitorFailure(.cursorInvalid, text)
        case "ErrorSchemaValidation", "ErrorInvalidRequest", "ErrorInvalidServerVersion", "ErrorInvalidOperation",
            "ErrorInvalidArgument", "a fault":
            return MonitorFailure(.protocolViolation, text)
        // A mailbox that moves or fails over, a database that is down: all of them pass.
        default: return MonitorFailure(code.hasPrefix("Error") ? .network : .protocolViolation, text)
        }
    }
}
