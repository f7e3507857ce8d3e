/// The routes of the portal.
extension OpenAPI {
    static let portalOperations = [
        Operation(
            method: "GET", path: "/", access: .open, summary: "The portal",
            answers: [(200, .text("text/html")), (304, .none)]),
        Operation(
            method: "GET", path: "/l/{tap}", access: .open,
            summary: "The portal as a tapped notification opens it: logs in where needed, then launches the app",
            answers: [(200, .text("text/html")), (304, .none)]),
        Operation(
            method: "GET", path: "/service-worker.js", access: .open,
            summary: "The portal's service worker, which shows pushes",
            answers: [(200, .text("text/javascript")), (304, .none)]),
        Operation(
            method: "GET", path: "/manifest.webmanifest", access: .open, summary: "What makes the portal installable",
            answers: [(200, .text("application/manifest+json")), (304, .none)]),
        Operation(
            method: "GET", path: "/portal/{file}", access: .open, summary: "The portal's scripts, looks and icons",
            answers: [(200, .text("*/*")), (304, .none)], problems: [404]),
        Operation(
            method: "GET", path: "/v1/portal/session", access: .open,
            summary: "Who is signed in in this browser; 204: nobody",
            answers: [(200, .json("PortalSession")), (204, .none)], problems: [403, 429]),
        Operation(
            method: "POST", path: "/v1/portal/session", access: .open,
            summary: """
                Signs a browser in: binds it as a device, whose token goes into a cookie that no script can read. csrf \
                is what requests with the cookie carry as Farbell-CSRF
                """,
            body: "PortalLogin", answers: [(201, .json("PortalSession")), (200, .json("PortalSession"))],
            problems: [401, 403, 409, 415, 429, 503]),
        Operation(
            method: "DELETE", path: "/v1/portal/session", access: .device,
            summary: "Signs out: ends the caller's device; with everywhere=true all devices of the account",
            query: ["everywhere"], answers: [(204, .none)]),
    ]
}
