internal import Base

/// Runs the configured bridges: each with its own task, tried again after a failure, given up after a refusal.
package final class Bridges: Service {
    /// First and longest pause before a bridge is tried again.
    package static let pauses: (first: Duration, longest: Duration) = (.seconds(1), .seconds(300))
    /// A connection that stood for so long makes the next pause the first one again.
    package static let steady: Duration = .seconds(60)

    package let name = "bridges"
    private let bridges: [(bridge: ConfiguredBridge, link: BridgeLink, connected: Locked<Moment?>)]
    private let time: any TimeSource
    private let log: Log
    private let jitter: @Sendable () -> Double
    private let begun = ShutdownSignal()
    private let stopped = ShutdownSignal()

    /// - Parameter jitter: draws from 0..<1.
    init(
        _ bridges: [ConfiguredBridge], _ parts: BridgeLink.Parts, time: any TimeSource, log: Log,
        jitter: @escaping @Sendable () -> Double
    ) {
        (self.time, self.log, self.jitter) = (time, log, jitter)
        self.bridges = bridges.map { bridge in
            let log = log.with(["bridge": .string(bridge.name)])
            let connected = Locked<Moment?>(nil)
            let link = BridgeLink(bridge.name, parts, log: log) {
                connected.withLock { $0 = time.now }
                log.info(.bridgeConnected, "The bridge is connected", ["kind": .string(bridge.kind)])
            }
            return (bridge, link, connected)
        }
    }

    /// For operators: which bridges there are, and whether each is connected.
    package func statistics() -> [(name: String, kind: String, isConnected: Bool)] {
        bridges.map { ($0.bridge.name, $0.bridge.kind, $0.connected.withLock { $0 } != nil) }
    }

    /// The open messages are known again: accounts may be attached, and may write.
    package func begin() { begun.raise() }

    package func run() async throws {
        await withTaskGroup(of: Void.self) { group in
            for (bridge, link, connected) in bridges {
                group.addTask { await link.closeEnded() }
                group.addTask {
                    await self.begun.wait()
                    await self.serve(bridge, link, connected)
                    link.finish()
                }
            }
            group.addTask { await self.stopped.wait() }
            for await _ in group where stopped.isRaised { group.cancelAll() }
        }
    }

    package func beginShutdown() {
        stopped.raise()
        begun.raise()
    }

    /// Runs a bridge until it is refused or the task is cancelled.
    private func serve(_ bridge: ConfiguredBridge, _ link: BridgeLink, _ connected: Locked<Moment?>) async {
        var failures = 0
        while !Task.isCancelled {
            let failure: BridgeFailure
            do {
                try await bridge.bridge.run(link)
                failure = BridgeFailure(.network, "the bridge ended by itself")
            } catch let error as BridgeFailure {
                failure = error
            } catch is CancellationError {
                return
            } catch {
                failure = BridgeFailure(.network, "\(error)".printable)
            }
            link.detachAll()
            let stood = connected.withLock { connected in
                defer { connected = nil }
                return connected.map { time.now - $0 }
            }
            if Task.isCancelled { return }
            let fields: LogFields = [
                "bridge": .string(bridge.name), "code": .string(failure.code.rawValue),
                "reason": .string(failure.message),
            ]
            if failure.code == .refused {
                return log.error(
                    .bridgeRefused, "The other side refuses the bridge; it is not tried again before a reload", fields)
            }
            failures = stood.map { $0 >= Self.steady } == true ? 0 : failures
            let pause = LaneMachine.pause(Self.pauses, failures, 0.5 + jitter() / 2)
            failures += 1
            log.warning(
                .bridgeLost, "The bridge is not connected and is tried again",
                fields + ["pauseMilliseconds": .milliseconds(pause)])
            do {
                try await time.sleep(for: pause)
            } catch {
                return
            }
        }
    }
}
