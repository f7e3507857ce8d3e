internal import Base
internal import Inbound

/// The portal's files (`Portal/Files`), which SwiftPM compiles into the program.
///
/// They are the same for everyone and say nothing of anyone. No script or style stands in the page itself, nothing is
/// loaded from elsewhere, and no text becomes markup (`require-trusted-types-for`).
enum PortalFiles {
    /// A file as it is answered.
    struct File: Sendable {
        let body: [UInt8]
        let contentType: String
        /// Tells one version of the file from another; nothing secret depends on it.
        let tag: String

        init(_ body: [UInt8], _ contentType: String) {
            (self.body, self.contentType) = (body, contentType)
            // FNV-1a, 64 bits.
            let hash = body.reduce(UInt64(0xCBF2_9CE4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
            tag = "\"\(String(hash, radix: 36))\""
        }

        /// Browsers ask each time, and are told in a line that nothing changed.
        /// - Parameter connect: another origin that the page may send to.
        func response(to request: InboundRequest, connect: String? = nil) -> InboundResponse {
            var headers = PortalFiles.headers
            if let connect {
                headers["Content-Security-Policy"] = PortalFiles.policy.replacing(
                    "connect-src 'self'", with: "connect-src 'self' \(connect)")
            }
            headers["ETag"] = tag
            let known = request.headers["If-None-Match"]?.split(separator: ",").map { String($0).trimmingSpace } ?? []
            if known.contains(where: { $0 == tag || $0 == "W/\(tag)" }) {
                return InboundResponse(status: 304, headers: headers)
            }
            return InboundResponse(status: 200, contentType: contentType, headers: headers, body: body)
        }
    }

    static let page = File(PackageResources.index_html, "text/html; charset=utf-8")
    static let serviceWorker = File(PackageResources.service_worker_js, javaScript)
    static let manifest = File(PackageResources.manifest_webmanifest, "application/manifest+json")

    /// What stands under `/portal/`.
    static let assets: [String: File] = [
        "portal.css": File(PackageResources.portal_css, "text/css; charset=utf-8"),
        "app.js": File(PackageResources.app_js, javaScript),
        "attach.js": File(PackageResources.attach_js, javaScript),
        "api.js": File(PackageResources.api_js, javaScript),
        "dom.js": File(PackageResources.dom_js, javaScript),
        "launch.js": File(PackageResources.launch_js, javaScript),
        "live.js": File(PackageResources.live_js, javaScript),
        "presence.js": File(PackageResources.presence_js, javaScript),
        "push.js": File(PackageResources.push_js, javaScript),
        "state.js": File(PackageResources.state_js, javaScript),
        "talks.js": File(PackageResources.talks_js, javaScript),
        "view-app.js": File(PackageResources.view_app_js, javaScript),
        "view-apps.js": File(PackageResources.view_apps_js, javaScript),
        "view-devices.js": File(PackageResources.view_devices_js, javaScript),
        "view-talk.js": File(PackageResources.view_talk_js, javaScript),
        "view-talks.js": File(PackageResources.view_talks_js, javaScript),
        "view-sign-in.js": File(PackageResources.view_sign_in_js, javaScript),
        "words.js": File(PackageResources.words_js, javaScript),
        "words-en.js": File(PackageResources.words_en_js, javaScript),
        "words-zh.js": File(PackageResources.words_zh_js, javaScript),
        "icon.svg": File(PackageResources.icon_svg, "image/svg+xml"),
        "icon-180.png": File(PackageResources.icon_180_png, "image/png"),
        "icon-192.png": File(PackageResources.icon_192_png, "image/png"),
        "icon-512.png": File(PackageResources.icon_512_png, "image/png"),
    ]

    private static let javaScript = "text/javascript; charset=utf-8"

    private static let headers: HTTPFields = [
        "Content-Security-Policy": policy, "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "Cache-Control": "no-cache",
    ]

    /// `form-action` is none: a form that no script has taken must not carry a password anywhere. Frames are the
    /// pages of ours that show apps.
    private static let policy = """
        default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
        manifest-src 'self'; worker-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; \
        frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types farbell
        """
}
