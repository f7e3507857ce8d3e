package import Base

/// Creates, checks and ends accounts.
package final class Accounts: Sendable {
    package static let passwordMinimumBytes = 8
    package static let passwordMaximumBytes = 1024

    private let directory: StateKeeper<Directory>
    private let mailroom: Mailroom
    private let security: any Security
    private let time: any TimeSource
    private let log: Log
    private let limits: Limits
    private let limiter: Locked<LoginLimiter>
    /// What is verified when there is no such account, so that the answer takes as long.
    private let decoy = Locked<String?>(nil)

    package init(
        directory: StateKeeper<Directory>, mailroom: Mailroom, security: any Security, time: any TimeSource, log: Log,
        limits: Limits
    ) {
        (self.directory, self.mailroom, self.security) = (directory, mailroom, security)
        (self.time, self.log, self.limits) = (time, log, limits)
        limiter = Locked(LoginLimiter(limit: limits.refusedLogins))
    }

    package func all() -> [Account] { directory.read { $0.accounts.values.sorted { $0.id < $1.id } } }
    package var count: Int { directory.read { $0.accounts.count } }
    package func account(_ id: AccountID) -> Account? { directory.read { $0.accounts[id] } }

    /// - Throws: `invalid_field`, `account_exists`, `limit_reached`.
    package func create(_ name: String, password: Secret?, kind: Account.Kind = .person) async throws -> Account {
        guard Account.isName(name) else {
            throw GatewayError.invalid("name", "1 to 128 bytes without spaces, control characters, '/' and ':'")
        }
        if let password { try Self.check(password) }
        var hash: String?
        if let password { hash = try await security.hashPassword(password) }
        let account = Account(id: AccountID(name), kind: kind, passwordHash: hash, created: time.timestamp)
        let limit = limits.accounts
        let created = try await directory.change { directory in
            guard directory.accounts[account.id] == nil else {
                throw GatewayError(.accountExists, "there is an account '\(name)' already")
            }
            guard directory.accounts.count < limit else {
                throw GatewayError(.limitReached, "there are \(limit) accounts (limits.accounts)")
            }
            directory.put(account)
            return (account, [.putAccount(account)])
        }
        _ = try await mailroom.open(.account(created.id))
        log.info(
            .accountCreated, "An account was created", ["account": .id(created.id), "kind": .string(kind.rawValue)])
        return created
    }

    private static func check(_ password: Secret) throws(GatewayError) {
        guard (passwordMinimumBytes...passwordMaximumBytes).contains(password.bytes.count) else {
            throw .invalid("password", "a password has \(passwordMinimumBytes) to \(passwordMaximumBytes) bytes")
        }
    }

    /// Sets the language an account's devices are spoken to in where they name none themselves; nil: the default.
    /// - Throws: `not_found`, `invalid_field`.
    package func setLocale(_ id: AccountID, _ text: String?) async throws {
        let locale = try DeviceRules.locale(text)
        try await directory.change { directory in
            guard var account = directory.accounts[id] else {
                throw GatewayError(.notFound, "there is no account '\(id)'")
            }
            account.locale = locale
            directory.put(account)
            return ((), [.putAccount(account)])
        }
        log.info(.accountChanged, "An account was changed", ["account": .id(id), "change": "locale"])
    }

    /// - Throws: `not_found`, `invalid_field`.
    package func setPassword(_ id: AccountID, _ password: Secret) async throws {
        try Self.check(password)
        let hash = try await security.hashPassword(password)
        try await change(id, "password") { $0.passwordHash = hash }
    }

    /// A disabled account cannot log in, and its devices' tokens are refused while it lasts.
    package func setDisabled(_ id: AccountID, _ isDisabled: Bool) async throws {
        try await change(id, isDisabled ? "disabled" : "enabled") { $0.isDisabled = isDisabled }
    }

    private func change(
        _ id: AccountID, _ what: String, _ body: @escaping @Sendable (inout Account) -> Void
    ) async throws {
        try await directory.change { directory in
            guard var account = directory.accounts[id] else {
                throw GatewayError(.notFound, "there is no account '\(id)'")
            }
            body(&account)
            directory.put(account)
            return ((), [.putAccount(account)])
        }
        log.info(.accountChanged, "An account was changed", ["account": .id(id), "change": .string(what)])
    }

    /// Removes an account's row; whoever calls has ended its devices and registrations.
    /// - Throws: `not_found`.
    package func remove(_ id: AccountID) async throws {
        try await directory.change { directory in
            guard let account = directory.accounts[id] else {
                throw GatewayError(.notFound, "there is no account '\(id)'")
            }
            directory.removeAccount(id)
            // Names are equal here when they are canonically equivalent in Unicode; a store may compare bytes.
            return ((), [.deleteAccount(account.id)])
        }
        log.info(.accountDeleted, "An account was deleted", ["account": .id(id)])
    }

    /// Checks a name and a password.
    /// - Parameter peer: the caller's address, which is limited too.
    /// - Throws: `bad_credentials`, `account_disabled`, `rate_limited`.
    package func authenticate(_ name: String, _ password: Secret, peer: String) async throws -> Account {
        // What cannot be a name is counted and logged as one: nobody fills the limiter or the log with long texts.
        let shown = Account.isName(name) ? name : "(not a name)"
        let names = ["account \(shown)", "address \(peer)"]
        let wait = limiter.withLock { limiter in
            let wait = names.compactMap { limiter.wait($0, now: time.now) }.max()
            // Only of the account: behind one address many may log in at once.
            if wait == nil { limiter.begin(names[0]) }
            return wait
        }
        if let wait {
            log.warning(
                .authLimited, "Too many refused log-ins", ["account": .string(shown), "address": .string(peer)])
            throw GatewayError(
                .rateLimited, "too many refused log-ins; wait", retryAfterSeconds: Int(wait.wholeSeconds) + 1)
        }
        let account = directory.read { $0.accounts[AccountID(name)] }
        let isRight: Bool
        do {
            isRight = try await verify(password, account?.passwordHash)
        } catch {
            limiter.withLock { $0.abandoned(names[0]) }
            throw error
        }
        guard let account, isRight else {
            limiter.withLock { limiter in for name in names { limiter.refused(name, now: time.now) } }
            log.warning(.authRefused, "A log-in was refused", ["account": .string(shown), "address": .string(peer)])
            throw GatewayError(.badCredentials, "the account or its password is wrong")
        }
        limiter.withLock { $0.succeeded(names[0]) }
        guard !account.isDisabled else { throw GatewayError(.accountDisabled, "the account is disabled") }
        return account
    }

    private func verify(_ password: Secret, _ hash: String?) async throws -> Bool {
        guard password.bytes.count <= Self.passwordMaximumBytes else { return false }
        if let hash { return try await security.verify(password, against: hash) }
        let known = decoy.withLock { $0 }
        let decoyHash: String
        if let known {
            decoyHash = known
        } else {
            decoyHash = try await security.hashPassword(Secret(bytes: security.randomBytes(16)))
        }
        decoy.withLock { $0 = decoyHash }
        _ = try await security.verify(password, against: decoyHash)
        return false
    }
}
