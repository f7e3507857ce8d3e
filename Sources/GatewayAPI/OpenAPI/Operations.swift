internal import Base

/// The routes of everyone and of devices.
extension OpenAPI {
    private static let page = ["limit", "after"]

    static let systemOperations = [
        Operation(
            method: "GET", path: "/healthz", access: .open, summary: "Whether the process lives",
            answers: [(200, .json("Health"))]),
        Operation(
            method: "GET", path: "/readyz", access: .open,
            summary: "Whether requests can be served: the store takes writes and the start is over",
            answers: [(200, .json("Health"))], problems: [503]),
        Operation(
            method: "GET", path: "/metrics", access: .open, summary: "Numbers for Prometheus",
            answers: [(200, .text("text/plain"))]),
        Operation(
            method: "GET", path: "/v1/push", access: .open,
            summary: "The push services a device may name in its channel, with the key a browser subscribes with",
            answers: [(200, .json("PushServices"))]),
        Operation(
            method: "GET", path: "/openapi.json", access: .open, summary: "This document",
            answers: [(200, .text("application/json"))]),
    ]

    static let deviceOperations = [
        Operation(
            method: "POST", path: "/v1/devices", access: .basic,
            summary: "Creates a device, or binds the same installation again: new token, channel replaced",
            body: "DeviceOrder", answers: [(201, .json("DeviceBinding")), (200, .json("DeviceBinding"))],
            problems: [409]),
        Operation(
            method: "PUT", path: "/v1/account/password", access: .basic, summary: "Changes the account's password",
            body: "Password", answers: [(204, .none)]),
        Operation(
            method: "PUT", path: "/v1/account/locale", access: .device,
            summary: "The language of notifications on devices that name none themselves; null: the default",
            body: "AccountLocale", answers: [(204, .none)]),
        Operation(
            method: "GET", path: "/v1/devices", access: .device, summary: "The account's devices", query: page,
            answers: [(200, .json("DevicePage"))]),
        Operation(
            method: "GET", path: "/v1/devices/{id}", access: .device, summary: "One device",
            answers: [(200, .json("Device"))]),
        Operation(
            method: "PATCH", path: "/v1/devices/{id}", access: .device,
            summary: "Changes a device; a channel of null takes it away", body: "DeviceChange",
            answers: [(200, .json("Device"))]),
        Operation(
            method: "DELETE", path: "/v1/devices/{id}", access: .device, summary: "Ends a device and its token",
            answers: [(204, .none)]),
        Operation(
            method: "POST", path: "/v1/devices/{id}/test", access: .device, summary: "Sends a test notification now",
            body: "TestOrder", isBodyOptional: true, answers: [(200, .json("TestReport"))], problems: [409]),
    ]

    static let registrationOperations = [
        Operation(
            method: "GET", path: "/v1/apps", access: .device, summary: "Apps the account may register for",
            query: page, answers: [(200, .json("AppPage"))]),
        Operation(
            method: "POST", path: "/v1/registrations", access: .device,
            summary: "Registers the account for an app, or replaces its registration", body: "RegistrationOrder",
            answers: [(201, .json("Registration")), (200, .json("Registration"))], problems: [404, 409]),
        Operation(
            method: "GET", path: "/v1/registrations", access: .device, summary: "The account's registrations",
            query: page, answers: [(200, .json("RegistrationPage"))]),
        Operation(
            method: "GET", path: "/v1/registrations/{id}", access: .device,
            summary: "One registration with its monitor's state, never its credentials",
            answers: [(200, .json("Registration"))]),
        Operation(
            method: "PATCH", path: "/v1/registrations/{id}", access: .device,
            summary: "Changes a registration; notify is replaced as a whole", body: "RegistrationChange",
            answers: [(200, .json("Registration"))]),
        Operation(
            method: "DELETE", path: "/v1/registrations/{id}", access: .device, summary: "Ends a registration",
            answers: [(204, .none)]),
    ]

    static let sessionOperations = [
        Operation(
            method: "POST", path: "/v1/sessions", access: .device,
            summary: "Logs in to an app; the same instance again is the same session", body: "SessionOrder",
            answers: [(201, .json("Session")), (200, .json("Session"))], problems: [404, 409]),
        Operation(
            method: "POST", path: "/v1/sessions/{id}/presence", access: .device,
            summary: """
                Reports whether the client is in front; a stale number changes nothing. gone ends the session and may \
                be repeated for 5 minutes
                """,
            body: "PresenceReport", answers: [(200, .json("Presence"))]),
        Operation(
            method: "GET", path: "/v1/sessions", access: .device, summary: "The account's sessions", query: page,
            answers: [(200, .json("SessionPage"))]),
        Operation(
            method: "DELETE", path: "/v1/sessions/{id}", access: .device, summary: "Logs out of an app",
            answers: [(204, .none)]),
    ]

    static let messageOperations = [
        Operation(
            method: "GET", path: "/v1/stream", access: .device,
            summary: """
                Server-sent events: hello, message, notify, clear, receipt, presence, launch, device \
                ({device,state:"pruned",push,reason?}: a push service calls a device's address dead, it was removed), monitor \
                ({registration,app,state:"refused",message}: an app's server refused the credentials), conversation ({peer} and \
                entry: a HistoryEntry that is an own message or has changed; or mark: {by,read,at}; or typing: \
                {state,seconds}). \
                Goes on after Last-Event-ID, else after what the device acknowledged
                """,
            answers: [(200, .text("text/event-stream"))], problems: [400]),
        Operation(
            method: "POST", path: "/v1/stream/ack", access: .device,
            summary: "Says that all events up to a number have arrived", body: "Acknowledgement",
            answers: [(204, .none)]),
        Operation(
            method: "POST", path: "/v1/launches", access: .device,
            summary: "Starts an app from a notification's tap, or by its name", body: "LaunchOrder",
            answers: [(201, .json("LaunchAnswer")), (200, .json("LaunchAnswer"))], problems: [404, 409, 410]),
        Operation(
            method: "POST", path: "/v1/launches/redeem", access: .open,
            summary: """
                Uses a launch's ticket up and says how to get to the app. A program inside the farm's session brings \
                its key instead and gets the newest launch that waits for its account there, or 204
                """,
            body: "Redemption", answers: [(200, .json("Redeemed")), (204, .none)],
            problems: [401, 403, 409, 410, 429, 503]),
    ]

    static let farmOperations = [
        Operation(
            method: "GET", path: "/screen", access: .open,
            summary: "The page that shows an app; the ticket stands behind the # of its address",
            answers: [(200, .text("text/html"))]),
        Operation(
            method: "GET", path: "/screen.js", access: .open, summary: "That page's program",
            answers: [(200, .text("text/javascript"))]),
        Operation(
            method: "GET", path: "/screen.css", access: .open, summary: "That page's looks",
            answers: [(200, .text("text/css"))]),
        Operation(
            method: "GET", path: "/farms/{farm}/{path}", access: .open,
            summary: """
                What a farm offers to pages and to its relays: noVNC's files, and where a one-time token leads \
                ({host,port})
                """,
            answers: [(200, .text("*/*"))], problems: [404]),
        Operation(
            method: "GET", path: "/RDWeb/Feed/webfeed.aspx", access: .basic,
            summary: "A feed of the account's remote apps for Remote Desktop clients (MS-TSWP)",
            answers: [(200, .text("*/*"))]),
        Operation(
            method: "GET", path: "/RDWeb/Feed/apps/{app}", access: .basic,
            summary: "The .rdp file of one app in the feed: without ticket and password",
            answers: [(200, .text("application/x-rdp"))], problems: [404]),
    ]
}
