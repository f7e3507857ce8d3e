internal import Base

// Credentials that an app's server refused are never tried again: a server that sees the same wrong password twice locks
// the account, and then the address of everybody who comes from this machine. They are recognised by a keyed digest,
// which outlives the registration. Only its owner's word that they are good now (`retry`) gives them another attempt.
extension Registrations {
    private static let purpose = "refused credentials"

    /// What credentials are recognised by: who logs in where, with which secret.
    func digest(_ credentials: [String: Secret], _ app: App) -> [UInt8] {
        var object = JSONObject()
        for (name, value) in credentials.sorted(by: { $0.key < $1.key }) { object.append(name, .string(value.exposed)) }
        let message: JSON = [
            "app": .string(app.id.text), "server": .string(app.monitor?.upstream ?? ""), "credentials": .object(object),
        ]
        return security.authenticationCode(message.serializedBytes, purpose: Self.purpose)
    }

    /// Marks a registration as refused where its credentials were refused before, or forgets that they were.
    static func judge(
        _ registration: inout Registration, _ digest: [UInt8], _ retries: Bool, _ directory: inout Directory
    ) -> [StoreChange] {
        guard var account = directory.accounts[registration.account],
            account.refusals[registration.app]?.contains(digest) == true
        else { return [] }
        guard retries else {
            registration.refusedRevision = registration.credentialsRevision
            return []
        }
        forget(digest, registration.app, &account)
        directory.put(account)
        return [.putAccount(account)]
    }

    private static func forget(_ digest: [UInt8], _ app: AppID, _ account: inout Account) {
        account.refusals[app]?.removeAll { $0 == digest }
        if account.refusals[app]?.isEmpty == true { account.refusals[app] = nil }
    }

    /// Remembers that the app's server refused these credentials: they are never tried again.
    /// - Returns: whether they are still the registration's.
    package func refused(_ id: RegistrationID, revision: Int64) async throws -> Bool {
        let digest = registration(id).flatMap { known in
            app(known.app).flatMap { app in (try? credentials(of: known)).map { self.digest($0, app) } }
        }
        return try await directory.change { directory in
            guard directory.registrations[id]?.credentialsRevision == revision,
                let changed = directory.change(id, { $0.refusedRevision = revision })
            else { return (false, []) }
            var changes: [StoreChange] = [.putRegistration(changed)]
            if let digest, var account = directory.accounts[changed.account] {
                Self.forget(digest, changed.app, &account)
                let digests = (account.refusals[changed.app] ?? []) + [digest]
                account.refusals[changed.app] = Array(digests.suffix(Account.refusalsLimit))
                directory.put(account)
                changes.append(.putAccount(account))
            }
            return (true, changes)
        }
    }

    /// Notes that the app's server has accepted these credentials.
    func proved(_ id: RegistrationID, revision: Int64) {
        directory.submit { directory in
            guard let known = directory.registrations[id], known.credentialsRevision == revision, !known.isProven else {
                return []
            }
            return directory.change(id) { $0.provenRevision = revision }.map { [.putRegistration($0)] } ?? []
        }
    }
}
