internal import Base
internal import Gateway
internal import Inbound

/// How refusals of the core are told over HTTP.
enum Problems {
    /// What `WWW-Authenticate` asks for (RFC 6750 section 3, RFC 7617 section 2).
    static let bearerChallenge: HTTPFields = ["WWW-Authenticate": "Bearer realm=\"farbell\""]
    static let basicChallenge: HTTPFields = ["WWW-Authenticate": "Basic realm=\"farbell\", charset=\"UTF-8\""]

    /// Seconds to wait where a refusal of too much says nothing itself.
    private static let defaultRetrySeconds = 60

    /// The answer to an error; nil for one nobody expected.
    static func problem(for error: any Error) -> Problem? {
        switch error {
        case let problem as Problem: problem
        case let error as GatewayError: refusal(error)
        case is StoreError: Problem(503, "unavailable", "The data cannot be reached now; try again later.")
        // More log-ins at once than passwords can be checked.
        case is WorkThread.Overloaded:
            Problem(503, "unavailable", "Too much is going on; try again in a moment.", headers: ["Retry-After": "1"])
        default: nil
        }
    }

    /// The answer to an error, as one of several results.
    static func known(_ error: any Error) -> Problem {
        problem(for: error) ?? Problem(500, "internal_error", "The server failed to answer this request.")
    }

    private static func refusal(_ error: GatewayError) -> Problem {
        var headers = HTTPFields()
        if error.code.kind == .unauthenticated {
            headers = error.code == .badCredentials ? basicChallenge : bearerChallenge
        }
        if let seconds = error.retryAfterSeconds {
            headers["Retry-After"] = "\(max(1, seconds))"
        } else if error.code.kind == .tooMany {
            headers["Retry-After"] = "\(defaultRetrySeconds)"
        }
        return Problem(
            status(of: error.code.kind), error.code.name, error.message, field: error.field, headers: headers)
    }

    private static func status(of kind: GatewayError.Code.Kind) -> Int {
        switch kind {
        case .invalid: 400
        case .unauthenticated: 401
        case .forbidden: 403
        case .notFound: 404
        case .conflict: 409
        case .gone: 410
        case .tooMany: 429
        case .full: 507
        case .unavailable: 503
        }
    }
}
