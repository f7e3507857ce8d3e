package import Base
package import Gateway

/// A farm that answers every launch with a URL and keeps what it was asked.
package final class RecordingFarm: Farm {
    /// What every app has under `launch` here.
    package struct Target: LaunchTarget {
        package init() {}
    }

    package let requests = Recorder<LaunchRequest>()
    private let failure = Locked<GatewayError?>(nil)
    private let facts = Locked<(any FarmFacts)?>(nil)

    package init() {}

    /// Makes launches fail; nil ends that.
    package func fail(with error: GatewayError?) { failure.withLock { $0 = error } }

    /// Reports, as a farm that knows its sessions does, that an app is out of sight.
    /// - Throws: `DeadlineMissed` when the gateway does not run the farm.
    package func lower(account: AccountID, app: AppID, reason: String = "disconnected") async throws {
        let facts = try await Eventually.value("the farm runs") { self.facts.withLock { $0 } }
        facts.lower(account: account, app: app, reason: reason)
    }

    package func target(app: AppID, _ reader: ConfigReader?, parent: ConfigReader) -> (any LaunchTarget)? { Target() }

    package func launch(_ target: any LaunchTarget, _ request: LaunchRequest) async throws -> LaunchAction {
        requests.append(request)
        if let failure = failure.withLock({ $0 }) { throw failure }
        return .url("https://farm.example/\(request.app)?launch=\(request.launch)")
    }

    package func run(facts: any FarmFacts) async throws {
        self.facts.withLock { $0 = facts }
        defer { self.facts.withLock { $0 = nil } }
        await ShutdownSignal().wait()
    }
}
