internal import Base

extension FeedMonitor {
    /// Every look is an answer; with room for the jitter and a slow server.
    var heardEvery: Duration? { settings.poll * 1.1 + .seconds(60) }
}
