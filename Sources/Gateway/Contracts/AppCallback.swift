package import Base

/// Reads `apps.<id>.callback`.
package protocol AppCallbackPlugin: Sendable {
    /// What calls the application. Must not connect. Faults are reported to the reader; nil only after one.
    func configure(app: AppID, _ reader: ConfigReader, _ context: PluginContext) -> (any AppCallback)?
}

/// Calls a web application: the way out of its queue for one that does not ask for its messages (IM-1).
package protocol AppCallback: Sendable {
    /// Messages under way at once, each of another conversation.
    var concurrency: Int { get }
    /// How long a message is tried before it is dead.
    var patience: Duration { get }
    /// Asks the application to echo `challenge`, before it is sent anything else: whoever answers at the address
    /// shows that it expects our calls.
    func prove(challenge: String) async -> CallbackReport
    /// Sends a message, receipt or whatever else stands in the application's queue. Must end within a minute.
    /// - Parameter attempt: 1 for the first; the message's id stays the same over all.
    func deliver(_ message: Message, attempt: Int) async -> CallbackReport
}

/// What became of a call.
package struct CallbackReport: Sendable, Hashable {
    package enum Outcome: Sendable, Hashable {
        case accepted
        /// Not now; after so long where the application says so.
        case retry(after: Duration?)
        /// The application will not take this message.
        case refused
        /// The application wants no calls any more (410): none is made until the next start.
        case ended

        package var name: String {
            switch self {
            case .accepted: "accepted"
            case .retry: "retry"
            case .refused: "refused"
            case .ended: "ended"
            }
        }
    }

    package let outcome: Outcome
    package let status: Int?
    /// A short, stable word; no text of the application's.
    package let reason: String?

    package init(_ outcome: Outcome, status: Int? = nil, reason: String? = nil) {
        (self.outcome, self.status, self.reason) = (outcome, status, reason)
    }
}
