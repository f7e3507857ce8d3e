package import Base
package import Gateway

/// A monitor without a server: a test says what it sees.
package final class ScriptedMonitor: Monitor {
    private enum Step: Sendable {
        case emit(MonitorBatch)
        case watching
        case replace(String, Secret)
        case fail(MonitorFailure)
    }

    private final class Command: Sendable {
        let step: Step
        let outcome = Locked<Result<Void, any Error>?>(nil)
        init(_ step: Step) { self.step = step }
    }

    private struct State {
        var running: [RegistrationID: AsyncStream<Command>.Continuation] = [:]
        var password: String?
        var isManual = false
        var cursors = 0
    }

    package let credentialFields: [CredentialField]
    package let upstream: String
    /// Every call of `watch`, with what it was given.
    package let watches = Recorder<MonitorTarget>()
    private let state = Locked(State())

    package init(
        credentialFields: [CredentialField] = [
            CredentialField("username", isSecret: false), CredentialField("password", isSecret: true),
        ], upstream: String = "mail.example:993"
    ) {
        (self.credentialFields, self.upstream) = (credentialFields, upstream)
    }

    // MARK: What tests control

    /// The only password that is not refused; nil (the default): any.
    package func accept(only password: String?) { state.withLock { $0.password = password } }

    /// Whether a watch neither sets its baseline nor says that it watches until the test says so.
    package var isManual: Bool {
        get { state.withLock { $0.isManual } }
        set { state.withLock { $0.isManual = newValue } }
    }

    package func isRunning(_ registration: RegistrationID) -> Bool {
        state.withLock { $0.running[registration] != nil }
    }
    package var runningCount: Int { state.withLock { $0.running.count } }

    /// Returns when a watch of the registration runs.
    /// - Throws: `DeadlineMissed`.
    package func waitUntilRunning(_ registration: RegistrationID, _ isRunning: Bool = true) async throws {
        try await Eventually.wait("a watch of \(registration) runs: \(isRunning)") {
            self.isRunning(registration) == isRunning
        }
    }

    /// Emits a batch and returns when the host has stored it.
    /// - Throws: what `emit` of the host throws; `DeadlineMissed`.
    package func emit(_ registration: RegistrationID, _ batch: MonitorBatch) async throws {
        try await perform(.emit(batch), registration)
    }

    /// Emits changes with the next cursor.
    package func emit(_ registration: RegistrationID, _ changes: MonitorBatch.Change...) async throws {
        try await emit(registration, MonitorBatch(changes: changes, cursor: nextCursor()))
    }

    package func watching(_ registration: RegistrationID) async throws { try await perform(.watching, registration) }

    /// Gives the host another value of a credential, and returns when it is stored.
    package func replace(_ field: String, with value: Secret, of registration: RegistrationID) async throws {
        try await perform(.replace(field, value), registration)
    }

    /// Ends the registration's watch with a failure.
    package func fail(_ registration: RegistrationID, _ failure: MonitorFailure) async throws {
        try await perform(.fail(failure), registration)
    }

    private func nextCursor() -> [UInt8] {
        state.withLock { state in
            state.cursors += 1
            return Array("cursor \(state.cursors)".utf8)
        }
    }

    private func perform(_ step: Step, _ registration: RegistrationID) async throws {
        try await waitUntilRunning(registration)
        let command = Command(step)
        state.withLock { $0.running[registration] }?.yield(command)
        let outcome = try await Eventually.value("the host takes a step of \(registration)") {
            command.outcome.withLock { $0 }
        }
        try outcome.get()
    }

    // MARK: Monitor

    package func watch(_ target: MonitorTarget, host: any MonitorHost) async throws {
        watches.append(target)
        let (password, isManual) = state.withLock { ($0.password, $0.isManual) }
        if let password, target.credentials["password"]?.exposed != password {
            throw MonitorFailure(.authFailed, "the server refuses the password")
        }
        let (commands, sink) = AsyncStream<Command>.makeStream()
        if !isManual {
            if target.cursor == nil { try await host.emit(MonitorBatch(cursor: nextCursor())) }
            host.watching()
        }
        state.withLock { $0.running[target.registration] = sink }
        defer { state.withLock { $0.running[target.registration] = nil } }
        for await command in commands {
            do {
                switch command.step {
                case .emit(let batch): try await host.emit(batch)
                case .watching: host.watching()
                case .replace(let field, let value): try await host.replaced(field, with: value)
                case .fail(let failure):
                    state.withLock { $0.running[target.registration] = nil }
                    command.outcome.withLock { $0 = .success(()) }
                    throw failure
                }
                command.outcome.withLock { $0 = .success(()) }
            } catch {
                command.outcome.withLock { $0 = $0 ?? .failure(error) }
                throw error
            }
        }
        throw CancellationError()
    }
}
