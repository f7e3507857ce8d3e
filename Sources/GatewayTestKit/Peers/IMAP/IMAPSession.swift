internal import Base

/// One connection to the synthetic IMAP server. On the loop's thread only.
final class IMAPSession: PeerHandler {
    enum State {
        case new
        /// The next line is the answer to a SASL challenge.
        case authenticating(tag: String, mechanism: String)
        /// OAuth failed and the error was sent as a challenge; the next line is empty.
        case refusing(tag: String)
        case authenticated
        case selected(IMAPMailbox)
        case idling(IMAPMailbox, tag: String)
    }

    unowned let connection: PeerConnection
    let core: IMAPCore
    var state = State.new
    var user: String?
    /// The UIDs by sequence number, as this client knows them.
    var view: [UInt32] = []
    private var expunged: [UInt32] = []
    private var changed: [UInt32] = []
    private var announcedCount = 0
    private var reader = IMAPCommandReader()
    /// TLS stands, from the start or since STARTTLS.
    var isEncrypted = false
    private var greeted = false
    private var waiting = false

    init(_ connection: PeerConnection, core: IMAPCore) {
        (self.connection, self.core) = (connection, core)
    }

    var mailbox: IMAPMailbox? {
        switch state {
        case .selected(let mailbox), .idling(let mailbox, _): mailbox
        default: nil
        }
    }

    var faults: IMAPFaults { mailbox?.faults ?? user.map { core.faults(of: $0) } ?? core.faults }

    func opened() {
        // After STARTTLS nothing is said until the client speaks.
        if greeted { return }
        greeted = true
        core.count { $0.connections += 1 }
        if let bye = core.byeGreeting {
            connection.send("* BYE \(bye)\r\n")
            return connection.close()
        }
        connection.send("* OK [CAPABILITY \(core.capabilities(self))] ready\r\n")
    }

    func closed() {
        if case .idling = state { core.count { $0.idling -= 1 } }
        deselect()
        core.forget(self)
        state = .new
    }

    func received(_ bytes: [UInt8]) {
        reader.feed(bytes)
        proceed()
    }

    private func proceed() {
        while !waiting, !connection.isClosed {
            switch reader.next() {
            case .incomplete: return
            case .tooLong:
                connection.send("* BYE line too long\r\n")
                return connection.close()
            case .continuation: connection.send("+ go on\r\n")
            case .line(let line):
                let delay = faults.delay
                if delay > .zero {
                    waiting = true
                    connection.loop.after(delay) { [weak self] in
                        self?.waiting = false
                        self?.perform(line)
                        self?.proceed()
                    }
                } else {
                    perform(line)
                }
            }
        }
    }

    private func perform(_ line: String) {
        if connection.isClosed || faults.isSilent { return }
        if faults.isNonsense { return connection.send("%% \u{1} ]] 42 {nonsense\r\n") }
        connection.pacing = faults.pieces
        switch state {
        case .authenticating(let tag, let mechanism): answerChallenge(tag, mechanism, line)
        case .refusing(let tag):
            state = .new
            connection.send("\(tag) NO [AUTHENTICATIONFAILED] invalid token\r\n")
        case .idling(let mailbox, let tag):
            guard line.uppercased() == "DONE" else {
                connection.send("\(tag) BAD expected DONE\r\n")
                return
            }
            core.count { $0.idling -= 1 }
            state = .selected(mailbox)
            connection.send(pendingUpdates() + "\(tag) OK idle ended\r\n")
        default:
            guard let command = IMAPCommand(line) else { return connection.send("* BAD no command\r\n") }
            core.count { $0.commands += 1 }
            execute(command)
        }
    }

    private func execute(_ command: IMAPCommand) {
        let tag = command.tag
        switch command.name {
        case "CAPABILITY": connection.send("* CAPABILITY \(core.capabilities(self))\r\n\(tag) OK done\r\n")
        case "NOOP", "CHECK": connection.send(pendingUpdates() + "\(tag) OK done\r\n")
        case "ID": connection.send("* ID NIL\r\n\(tag) OK done\r\n")
        case "ENABLE": connection.send("* ENABLED\r\n\(tag) OK done\r\n")
        case "LOGOUT":
            connection.send("* BYE bye\r\n\(tag) OK done\r\n")
            connection.close()
        case "STARTTLS", "LOGIN", "AUTHENTICATE": login(command)
        case "SELECT", "EXAMINE": select(command)
        case "STATUS": status(command)
        case "LIST", "LSUB": list(command)
        case "CLOSE", "UNSELECT":
            deselect()
            connection.send("\(tag) OK done\r\n")
        case "IDLE": idle(command)
        case "FETCH", "UID FETCH": fetch(command)
        case "SEARCH", "UID SEARCH": search(command)
        case "STORE", "UID STORE": connection.send("\(tag) NO [NOPERM] read only here\r\n")
        default: connection.send("\(tag) BAD unknown command\r\n")
        }
    }

    private func idle(_ command: IMAPCommand) {
        guard core.configuration.offersIdle, case .selected(let mailbox) = state else {
            return connection.send("\(command.tag) BAD not now\r\n")
        }
        var text = pendingUpdates() + "+ idling\r\n"
        state = .idling(mailbox, tag: command.tag)
        core.count { $0.idling += 1 }
        let arriving = mailbox.arrivingWithIdle
        mailbox.arrivingWithIdle = []
        for (header, date) in arriving { core.add(to: mailbox, header, [], date, announceExcept: self) }
        if !arriving.isEmpty { text += pendingUpdates() }
        connection.send(text)
    }

    // MARK: What others do to the mailbox

    func deselect() {
        if let mailbox { mailbox.sessions[ObjectIdentifier(self)] = nil }
        if user != nil { state = .authenticated }
        (view, expunged, changed, announcedCount) = ([], [], [], 0)
    }

    func showMailbox(_ mailbox: IMAPMailbox) {
        deselect()
        state = .selected(mailbox)
        mailbox.sessions[ObjectIdentifier(self)] = self
        view = mailbox.messages.map(\.uid)
        announcedCount = view.count
    }

    func messageAdded(_ uid: UInt32) { view.append(uid) }
    func messageChanged(_ uid: UInt32) { changed.append(uid) }
    func messageExpunged(_ uid: UInt32) { expunged.append(uid) }

    /// Tells an idler at once; others hear with their next command.
    func announce() {
        guard case .idling(let mailbox, _) = state, !mailbox.faults.losesWakeUps, !core.faults.losesWakeUps else {
            return
        }
        connection.send(pendingUpdates())
    }

    /// The untagged responses this client has not seen. Without `expunges` those wait (RFC 9051 section 7.5.1).
    func pendingUpdates(expunges: Bool = true) -> String {
        guard let mailbox else { return "" }
        var text = ""
        if expunges && !expunged.isEmpty {
            for uid in expunged {
                guard let index = view.firstIndex(of: uid) else { continue }
                // One that was never announced vanishes in silence.
                if index < announcedCount {
                    text += "* \(index + 1) EXPUNGE\r\n"
                    announcedCount -= 1
                }
                view.remove(at: index)
            }
            expunged = []
        }
        if view.count > announcedCount {
            announcedCount = view.count
            text += "* \(view.count) EXISTS\r\n"
        }
        for uid in changed {
            guard let index = mailbox.index(of: uid), let sequence = view.firstIndex(of: uid) else { continue }
            let flags = mailbox.messages[index].flags.sorted().joined(separator: " ")
            text += "* \(sequence + 1) FETCH (UID \(uid) FLAGS (\(flags)))\r\n"
        }
        changed = []
        return text
    }
}
