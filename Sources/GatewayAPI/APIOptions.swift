package import Base
package import Inbound

/// What came of reading the configuration again.
package enum ReloadOutcome: Sendable {
    case reloaded
    /// The running configuration stays; each problem names its place.
    case refused(problems: [String])
}

/// What the API needs to know beside the gateway.
package struct APIOptions: Sendable {
    /// Where clients reach this server, without a final slash.
    package var publicURL: String
    package var version: String
    package var adminToken: Secret
    /// Requests a device may make in a second (`limits.requestsPerSecond`).
    package var requestsPerSecond: Int
    /// What an event stream may take; only `bufferedBytes` counts.
    package var stream: StreamLimits
    /// Whether the start is over: plugins run, what was left is taken up.
    package var isStarted: @Sendable () -> Bool
    /// Reads the configuration again.
    package var reload: @Sendable () async throws -> ReloadOutcome
    /// Draws from 0..<1.
    package var jitter: @Sendable () -> Double

    package init(
        publicURL: String, version: String, adminToken: Secret, requestsPerSecond: Int = 100,
        stream: StreamLimits = StreamLimits(), isStarted: @escaping @Sendable () -> Bool = { true },
        reload: @escaping @Sendable () async throws -> ReloadOutcome = { .reloaded },
        jitter: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) }
    ) {
        (self.publicURL, self.version, self.adminToken) = (publicURL, version, adminToken)
        (self.requestsPerSecond, self.stream) = (requestsPerSecond, stream)
        (self.isStarted, self.reload, self.jitter) = (isStarted, reload, jitter)
    }
}
