package import Base
internal import Cryptography
package import Gateway
internal import GatewayAPI

/// Reads `apps.<id>.callback`: signed requests to an application's URL.
package struct WebCallbackPlugin: AppCallbackPlugin {
    package init() {}

    package func configure(app: AppID, _ reader: ConfigReader, _ context: PluginContext) -> (any AppCallback)? {
        let url = reader.url("url", schemes: ["https", "http"])
        let allowPlaintext = reader.bool("allowPlaintext", default: false)
        let caFile = reader.optionalFile("caFile")
        let concurrency = reader.integer("concurrency", in: 1...100, default: 8)
        let timeout = reader.seconds("timeoutSeconds", in: 1...55, default: 15)
        // Less than the twelve hours for which a message can be kept locked.
        let patience = reader.seconds("retrySeconds", in: 1...39_600, default: 21_600)
        let secret = reader.has("secret") ? reader.optionalSecret("secret") : nil
        if !reader.has("secret") {
            reader.report(
                "secret", "is missing: calls are signed with it; 24 to 64 random bytes, as whsec_ and base64")
        }
        if url.hasPrefix("http:"), !allowPlaintext, !Self.isLoopback(url) {
            reader.report(
                "url", "messages would cross the network in the clear; use https, or set \"allowPlaintext\":true")
        }
        guard let secret, !secret.isEmpty, !url.isEmpty else { return nil }
        do {
            return WebCallback(
                WebCallback.Settings(
                    url: url, caFile: caFile, concurrency: concurrency, timeout: timeout, patience: patience,
                    pool: "callback:\(app)"),
                signer: try StandardWebhooks(secret: secret), http: context.transport, time: context.time)
        } catch {
            reader.report("secret", "not a Standard Webhooks secret: \(error.message)")
            return nil
        }
    }

    private static func isLoopback(_ url: String) -> Bool {
        ["http://127.0.0.1", "http://localhost", "http://[::1]"].contains { host in
            url.hasPrefix(host) && [nil, ":", "/", "?"].contains(url.dropFirst(host.count).first)
        }
    }
}

/// Calls an application by HTTP POST, signed as Standard Webhooks has it: the same `webhook-id` at each attempt.
struct WebCallback: AppCallback {
    struct Settings: Sendable {
        let url: String
        let caFile: String?
        let concurrency: Int
        /// From request to answer.
        let timeout: Duration
        let patience: Duration
        let pool: String
    }

    /// Bytes of the longest answer read; only that to a challenge matters.
    static let responseLimit = 1 << 20

    private let settings: Settings
    private let signer: StandardWebhooks
    private let http: any HTTPTransport
    private let time: any TimeSource

    init(_ settings: Settings, signer: StandardWebhooks, http: any HTTPTransport, time: any TimeSource) {
        (self.settings, self.signer, self.http, self.time) = (settings, signer, http, time)
    }

    var concurrency: Int { settings.concurrency }
    var patience: Duration { settings.patience }

    func prove(challenge: String) async -> CallbackReport {
        let (report, response) = await post("challenge-\(challenge)", CallbackDocument.challenge(challenge))
        guard report.outcome == .accepted, let response else { return report }
        let echo = (try? JSONParser.parse(response.body))?["challenge"]?.string
        return echo == challenge
            ? report : CallbackReport(.retry(after: nil), status: response.status, reason: "challenge_not_echoed")
    }

    func deliver(_ message: Message, attempt: Int) async -> CallbackReport {
        await post(message.key.description, CallbackDocument.document(of: message, attempt: attempt)).0
    }

    private func post(_ id: String, _ document: JSON) async -> (CallbackReport, HTTPResponse?) {
        let now = time.timestamp
        let body = document.serializedBytes
        let signature: String
        do {
            signature = try signer.signature(id: id, timestamp: now, body: body)
        } catch {
            return (CallbackReport(.retry(after: nil), reason: "signing_failed"), nil)
        }
        var request = HTTPRequest(
            "POST", settings.url,
            headers: [
                "Content-Type": "application/json", "webhook-id": id, "webhook-timestamp": String(now.seconds),
                "webhook-signature": signature,
            ], body: body)
        (request.timeout, request.responseLimit) = (settings.timeout, Self.responseLimit)
        (request.caFile, request.pool) = (settings.caFile, settings.pool)
        do {
            let response = try await http.send(request)
            return (report(response), response)
        } catch let error as HTTPTransportError {
            // The answer had begun and its body is of no interest: a repeat would only be a duplicate.
            let isTaken = error.code == .responseTooLarge
            return (CallbackReport(isTaken ? .accepted : .retry(after: nil), reason: error.code.rawValue), nil)
        } catch {
            return (CallbackReport(.retry(after: nil), reason: "cancelled"), nil)
        }
    }

    /// Only a 2xx accepts. What says that the request itself is at fault is refused; everything else, a wrong secret
    /// or a redirect too, somebody can put right.
    private func report(_ response: HTTPResponse) -> CallbackReport {
        let status = response.status
        switch status {
        case 200..<300: return CallbackReport(.accepted, status: status)
        case 410: return CallbackReport(.ended, status: status, reason: "gone")
        case 400, 406, 409, 411...415, 422: return CallbackReport(.refused, status: status, reason: "refused")
        case 300..<400: return CallbackReport(.retry(after: nil), status: status, reason: "redirect")
        default:
            return CallbackReport(
                .retry(after: response.retryAfter(now: time.timestamp)), status: status, reason: "status")
        }
    }
}
