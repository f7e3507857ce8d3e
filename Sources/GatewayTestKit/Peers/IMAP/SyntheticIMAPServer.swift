package import Base

/// An IMAP server with thousands of mailboxes in memory, that announces a delivery in the same instant and
/// misbehaves on demand. For benchmarks and for what a real server does only on bad days.
package final class SyntheticIMAPServer: Sendable {
    package enum Security: Sendable {
        /// TLS from the first byte.
        case implicit
        case startTLS
        case none
    }

    package struct Configuration: Sendable {
        /// Users `u00000`, `u00001` and so on.
        package var users = 100_000
        package var password = "secret"
        /// Whether a user's OAuth token is good.
        package var acceptsToken: @Sendable (_ user: String, _ token: String) -> Bool = { _, _ in false }
        package var folders = ["INBOX"]
        /// What `LIST` says of a folder, such as `\\Junk`.
        package var attributes: [String: String] = [:]
        package var offersIdle = true
        /// SASL-IR (RFC 4959).
        package var offersInitialResponse = true
        package var mechanisms = ["PLAIN", "XOAUTH2", "OAUTHBEARER"]
        package var furtherCapabilities = ["UIDPLUS"]
        /// Capabilities inside the tagged OK of the login, as Cyrus sends them.
        package var sendsCapabilitiesAfterLogin = true
        package var uidValidity: UInt32 = 1
        package var security = Security.implicit
        /// Refuses logins before STARTTLS.
        package var requiresTLS = false
        package var port = 0
        package var time: any TimeSource = SystemTime()

        package init() {}
    }

    package struct Counts: Sendable {
        package var connections = 0
        package var logins = 0
        package var failedLogins = 0
        /// Connections inside IDLE now.
        package var idling = 0
        package var commands = 0
    }

    /// A message as stored, and the moment just before its announcement was written.
    package struct Delivery: Sendable {
        package let uid: UInt32
        package let announced: Moment
    }

    package let listener: PeerListener
    private let core: IMAPCore

    /// - Throws: `PeerError`.
    package init(_ configuration: Configuration = Configuration(), identity: TestIdentity) throws {
        let context = try TLSServerContext(identity)
        let core = IMAPCore(configuration, upgrade: configuration.security == .startTLS ? context : nil)
        self.core = core
        let first = configuration.security == .implicit ? context : nil
        listener = try PeerListener(name: "fake-imap", port: configuration.port, context: first) { connection in
            let session = IMAPSession(connection, core: core)
            session.isEncrypted = first != nil
            return session
        }
    }

    package var port: Int { listener.port }
    package var counts: Counts { core.counter.withLock { $0 } }
    /// Closes the port and all connections.
    package func stop() { listener.stop() }

    /// The name of a user by number: `u00042`.
    package static func user(_ number: Int) -> String {
        var digits: [UInt8] = [UInt8(ascii: "u")]
        digits.appendDecimal(Int64(number), width: 5)
        return String(decoding: digits, as: UTF8.self)
    }

    /// Changes a user's password; makes a user of another name known.
    package func setPassword(_ password: String, of user: String) {
        core.passwords.withLock { $0[user] = password }
    }

    /// Returns when at least `count` connections are inside IDLE.
    /// - Throws: `DeadlineMissed`.
    package func waitForIdlers(_ count: Int, deadline: Duration = .seconds(30)) async throws {
        try await Eventually.wait("\(count) idlers, not \(counts.idling)", for: deadline, every: .milliseconds(2)) {
            counts.idling >= count
        }
    }

    // MARK: Messages

    /// Stores a message and tells idlers at once.
    /// - Parameter header: with CRLF line ends; an empty line after it is added when it is missing.
    /// - Throws: `PeerError` when the server has stopped or there is no such folder.
    @discardableResult
    package func deliver(
        to user: String, folder: String = "INBOX", header: String, flags: Set<String> = []
    ) async throws -> Delivery {
        try await deliver(to: user, folder: folder, bytes: Self.complete(header), flags: flags)
    }

    /// The same with a header that need not be text.
    @discardableResult
    package func deliver(
        to user: String, folder: String = "INBOX", bytes: [UInt8], flags: Set<String> = []
    ) async throws -> Delivery {
        let delivery = try await listener.loop.call { [core] () -> Delivery? in
            guard let mailbox = core.mailbox(user, folder) else { return nil }
            let time = core.configuration.time
            let date = time.timestamp
            let announced = time.now
            return Delivery(uid: core.add(to: mailbox, bytes, flags, date), announced: announced)
        }
        guard let delivery else { throw PeerError(.stopped, "no folder \(folder)") }
        return delivery
    }

    /// A header whose subject has so many bytes on one line.
    package static func hugeHeader(subjectBytes: Int) -> [UInt8] {
        Array("From: big@example.org\r\nSubject: ".utf8) + [UInt8](repeating: UInt8(ascii: "x"), count: subjectBytes)
            + Array("\r\nMessage-ID: <huge@example.org>\r\n\r\n".utf8)
    }

    /// The message arrives in the middle of the answer to the next FETCH.
    package func deliverDuringNextFetch(to user: String, folder: String = "INBOX", header: String) async throws {
        try await change(user, folder) { mailbox, core in
            mailbox.arrivingDuringFetch.append((Self.complete(header), core.configuration.time.timestamp))
        }
    }

    /// The message arrives with the next IDLE: its EXISTS is in one write with `+ idling`.
    package func deliverWithNextIdle(to user: String, folder: String = "INBOX", header: String) async throws {
        try await change(user, folder) { mailbox, core in
            mailbox.arrivingWithIdle.append((Self.complete(header), core.configuration.time.timestamp))
        }
    }

    /// Sets or removes `\Seen`; idlers hear at once.
    package func setSeen(_ seen: Bool = true, uid: UInt32, of user: String, folder: String = "INBOX") async throws {
        try await change(user, folder) { mailbox, _ in
            guard let index = mailbox.index(of: uid) else { return }
            if seen {
                mailbox.messages[index].flags.insert("\\Seen")
            } else {
                mailbox.messages[index].flags.remove("\\Seen")
            }
            for session in Array(mailbox.sessions.values) {
                session.messageChanged(uid)
                session.announce()
            }
        }
    }

    /// Removes a message; idlers hear at once.
    package func expunge(uid: UInt32, of user: String, folder: String = "INBOX") async throws {
        try await change(user, folder) { mailbox, _ in
            guard let index = mailbox.index(of: uid) else { return }
            mailbox.messages.remove(at: index)
            for session in Array(mailbox.sessions.values) {
                session.messageExpunged(uid)
                session.announce()
            }
        }
    }

    /// The mailbox is rebuilt: another UIDVALIDITY and new UIDs from 1; connections end with BYE.
    package func rebuild(_ user: String, folder: String = "INBOX", uidValidity: UInt32) async throws {
        try await change(user, folder) { mailbox, _ in
            mailbox.uidValidity = uidValidity
            let old = mailbox.messages
            (mailbox.messages, mailbox.uidNext) = ([], 1)
            for message in old { _ = mailbox.add(message.header, flags: message.flags, date: message.date) }
            for session in Array(mailbox.sessions.values) {
                session.connection.send("* BYE mailbox rebuilt\r\n")
                session.connection.close()
            }
        }
    }

    private func change(
        _ user: String, _ folder: String, _ body: @escaping @Sendable (IMAPMailbox, IMAPCore) -> Void
    ) async throws {
        let found = try await listener.loop.call { [core] in
            guard let mailbox = core.mailbox(user, folder) else { return false }
            body(mailbox, core)
            return true
        }
        if !found { throw PeerError(.stopped, "no folder \(folder)") }
    }

    private static func complete(_ header: String) -> [UInt8] {
        Array((header.hasSuffix("\r\n\r\n") ? header : header + (header.hasSuffix("\r\n") ? "\r\n" : "\r\n\r\n")).utf8)
    }

    // MARK: Misbehaving

    /// How one user's mailboxes, or with nil all, misbehave from now on.
    package func setFaults(_ faults: IMAPFaults, of user: String? = nil) async throws {
        try await listener.loop.call { [core] in core.setFaults(faults, of: user) }
    }

    /// New connections get `* BYE text` and are closed; nil ends that.
    package func setByeGreeting(_ text: String?) async throws {
        try await listener.loop.call { [core] in core.byeGreeting = text }
    }

    /// Ends a user's connections, or with nil all, with BYE.
    package func sayBye(to user: String? = nil, _ text: String = "shutting down") async throws {
        try await eachConnection(of: user) { connection in
            connection.send("* BYE \(text)\r\n")
            connection.close()
        }
    }

    /// Cuts connections with a TCP reset.
    package func drop(_ user: String? = nil) async throws { try await eachConnection(of: user) { $0.abort() } }

    /// Half-open: the connections stay, but nothing is read or written any more.
    package func freeze(_ user: String? = nil) async throws {
        try await eachConnection(of: user) { $0.isFrozen = true }
    }

    /// Writes any bytes to the connections.
    package func inject(_ bytes: [UInt8], to user: String? = nil) async throws {
        try await eachConnection(of: user) { $0.send(bytes) }
    }

    private func eachConnection(of user: String?, _ body: @escaping @Sendable (PeerConnection) -> Void) async throws {
        try await listener.loop.call { [core] in
            for session in core.sessions(of: user) { body(session.connection) }
        }
    }
}
