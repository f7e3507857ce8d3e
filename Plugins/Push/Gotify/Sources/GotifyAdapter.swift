internal import Base
internal import Cryptography
package import Gateway

/// Sends to the applications that people have made on one Gotify server.
package struct GotifyAdapter: PushAdapter {
    /// From request to answer. A push makes at most two requests, and must be done in 30 seconds.
    static let requestTimeout: Duration = .seconds(14)
    /// Bytes of the longest answer read: it repeats the message.
    static let responseLimit = 65_536
    /// Characters of the longest application token taken; Gotify's have 15, or more since version 3.
    static let tokenLimit = 512

    private let url: String
    private let caFile: String?
    private let pool: String
    package let concurrency: Int
    private let context: PluginContext

    init(url: String, caFile: String?, pool: String, concurrency: Int, _ context: PluginContext) {
        (self.url, self.caFile, self.pool) = (url, caFile, pool)
        (self.concurrency, self.context) = (concurrency, context)
    }

    /// Gotify deletes messages only for a client token, which reads all of a person's messages: nothing to hand out.
    package var canClear: Bool { false }

    package func fault(in address: Channel.Address) -> String? {
        guard case .token(let token) = address else { return "this push service takes an application token" }
        guard (1...Self.tokenLimit).contains(token.utf8.count), token.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else { return "an application token has 1 to \(Self.tokenLimit) ASCII characters and no spaces" }
        return nil
    }

    package func send(_ push: Push) async -> PushReport {
        guard case .token(let token) = push.address, fault(in: push.address) == nil else {
            return PushReport(.rejected, reason: "invalid_address", hop: .token)
        }
        guard case .alert(let notification) = push.content else {
            return PushReport(.rejected, reason: "clear_not_supported")
        }
        var isBrief = false
        while true {
            let document: [UInt8]?
            do {
                document = try GotifyMessage.document(
                    push, notification, page: context.page(ofTap: notification.tap), isBrief: isBrief)
            } catch {
                return PushReport(.rejected, reason: "invalid_encryption_key", hop: .token)
            }
            guard let document else { return PushReport(.rejected, reason: "payload_too_large") }
            let response: HTTPResponse
            do {
                response = try await context.transport.send(request(token, document))
            } catch {
                return PushReport(transportError: error, blame: .service)
            }
            // A proxy in front may have a limit; Gotify itself has none.
            if response.status == 413, !isBrief, push.encryption == nil, push.payload == .summary {
                isBrief = true
                continue
            }
            return report(response)
        }
    }

    private func request(_ token: String, _ document: [UInt8]) -> HTTPRequest {
        var request = HTTPRequest(
            "POST", "\(url)/message", headers: ["Content-Type": "application/json", "X-Gotify-Key": token],
            body: document)
        request.timeout = Self.requestTimeout
        request.responseLimit = Self.responseLimit
        request.caFile = caFile
        request.pool = pool
        return request
    }

    private func report(_ response: HTTPResponse) -> PushReport {
        let status = response.status
        func rejected(_ reason: String, _ hop: PushHop) -> PushReport {
            PushReport(.rejected, status: status, reason: reason, hop: hop)
        }
        switch status {
        case 200..<300: return PushReport(.delivered, status: status)
        // The application was deleted, and its token with it. A proxy's 401 is not about the token.
        case 401 where Self.isGotify(response):
            return PushReport(.gone(since: nil), status: status, reason: "unknown_application")
        case 401, 403: return rejected("forbidden", .credential)
        case 400: return rejected("refused", .payload)
        case 404, 405: return rejected("not_gotify", .service)
        case 413: return rejected("payload_too_large", .payload)
        case 300..<400: return rejected("redirect", .service)
        case 408, 425, 429, 500...:
            let reason = status == 429 ? "too_many_requests" : "service_error"
            return PushReport(
                .retry(after: response.retryAfter(now: context.time.timestamp), .service), status: status,
                reason: reason, hop: .service)
        default: return rejected("refused", .payload)
        }
    }

    /// Whether Gotify itself has answered: its errors are `{error,errorCode,errorDescription}`.
    private static func isGotify(_ response: HTTPResponse) -> Bool {
        guard let error = try? JSONParser.parse(response.body) else { return false }
        return error["errorCode"]?.integer == Int64(response.status) && error["error"]?.string != nil
    }
}
