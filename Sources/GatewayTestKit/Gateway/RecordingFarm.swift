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

    /// Reports, as a farm that knows its sessions does, what it sees of an app's clients now.
    /// - Throws: `DeadlineMissed` when the gateway does not run the farm.
    package func report(
        _ state: FarmFact.State, account: AccountID, app: AppID, seen: Moment, lasts: Duration = .seconds(30)
    ) async throws {
        let facts = try await Eventually.value("the farm runs") { self.facts.withLock { $0 } }
        facts.take(FarmFact(FarmSubject(account: account, app: app), state, seen: seen, lasts: lasts))
    }

    /// What tickets are answered with.
    package let starts = Locked(LaunchStart.nothing)
    /// Whether launches are given the registration's credentials.
    package let takesCredentials = Locked(false)
    /// Whether it speaks for clients that cannot report.
    package let trusts = Locked(false)
    package var isTrusted: Bool { trusts.withLock { $0 } }
    /// Tickets that were brought.
    package let started = Recorder<LaunchRequest>()

    /// What is answered under `/farms/<id>/`.
    package let pages = Locked<[String: FarmAnswer]>([:])

    package func answer(path: [String], query: [String: String]) async -> FarmAnswer? {
        pages.withLock { $0[path.joined(separator: "/")] }
    }

    /// What a feed hands out of every app; nil for nothing.
    package let file = Locked<[UInt8]?>(nil)

    package func feedFile(
        _ target: any LaunchTarget, account: AccountID, app: AppID, name: String
    ) throws -> [UInt8]? { file.withLock { $0 } }

    package var usesCredentials: Bool { takesCredentials.withLock { $0 } }

    package func start(_ target: any LaunchTarget, _ request: LaunchRequest) async throws -> LaunchStart {
        started.append(request)
        if let failure = failure.withLock({ $0 }) { throw failure }
        return starts.withLock { $0 }
    }

    package func target(app: AppID, _ reader: ConfigReader?, parent: ConfigReader) -> (any LaunchTarget)? { Target() }

    package func launch(_ target: any LaunchTarget, _ request: LaunchRequest) async throws -> LaunchAction {
        requests.append(request)
        if let failure = failure.withLock({ $0 }) { throw failure }
        return .url("https://farm.example/\(request.app)?launch=\(request.launch)")
    }

    package func run(apps: [AppID: any LaunchTarget], facts: any FarmFacts) async throws {
        self.facts.withLock { $0 = facts }
        defer { self.facts.withLock { $0 = nil } }
        await ShutdownSignal().wait()
    }
}
