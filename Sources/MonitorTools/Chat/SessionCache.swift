package import Base
package import Gateway

/// Logged-in sessions of registrations whose watch was interrupted: the next one goes on with them, so that an
/// outage does not make a login of each registration. In memory only, because a session is a secret.
package final class SessionCache<Session: Sendable>: Sendable {
    private let sessions = Locked<[RegistrationID: (secret: Secret, session: Session)]>([:])
    /// Sessions kept; further ones are not.
    private static var limit: Int { 100_000 }

    package init() {}

    /// The session that was logged in with this secret, if it is still kept.
    package func session(of registration: RegistrationID, for secret: Secret) -> Session? {
        sessions.withLock { sessions in
            guard let kept = sessions[registration], kept.secret == secret else { return nil }
            return kept.session
        }
    }

    package func keep(_ session: Session, of registration: RegistrationID, for secret: Secret) {
        sessions.withLock { sessions in
            guard sessions[registration] != nil || sessions.count < Self.limit else { return }
            sessions[registration] = (secret, session)
        }
    }

    package func drop(_ registration: RegistrationID) {
        sessions.withLock { _ = $0.removeValue(forKey: registration) }
    }
}
