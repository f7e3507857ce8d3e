/// What the client knows of time; a parameter, so that tests need not wait.
package protocol ClientClock: Sendable {
    /// Time since some fixed moment; it goes on while the device sleeps and is never set back.
    var elapsed: Duration { get }
    /// Returns after `duration`.
    /// - Throws: `CancellationError`.
    func sleep(for duration: Duration) async throws
}

/// The machine's own clock. Locks and leases run out at the server while a phone sleeps, so it counts that time too.
package struct SystemClock: ClientClock {
    private static let start = ContinuousClock.now

    package init() {}

    package var elapsed: Duration { ContinuousClock.now - Self.start }

    package func sleep(for duration: Duration) async throws { try await Task.sleep(for: duration, clock: .continuous) }
}

extension Duration {
    /// The same in seconds with a fraction.
    package var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }

    /// Whole seconds, rounded up: what a request asks for must not be shorter than what the caller wants.
    var wholeSecondsUp: Int {
        Int(clamping: components.attoseconds > 0 ? components.seconds + 1 : components.seconds)
    }
}
