internal import Gateway

// "Another's: 403. Revoked: 401." (MN-7): what exists but is another account's is forbidden, what does not
// exist is not found.

extension Gateway {
    private func refuse(_ what: String) -> GatewayError {
        GatewayError(.forbidden, "this \(what) belongs to another account")
    }

    /// A device of the account.
    /// - Throws: `not_found`, `forbidden`.
    func device(_ id: DeviceID, of account: AccountID) throws(GatewayError) -> Device {
        guard let device = devices.device(id) else { throw GatewayError(.notFound, "there is no device '\(id)'") }
        guard device.account == account else { throw refuse("device") }
        return device
    }

    /// A registration of the account.
    /// - Throws: `not_found`, `forbidden`.
    func registration(_ id: RegistrationID, of account: AccountID) throws(GatewayError) -> Registration {
        guard let registration = registrations.registration(id) else {
            throw GatewayError(.notFound, "there is no registration '\(id)'")
        }
        guard registration.account == account else { throw refuse("registration") }
        return registration
    }

    /// A session of the account.
    /// - Throws: `not_found`, `forbidden`.
    func session(_ id: SessionID, of account: AccountID) throws(GatewayError) -> Session {
        guard let session = sessions.session(id) else { throw GatewayError(.notFound, "there is no session '\(id)'") }
        guard session.account == account else { throw refuse("session") }
        return session
    }
}

extension MessageKey {
    /// A message id of a request.
    /// - Throws: `not_found`: what is no id names nothing.
    init(requested text: String, field: String? = nil) throws(GatewayError) {
        guard let key = MessageKey(text) else {
            throw GatewayError(.notFound, "there is no message of this id", field: field)
        }
        self = key
    }
}
