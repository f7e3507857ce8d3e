internal import Base

/// The mailboxes and the connections behind a `SyntheticIMAPServer`.
final class IMAPCore: @unchecked Sendable {
    // Sendable: `configuration` and `upgrade` never change, `counter` and `passwords` are behind locks, and
    // everything else is touched by the loop's thread only.
    let configuration: SyntheticIMAPServer.Configuration
    /// The certificate for STARTTLS.
    let upgrade: TLSServerContext?
    let counter = Locked(SyntheticIMAPServer.Counts())
    let passwords = Locked<[String: String]>([:])
    var faults = IMAPFaults()
    var userFaults: [String: IMAPFaults] = [:]
    var byeGreeting: String?
    private var mailboxes: [String: IMAPMailbox] = [:]
    private var sessions: [String: [ObjectIdentifier: IMAPSession]] = [:]

    init(_ configuration: SyntheticIMAPServer.Configuration, upgrade: TLSServerContext?) {
        (self.configuration, self.upgrade) = (configuration, upgrade)
    }

    func count(_ body: (inout SyntheticIMAPServer.Counts) -> Void) { counter.withLock { body(&$0) } }

    func faults(of user: String) -> IMAPFaults { userFaults[user] ?? faults }

    func setFaults(_ new: IMAPFaults, of user: String?) {
        guard let user else {
            faults = new
            for mailbox in mailboxes.values { mailbox.faults = new }
            return
        }
        userFaults[user] = new
        for folder in configuration.folders { mailbox(user, folder)?.faults = new }
        for session in sessions(of: user) { session.connection.pacing = new.pieces }
    }

    /// Whether a user of that name exists: `u00000` up to the configured number.
    func exists(_ user: String) -> Bool {
        guard user.utf8.count == 6, user.hasPrefix("u"), let number = Int(user.dropFirst()) else {
            return passwords.withLock { $0[user] != nil }
        }
        return number >= 0 && number < configuration.users
    }

    func accepts(_ user: String, password: String) -> Bool {
        guard exists(user) else { return false }
        return password == passwords.withLock { $0[user] } ?? configuration.password
    }

    func mailbox(_ user: String, _ folder: String) -> IMAPMailbox? {
        let name = folder.uppercased() == "INBOX" ? "INBOX" : folder
        guard configuration.folders.contains(name) else { return nil }
        let key = "\(user)/\(name)"
        if let known = mailboxes[key] { return known }
        let new = IMAPMailbox()
        new.uidValidity = configuration.uidValidity
        new.faults = faults(of: user)
        mailboxes[key] = new
        return new
    }

    func capabilities(_ session: IMAPSession) -> String {
        var words = ["IMAP4rev1"]
        if configuration.offersInitialResponse { words.append("SASL-IR") }
        words += configuration.mechanisms.map { "AUTH=\($0)" }
        if upgrade != nil && !session.isEncrypted { words.append("STARTTLS") }
        if configuration.requiresTLS && !session.isEncrypted { words.append("LOGINDISABLED") }
        if configuration.offersIdle { words.append("IDLE") }
        return (words + configuration.furtherCapabilities).joined(separator: " ")
    }

    func remember(_ session: IMAPSession, _ user: String) {
        sessions[user, default: [:]][ObjectIdentifier(session)] = session
    }

    func forget(_ session: IMAPSession) {
        guard let user = session.user else { return }
        sessions[user]?[ObjectIdentifier(session)] = nil
        if sessions[user]?.isEmpty == true { sessions[user] = nil }
    }

    /// The logged-in connections of one user, or of all.
    func sessions(of user: String?) -> [IMAPSession] {
        guard let user else { return sessions.values.flatMap { Array($0.values) } }
        return sessions[user].map { Array($0.values) } ?? []
    }

    /// Stores a message and tells those who wait for it.
    @discardableResult
    func add(
        to mailbox: IMAPMailbox, _ header: [UInt8], _ flags: Set<String>, _ date: Timestamp,
        announceExcept silent: IMAPSession? = nil
    ) -> UInt32 {
        let uid = mailbox.add(header, flags: flags, date: date)
        for session in Array(mailbox.sessions.values) {
            session.messageAdded(uid)
            if session !== silent { session.announce() }
        }
        return uid
    }
}
