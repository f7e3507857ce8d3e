internal import Base
internal import Gateway
internal import Inbound

extension RouteTable {
    /// Taps and launches.
    mutating func addLaunches() {
        let gateway = context.gateway
        device("POST", "/v1/launches") { call in
            var reader = try FieldReader(call.request)
            let tap = try reader.optionalString("tap")
            let app = try reader.optionalString("app")
            let message = try reader.optionalString("message")
            try reader.finish()
            let answer: LaunchRelay.Answer
            switch (tap, app) {
            case (let tap?, nil) where message == nil:
                answer = try await gateway.launches.launch(tap: tap, device: call.device)
            case (nil, let app?):
                let key = try message.map { text throws(GatewayError) in
                    try MessageKey(requested: text, field: "message")
                }
                answer = try await gateway.launches.launch(app: AppID(app), message: key, device: call.device)
            default: throw reader.fault("tap", "give either tap, or app with or without message")
            }
            return .json(
                LaunchCodec.json(of: answer), status: answer.isNew ? 201 : 200, headers: ["Cache-Control": "no-store"])
        }
        open("GET", "/l/{tap}") { _ in TapPage.response }
    }
}

/// What a browser shows that opens a tapped notification's address. The page is the same for every tap, so it
/// tells nothing about one, and it runs no script.
enum TapPage {
    static let response = InboundResponse(
        status: 200, contentType: "text/html; charset=utf-8",
        headers: [
            "Content-Security-Policy":
                "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
        ],
        body: Array(
            """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>Farbell</title>
            </head>
            <body>
            <main>
            <h1>Open this in the Farbell client</h1>
            <p>This address belongs to a notification of a remote application. Open it in the Farbell client on the
            device that received the notification: it starts the application at the right place.</p>
            </main>
            </body>
            </html>

            """.utf8))
}
