package import Base
package import Inbound

/// What the API needs to know beside the gateway.
package struct APIOptions: Sendable {
    /// Where clients reach this server, without a final slash.
    package var publicURL: String
    /// Where the portal puts the files of messages, without a final slash; nil: nowhere.
    package var filesURL: String?
    package var version: String
    package var adminToken: Secret
    /// Addresses of proxies in front of this server, whose `X-Forwarded-For` is believed.
    package var trustedProxies: Set<String> = []
    /// What an event stream may take; only `bufferedBytes` counts.
    package var stream: StreamLimits
    /// Whether the start is over: plugins run, what was left is taken up.
    package var isStarted: @Sendable () -> Bool
    /// What is wrong with the configuration as its file stands now, each problem with its place.
    package var configurationProblems: @Sendable () async -> [String]
    /// Asks for the parts to start anew with the configuration as it stands now; returns before they do.
    package var reload: @Sendable () -> Void
    /// Draws from 0..<1.
    package var jitter: @Sendable () -> Double

    package init(
        publicURL: String, version: String, adminToken: Secret,
        stream: StreamLimits = StreamLimits(), isStarted: @escaping @Sendable () -> Bool = { true },
        configurationProblems: @escaping @Sendable () async -> [String] = { [] },
        reload: @escaping @Sendable () -> Void = {},
        jitter: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) }
    ) {
        (self.publicURL, self.version, self.adminToken) = (publicURL, version, adminToken)
        (self.stream, self.isStarted) = (stream, isStarted)
        (self.configurationProblems, self.reload, self.jitter) = (configurationProblems, reload, jitter)
    }
}
