internal import Base
internal import Gateway

/// Lets one request try the service's password while the others wait for its fate: a wrong one is tried once, and not
/// once for each of a thousand mailboxes, which would lock the account. A refused one is never tried again; another
/// comes with another configuration.
final class LoginGate: Sendable {
    private enum State {
        case unknown
        case trying
        case good
        case refused
    }

    /// How the one who may pass goes on.
    enum Pass: Sendable {
        /// Nobody knows yet whether the password is good: say so with `settle`.
        case trial
        case known
    }

    static let refusal = MonitorFailure(.authFailed, "the server refuses the service account or its password")
    /// Between two looks of those who wait.
    private static let interval: Duration = .milliseconds(50)

    private let state = Locked(State.unknown)
    private let time: any TimeSource

    init(time: any TimeSource) { self.time = time }

    /// Returns when a request may be sent.
    /// - Throws: `MonitorFailure` with `authFailed` for a password that was refused; `CancellationError`.
    func enter() async throws -> Pass {
        while true {
            let pass: Pass? = try state.withLock { state in
                switch state {
                case .unknown:
                    state = .trying
                    return .trial
                case .good: return .known
                case .trying: return nil
                case .refused: throw Self.refusal
                }
            }
            if let pass { return pass }
            try await time.sleep(for: Self.interval)
        }
    }

    /// - Parameter status: of the answer; nil where there was none.
    func settle(_ pass: Pass, status: Int?) {
        state.withLock { state in
            if status == 401 {
                state = .refused
            } else if case .trial = pass {
                // 503 and its like come from in front of the login, too.
                state = status.map { $0 < 500 } ?? false ? .good : .unknown
            }
        }
    }
}
