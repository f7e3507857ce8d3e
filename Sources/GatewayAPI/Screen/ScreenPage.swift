internal import Base
internal import Inbound

/// The page that shows an app: noVNC, or the farm's own page in a frame. It reports the app's presence from the
/// page's visibility (W3C Page Visibility), because no farm knows whether somebody can see the app.
///
/// The ticket stands behind the `#` of its address, which browsers send to nobody, and is taken out of the address
/// at once. A page of this server's may frame it; the two talk by `postMessage`: the frame says `shown`, `ended` or
/// `failed`, and is told `hidden` or `visible` where the portal covers it without hiding the document, and `launch` with
/// the ticket of a tap on the app that runs.
enum ScreenPage {
    /// - Parameter origins: where farms' screens and pages are.
    static func policy(origins: [String]) -> String {
        let sources = Set(origins).sorted().map { " \($0)" }.joined()
        return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
            + "connect-src 'self'\(sources); frame-src\(sources.isEmpty ? " 'none'" : sources); "
            + "frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
    }

    static func response(_ text: String, type: String, policy: String) -> InboundResponse {
        InboundResponse(
            status: 200, contentType: "\(type); charset=utf-8",
            headers: [
                "Content-Security-Policy": policy, "Referrer-Policy": "no-referrer",
                "X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache",
            ], body: Array(text.utf8))
    }

    static let html = """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>Farbell</title>
        <link rel="stylesheet" href="/screen.css">
        </head>
        <body>
        <main id="screen" aria-label="Farbell"></main>
        <p id="note" role="status" aria-live="polite"></p>
        <script type="module" src="/screen.js"></script>
        </body>
        </html>

        """

    static let looks = """
        html, body { margin: 0; height: 100%; overflow: hidden; background: Canvas; color: CanvasText;
          font: 1rem/1.5 system-ui, sans-serif; }
        #screen { position: absolute; inset: 0; }
        #screen iframe { border: 0; width: 100%; height: 100%; }
        #note { position: absolute; inset: 0; margin: auto; height: fit-content; max-width: 40ch; padding: 1rem;
          text-align: center; }
        #note:empty { display: none; }

        """
}
