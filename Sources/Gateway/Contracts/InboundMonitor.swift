/// A monitor that is told instead of asking: servers call the gateway with their news. It needs no connection of a
/// registration's own.
///
/// Whatever takes requests hands a call of `apps.<id>` to `Hooks`, which asks the app's monitor. The call is answered
/// with success only when `receive` has returned, and then what it told is durable.
package protocol InboundMonitor: Monitor {
    /// Checks who calls, reads the call, and hands on what it tells.
    /// - Throws: `InboundRefusal`; what the desk throws.
    @discardableResult
    func receive(_ call: InboundCall, desk: any InboundDesk) async throws -> InboundAnswer
}

/// What a caller is told whose call was taken.
package enum InboundAnswer: Sendable, Hashable {
    /// Bytes of the longest text.
    package static let textLimit = 2048

    /// What the call told is stored, or needs no storing: 204.
    case done
    /// The call was understood, and the work goes on behind it: 202.
    case accepted
    /// A text the caller waits for, such as the word that proves an address: 200 with `text/plain`, as it is. A longer
    /// one than `textLimit` is not answered.
    case text(String)
}

/// What a server says, without the protocol it came by.
package struct InboundCall: Sendable {
    /// Bytes of the longest body; the interface's own limit may be lower.
    package static let bodyLimit = 1 << 20

    /// `POST` or `PUT`.
    package let method: String
    package let body: [UInt8]
    /// The query's items, decoded, in their order.
    package let query: [(name: String, value: String)]
    private let fields: @Sendable (String) -> String?

    /// - Parameter fields: looks a header field up, whatever the case of its name.
    package init(
        method: String, query: [(name: String, value: String)] = [], body: [UInt8],
        fields: @escaping @Sendable (String) -> String?
    ) {
        (self.method, self.query, self.body, self.fields) = (method, query, body, fields)
    }

    /// The first query item of a name.
    package func query(_ name: String) -> String? { query.first { $0.name == name }?.value }

    /// The first value of a header field.
    package func field(_ name: String) -> String? { fields(name) }
}

/// Takes what a server told of one account.
package protocol InboundDesk: Sendable {
    /// Stores the changes and returns when that is durable. Where the account has no registration that is to be
    /// watched, nothing happens: callers learn nothing of who is registered.
    /// - Parameter changes: at most `MonitorBatch` may carry: the host's limits are the monitor's.
    /// - Throws: `GatewayError` of kind `unavailable`, or the store's failure: the caller is to try again.
    func accept(_ batch: MonitorBatch, for account: AccountID) async throws
}

/// Why a call is not taken. The text names the place and the cure, and no secret.
package struct InboundRefusal: Error, Sendable, Hashable {
    package enum Code: Sendable, Hashable {
        /// The caller has not shown that it may call; the same for an app that takes no calls.
        case unauthorized
        /// The call cannot be read.
        case malformed
        /// The id was used for something else.
        case conflict
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) { (self.code, self.message) = (code, message) }
}
