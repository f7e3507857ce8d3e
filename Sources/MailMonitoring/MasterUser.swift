package import Base
package import Gateway

/// One login of the operator's that opens every mailbox, so that nobody's password is stored. An account's mailbox is
/// the one of its name; a registration names another only where the administrator lists it.
package struct MasterUser: Sendable {
    package let user: String
    package let password: Secret
    /// Between the mailbox's name and the master's in one user name, as `*` in Dovecot's `anna*farbell`; nil: the
    /// mailbox is the authorization identity of SASL PLAIN.
    package var separator: String?
    /// An account's own mailbox; `{account}` stands for its name.
    package var mailbox = "{account}"
    /// Further mailboxes by account.
    package var allow: [String: [String]] = [:]

    package init(user: String, password: Secret) { (self.user, self.password) = (user, password) }

    /// Reads the keys of `master`: `user`, `password`, `separator`, `mailbox` and `allow`.
    init(_ reader: ConfigReader) {
        self.init(user: reader.string("user"), password: reader.secret("password"))
        separator = reader.optionalString("separator")
        if separator?.isEmpty == true { reader.report("separator", "must not be empty") }
        mailbox = reader.string("mailbox", default: "{account}")
        if mailbox.split(separator: "{account}", omittingEmptySubsequences: false).count != 2 {
            reader.report("mailbox", "must contain {account} once: each account has a mailbox of its own")
        }
        allow =
            reader.object("allow") { reader in
                Dictionary(reader.keys.map { ($0, reader.strings($0)) }) { first, _ in first }
            } ?? [:]
    }

    /// The mailbox a registration may open.
    /// - Throws: a fault where it names somebody else's, or where the account has none of its own.
    package func mailbox(
        of account: AccountID, _ credentials: [String: Secret]
    ) throws(MailCredentialFault) -> String {
        let named = credentials["username"]?.exposed ?? ""
        let own = mailbox.replacing("{account}", with: account.text)
        let name = named.isEmpty ? own : named
        guard name == own || allow[account.text]?.contains(name) ?? false else {
            throw MailCredentialFault("is not this account's mailbox, nor one that master.allow gives it")
        }
        // Servers compare names without case: "ANNA" must not become another way to "anna".
        guard name != own || account.text.utf8.allSatisfy({ $0 < 0x80 && !(0x41...0x5A).contains($0) }) else {
            throw MailCredentialFault("an account with capitals or letters beyond ASCII needs an entry in master.allow")
        }
        guard name.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }), separator.map({ !name.contains($0) }) ?? true else {
            throw MailCredentialFault("has characters that no mailbox's name may have here")
        }
        return name
    }

    /// The login that opens a mailbox.
    func credentials(for mailbox: String) -> MailLogin.Credentials {
        guard let separator else { return .master(mailbox: mailbox, username: user, password: password) }
        return .password(username: mailbox + separator + user, password: password)
    }
}

/// What is wrong with the mailbox a registration names.
package struct MailCredentialFault: Error, Sendable {
    package let message: String
    init(_ message: String) { self.message = message }
}

/// Keeps a master password that is refused from being tried for ten thousand mailboxes.
struct MasterGate: Sendable {
    /// Between two attempts after a refusal: of one mailbox, or of all.
    static let pause: Duration = .seconds(900)

    private var suspicion = AddressSuspicion()
    private var closedUntil: Moment?

    /// When to come back, while the gate is closed for all.
    mutating func closed(now: Moment) -> Moment? {
        if let end = closedUntil, end <= now { closedUntil = nil }
        return closedUntil
    }

    mutating func succeeded(_ mailbox: String, now: Moment) {
        closedUntil = nil
        suspicion.succeeded(mailbox, now: now)
    }

    /// A mailbox was refused: a mailbox that is not there, or a wrong master password.
    mutating func refused(_ mailbox: String, now: Moment) {
        if suspicion.refused(mailbox, now: now) == .configuration { closedUntil = now + Self.pause }
    }
}
