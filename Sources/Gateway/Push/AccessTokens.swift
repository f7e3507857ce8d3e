package import Base

/// The access token of a push service's credential; a failure is what becomes of the pushes that wanted it.
package typealias AccessTokens = SharedTokens<PushReport>

extension PushReport: TokenFault {
    package static var cancelled: PushReport {
        PushReport(.retry(after: nil, .device), reason: "cancelled", hop: .service)
    }
}

extension SharedTokens<PushReport> {
    /// Asks a token endpoint, once.
    /// - Parameters:
    ///   - form: the request, as `application/x-www-form-urlencoded`.
    ///   - pool: the connections to use.
    package static func ask(
        _ url: String, form: [UInt8], caFile: String?, pool: String, transport: any HTTPTransport, time: any TimeSource
    ) async -> Grant {
        do {
            let response = try await transport.send(TokenEndpoint.request(url, form: form, caFile: caFile, pool: pool))
            return Grant(response, now: time.timestamp)
        } catch is CancellationError {
            return .cancelled
        } catch {
            return .failed(PushReport(transportError: error, blame: .service))
        }
    }
}

extension SharedTokens<PushReport>.Grant {
    /// Reads an answer: a token, or who is to blame that there is none.
    package init(_ response: HTTPResponse, now: Timestamp) {
        let status = response.status
        self =
            switch TokenAnswer(response, now: now) {
            case .granted(let secret, let life, _): .granted(secret, life: life)
            case .refused(let word):
                .failed(PushReport(.credential, status: status, reason: word ?? "token_refused"))
            case .unavailable(let word, let after):
                .failed(PushReport(.retry(after: after, .service), status: status, reason: word ?? "token_service"))
            case .unusable:
                .failed(PushReport(.retry(after: nil, .service), status: status, reason: "no_access_token"))
            }
    }
}
