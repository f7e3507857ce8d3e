internal import Foundation

/// A log-in of an app's client on this device.
public struct AppSession: Sendable, Hashable, Decodable, Identifiable {
    /// The session's id.
    public let id: String
    /// The app.
    public let app: String
    /// The device.
    public let device: String
    /// The state that holds.
    public let state: PresenceState
    /// For how many seconds a report counts.
    public let leaseSeconds: Int
    /// The registration that is watched.
    public let registration: String?
}

extension FarbellClient {
    private struct SessionRequest: Encodable {
        let app: String
        let instance: String
    }

    /// Logs in to an app, in front from this moment (SG-3). The same instance again is the same session.
    /// - Parameter instance: names this window or process of the client.
    /// - Throws: `FarbellError` `not_registered`.
    public func openSession(app: String, instance: String) async throws -> AppSession {
        try await wire.call(Call("POST", "sessions").with(SessionRequest(app: app, instance: instance)))
    }

    /// Logs out of an app. It is watched further, for the registration says so.
    public func closeSession(_ id: String) async throws {
        do {
            try await wire.perform(Call("DELETE", "sessions", id))
        } catch let error as FarbellError where error.code == .notFound {
            // Ended before, perhaps by the first try of this call.
            return
        }
    }

    /// Reports where an app's client stands, for as long as `body` runs (SG-7): opens the session, says so every five
    /// seconds while the client is in front, and `gone` at the end.
    ///
    ///     try await client.withPresence(app: "mail", instance: "window-1") { presence in
    ///         for await isVisible in window.visibility { presence.report(isVisible ? .visible : .hidden) }
    ///     }
    /// - Throws: what `body` throws, or why the session cannot be had.
    public func withPresence<Result: Sendable>(
        app: String, instance: String, _ body: @escaping @Sendable (PresenceReporter) async throws -> Result
    ) async throws -> Result {
        let reporter = presence(app: app, instance: instance)
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask {
                try await reporter.run()
                return nil
            }
            group.addTask { try await body(reporter) }
            while let result = try await group.next() {
                guard let result else { continue }
                group.cancelAll()
                return result
            }
            throw CancellationError()
        }
    }

    /// A reporter for one client of an app; nothing happens until it runs.
    /// - Parameter instance: names this window or process of the client.
    public func presence(
        app: String, instance: String, initially state: PresenceState = .visible
    ) -> PresenceReporter {
        PresenceReporter(self, app: app, instance: instance, state)
    }
}

/// Tells the gateway where an app's client stands, so that it knows whether to notify.
public final class PresenceReporter: Sendable {
    private struct Report: Encodable {
        let seq: Int64
        let state: PresenceState
    }

    private struct ReportAnswer: Decodable {
        let state: PresenceState
    }

    private let app: String
    private let instance: String
    private let client: FarbellClient
    /// Without repetition: the next beat says it again, and with a newer state.
    private let wire: Wire
    private let sequence: Guarded<PresenceSequence>
    private let changed = Wakeup()

    init(_ client: FarbellClient, app: String, instance: String, _ state: PresenceState) {
        (self.client, self.app, self.instance) = (client, app, instance)
        var wire = client.wire
        wire.retry = .never
        self.wire = wire
        sequence = Guarded(PresenceSequence(state, now: wire.clock.elapsed))
    }

    /// The state that was reported last on this side.
    public var state: PresenceState { sequence.withLock { $0.state } }
    /// The state the gateway has confirmed; nil while it knows nothing for certain.
    public var confirmed: PresenceState? { sequence.withLock { $0.confirmed } }

    /// The client came to the front, left it, or ends. Returns at once; the running reporter passes it on.
    public func report(_ state: PresenceState) {
        sequence.withLock { $0.change(to: state) }
        changed.raise()
    }

    /// Reports until `gone` is reported or the task is cancelled; then says `gone` itself, once.
    /// - Throws: `FarbellError` that will not pass by itself, such as `not_registered`. A cancelled task is no error.
    public func run() async throws {
        while !Task.isCancelled {
            switch sequence.withLock({ $0.step(at: wire.clock.elapsed) }) {
            case .end: return
            case .rest: await changed.wait(atMost: nil, wire.clock)
            case .wait(let limit): await changed.wait(atMost: limit, wire.clock)
            case .open: try await attempt { try await self.open() }
            case .report(let session, let seq, let state):
                try await attempt { try await self.report(session, seq, state) }
            }
        }
        await leave()
    }

    private func attempt(_ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch let error as FarbellError {
            guard error.isTemporary else { throw error }
            sequence.withLock { $0.failed(at: wire.clock.elapsed) }
        } catch is CancellationError {
            return
        }
    }

    private func open() async throws {
        let call = try Call("POST", "sessions").with(["app": app, "instance": instance])
            .silent(for: PresenceSequence.beat)
        let session: AppSession = try await wire.call(call)
        sequence.withLock { $0.opened(session.id, at: wire.clock.elapsed) }
    }

    private func report(_ session: String, _ seq: Int64, _ state: PresenceState) async throws {
        // A report that takes longer than a beat is overtaken by the next.
        let call = try Call("POST", "sessions", session, "presence").with(Report(seq: seq, state: state))
            .silent(for: PresenceSequence.beat)
        do {
            let _: ReportAnswer = try await wire.call(call)
            sequence.withLock { $0.reported(state, at: wire.clock.elapsed) }
        } catch let error as FarbellError where error.status == 404 {
            sequence.withLock { $0.forgotten() }
        }
    }

    /// Says `gone`, once: should it not arrive, the lease ends by itself.
    private func leave() async {
        sequence.withLock { $0.change(to: .gone) }
        guard case .report(let session, let seq, let state) = sequence.withLock({ $0.step(at: wire.clock.elapsed) })
        else { return }
        _ = try? await shielded { try await self.report(session, seq, state) }
    }
}
