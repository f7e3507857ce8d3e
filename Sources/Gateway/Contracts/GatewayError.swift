/// A request the gateway cannot or must not fulfil. The code is stable and reaches the caller.
package struct GatewayError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What went wrong, in a form programs can rely on.
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        /// How callers should take it, from which an interface derives its own status.
        package enum Kind: String, Sendable {
            case invalid
            case unauthenticated
            case forbidden
            case notFound
            case conflict
            case gone
            case tooMany
            case full
            case unavailable
        }

        package let name: String
        package let kind: Kind
        package init(_ name: String, _ kind: Kind) { (self.name, self.kind) = (name, kind) }
        package var description: String { name }
    }

    package let code: Code
    /// A sentence that names the place and the cure; no secrets.
    package let message: String
    /// The field of the request at fault, if it is one.
    package let field: String?
    /// Seconds to wait before trying again, where waiting helps.
    package let retryAfterSeconds: Int?

    package init(_ code: Code, _ message: String, field: String? = nil, retryAfterSeconds: Int? = nil) {
        (self.code, self.message, self.field, self.retryAfterSeconds) = (code, message, field, retryAfterSeconds)
    }

    package var description: String { "\(message) (\(code))" }
}

extension GatewayError.Code {
    package static let invalidField = Self("invalid_field", .invalid)
    package static let badCredentials = Self("bad_credentials", .unauthenticated)
    package static let badToken = Self("bad_token", .unauthenticated)
    package static let accountDisabled = Self("account_disabled", .forbidden)
    package static let forbidden = Self("forbidden", .forbidden)
    package static let installationTaken = Self("installation_taken", .conflict)
    package static let accountExists = Self("account_exists", .conflict)
    package static let notFound = Self("not_found", .notFound)
    package static let unknownApp = Self("unknown_app", .notFound)
    package static let unknownRecipient = Self("unknown_recipient", .notFound)
    package static let notRegistered = Self("not_registered", .conflict)
    package static let noFarm = Self("no_farm", .conflict)
    package static let launchExpired = Self("launch_expired", .gone)
    package static let farmUnavailable = Self("farm_unavailable", .unavailable)
    package static let rateLimited = Self("rate_limited", .tooMany)
    package static let limitReached = Self("limit_reached", .tooMany)
    package static let queueFull = Self("queue_full", .full)
    package static let storageFull = Self("storage_full", .full)
    package static let stopping = Self("stopping", .unavailable)
}
