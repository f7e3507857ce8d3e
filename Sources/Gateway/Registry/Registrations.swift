package import Base

/// Creates, changes and ends registrations; credentials are sealed before they are kept.
package final class Registrations: Sendable {
    package static let credentialLimit = 16_384

    let directory: StateKeeper<Directory>
    private let apps: [AppID: App]
    let security: any Security
    private let identities: Identities
    private let time: any TimeSource
    private let log: Log
    private let limits: Limits
    private let observer = Locked<Callback<@Sendable (RegistrationID) -> Void>?>(nil)

    package init(
        directory: StateKeeper<Directory>, apps: [App], security: any Security, identities: Identities,
        time: any TimeSource, log: Log, limits: Limits
    ) {
        self.directory = directory
        self.apps = Dictionary(uniqueKeysWithValues: apps.map { ($0.id, $0) })
        (self.security, self.identities, self.time, self.log, self.limits) = (security, identities, time, log, limits)
    }

    /// Who is told when a registration may have to be watched, or not any more.
    package func onChange(_ body: @escaping @Sendable (RegistrationID) -> Void) {
        observer.withLock { $0 = Callback(body) }
    }
    private func tell(_ id: RegistrationID) { observer.withLock { $0 }?.function(id) }

    package func app(_ id: AppID) -> App? { apps[id] }
    package var allApps: [App] { apps.values.sorted { $0.id < $1.id } }
    package func registration(_ id: RegistrationID) -> Registration? { directory.read { $0.registrations[id] } }
    package var count: Int { directory.read { $0.registrations.count } }
    package func registration(of account: AccountID, app: AppID) -> Registration? {
        directory.read { $0.registration(of: account, app: app) }
    }
    package func registrations(of account: AccountID) -> [Registration] {
        directory.read { $0.registrations(of: account) }
    }
    package func all() -> [Registration] { directory.read { $0.registrations.values.sorted { $0.id < $1.id } } }

    /// Registers an account for an app (SG-1), or replaces its registration: one for an account and an app. Credentials
    /// that the app's server has refused before are not tried again, unless the caller insists.
    /// - Parameter retries: the caller insists, because it knows that they are good now.
    /// - Throws: `unknown_app`, `invalid_field`, `limit_reached`.
    package func put(
        account: AccountID, app id: AppID, credentials: [String: Secret], isEnabled: Bool,
        preferences: NotifyPreferences, retries: Bool = false
    ) async throws -> (registration: Registration, isNew: Bool) {
        guard let app = apps[id] else {
            throw GatewayError(
                .unknownApp, "there is no app '\(id)'" + Suggestion.text(for: id.text, among: apps.keys.map(\.text)),
                field: "app")
        }
        try check(credentials, app, account)
        let fresh: RegistrationID = identities.make("reg")
        let known = registration(of: account, app: id)
        let sealed = try seal(credentials, known?.id ?? fresh)
        let old = known.flatMap { try? self.credentials(of: $0) }
        let isSame = old == credentials && !retries
        let isSomebodyElse = known != nil && self.isSomebodyElse(credentials, old, app)
        let digest = digest(credentials, app)
        let now = time.timestamp
        let limit = limits.registrationsPerAccount
        let knownID = known?.id
        let result = try await directory.change { directory -> ((Registration, Bool), [StoreChange]) in
            let current = directory.registration(of: account, app: id)
            guard current?.id == knownID else {
                throw GatewayError(
                    .init("conflict", .conflict), "the registration was changed at the same time; try again")
            }
            guard directory.accounts[account] != nil else {
                throw GatewayError(.notFound, "there is no account '\(account)'")
            }
            if current == nil, directory.registrations(of: account).count >= limit {
                throw GatewayError(
                    .limitReached, "the account has \(limit) registrations (limits.registrationsPerAccount)")
            }
            var registration =
                current
                ?? Registration(
                    id: fresh, account: account, app: id, sealedCredentials: sealed, isEnabled: isEnabled,
                    preferences: preferences, created: now)
            if current != nil {
                if !isSame {
                    registration.sealedCredentials = sealed
                    registration.credentialsRevision += 1
                }
                if isSomebodyElse { registration.cursor = nil }
                registration.isEnabled = isEnabled
                registration.preferences = preferences
            }
            let changes = Self.judge(&registration, digest, retries, &directory)
            directory.put(registration)
            return ((registration, current == nil), changes + [.putRegistration(registration)])
        }
        log.info(
            result.1 ? .registrationCreated : .registrationChanged,
            result.1 ? "An account registered for an app" : "A registration was replaced",
            fields(result.0))
        tell(result.0.id)
        return result
    }

    /// What of a registration to change; nil leaves it.
    package struct Update: Sendable {
        package var credentials: [String: Secret]?
        package var isEnabled: Bool?
        package var preferences: NotifyPreferences?
        /// Tries the credentials once more although they were refused.
        package var retries = false
        package init() {}
    }

    private struct Credentials {
        let sealed: [UInt8]
        let digest: [UInt8]
        let isSame: Bool
        let isSomebodyElse: Bool
    }

    /// - Throws: `not_found`, `invalid_field`.
    package func update(_ id: RegistrationID, of account: AccountID, _ update: Update) async throws -> Registration {
        guard let known = registration(id), known.account == account, let app = apps[known.app] else {
            throw GatewayError(.notFound, "the account has no registration '\(id)'")
        }
        let old = try? self.credentials(of: known)
        let credentials = update.credentials ?? (update.retries ? old : nil)
        var fresh: Credentials?
        if let credentials {
            try check(credentials, app, account)
            fresh = Credentials(
                sealed: try seal(credentials, id), digest: digest(credentials, app),
                isSame: old == credentials && !update.retries,
                isSomebodyElse: isSomebodyElse(credentials, old, app))
        }
        let changed = try await directory.change { [fresh] directory in
            guard var registration = directory.registrations[id] else {
                throw GatewayError(.notFound, "the account has no registration '\(id)'")
            }
            var changes: [StoreChange] = []
            if let fresh {
                if !fresh.isSame {
                    registration.sealedCredentials = fresh.sealed
                    registration.credentialsRevision += 1
                }
                if fresh.isSomebodyElse { registration.cursor = nil }
                changes = Self.judge(&registration, fresh.digest, update.retries, &directory)
            }
            if let isEnabled = update.isEnabled { registration.isEnabled = isEnabled }
            if let preferences = update.preferences { registration.preferences = preferences }
            directory.put(registration)
            return (registration, changes + [.putRegistration(registration)])
        }
        if update.isEnabled == false {
            log.info(.registrationDisabled, "A registration was switched off", fields(changed))
        } else {
            log.info(.registrationChanged, "A registration was changed", fields(changed))
        }
        tell(id)
        return changed
    }

    /// - Throws: `not_found`.
    package func delete(_ id: RegistrationID, of account: AccountID) async throws {
        let removed = try await directory.change { directory in
            guard let registration = directory.registrations[id], registration.account == account else {
                throw GatewayError(.notFound, "the account has no registration '\(id)'")
            }
            directory.removeRegistration(id)
            return (registration, [.deleteRegistration(id)])
        }
        log.info(.registrationDeleted, "A registration was deleted", fields(removed))
        tell(id)
    }

    /// The account logged in to the app: from now on its news is watched (SG-3).
    package func arm(_ id: RegistrationID) async throws {
        let armed = try await directory.change { directory in
            guard let registration = directory.registrations[id], !registration.isArmed else { return (false, []) }
            let changed = directory.change(id) { $0.isArmed = true }
            return (true, changed.map { [.putRegistration($0)] } ?? [])
        }
        if armed { tell(id) }
    }

    /// Stores another value of one credential that the app's server gave for the old one. It is the same person's:
    /// nothing starts anew. Credentials that were changed meanwhile stay as they are.
    package func replace(
        _ field: String, with value: Secret, of id: RegistrationID, revision: Int64
    ) async throws {
        guard let known = registration(id), known.credentialsRevision == revision else { return }
        var credentials = try self.credentials(of: known)
        credentials[field] = value
        let sealed = try seal(credentials, id)
        try await directory.change { directory in
            guard directory.registrations[id]?.credentialsRevision == revision,
                let changed = directory.change(id, { $0.sealedCredentials = sealed })
            else { return ((), []) }
            return ((), [.putRegistration(changed)])
        }
    }

    /// Notes in memory where the monitor goes on; the store has it from the batch's transaction.
    /// - Parameter known: the registration before that transaction. When it was changed meanwhile, that change
    ///   took the old cursor to the store, and the new one is stored once more behind it.
    package func moved(_ id: RegistrationID, cursor: [UInt8]?, known: Registration? = nil) {
        directory.submit { directory in
            guard let current = directory.registrations[id] else { return [] }
            if let known, known.credentialsRevision != current.credentialsRevision, current.cursor == nil { return [] }
            directory.change(id) { $0.cursor = cursor }
            guard let cursor, let known, known != current else { return [] }
            return [.setMonitorCursor(id, cursor)]
        }
    }

    /// Whether credentials name another user than those stored: then the cursor belongs to another mailbox.
    private func isSomebodyElse(_ credentials: [String: Secret], _ old: [String: Secret]?, _ app: App) -> Bool {
        let names = (app.monitor?.credentialFields ?? []).filter(\.isIdentity).map(\.name)
        // What cannot be opened any more (a new key file) names nobody we know.
        guard let old else { return false }
        return names.contains { old[$0] != credentials[$0] }
    }

    /// Opens the credentials of a registration.
    package func credentials(of registration: Registration) throws -> [String: Secret] {
        let plain = try security.open(registration.sealedCredentials, context: Self.context(registration.id))
        let json = try JSONParser.parse(plain)
        var credentials: [String: Secret] = [:]
        for member in json.object?.members ?? [] { credentials[member.key] = member.value.string.map { Secret($0) } }
        return credentials
    }

    private func seal(_ credentials: [String: Secret], _ id: RegistrationID) throws -> [UInt8] {
        var object = JSONObject()
        for (name, value) in credentials.sorted(by: { $0.key < $1.key }) { object.append(name, .string(value.exposed)) }
        return try security.seal(JSON.object(object).serializedBytes, context: Self.context(id))
    }

    private static func context(_ id: RegistrationID) -> String { "registration/\(id)" }

    private func check(_ credentials: [String: Secret], _ app: App, _ account: AccountID) throws(GatewayError) {
        let fields = app.credentialFields
        for field in fields where field.isRequired {
            guard let value = credentials[field.name], !value.isEmpty else {
                throw .invalid("credentials.\(field.name)", "is missing")
            }
        }
        for (name, value) in credentials {
            guard fields.contains(where: { $0.name == name }) else {
                throw .invalid(
                    "credentials.\(name)",
                    "the app takes no such field" + Suggestion.text(for: name, among: fields.map(\.name)))
            }
            guard value.bytes.count <= Self.credentialLimit, !value.bytes.contains(0) else {
                throw .invalid("credentials.\(name)", "at most \(Self.credentialLimit) bytes, without NUL")
            }
        }
        if let fault = app.monitor?.fault(in: credentials, of: account) {
            throw .invalid("credentials.\(fault.field)", fault.message)
        }
    }

    private func fields(_ registration: Registration) -> LogFields {
        [
            "registration": .id(registration.id), "account": .id(registration.account), "app": .id(registration.app),
            "enabled": .bool(registration.isEnabled),
        ]
    }
}
